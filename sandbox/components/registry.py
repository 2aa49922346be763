"""The registry: CNCF Distribution, where CI pushes images and anyone with the password may look."""

from __future__ import annotations

import base64
import http.client
import json
from pathlib import Path
from typing import Any

import bcrypt
import yaml

from sandbox.components.base import Context, ProcessComponent
from sandbox.core.conditions import Observation, met, pending
from sandbox.core.files import write_file
from sandbox.core.trees import keep_tree, put_back_tree

__all__ = ["SECRET", "USER", "Images", "Registry", "api_answers", "settings", "write_account"]

USER = "gitops-ci-bot"
SECRET = "registry-ci"  # noqa: S105  # the name of the secret, not the secret
HTTP_SECRET = "registry-http"  # noqa: S105  # as above
_ROUNDS = 8  # a random password of 256 bits needs no slow hash; each request pays for it
_SECONDS = 2.0


def write_account(path: Path, user: str, password: str) -> None:
    """Write the file of the only account, as a bcrypt hash; one that holds this password is left alone."""
    if path.exists():
        known, _, hashed = path.read_text().strip().partition(":")
        if known == user and bcrypt.checkpw(password.encode(), hashed.encode()):
            return
    write_file(path, f"{user}:{bcrypt.hashpw(password.encode(), bcrypt.gensalt(_ROUNDS)).decode()}\n")


def settings(context: Context, *, address: str, root: str, accounts: str) -> dict[str, Any]:
    """Give Distribution's configuration.

    Args:
        context: The sandbox.
        address: ``host:port`` to listen on.
        root: The folder of the images.
        accounts: The file of the accounts.
    """
    return {
        "version": 0.1,
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": root}, "delete": {"enabled": True}},
        "http": {"addr": address, "secret": context.secrets.value(HTTP_SECRET)},
        "auth": {"htpasswd": {"realm": "gitops-sandbox", "path": accounts}},
    }


def api_answers(address: str, user: str, password: str) -> Observation:
    """Look whether the registry's API (OCI distribution specification, end-1) answers to an account."""
    connection = http.client.HTTPConnection(address, timeout=_SECONDS)
    token = base64.b64encode(f"{user}:{password}".encode()).decode()
    try:
        connection.request("GET", "/v2/", headers={"Authorization": f"Basic {token}"})
        answer = connection.getresponse()
        body = answer.read(1000)
    except (OSError, http.client.HTTPException) as error:
        return pending(str(error))
    finally:
        connection.close()
    if answer.status == http.client.OK and json.loads(body or b"{}") == {}:
        return met("/v2/ answers")
    return pending(f"/v2/ says {answer.status}")


class Images:
    """The images in the sandbox's folder, as a registry's part of a snapshot (sandbox.components.state)."""

    starts_empty = True

    def save(self, context: Context, into: Path) -> None:
        """Keep the images: tags and manifests first, then the blobs that they name, of which there can only be more."""
        keep_tree(context.dir("registry"), into / "registry")

    def load(self, context: Context, saved: Path) -> int:
        """Put the images back: blobs first, then what names them."""
        return put_back_tree(saved / "registry", context.dir("registry"))


class Registry(Images, ProcessComponent):
    """An OCI registry on loopback with one account, that of CI."""

    name = "registry"
    requires = ()
    ports = ("registry",)

    def prepare(self, context: Context) -> None:
        """Write its configuration and the account."""
        folder = context.dir("run", self.name)
        accounts = folder / "htpasswd"
        write_account(accounts, USER, context.secrets.value(SECRET))
        configuration = settings(
            context, address=context.address("registry"), root=str(context.dir("registry")), accounts=str(accounts)
        )
        write_file(folder / "config.yml", yaml.safe_dump(configuration))

    def argv(self, context: Context) -> tuple[str, ...]:
        """Serve with the configuration file."""
        return (str(context.tools["registry"].binary()), "serve", str(context.dir("run", self.name) / "config.yml"))

    def env(self, context: Context) -> dict[str, str]:
        """Keep OpenTelemetry from looking for a collector."""
        del context
        return {"OTEL_TRACES_EXPORTER": "none"}

    def ready(self, context: Context) -> Observation:
        """It is ready when its API answers to CI's account."""
        return api_answers(context.address("registry"), USER, context.secrets.value(SECRET))
