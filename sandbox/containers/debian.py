"""A Debian file system, made by debootstrap from the package sources that this machine itself uses.

Everything runs in mount and process namespaces of its own, on a leash: however the run ends, no mount and no process
of it stays behind.
"""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbox.core.commands import run
from sandbox.core.errors import UnavailableError
from sandbox.core.files import writing_errors
from sandbox.toolchain.followed import run_followed

__all__ = [
    "Note",
    "PackageSource",
    "bootstrap",
    "check_can_bootstrap",
    "install",
    "install_beside",
    "package_source",
    "run_apart",
    "strip",
]

Note = Callable[[str], None]

_SECONDS = 1800.0
_DEBIAN = ("debian", "ubuntu")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Documentation, translations, lists and archives of packages: nothing in a container reads them.
_EMPTIED = ("usr/share/man", "usr/share/locale", "usr/share/info", "var/lib/apt/lists", "var/cache", "var/log", "dev")
_DOCUMENTS = "usr/share/doc"
# What debootstrap copies from this machine; whoever runs a container writes its own.
_OF_THIS_MACHINE = ("etc/hostname", "etc/resolv.conf", "etc/machine-id")


@dataclass(frozen=True, slots=True)
class PackageSource:
    """Where packages come from.

    Attributes:
        mirror: The archive's URL.
        suite: The release's code name.
        components: "main" and the like.
    """

    mirror: str
    suite: str
    components: tuple[str, ...]


def check_can_bootstrap() -> None:
    """Check that a Debian file system can be made here.

    Raises:
        UnavailableError: It can't; says what is missing and how to get it.
    """
    what = "the images can't be assembled on this machine"
    if os.geteuid() != 0:
        raise UnavailableError(
            what,
            why="making a Debian file system takes root, and this is an ordinary user",
            hint="once as root, since Docker keeps them: sudo ./inv demo --engine kind --down; or: --engine embedded",
        )
    like = platform.freedesktop_os_release() if Path("/etc/os-release").exists() else {}
    if not any(name in f"{like.get('ID', '')} {like.get('ID_LIKE', '')}" for name in _DEBIAN):
        raise UnavailableError(
            what,
            why="packages are taken from the sources of a Debian or Ubuntu machine, and this is another system",
            hint="load the images that another machine made: docker save, docker load; or: --engine embedded",
        )
    missing = [program for program in ("debootstrap", "unshare", "chroot", "tar") if shutil.which(program) is None]
    if missing:
        raise UnavailableError(
            what, why=f"there is no {' and no '.join(missing)}", hint="apt-get install debootstrap util-linux tar"
        )


def package_source() -> PackageSource:
    """Ask apt where this machine gets its own release from.

    Raises:
        UnavailableError: apt names no source of the release that runs here.
    """
    suite = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    form = "$(REPO_URI) $(CODENAME) $(RELEASE) $(COMPONENT)"
    said = run(["apt-get", "indextargets", "--format", form, "Created-By: Packages"], timeout=60)
    rows = [row for row in (line.split() for line in said.splitlines()) if row[1:3] == [suite, suite]]
    if not rows:
        raise UnavailableError(
            f"apt has no source of {suite or 'this release'}", why=said.strip()[:300], hint="look at /etc/apt"
        )
    mirror = rows[0][0]
    return PackageSource(mirror, suite, tuple(dict.fromkeys(row[3] for row in rows if row[0] == mirror)))


def bootstrap(source: PackageSource, packages: Sequence[str], root: Path, note: Note) -> None:
    """Make the file system of a minimal Debian with some more packages.

    Args:
        source: Where packages come from; debootstrap checks their signatures.
        packages: More than the essential ones.
        root: The folder to make.
        note: Told what happens.

    Raises:
        UnavailableError: It can't be made; carries debootstrap's last words.
        DeadlineError: It took more than half an hour.
    """
    argv = ["debootstrap", "--variant=minbase", f"--components={','.join(source.components)}"]
    argv += [f"--include={','.join(packages)}", source.suite, str(root), source.mirror]
    run_apart(argv, note, seconds=_SECONDS)


def install(root: Path, packages: Sequence[str], note: Note) -> None:
    """Install packages into a file system; nothing of them is started.

    Raises:
        UnavailableError: A package can't be had or installed; carries apt's last words.
        DeadlineError: It took more than half an hour.
    """
    policy = root / "usr" / "sbin" / "policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    # A Debian that is an image of a registry has no devices of its own. The shell is given the folder as an argument.
    argv = ["sh", "-ec", 'mount --rbind /dev "$1/dev"; exec chroot "$@"', "sh", str(root)]
    argv += ["apt-get", "install", "-y", "--no-install-recommends"]
    # What is made here is thrown away whole when the machine loses power.
    argv += ["-o", "Dpkg::Options::=--force-unsafe-io", *packages]
    run_apart(argv, note, seconds=_SECONDS)
    policy.unlink()


def install_beside(base: Path, packages: Sequence[str], root: Path, note: Note) -> Mapping[str, Sequence[Path]]:
    """Install packages into a copy of a file system, so that each one's files can be laid over the original.

    Args:
        base: The original; it stays as it is.
        packages: What is wanted.
        root: The copy to make.
        note: Told what happens.

    Returns:
        For each package that the original lacks, needed ones too: the files and links that it brought, as they lie in
        the copy. Of its documentation there is the licence alone.

    Raises:
        UnavailableError: A package can't be had or installed; carries apt's last words.
        DeadlineError: It took more than half an hour.
    """
    run(["cp", "--archive", base, root], timeout=_SECONDS)
    install(root, packages, note)
    new = _installed(root) - _installed(base)
    return {package: _files_of(root, package) for package in sorted(new)}


def _installed(root: Path) -> set[str]:
    said = run(["dpkg-query", f"--admindir={root}/var/lib/dpkg", "--show", "--showformat=${Package}\n"], timeout=60)
    return set(said.split())


def _files_of(root: Path, package: str) -> list[Path]:
    listed = run(["dpkg-query", f"--admindir={root}/var/lib/dpkg", "--listfiles", package], timeout=60).splitlines()
    paths = [root / line.lstrip("/") for line in listed if line.startswith("/")]
    # Debian's /lib and /bin are links: a folder of that name in a layer would hide what lies behind them.
    placed = [path.parent.resolve() / path.name for path in paths if path.is_symlink() or path.is_file()]
    return [path for path in placed if root / _DOCUMENTS not in path.parents or path.name == "copyright"]


def strip(root: Path) -> None:
    """Take out of a file system what a container does without, and what is this machine's own. Licences stay.

    Raises:
        UnavailableError: Something can't be removed.
    """
    with writing_errors(root):
        for path in [path for name in _EMPTIED for path in (root / name).glob("*")]:
            _remove(path)
        for package in (root / _DOCUMENTS).iterdir():
            if package.is_dir() and not package.is_symlink():
                for path in package.iterdir():
                    if path.name != "copyright":
                        _remove(path)
        for name in _OF_THIS_MACHINE:
            (root / name).unlink(missing_ok=True)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def run_apart(argv: Sequence[str], note: Note, *, seconds: float) -> None:
    """Run a program as root in mount and process namespaces of its own, and tell its lines as they come.

    Raises:
        UnavailableError: It failed; carries its last lines.
        DeadlineError: It took longer than ``seconds``.
    """
    apart = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc"]
    environment = os.environ | {"PATH": _PATH, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    run_followed([*apart, "--", *argv], note, seconds=seconds, wanted=f"`{argv[0]}`", env=environment)
