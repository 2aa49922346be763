from __future__ import annotations

import io
import shlex
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console, RenderableType

from sandbox.core.timeline import Event
from sandbox.report import access_commands, access_panel, closing_table, narrated, record_svg, status_table
from sandbox.report.access import Command
from sandbox.report.tables import shortened

SHA = "0123456789abcdef0123456789abcdef01234567"
DIGEST = f"sha256:{'ab' * 32}"
STEPS = [
    {
        "name": "release",
        "sentence": "A new version goes live by a commit",
        "status": "passed",
        "seconds": 2.61,
        "evidence": {"source_commit": SHA, "image": f"127.0.0.1:20002/core/greeter:{SHA}@{DIGEST}"},
        "reason": "",
    },
    {
        "name": "crash-loop",
        "sentence": "A crash loop is seen as Degraded",
        "status": "skipped",
        "seconds": 0.0,
        "evidence": {},
        "reason": "this engine has no containers",
    },
    {
        "name": "rollback",
        "sentence": "git revert brings the good release back",
        "status": "failed",
        "seconds": 15.02,
        "evidence": {"git": [SHA] * 10},
        "reason": "the revert to live: not within 15 s\n  why:  last seen: [red] 5 replicas\n  next: logs: /x/logs",
    },
]


def _drawn(drawing: RenderableType, width: int = 100, *, soft_wrap: bool = False) -> str:
    out = io.StringIO()
    Console(file=out, width=width, highlight=False).print(drawing, soft_wrap=soft_wrap)
    return out.getvalue()


def test_a_story_closes_with_each_step_its_time_and_its_evidence_in_short() -> None:
    drawn = _drawn(closing_table(STEPS, {"up": 5.12, "story": 17.9, "first": None}))
    lines = [" ".join(line.split()) for line in drawn.splitlines()]
    assert "✓ A new version goes live by a commit 2.6" in lines
    assert "source commit 01234567 · image core/greeter:01234567@sha256:abababab…" in lines
    assert "this engine has no containers" in lines
    assert "✗ git revert brings the good release back 15.0" in lines
    assert "why: last seen: [red] 5 replicas" in lines
    assert "next: logs: /x/logs" in lines
    assert "1 passed · 1 failed · 1 skipped · up 5.1 s · story 17.9 s" in lines
    assert "… 2 more" in drawn


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_table_is_wider_than_its_terminal(width: int, status: dict[str, Any]) -> None:
    for drawing in (closing_table(STEPS, {"up": 5.1, "story": 17.9}), status_table(status), access_panel(status)):
        assert all(len(line) <= width for line in _drawn(drawing, width).splitlines())


def test_the_status_shows_states_restarts_and_what_ended_a_process(status: dict[str, Any]) -> None:
    drawn = _drawn(status_table(status))
    lines = [" ".join(line.split()) for line in drawn.splitlines()]
    assert "etcd 4711 running" in lines
    assert "kube-apiserver restarting · 2 restarts" in lines
    assert "last: killed by SIGKILL" in lines
    assert "argocd-server c0ffee unready · 1 restart" in lines
    assert "log: /elsewhere/argocd.log" in lines
    assert "nothing listens on port 20003 yet" in lines
    assert "default (embedded) is partial" in lines
    assert f"logs: {status['state_dir']}/logs" in drawn.replace("\n", "")


def test_a_narrow_status_still_shows_the_process(status: dict[str, Any]) -> None:
    assert "4711" in _drawn(status_table(status), 60)


def test_the_access_names_addresses_accounts_and_files_but_holds_no_password(status: dict[str, Any]) -> None:
    drawn = _drawn(access_panel(status), 120)
    for server in ("git", "registry", "argocd"):
        assert status[server]["url"] in drawn
        assert status[server]["password_file"] in drawn
    assert "admin, password in" in drawn


def test_in_a_log_each_command_stands_on_one_line(status: dict[str, Any]) -> None:
    drawn = _drawn(access_panel(status), 80, soft_wrap=True).splitlines()
    for command in access_commands(status):
        assert command.line in drawn


def test_the_commands_take_passwords_from_files_and_never_as_arguments(status: dict[str, Any]) -> None:
    commands = {command.purpose: command.line for command in access_commands(status)}
    state = status["state_dir"]
    assert commands["a clone that may push"] == (
        f"git clone -c credential.helper= -c credential.helper='!echo password=$(cat {state}/secrets/git-developer) #' "
        "http://developer@127.0.0.1:20001/core/environment.git"
    )
    assert commands["argocd, log in once"] == (
        f"(cat {state}/secrets/argocd-admin; echo) | SSL_CERT_FILE={state}/pki/argocd-ca.crt "
        "argocd login 127.0.0.1:20003 --username admin"
    )
    assert commands["images, by Docker"] == (
        f"docker login 127.0.0.1:20002 --username ci --password-stdin <{state}/secrets/registry-ci"
    )


def test_a_clone_goes_past_a_proxy_that_would_be_asked_for_loopback(
    status: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy.test:3128")
    commands = {command.purpose: command.line for command in access_commands(status)}
    assert commands["a clone that may push"].startswith("git clone -c http.proxy= -c credential.helper= ")


def test_without_an_authority_argocd_is_told_not_to_look(status: dict[str, Any]) -> None:
    del status["argocd"]["ca_file"]
    del status["registry"]["password_file"]
    status["git"]["repositories"] = []
    lines = [command.line for command in access_commands(status)]
    assert lines[-1].endswith("--username admin --insecure")


def test_of_an_argo_cd_of_somebody_else_the_namespace_is_named_and_no_way_in(status: dict[str, Any]) -> None:
    nothing = dict.fromkeys(("url", "username", "password_file", "ca_file"))
    guest = {**status, "argocd": {**nothing, "namespace": "theirs"}}
    assert "Argo CD     namespace theirs" in _drawn(access_panel(guest), 120)
    assert not [command.line for command in access_commands(guest) if "argocd login" in command.line]
    assert not [command.line for command in access_commands(guest) if "get applications" in command.line]


def test_a_path_with_a_space_stays_one_word(status: dict[str, Any]) -> None:
    status["kubeconfig"] = "/home/ann lee/kubeconfig"
    status["git"]["password_file"] = "/home/ann lee/git-developer"
    commands = {command.purpose: command.line for command in access_commands(status)}
    assert shlex.split(commands["kubectl, in this shell"])[1] == "KUBECONFIG=/home/ann lee/kubeconfig"
    helper = shlex.split(commands["a clone that may push"])[5]
    assert helper == "credential.helper=!echo password=$(cat '/home/ann lee/git-developer') #"


@settings(max_examples=50)
@given(st.lists(st.from_regex(r"[a-z/=-]{1,30}", fullmatch=True), min_size=1), st.integers(20, 120))
def test_a_broken_command_is_still_the_same_command(parts: list[str], width: int) -> None:
    command = Command("", tuple(parts))
    assert shlex.split("\n".join(command.lines(width)).replace("\\\n", "")) == shlex.split(command.line)


@settings(max_examples=30)
@given(st.recursive(st.text() | st.integers(), lambda part: st.lists(part) | st.dictionaries(st.text(), part)))
def test_no_evidence_breaks_a_table(value: object) -> None:
    assert isinstance(shortened(value), str)


def test_evidence_is_shortened_only_where_it_is_a_sha_or_a_digest() -> None:
    assert shortened(f"{SHA} {DIGEST} {SHA}ff") == f"01234567 sha256:abababab… {SHA}ff"
    assert shortened({"a": [SHA, 2]}) == "a: 01234567, 2"
    assert len(shortened("x" * 1000)) == 140


def test_a_recording_is_a_picture_that_asks_no_other_server(tmp_path: Path) -> None:
    events = [Event(0, "etcd", "starting"), Event(1.2, "etcd", "ready")]
    drawings: list[RenderableType] = [*narrated(events, 100), closing_table(STEPS, {"up": 5.1})]
    first = record_svg(drawings, "gitops-sandbox demo", tmp_path / "one.svg").read_text()
    assert "etcd" in first
    assert "01234567" in first
    assert "@font-face" not in first
    assert "url(http" not in first
    assert 'xml:space="preserve"' in first  # else some renderers drop indents
    again = record_svg(drawings, "gitops-sandbox demo", tmp_path / "two.svg")
    assert again.read_text() == first
    assert again.stat().st_mode & 0o777 == 0o644
