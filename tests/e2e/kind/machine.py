"""What this machine's Docker holds of a sandbox, asked by the program that people use."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from sandbox.containers.described import NAME_LABEL
from sandbox.containers.docker import connect
from sandbox.containers.images import image_tags
from sandbox.containers.places import usable_place
from sandbox.core.commands import run
from sandbox.core.errors import UnavailableError
from sandbox.engines import sandboxes
from sandbox.toolchain.tool import SilentProgress
from tests.e2e.support import User, tool

__all__ = [
    "COLD_SECONDS",
    "NAME",
    "component",
    "demand_images",
    "docker",
    "executed",
    "held",
    "image_of",
    "inspected",
    "is_ready",
    "kubectl",
    "node",
    "password",
    "record",
    "told_of",
]

NAME = "t1"
"""The sandbox that the suite shares."""

COLD_SECONDS = 2400.0
"""How long a first test may take, which may have to build the tools and assemble the images."""

_SECONDS = 60.0


def demand_images(of: str) -> None:
    """Demand a Docker daemon that has the images, and assemble them where it lacks them; skip aloud where none can."""
    try:
        with connect() as daemon:
            if any(daemon.images.find(tag) is None for tag in image_tags()):
                usable_place(daemon)
    except UnavailableError as error:
        pytest.skip(f"NOTHING OF THE {of} ENGINE IS SHOWN ON THIS MACHINE: {error.what}: {error.why}")
    # Some of the suite's users are kept from the internet.
    sandboxes.ENGINES["kind"].fetch(None, SilentProgress())


def docker(*words: str, seconds: float = _SECONDS, **options: Any) -> str:
    """Run docker to its end and give what it wrote."""
    return run(["docker", *words], timeout=seconds, **options)


def executed(container: str, *words: str) -> str:
    """Run a program in a container."""
    return docker("exec", container, *words)


def inspected(*names: str) -> list[dict[str, Any]]:
    """Give all that Docker knows of containers."""
    return list(json.loads(docker("inspect", *names)))


def held(name: str) -> list[str]:
    """Name all that Docker holds of the sandboxes of a name: containers, networks, volumes and images."""
    mark = f"label={NAME_LABEL}={name}"
    return [
        *docker("ps", "--all", "--filter", mark, "--format", "container {{.Names}}").splitlines(),
        *docker("network", "ls", "--filter", mark, "--format", "network {{.Name}}").splitlines(),
        *docker("volume", "ls", "--filter", mark, "--format", "volume {{.Name}}").splitlines(),
        *docker("images", "--filter", mark, "--format", "image {{.Repository}}:{{.Tag}}").splitlines(),
    ]


def node(name: str = NAME) -> str:
    """Give the container of a sandbox's node."""
    return f"gitops-sandbox-{name}-control-plane"


def record(user: User, name: str) -> dict[str, Any]:
    """Read what is kept of a sandbox."""
    return dict(json.loads((user.folder / name / "sandbox.json").read_text()))


def component(status: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Give one entry of ``components``."""
    found: dict[str, Any] = next(each for each in status["components"] if each["name"] == name)
    return found


def image_of(status: Mapping[str, Any], namespace: str, deployment: str) -> str:
    """Give the image that a Deployment's first container is of."""
    path = "jsonpath={.spec.template.spec.containers[0].image}"
    return kubectl(status, "--namespace", namespace, "get", "deployment", deployment, "--output", path)


def is_ready(pod: Mapping[str, Any]) -> bool:
    """Say whether a pod is ready, by its condition."""
    conditions = pod.get("status", {}).get("conditions", ())
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def kubectl(status: Mapping[str, Any], *words: str, within: tuple[str, ...] = (), **options: Any) -> str:
    """Run kubectl as the administrator, behind the words that lead to where the cluster is reached."""
    return run([*within, tool("kubectl"), "--kubeconfig", status["kubeconfig"], *words], timeout=_SECONDS, **options)


def told_of(told: Mapping[str, Any], step: str) -> dict[str, Any]:
    """Give the evidence of a step of the story."""
    found: dict[str, Any] = next(each for each in told["steps"] if each["name"] == step)["evidence"]
    return found


def password(account: Mapping[str, Any]) -> str:
    """Read the password of an account that status prints."""
    return Path(account["password_file"]).read_text()
