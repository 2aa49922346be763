"""Repositories as users have them, made for a test by real git."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Self

__all__ = ["ADDRESS", "UserRepository", "application", "deployment"]

ADDRESS = "https://git.example.com/team/environments.git"
_WHO = {f"GIT_{role}_{key}": "Uma User" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")}


class UserRepository:
    """A repository with a work tree, whose remote is called ``ADDRESS``.

    Args:
        folder: Where; made.
        remote: The address of ``origin``; none when empty.
    """

    def __init__(self, folder: Path, remote: str = ADDRESS) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch=main")
        if remote:
            self.git("remote", "add", "origin", remote)

    def git(self, *words: str) -> str:
        """Run git in it, without anybody's settings."""
        own = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_ALLOW_PROTOCOL": "file"}
        done = subprocess.run(
            ["git", "-c", "protocol.file.allow=always", *words],
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], "HOME": str(self.folder), **own, **_WHO},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"git {words}: {done.stderr}{done.stdout}"
        return done.stdout.strip()

    def write(self, files: dict[str, str]) -> Self:
        """Write files, uncommitted."""
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return self

    def commit(self, files: dict[str, str] | None = None, message: str = "Change it") -> str:
        """Commit everything, and return the revision."""
        self.write(files or {})
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)
        return self.git("rev-parse", "HEAD")

    def state(self) -> dict[str, bytes]:
        """Give every file of it, those of ``.git`` too, to see whether anything was changed."""
        return {str(path): path.read_bytes() for path in self.folder.rglob("*") if path.is_file()}


def deployment(name: str, *, image: str = "registry.example.com/app:1.0.0", extra: str = "") -> str:
    """Give a Deployment as YAML; ``extra`` stands in its pod's spec, indented by six."""
    return f"""\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {name}
spec:
  replicas: 2
  selector:
    matchLabels: {{app: {name}}}
  template:
    metadata:
      labels: {{app: {name}}}
    spec:
      containers:
      - name: app
        image: {image}
{extra}"""


def application(name: str, path: str, *, address: str = ADDRESS, namespace: str = "", more: str = "") -> str:
    """Give an Application as YAML; ``more`` stands in its spec, indented by two."""
    return f"""\
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata:
  name: "{name}"
  namespace: argocd
spec:
  project: default
  source:
    repoURL: {address}  # where it comes from
    targetRevision: main
    path: "{path}"
  destination:
    server: https://kubernetes.default.svc
    namespace: {namespace or name}
{more or "  syncPolicy: {syncOptions: [CreateNamespace=true]}"}
"""
