from __future__ import annotations

from typing import Any

import pytest

STATE = "/home/ann/.local/state/gitops-sandbox/default"


@pytest.fixture
def status() -> dict[str, Any]:
    """The object of ``status --json`` after one component was killed."""
    return {
        "name": "default",
        "engine": "embedded",
        "state": "partial",
        "kubeconfig": f"{STATE}/kubeconfig",
        "state_dir": STATE,
        "git": {
            "url": "http://127.0.0.1:20001",
            "user": "developer",
            "password_file": f"{STATE}/secrets/git-developer",
            "repositories": ["core/greeter", "core/environment"],
        },
        "registry": {
            "url": "http://127.0.0.1:20002",
            "user": "ci",
            "password_file": f"{STATE}/secrets/registry-ci",
        },
        "argocd": {
            "namespace": "argocd",
            "url": "https://127.0.0.1:20003",
            "username": "admin",
            "password_file": f"{STATE}/secrets/argocd-admin",
            "ca_file": f"{STATE}/pki/argocd-ca.crt",
        },
        "components": [
            {"name": "etcd", "state": "running", "pid": 4711, "log": f"{STATE}/logs/etcd.log", "restarts": 0},
            {
                "name": "kube-apiserver",
                "state": "restarting",
                "pid": None,
                "log": f"{STATE}/logs/kube-apiserver.log",
                "restarts": 2,
                "last_exit": {"reason": "killed by SIGKILL", "at": 1.0, "after_seconds": 3.0, "told": False},
            },
            {
                "name": "argocd-server",
                "state": "unready",
                "container": "c0ffee",
                "log": "/elsewhere/argocd.log",
                "restarts": 1,
                "last_exit": None,
                "seen": "nothing listens on port 20003 yet",
            },
        ],
    }
