"""The commands that get into a sandbox with nothing but the user's own programs."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from sandbox.core.proxies import asked_for

__all__ = ["Command", "access_commands", "account_of"]

Json = Mapping[str, Any]

_CONTINUED = " \\"
_INDENT = "    "


@dataclass(frozen=True, slots=True)
class Command:
    """A command that can be pasted into a POSIX shell; drawn, it is broken so that it still can.

    Attributes:
        purpose: What it is for.
        parts: What it is made of; between two of them it may be continued on another line.
    """

    purpose: str
    parts: tuple[str, ...]

    @property
    def line(self) -> str:
        """The command on one line."""
        return " ".join(self.parts)

    def lines(self, width: int) -> list[str]:
        """Break it to a width by backslashes; a part that is longer than that stays whole."""
        lines = [self.parts[0]]
        for part in self.parts[1:]:
            if len(lines[-1]) + 1 + len(part) + len(_CONTINUED) <= width:
                lines[-1] += f" {part}"
            else:
                lines[-1] += _CONTINUED
                lines.append(f"{_INDENT}{part}")
        return lines

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(f"# {self.purpose}", style="dim")
        # Where lines are not to be broken, as in a log, a command stays on one.
        if options.no_wrap:
            yield Text(self.line, overflow="ignore")
            return
        for line in self.lines(options.max_width):
            yield Text(line, overflow="fold")


def access_commands(access: Json) -> list[Command]:
    """Give a command for each way into a sandbox.

    A password goes from its file through standard input or Git's credential protocol, never through an argument.

    Args:
        access: The object of ``up --json`` or ``status --json``.
    """
    registry, git, argocd = access["registry"], access["git"], access["argocd"]
    commands = []
    if bin_dir := access.get("bin_dir"):
        path = f"PATH={shlex.quote(bin_dir)}:$PATH"
        commands.append(Command("kubectl, argocd, crane and kustomize of these versions", ("export", path)))
    commands += [
        Command("kubectl, in this shell", ("export", f"KUBECONFIG={shlex.quote(access['kubeconfig'])}")),
    ]
    if merged := access.get("merged_kubeconfig"):
        context = ("kubectl", "--context", shlex.quote(merged["context"]), "cluster-info")
        commands.append(Command(f"kubectl, by your own {merged['file']}", context))
    if argocd["url"]:
        deployed = ("kubectl", "get", "applications", "--namespace", argocd["namespace"])
        commands.append(Command("what Argo CD deploys", deployed))
    if repositories := git.get("repositories"):
        commands.append(Command("a clone that may push", _clone(git, _environment_first(repositories))))
    commands += _argocd(argocd)
    if password_file := registry.get("password_file"):
        login = (
            *("login", urlsplit(registry["url"]).netloc, "--username", shlex.quote(account_of(registry))),
            *("--password-stdin", f"<{shlex.quote(password_file)}"),
        )
        commands.append(Command("images, by crane", ("crane", "auth", *login)))
        commands.append(Command("images, by Docker", ("docker", *login)))
    return commands


def account_of(server: Json) -> str:
    """Give the account's name of one server of the JSON."""
    return str(server.get("username") or server.get("user") or "")


def _environment_first(repositories: list[str]) -> str:
    return next((name for name in repositories if name.split("/")[-1] == "environment"), repositories[0])


def _clone(git: Json, repository: str) -> tuple[str, ...]:
    """Clone with a helper that reads the password from its file: it is kept out of the URL, and pushes work too.

    The empty helper before it keeps the user's own from being asked, and from storing this password.
    """
    url = urlsplit(git["url"])
    file = str(git["password_file"])
    plain = shlex.quote(file) == file
    # git gives this to sh with a word more, which the comment takes; sh takes backslashes at line ends as we do.
    helper = (
        ("credential.helper='!echo", "password=$(cat", f"{file}) #'")
        if plain
        else (f"credential.helper={shlex.quote(f'!echo password=$(cat {shlex.quote(file)}) #')}",)
    )
    address = f"{url.scheme}://{account_of(git)}@{url.netloc}/{repository}.git"
    # Whoever's proxy is asked for loopback too could not clone: an empty one is none (git-config(1), http.proxy).
    direct = ("-c", "http.proxy=") if asked_for(git["url"]) else ()
    return ("git", "clone", *direct, "-c", "credential.helper=", "-c", *helper, address)


def _argocd(argocd: Json) -> list[Command]:
    """Log in by the prompt, which reads a line from standard input: as an argument, anybody could read it."""
    if not argocd["url"]:
        # Somebody else's: who may log in there and list what it deploys, its owner says.
        return []
    password = f"(cat {shlex.quote(argocd['password_file'])}; echo) |"
    login = ("argocd", "login", urlsplit(argocd["url"]).netloc, "--username", shlex.quote(account_of(argocd)))
    ca_file = argocd.get("ca_file")
    if not ca_file:
        return [Command("argocd", (password, *login, "--insecure"))]
    # The login itself looks at the certificate without heeding --server-crt; all that follows heeds it.
    trust = shlex.quote(f"--server-crt={shlex.quote(ca_file)}")
    return [
        Command("argocd, in this shell", ("export", f"ARGOCD_OPTS={trust}")),
        Command("argocd, log in once", (password, f"SSL_CERT_FILE={shlex.quote(ca_file)}", *login)),
    ]
