"""The node's file system: a Debian with systemd, made a node by kind's own files and the toolchain's programs."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from sandbox.containers.contents import StorageClass
from sandbox.core.commands import run
from sandbox.core.errors import UsageError
from sandbox.core.files import writing_errors
from sandbox.toolchain import Tool

__all__ = ["CHANGES", "NODE_PACKAGES", "POD_SUBNET", "SERVICE_SUBNET", "make_node"]

# What kind's own base image installs, without what serves file systems that nothing here uses; socat is kubeadm's.
NODE_PACKAGES = (
    "e2fsprogs",
    "ethtool",
    "iproute2",
    "jq",
    "kmod",
    "libseccomp2",
    "mount",
    "procps",
    "runc",
    "socat",
    "systemd",
    "util-linux",
)

CHANGES = (
    "ENV container=docker",
    "STOPSIGNAL SIGRTMIN+3",
    'ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]',
)
"""What kind expects of a node image, as lines of a Dockerfile."""

POD_SUBNET = "10.244.0.0/16"
"""The pods' addresses; each node has a part of them, its ``spec.podCIDR``."""

SERVICE_SUBNET = "10.96.0.0/16"
"""The Services' addresses, which kube-proxy turns into those of pods."""

_PROGRAM = 0o755
_DATA = 0o644
_SECONDS = 120.0
_PLACES = {
    "usr/bin": ("kubeadm", "kubelet", "kubectl"),
    "usr/local/bin": ("containerd", "ctr", "containerd-shim-runc-v2", "crictl"),
    "opt/cni/bin": ("cni-bridge", "cni-host-local", "cni-loopback", "cni-portmap"),
}
_CNI_TEMPLATE = "etc/containerd/cni.conflist.template"
# What this adds to kind's own files, each where it belongs in the node: units to be enabled, and programs.
_OWN = Path(__file__).parent / "node_files"
_ENABLED = ("kubelet.service", "containerd.service", "undo-mount-hacks.service")
_HOOKS = {"createContainer": "/usr/local/bin/mount-product-files", "createRuntime": "/usr/local/bin/await-etcd"}
_HOOK_SECONDS = 10
_SETTINGS = "10-gitops-sandbox.conf"
# Started on a real machine for its hardware and its user sessions; kind's base image has them taken out too.
_NOT_WANTED = (
    "lib/systemd/system/multi-user.target.wants/*",
    "etc/systemd/system/*.wants/*",
    "lib/systemd/system/local-fs.target.wants/*",
    "lib/systemd/system/sockets.target.wants/*udev*",
    "lib/systemd/system/sockets.target.wants/*initctl*",
    "lib/systemd/system/basic.target.wants/*",
    "lib/systemd/system/sysinit.target.wants/systemd-tmpfiles-setup.service",
)
# What else a real machine is started for: modules of the kernel, which are the host's, users of new packages, and who
# logs in at its console. Each start takes half a second of a processor for them.
_MASKED = (
    "modprobe@configfs.service",
    "modprobe@dm_mod.service",
    "modprobe@fuse.service",
    "modprobe@loop.service",
    "proc-sys-fs-binfmt_misc.automount",
    "sys-fs-fuse-connections.mount",
    "systemd-ask-password-console.path",
    "systemd-binfmt.service",
    "systemd-modules-load.service",
    "systemd-sysusers.service",
    "systemd-update-utmp-runlevel.service",
    "systemd-update-utmp.service",
)


def make_node(root: Path, tools: Mapping[str, Tool], storage: StorageClass, pause: str) -> None:
    """Make a node of a Debian file system that has NODE_PACKAGES.

    Args:
        root: The file system.
        tools: All tools that go in.
        storage: The storage class that kind installs.
        pause: The image that containerd starts each pod with.

    Raises:
        UnavailableError: A file can't be written, or systemctl fails.
        UsageError: kind's files are not what they were in the version that this was written for.
    """
    with writing_errors(root):
        _lay_out(tools["kind"].file("base"), root)
        _lay_out(_OWN, root)
        for place, names in _PLACES.items():
            (root / place).mkdir(parents=True, exist_ok=True)
            for name in names:
                _copy(tools[name].binary(), root / place / tools[name].program, _PROGRAM)
        _set_up_systemd(root)
        _set_up_containerd(root, tools["ctr"], pause)
        _set_up_network(root)
        (root / "etc" / "kubernetes" / "manifests").mkdir(parents=True)
        (root / "kind" / "version").write_text(f"v{tools['kubelet'].version}")
        manifests = root / "kind" / "manifests"
        manifests.mkdir()
        (manifests / "default-storage.yaml").write_text(storage.manifest)


def _lay_out(base: Path, root: Path) -> None:
    for source in sorted(path for path in base.rglob("*") if path.is_file()):
        name = source.relative_to(base)
        # The modes of kind's Dockerfile: module archives carry none.
        program = name.parts[:3] == ("usr", "local", "bin") or name.parts[:2] == ("kind", "bin")
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        _copy(source, root / name, _PROGRAM if program else _DATA)


def _copy(source: Path, target: Path, mode: int) -> None:
    shutil.copyfile(source, target)
    target.chmod(mode)


def _set_up_systemd(root: Path) -> None:
    for pattern in _NOT_WANTED:
        for path in root.glob(pattern):
            path.unlink()
    init = root / "usr" / "sbin" / "init"
    init.unlink(missing_ok=True)
    init.symlink_to("/usr/lib/systemd/systemd")
    with (root / "etc" / "systemd" / "journald.conf").open("a") as journald:
        journald.write("ReadKMsg=no\n")
    settings = root / "etc" / "systemd" / "system.conf.d"
    settings.mkdir(parents=True)
    # Pods that ignore SIGTERM would hold up a stop until Docker kills all, etcd included; its default is 10 s.
    (settings / _SETTINGS).write_text("[Manager]\nDefaultTimeoutStopSec=5s\n")
    slices = root / "etc" / "systemd" / "system" / "system.slice.d"
    slices.mkdir(parents=True)
    # Of 100 that pods and the kubelet have together: who starts many containers, as drift may have it, would otherwise
    # keep the API server and Argo CD from what would end that.
    (slices / _SETTINGS).write_text("[Slice]\nCPUWeight=20\n")
    kubelet = root / "etc" / "systemd" / "system" / "kubelet.service.d"
    # Before containerd serves, the kubelet ends, and is started again a second later.
    (kubelet / _SETTINGS).write_text("[Unit]\nAfter=containerd.service\n")
    own = sorted(path.name for path in _OWN.rglob("*.service"))
    run(["chroot", root, "systemctl", "enable", *_ENABLED, *own], timeout=_SECONDS)
    run(["chroot", root, "systemctl", "mask", *_MASKED], timeout=_SECONDS)


def _set_up_containerd(root: Path, ctr: Tool, pause: str) -> None:
    config = root / "etc" / "containerd" / "config.toml"
    text = config.read_text()
    for pattern, new in (
        (r'sandbox_image = "[^"]*"', f'sandbox_image = "{pause}"'),
        # Where containerd may do it, it runs with the lowest value itself, and so nothing is restricted.
        (r"restrict_oom_score_adj = false", "restrict_oom_score_adj = true"),
    ):
        text, times = re.subn(pattern, new, text)
        if times != 1:
            raise UsageError(
                f"kind's config.toml has {pattern!r} {times} times and not once", hint=f"look at {__file__}"
            )
    text += '\n[plugins."io.containerd.grpc.v1.cri".registry]\n  config_path = "/etc/containerd/certs.d"\n'
    text += f'\n[plugins."io.containerd.grpc.v1.cri".cni]\n  conf_template = "/{_CNI_TEMPLATE}"\n'
    config.write_text(text)
    (root / "etc" / "containerd" / "certs.d").mkdir()
    spec = json.loads(run([ctr.binary(), "oci", "spec"], timeout=_SECONDS))
    for event, path in _HOOKS.items():
        spec.setdefault("hooks", {}).setdefault(event, []).append({"path": path, "timeout": _HOOK_SECONDS})
    spec["process"].pop("rlimits", None)
    (root / "etc" / "containerd" / "cri-base.json").write_text(json.dumps(spec))


def _set_up_network(root: Path) -> None:
    """Give the node a bridge: containerd writes its configuration when the kubelet says which addresses are the node's.

    (containerd, docs/cri/config.md, "CNI Config Template".) The way to other nodes' pods is flannel's, and the way out
    that of the unit ``masquerade-pods``.
    """
    address = {"type": "host-local", "ranges": [[{"subnet": "{{.PodCIDR}}"}]], "routes": [{"dst": "0.0.0.0/0"}]}
    bridge = {"type": "bridge", "bridge": "cni0", "isGateway": True, "ipMasq": False, "hairpinMode": True}
    plugins = [bridge | {"ipam": address}, {"type": "portmap", "capabilities": {"portMappings": True}}]
    described = {"cniVersion": "1.0.0", "name": "gitops-sandbox", "plugins": plugins}
    (root / _CNI_TEMPLATE).write_text(json.dumps(described, indent=2))
