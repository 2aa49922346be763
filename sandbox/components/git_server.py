"""The Git server: bare repositories over smart HTTP, an account for each role, and signed push events."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from sandbox.components.argocd.config import GIT_SECRET, GIT_USER, WEBHOOK_SECRET
from sandbox.components.base import Context, ProcessComponent
from sandbox.components.probes import http_ok
from sandbox.core.conditions import Deadline, Observation
from sandbox.core.errors import DeadlineError
from sandbox.core.files import write_json
from sandbox.core.trees import keep_tree, put_back_tree
from sandbox.servers.gate import shut

__all__ = [
    "ARGOCD_SERVER",
    "CI_SECRET",
    "CI_USER",
    "DEVELOPER_SECRET",
    "DEVELOPER_USER",
    "ENVIRONMENTS",
    "GitServer",
    "Receiver",
    "repositories_root",
]

# No common word: act hides each secret of a run, user names too, wherever it stands in the log.
CI_USER, CI_SECRET = "gitops-ci-bot", "git-ci"
DEVELOPER_USER, DEVELOPER_SECRET = "developer", "git-developer"
CI_WEBHOOK_SECRET = "webhook-ci"  # noqa: S105  # the name of the secret, not the secret
_INTERRUPT_SECONDS = 0.5
ENVIRONMENTS = "*/environment"
"""Which repositories CI may push to, and Argo CD is told of."""


def repositories_root(folder: Path) -> Path:
    """Say where the bare repositories of a sandbox are."""
    return folder / "git"


@dataclass(frozen=True, slots=True)
class Receiver:
    """Who is told of every push in Argo CD's place.

    Attributes:
        purpose: Of the leased port that it listens on.
        authority: The name of the authority of its certificate (see ``sandbox.components.pki``); empty where it speaks
            plain HTTP.
        requires: The components that must be ready before the Git server knows of it.
    """

    purpose: str
    authority: str = ""
    requires: tuple[str, ...] = ()

    def url(self, context: Context) -> str:
        """Give its URL, without a slash at its end."""
        return f"{'https' if self.authority else 'http'}://{context.address(self.purpose)}"


ARGOCD_SERVER = Receiver("argocd-server", "argocd-ca.crt", ("pki",))
"""Argo CD itself."""


class GitServer(ProcessComponent):
    """``git http-backend`` behind our HTTP server; see ``sandbox.servers.git_http``.

    Args:
        receiver: Who is told of every push, beside CI.
    """

    name = "git-server"
    ports = ("git-server",)

    def __init__(self, receiver: Receiver = ARGOCD_SERVER) -> None:
        self._receiver = receiver
        self.requires = receiver.requires

    def prepare(self, context: Context) -> None:
        """Write its configuration; three accounts, each with the least that its role needs."""
        secrets, receiver = context.secrets, self._receiver
        configuration = {
            "host": context.host("git-server"),
            "port": context.ports["git-server"],
            "root": str(context.dir("git")),
            "public_url": f"http://{context.address_inside('git-server')}",
            "users": {
                GIT_USER: {"password": secrets.value(GIT_SECRET), "read": ["*"], "write": []},
                CI_USER: {"password": secrets.value(CI_SECRET), "read": ["*"], "write": [ENVIRONMENTS]},
                DEVELOPER_USER: {"password": secrets.value(DEVELOPER_SECRET), "read": ["*"], "write": ["*"]},
            },
            "webhooks": [
                {
                    "url": f"{receiver.url(context)}/api/webhook",
                    "secret": secrets.value(WEBHOOK_SECRET),
                    "repositories": ["*"],
                    "ca_file": str(context.pki(receiver.authority)) if receiver.authority else None,
                },
                {
                    "url": f"http://{context.address('ci-runner')}/api/webhook",
                    "secret": secrets.value(CI_WEBHOOK_SECRET),
                    # A commit of CI's own must not set CI off again.
                    "repositories": ["*", f"!{ENVIRONMENTS}"],
                    "ca_file": None,
                },
            ],
            "deliveries": str(context.dir("run", self.name) / "deliveries.jsonl"),
        }
        write_json(context.dir("run", self.name) / "config.json", configuration)

    def argv(self, context: Context) -> tuple[str, ...]:
        """Serve with the configuration file."""
        return context.python("sandbox.servers.git_http", context.dir("run", self.name) / "config.json")

    def ready(self, context: Context) -> Observation:
        """It is ready when its health check answers."""
        return http_ok(context.address("git-server"), "/healthz")

    # Its part of a snapshot (sandbox.components.state).

    starts_empty = True

    def save(self, context: Context, into: Path) -> None:
        """Keep every repository: objects and refs."""
        keep_tree(context.dir("git"), into / "git")

    def load(self, context: Context, saved: Path) -> int:
        """Put every repository back; those that are new go."""
        return put_back_tree(saved / "git", context.dir("git"))

    def held(self, context: Context, deadline: Deadline) -> AbstractContextManager[None]:
        """Have pushes wait, once those under way and their events have reached their ends."""
        return shut(context.dir("git"), deadline)

    def under_way(self, context: Context) -> str:
        """While it is held, nothing."""
        del context
        return ""

    def interrupt(self, context: Context) -> None:
        """End pushes and deliveries that do not end by themselves: the server is started anew."""
        try:
            with self.held(context, Deadline.after(_INTERRUPT_SECONDS)):
                pass
        except DeadlineError:
            context.supervisor.stop(self.name)
            self.ensure(context)
