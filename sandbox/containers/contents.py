"""What the images in the node hold: the same verified programs that the toolchain gives, FROM scratch or on a Debian.

Names and tags are those by which kubeadm, kind and Argo CD's install.yaml ask for them, so that nothing is pulled.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbox.containers.oci import ImageConfig, LayerWriter
from sandbox.core.commands import run
from sandbox.core.errors import UsageError
from sandbox.toolchain import Tool

__all__ = [
    "BASE_PACKAGES",
    "EXTRA_PACKAGES",
    "TOOLS",
    "Content",
    "Extra",
    "StorageClass",
    "contents",
    "kubeadm_images",
    "storage_class",
]

# Of the Debian that lies under kube-proxy, Argo CD, redis and the node itself. catatonit is the pause program.
BASE_PACKAGES = (
    "ca-certificates",
    "catatonit",
    "conntrack",
    "git",
    "gnupg",
    "gpg-agent",
    "iptables",
    "nftables",
    "openssh-client",
    "tini",
    "tzdata",
)

EXTRA_PACKAGES = ("haproxy", "redis-tools")
"""Of the images that Argo CD's HA variant needs beside the others: the proxy, and the client that its scripts call."""

TOOLS = (
    "kind",
    "kubeadm",
    "kubelet",
    "kubectl",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kube-proxy",
    "etcd",
    "coredns",
    "containerd",
    "ctr",
    "containerd-shim-runc-v2",
    "crictl",
    "cni-bridge",
    "cni-host-local",
    "cni-loopback",
    "cni-portmap",
    "local-path-provisioner",
    "flannel",
    "argocd-in-pods",
    "kustomize",
    "helm",
    "valkey",
    "registry",
    "crane",
)
"""The tools of versions.toml that go into the images, or that make them."""

_BIN = "usr/local/bin"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# The user id that Argo CD's own image has; install.yaml gives it to redis too.
_ARGOCD_USER = 999
_HAPROXY_USER = 99
_ARGOCD_NAMES = (
    "server",
    "repo-server",
    "cmp-server",
    "application-controller",
    "dex",
    "notifications",
    "applicationset-controller",
    "k8s-auth",
    "commit-server",
)


@dataclass(frozen=True, slots=True)
class Content:
    """One image.

    Attributes:
        reference: The name by which it is asked for.
        config: What it runs.
        fill: Writes its own layer.
        on_debian: Whether the Debian lies under that layer.
    """

    reference: str
    config: ImageConfig
    fill: Callable[[LayerWriter], None]
    on_debian: bool = False


@dataclass(frozen=True, slots=True)
class Extra:
    """What EXTRA_PACKAGES brought.

    Attributes:
        root: A Debian that has them.
        files: Where in it each package's files and links lie; the packages that they need have entries too.
    """

    root: Path
    files: Mapping[str, Sequence[Path]]

    def of(self, package: str) -> list[Path]:
        """Give the files of one of EXTRA_PACKAGES and of all that any of them needs."""
        others = set(EXTRA_PACKAGES) - {package}
        return [path for name, paths in self.files.items() if name not in others for path in paths]


@dataclass(frozen=True, slots=True)
class StorageClass:
    """kind's own storage class, as this version of kind installs it.

    Attributes:
        manifest: Its YAML documents.
        provisioner: The image of the program that makes volumes.
        helper: The image of the pods that make and remove their folders; has a shell.
    """

    manifest: str
    provisioner: str
    helper: str


def storage_class(source: str) -> StorageClass:
    """Read kind's storage class out of kind's source, where it is a constant.

    Args:
        source: The text of pkg/build/nodeimage/const_storage.go.

    Raises:
        UsageError: The constants are not where they were in the version that this was written for.
    """
    constants = dict(re.findall(r'^const (\w+) = "([^"`]+)"$', source, re.MULTILINE))
    found = re.search(r"^const defaultStorageManifest = (`[^`]*`(?:\s*\+\s*(?:\w+|`[^`]*`))*)", source, re.MULTILINE)
    wanted = {"storageProvisionerImage", "storageHelperImage"}
    if found is None or not wanted <= set(constants):
        raise UsageError("kind's storage class is not where it was", hint="look at sandbox/containers/contents.py")
    parts = re.findall(r"`([^`]*)`|(\w+)", found.group(1))
    unknown = {name for _, name in parts if name} - set(constants)
    if unknown:
        raise UsageError(f"kind's storage class uses {', '.join(sorted(unknown))}, which is not known")
    manifest = "".join(text or constants[name] for text, name in parts if text or name)
    return StorageClass(manifest, constants["storageProvisionerImage"], constants["storageHelperImage"])


def kubeadm_images(kubeadm: Tool) -> dict[str, str]:
    """Ask kubeadm for the images that it will want, by their last name: "etcd", "pause", "kube-apiserver".

    Raises:
        UnavailableError: kubeadm can't say.
    """
    said = run([kubeadm.binary(), "config", "images", "list", f"--kubernetes-version=v{kubeadm.version}"], timeout=60)
    return {line.rpartition("/")[2].partition(":")[0]: line for line in said.split()}


def contents(
    tools: Mapping[str, Tool], wanted: Mapping[str, str], storage: StorageClass, debian: Path, extra: Extra
) -> list[Content]:
    """Give all images of the node.

    Args:
        tools: All of TOOLS.
        wanted: kubeadm's images, by their last name.
        storage: kind's storage class.
        debian: The file system that the base layer is made of.
        extra: The packages that only some images have.
    """
    bare = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd")
    provisioner = tools["local-path-provisioner"]
    return [
        *(_program(wanted[name], tools[name]) for name in bare),
        # Its manifest gives arguments alone.
        _program(wanted["coredns"], tools["coredns"], entrypoint=("/usr/local/bin/coredns",)),
        _program(wanted["kube-proxy"], tools["kube-proxy"], on_debian=True),
        _pause(wanted["pause"], debian),
        _program(storage.provisioner, provisioner),
        Content(storage.helper, ImageConfig(environment={"PATH": _PATH}), _nothing, on_debian=True),
        _flannel(tools["flannel"]),
        _argocd(tools["argocd-in-pods"], (tools["kustomize"], tools["helm"]), debian),
        _redis(tools["valkey"], extra),
        _haproxy(extra),
    ]


def _nothing(_: LayerWriter) -> None:
    """Add nothing: the Debian is all."""


def _program(reference: str, tool: Tool, *, entrypoint: Sequence[str] = (), on_debian: bool = False) -> Content:
    def fill(layer: LayerWriter) -> None:
        layer.file(f"{_BIN}/{tool.program}", tool.binary())

    path = _PATH if on_debian else "/usr/local/bin"
    return Content(reference, ImageConfig(entrypoint, {"PATH": path}), fill, on_debian)


def _pause(reference: str, debian: Path) -> Content:
    def fill(layer: LayerWriter) -> None:
        layer.file("pause", debian / "usr" / "bin" / "catatonit")

    return Content(reference, ImageConfig(("/pause", "-P")), fill)


def _flannel(flannel: Tool) -> Content:
    """Give the image by the name and with the path that flannel's own manifest has."""

    def fill(layer: LayerWriter) -> None:
        layer.file(f"opt/bin/{flannel.program}", flannel.binary())

    reference = f"ghcr.io/flannel-io/flannel:v{flannel.version}"
    return Content(reference, ImageConfig((f"/opt/bin/{flannel.program}",), {"PATH": _PATH}), fill, on_debian=True)


def _argocd(argocd: Tool, renderers: Sequence[Tool], debian: Path) -> Content:
    """Give Argo CD's image, laid out as its own Dockerfile does it, without git-lfs."""

    def fill(layer: LayerWriter) -> None:
        for name in (argocd.program, "gpg-wrapper.sh", "git-verify-wrapper.sh"):
            layer.file(f"{_BIN}/{name}", argocd.binary(name))
        for tool in renderers:
            layer.file(f"{_BIN}/{tool.program}", tool.binary())
        for name in _ARGOCD_NAMES:
            layer.link(f"{_BIN}/argocd-{name}", "/usr/local/bin/argocd")
        user = f"argocd:x:{_ARGOCD_USER}:{_ARGOCD_USER}::/home/argocd:/bin/sh\n"
        layer.text("etc/passwd", (debian / "etc" / "passwd").read_text() + user)
        layer.text("etc/group", (debian / "etc" / "group").read_text() + f"argocd:x:{_ARGOCD_USER}:\n")
        layer.folder("home/argocd", owner=_ARGOCD_USER, mode=0o775)
        for name in (
            "app",
            "app/config",
            "app/config/ssh",
            "app/config/tls",
            "app/config/gpg",
            "app/config/gpg/source",
        ):
            layer.folder(name)
        layer.folder("app/config/gpg/keys", owner=_ARGOCD_USER, mode=0o700)
        layer.text("app/config/ssh/ssh_known_hosts", "")
        layer.link("etc/ssh/ssh_known_hosts", "/app/config/ssh/ssh_known_hosts")

    variables = {"PATH": _PATH, "USER": "argocd", "ARGOCD_USER_ID": str(_ARGOCD_USER)}
    # Upstream's own cure for name look-ups that time out where there is IPv6.
    variables["GRPC_ENABLE_TXT_SERVICE_CONFIG"] = "false"
    config = ImageConfig(("/usr/bin/tini", "--"), variables, user=str(_ARGOCD_USER), workdir="/home/argocd")
    return Content(f"quay.io/argoproj/argocd:v{argocd.version}", config, fill, on_debian=True)


def _redis(valkey: Tool, extra: Extra) -> Content:
    """Give the cache's image: install.yaml gives its server arguments alone."""

    def fill(layer: LayerWriter) -> None:
        layer.part(extra.root, extra.of("redis-tools"))
        layer.file(f"{_BIN}/valkey-server", valkey.binary())
        for name in ("redis-server", "redis-sentinel"):
            layer.link(f"{_BIN}/{name}", "valkey-server")
        # The HA variant's scripts have [[ ]], which the shell of redis' own image knows and Debian's sh does not.
        layer.link("usr/bin/sh", "bash")
        layer.folder("data", owner=_ARGOCD_USER)

    config = ImageConfig(("redis-server",), {"PATH": _PATH}, user=str(_ARGOCD_USER), workdir="/data")
    return Content(f"localhost/gitops-sandbox/redis:{valkey.version}", config, fill, on_debian=True)


def _haproxy(extra: Extra) -> Content:
    """Give the image of the proxy that finds redis' master; its manifest mounts the configuration."""

    def fill(layer: LayerWriter) -> None:
        layer.part(extra.root, extra.of("haproxy"))

    # As haproxy's own image: a master process in the foreground.
    entrypoint = ("haproxy", "-W", "-db", "-f", "/usr/local/etc/haproxy/haproxy.cfg")
    config = ImageConfig(entrypoint, {"PATH": _PATH}, user=str(_HAPROXY_USER))
    return Content("localhost/gitops-sandbox/haproxy:debian", config, fill, on_debian=True)
