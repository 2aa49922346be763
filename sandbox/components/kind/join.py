"""Having a worker join a cluster that there is, which kind can't: another container like its nodes, and kubeadm."""

from __future__ import annotations

import datetime as dt
import secrets
from typing import Any

import yaml

from sandbox.components.base import Context
from sandbox.components.kind.container import network_name
from sandbox.containers.docker import Docker
from sandbox.core.conditions import Deadline, Observation, met, pending, wait_for
from sandbox.core.errors import UnavailableError
from sandbox.kube.api import KubeApi

__all__ = ["API_PORT", "join_worker"]

API_PORT = 6443
"""Where the API server listens on the control plane's node (kind's own choice)."""

# kind's own labels, by which its programs know the nodes of a cluster.
_WORKER = {"io.x-k8s.kind.role": "worker"}
_CONFIG = "/kind/kubeadm.conf"
_DISCOVERY = "/kind/discovery.conf"
_SOCKET = "unix:///run/containerd/containerd.sock"
_START_SECONDS = 60.0
_TOKEN_MINUTES = 10


def join_worker(context: Context, docker: Docker, control_plane: str, name: str) -> None:
    """Start a worker and have it join, as kind does it when it makes a cluster.

    Args:
        context: The sandbox.
        docker: The daemon.
        control_plane: The node that the new one is to be like, and that has the API server.
        name: The new node's name, and its container's.

    Raises:
        UnavailableError: It can't be started or can't join; carries kubeadm's words.
        DeadlineError: It does not start, or the API server does not answer.
    """
    api = context.api()
    _wait_for_api(api)
    # The one that it replaces: what is known of that holds for it no longer.
    api.delete("v1", "Node", name)
    address = docker.run_like(control_plane, name, _WORKER).addresses[network_name(context.name)]
    _wait_for_containerd(docker, name)
    token = _Token(api)
    try:
        files = {
            _CONFIG: _join_configuration(context.name, name, address, token.text),
            _DISCOVERY: _discovery(context, control_plane),
        }
        docker.put(name, {path: yaml.safe_dump(file).encode() for path, file in files.items()}, mode=0o600)
        docker.execute(name, ("kubeadm", "join", "--config", _CONFIG))
    except BaseException:
        # Half a node would be taken for a whole one next time.
        docker.remove(name)
        raise
    finally:
        token.remove()


class _Token:
    """A bootstrap token, for as long as a node joins (Kubernetes, "Authenticating with Bootstrap Tokens")."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api
        self._id, secret = secrets.token_hex(3), secrets.token_hex(8)
        self.text = f"{self._id}.{secret}"
        expires = dt.datetime.now(dt.UTC) + dt.timedelta(minutes=_TOKEN_MINUTES)
        api.create(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": self._name, "namespace": "kube-system"},
                "type": "bootstrap.kubernetes.io/token",
                "stringData": {
                    "token-id": self._id,
                    "token-secret": secret,
                    "expiration": expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
                    "usage-bootstrap-authentication": "true",
                    "auth-extra-groups": "system:bootstrappers:kubeadm:default-node-token",
                },
            }
        )

    @property
    def _name(self) -> str:
        return f"bootstrap-token-{self._id}"

    def remove(self) -> None:
        self._api.delete("v1", "Secret", self._name, "kube-system")


def _join_configuration(sandbox: str, name: str, address: str, token: str) -> dict[str, Any]:
    """Give what kind gives a worker (kubeadm.k8s.io/v1beta4)."""
    arguments = {"node-ip": address, "provider-id": f"kind://docker/{network_name(sandbox)}/{name}"}
    return {
        "apiVersion": "kubeadm.k8s.io/v1beta4",
        "kind": "JoinConfiguration",
        "nodeRegistration": {
            "criSocket": _SOCKET,
            "kubeletExtraArgs": [{"name": key, "value": value} for key, value in arguments.items()],
        },
        "discovery": {"file": {"kubeConfigPath": _DISCOVERY}, "tlsBootstrapToken": token},
        "skipPhases": ["preflight"],
    }


def _discovery(context: Context, control_plane: str) -> dict[str, Any]:
    """Give a kubeconfig that says where the API server is and who vouches for it, and holds no account."""
    known = yaml.safe_load(context.pki("admin.kubeconfig").read_text())
    authority = known["clusters"][0]["cluster"]["certificate-authority-data"]
    cluster = {"server": f"https://{control_plane}:{API_PORT}", "certificate-authority-data": authority}
    return {"apiVersion": "v1", "kind": "Config", "clusters": [{"name": "", "cluster": cluster}]}


def _wait_for_api(api: KubeApi) -> None:
    def answers() -> Observation:
        try:
            api.request("GET", "/readyz")
        except UnavailableError as error:
            return pending(f"{error.what}: {error.why}")
        return met()

    wait_for(answers, Deadline.after(_START_SECONDS), wanted="the API server, which a node is to join, answers")


def _wait_for_containerd(docker: Docker, name: str) -> None:
    def runs() -> Observation:
        try:
            docker.execute(name, ("crictl", "info"))
        except UnavailableError as error:
            return pending(error.why)
        return met()

    wait_for(runs, Deadline.after(_START_SECONDS), wanted=f"containerd of node {name} runs", every=0.5)
