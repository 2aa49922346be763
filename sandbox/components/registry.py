"""The registry: CNCF Distribution, where CI pushes images and anyone with the password may look."""

from __future__ import annotations

import base64
import http.client
import json

import bcrypt
import yaml

from sandbox.components.base import Context, ProcessComponent
from sandbox.core.conditions import Observation, met, pending
from sandbox.core.files import write_file

__all__ = ["Registry"]

USER = "gitops-ci-bot"
SECRET = "registry-ci"  # noqa: S105  # the name of the secret, not the secret
_ROUNDS = 8  # a random password of 256 bits needs no slow hash; each request pays for it
_SECONDS = 2.0


class Registry(ProcessComponent):
    """An OCI registry on loopback with one account, that of CI."""

    name = "registry"
    requires = ()
    ports = ("registry",)

    def prepare(self, context: Context) -> None:
        """Write its configuration and the account, as a bcrypt hash."""
        folder = context.dir("run", self.name)
        password = context.secrets.value(SECRET).encode()
        hashed = bcrypt.hashpw(password, bcrypt.gensalt(_ROUNDS)).decode()
        accounts = folder / "htpasswd"
        if not accounts.exists() or not bcrypt.checkpw(
            password, accounts.read_text().partition(":")[2].strip().encode()
        ):
            write_file(accounts, f"{USER}:{hashed}\n")
        configuration = {
            "version": 0.1,
            "log": {"level": "warn", "accesslog": {"disabled": True}},
            "storage": {
                "filesystem": {"rootdirectory": str(context.dir("registry"))},
                "delete": {"enabled": False},
            },
            "http": {"addr": context.address("registry"), "secret": context.secrets.value("registry-http")},
            "auth": {"htpasswd": {"realm": "gitops-sandbox", "path": str(accounts)}},
        }
        write_file(folder / "config.yml", yaml.safe_dump(configuration))

    def argv(self, context: Context) -> tuple[str, ...]:
        """Serve with the configuration file."""
        return (str(context.tools["registry"].binary()), "serve", str(context.dir("run", self.name) / "config.yml"))

    def env(self, context: Context) -> dict[str, str]:
        """Keep OpenTelemetry from looking for a collector."""
        del context
        return {"OTEL_TRACES_EXPORTER": "none"}

    def ready(self, context: Context) -> Observation:
        """It is ready when its API (OCI distribution specification, end-1) answers to CI's account."""
        connection = http.client.HTTPConnection(context.address("registry"), timeout=_SECONDS)
        token = base64.b64encode(f"{USER}:{context.secrets.value(SECRET)}".encode()).decode()
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
