"""The two repositories of a story: where the application is written, and what is to live in the cluster."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sandbox.core.commands import run
from sandbox.core.conditions import Observation, met, pending
from sandbox.core.folders import data_root
from sandbox.core.names import check_repository_name
from sandbox.engines.access import Access
from sandbox.gitops.commits import Commit
from sandbox.gitops.git import Credential, WorkingCopy
from sandbox.gitops.manifests import render
from sandbox.gitops.predicates import Predicate
from sandbox.gitops.telling import acting
from sandbox.gitops.tenant import APPLICATION, Tenant
from sandbox.servers.repositories import create_repository

__all__ = ["EnvironmentRepo", "SourceRepo"]

_EDIT_SECONDS = 20.0
DEVELOPER = "Dana Developer"
OPERATOR = "Otto Operator"


class _Repository:
    """A repository on the Git server and one person's working copy of it."""

    def __init__(self, access: Access, name: str, author: str) -> None:
        self._access = access
        self.name = check_repository_name(name)
        self.author = author
        self.url = f"{access.git.url}/{name}.git"
        self._credential = Credential(access.git.url, access.git.user, access.git.password())
        self._copy: WorkingCopy | None = None

    @property
    def begun(self) -> bool:
        """Whether the story has a working copy of it."""
        return self._copy is not None

    @property
    def copy(self) -> WorkingCopy:
        """The working copy; cloned when there is none yet."""
        if self._copy is None:
            self._copy = WorkingCopy.clone(self._folder, self.url, self._credential, self.author)
        return self._copy

    @property
    def _folder(self) -> Path:
        return self._access.folder / "work" / self.name

    def _begin(self, fixture: str, message: str) -> WorkingCopy:
        create_repository(self._access.repositories, self.name)
        content = data_root() / "fixtures" / fixture
        self._copy = WorkingCopy.create(self._folder, self.url, self._credential, self.author, content, message=message)
        return self._copy

    @property
    def head(self) -> str:
        """The revision of the newest commit in the working copy."""
        return self.copy.head

    def push(self) -> str:
        """Push what was committed and return the revision."""
        acting()
        self.copy.push()
        return self.copy.head

    def history(self) -> list[Commit]:
        """Give what the server has, newest first: a fresh fetch, not the working copy's memory."""
        with tempfile.TemporaryDirectory(dir=self._access.folder) as folder:
            return WorkingCopy.clone(Path(folder) / "audit", self.url, self._credential, self.author).log()


class SourceRepo(_Repository):
    """The sample application's source: a push to it sets off the pipeline."""

    def __init__(self, access: Access, tenant: Tenant) -> None:
        super().__init__(access, tenant.source, DEVELOPER)

    def begin(self) -> None:
        """Make the repository with the sample application in its first commit; push it to release it."""
        self._begin("greeter", "Say hello over HTTP")

    @property
    def version(self) -> str:
        """The version that the source gives itself."""
        return (self.copy.folder / "VERSION").read_text().strip()

    def release(self, version: str) -> str:
        """Commit a new version and push it; return the revision, which is the image's tag too."""
        (self.copy.folder / "VERSION").write_text(f"{version}\n")
        self.copy.commit(f"Release {version}")
        return self.push()


class EnvironmentRepo(_Repository):
    """What is to live in the cluster; edited by Kustomize's own commands.

    Attributes:
        repo_url: Where Argo CD finds it.
        argocd_namespace: Where Argo CD looks for its Applications.
    """

    def __init__(self, access: Access, tenant: Tenant) -> None:
        super().__init__(access, tenant.environment, OPERATOR)
        self.repo_url = f"{access.git_inside or access.git.url}/{self.name}.git"
        self.argocd_namespace = access.argocd_namespace
        self._tenant = tenant
        self._kustomize = access.tools["kustomize"].binary()

    def begin(self) -> None:
        """Make the repository, set for this sandbox and tenant, and push it."""
        copy = self._begin("environment", f"Describe the environments of {APPLICATION}")
        self._edit("argocd", "set", "nameprefix", self._tenant.name_prefix)
        self._edit("argocd", "set", "namespace", self.argocd_namespace)
        self._edit("argocd", "set", "configmap", "sandbox", f"--from-literal=repoURL={self.repo_url}")
        copy.commit(f"Point Argo CD at this repository\n\nEvery name begins with {self._tenant.name_prefix}.")
        if self._access.home.labels:
            self._mark(self._access.home.labels)
        if self._access.pull_secret:
            self._pull_by(self._access.pull_secret)
        self.push()

    def _mark(self, labels: Mapping[str, str]) -> None:
        """Have what Argo CD gets say whose it is, and its project reach no further than its own namespaces."""
        pairs = [f"{key}:{value}" for key, value in labels.items()]
        self._edit("argocd", "add", "label", *pairs, "--without-selector")
        # They are there already: nobody has to make them, and somebody else's Argo CD may make any.
        narrower = [{"op": "remove", "path": "/spec/clusterResourceWhitelist"}]
        self._edit("argocd", "add", "patch", "--kind", "AppProject", "--patch", json.dumps(narrower))
        self.copy.commit("Say whose this is to an Argo CD that others use too")

    def _pull_by(self, secret: str) -> None:
        """Have nodes show an account when they pull the image (Kubernetes, ``imagePullSecrets``)."""
        secrets = [{"op": "add", "path": "/imagePullSecrets", "value": [{"name": secret}]}]
        self._edit(
            f"apps/{APPLICATION}/base", "add", "patch", "--kind", "ServiceAccount", "--patch", json.dumps(secrets)
        )
        self.copy.commit(f"Pull images by the account in Secret {secret}")

    def _edit(self, folder: str, *words: str) -> None:
        run([self._kustomize, "edit", *words], timeout=_EDIT_SECONDS, cwd=self.copy.folder / folder)

    @staticmethod
    def overlay(environment: str) -> str:
        """Give the folder of an environment's overlay."""
        return f"apps/{APPLICATION}/overlays/{environment}"

    def argocd_manifests(self) -> list[dict[str, Any]]:
        """Render the AppProject and the Applications."""
        return self.rendered(self.head, "argocd")

    def rendered(self, revision: str, path: str) -> list[dict[str, Any]]:
        """Render a folder of just that commit, whatever the working copy holds."""
        with tempfile.TemporaryDirectory(dir=self._access.folder) as folder:
            tree = self.copy.export(revision, Path(folder) / "tree")
            return render(self._kustomize, tree / path)

    def pull(self) -> str:
        """Take over what CI has pushed and return the revision."""
        return self.copy.pull()

    def image(self, environment: str, revision: str) -> str:
        """Give the image that a commit names for an environment: ``host:port/name:tag@digest``."""
        manifests = self.rendered(revision, self.overlay(environment))
        deployment = next(manifest for manifest in manifests if manifest["kind"] == "Deployment")
        return str(deployment["spec"]["template"]["spec"]["containers"][0]["image"])

    def set_image(self, environment: str, image: str) -> None:
        """Name another image for an environment; commit and push it yourself."""
        self._edit(self.overlay(environment), "set", "image", f"{APPLICATION}={image}")

    def promote(self, source: str, *targets: str) -> str:
        """Give environments the image of another one, in one commit, and push it."""
        image = self.image(source, self.pull())
        for target in targets:
            self.set_image(target, image)
        self.copy.commit(f"Promote {APPLICATION} from {source} to {', '.join(targets)}", trailers={"Image-New": image})
        return self.push()

    def patch(self, environment: str, patch: Path, message: str) -> str:
        """Patch the Deployment of an environment, commit and push; return the revision.

        Args:
            environment: Which overlay.
            patch: A strategic merge patch or JSON patch, as a YAML file.
            message: The commit's message.
        """
        overlay = self.overlay(environment)
        shutil.copy(patch, self.copy.folder / overlay)
        self._edit(overlay, "add", "patch", "--path", patch.name, "--kind", "Deployment")
        self.copy.commit(message)
        return self.push()

    def revert(self, *revisions: str) -> str:
        """Revert commits, newest first, push, and return the revision."""
        self.pull()
        self.copy.revert(*revisions)
        return self.push()

    def names(self, environment: str, revision: str, *, tag: str) -> Predicate:
        """A commit names, for an environment, the image with this tag."""

        def look() -> Observation:
            image = self.image(environment, revision)
            named = image.partition("@")[0].rpartition(":")[2]
            return met(image) if named == tag else pending(f"it names {image}")

        return Predicate(f"{revision[:8]} to name the image of {tag[:8]}", look)

    def names_the_same(self, environment: str, revision: str, other: str) -> Predicate:
        """Two commits name the same image for an environment."""

        def look() -> Observation:
            one, two = self.image(environment, revision), self.image(environment, other)
            return met(one) if one == two else pending(f"{one} is not {two}")

        return Predicate(f"{revision[:8]} to name the image of {other[:8]}", look)

    def tells(self, deployed: Sequence[str], reverted: Mapping[str, str]) -> Predicate:
        """The history on the server holds every commit, and says who did what and why.

        Args:
            deployed: Commits that must be there.
            reverted: Each revert with the commit that it must say it reverts.
        """
        evidence = {"git": [commit.short for commit in self.history()]}
        return Predicate(
            "Git to hold every commit and say who and why", lambda: self._tells(deployed, reverted), evidence
        )

    def _tells(self, deployed: Sequence[str], reverted: Mapping[str, str]) -> Observation:
        commits = {commit.revision: commit for commit in self.history()}
        missing = [revision[:8] for revision in [*deployed, *reverted] if revision not in commits]
        if missing:
            return pending(f"gone from the repository: {', '.join(missing)}")
        for revert, bad in reverted.items():
            if f"This reverts commit {bad}" not in commits[revert].message:
                return pending(f"{revert[:8]} does not say that it reverts {bad[:8]}")
        released = [commit for commit in commits.values() if "Source-Commit" in commit.trailers()]
        if not all({"Image-New", "Image-Digest", "Build-Id"} <= set(commit.trailers()) for commit in released):
            return pending("a release does not say which image, digest and build it is of")
        return met(f"{len(commits)} commits, {len(released)} releases")
