"""A user's repository on the sandbox's own Git server: everything is there, and only addresses differ."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.components.base import Context
from sandbox.components.git_server import DEVELOPER_SECRET, DEVELOPER_USER, repositories_root
from sandbox.core.files import write_file
from sandbox.engines.access import Access, Account
from sandbox.gitops.git import BareRepo
from sandbox.gitops.own.mirroring import Mirror, mirrored
from sandbox.servers.repositories import default_branch
from tests.integration.components.conftest import Bring
from tests.own_repositories import ADDRESS, UserRepository, application

CHART = "apiVersion: v2\nname: apps\nversion: 1.0.0\n"


@pytest.fixture(scope="module")
def server(brought_up: Bring) -> Iterator[Context]:
    with brought_up("git-server", tools=()) as context:
        yield context


@pytest.fixture
def access(server: Context, tmp_path: Path) -> Access:
    """Give the way to the Git server; a mirror needs nothing else of a sandbox."""
    password = write_file(tmp_path / "password", server.secrets.value(DEVELOPER_SECRET))
    git = Account(f"http://{server.address('git-server')}", DEVELOPER_USER, password)
    nothing = Path("/nonexistent")
    return Access(
        name="own",
        engine="embedded",
        capabilities=frozenset(),
        folder=tmp_path / "state",
        kubeconfig=nothing,
        git=git,
        registry=git,
        argocd_account=git,
        argocd_ca=nothing,
        repositories=repositories_root(server.folder),
        runs=nothing,
        tools={},
    )


@pytest.fixture
def repository(tmp_path: Path) -> UserRepository:
    return UserRepository(tmp_path / "environments")


def served(access: Access, mirror: Mirror) -> BareRepo:
    return BareRepo(access.repositories / f"{mirror.repository}.git")


def text(repository: BareRepo, path: str, revision: str = "HEAD") -> str:
    [entry] = [each for each in repository.entries(repository.revision(revision)) if each.path == path]
    return repository.read(entry.sha).decode()


def test_every_branch_and_the_tags_that_are_followed_name_the_mirror(
    access: Access, repository: UserRepository
) -> None:
    pinned = application("pinned", "web").replace("targetRevision: main", "targetRevision: v1")
    repository.commit({"app.yaml": application("web", "web"), "pinned.yaml": pinned})
    repository.git("tag", "v1")
    repository.git("tag", "v0")
    repository.git("branch", "production")
    mirror = mirrored(access, str(repository.folder), owner="team")
    there = served(access, mirror)
    for revision in ("main", "production", "refs/tags/v1"):
        assert mirror.url in text(there, "app.yaml", revision)
    assert there.revision("refs/tags/v0") == mirror.copy.head
    assert mirror.rewritten == ("app.yaml", "pinned.yaml")
    assert default_branch(there.folder) == "main"


def test_a_repository_that_does_not_name_itself_is_mirrored_commit_by_commit(
    access: Access, repository: UserRepository
) -> None:
    head = repository.commit({"cm.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: it}\n"})
    mirror = mirrored(access, str(repository.folder), owner="same")
    assert served(access, mirror).revision("HEAD") == mirror.revision == head
    assert mirror.rewritten == ()


def test_a_mirror_follows_what_is_pushed_forced_or_deleted(access: Access, repository: UserRepository) -> None:
    repository.commit({"app.yaml": application("web", "web")})
    repository.git("branch", "old")
    mirrored(access, str(repository.folder), owner="again")
    repository.git("branch", "--delete", "--force", "old")
    repository.commit({"app.yaml": application("api", "api")})
    repository.git("commit", "--quiet", "--amend", "--message", "Anew")
    mirror = mirrored(access, str(repository.folder), owner="again")
    there = served(access, mirror)
    assert 'name: "api"' in text(there, "app.yaml")
    assert there.references() == ["refs/heads/main"]


def test_repositories_beside_it_are_mirrored_and_named_instead(
    access: Access, repository: UserRepository, tmp_path: Path
) -> None:
    shared = UserRepository(tmp_path / "shared", remote="https://git.example.com/team/shared.git")
    shared.commit({"values.yaml": "a: 1\n"})
    other = application("web", "web", address="git@git.example.com:team/shared.git")
    repository.commit({"app.yaml": other})
    mirror = mirrored(access, str(repository.folder), owner="pair", beside=(str(shared.folder),))
    assert f"{access.git.url}/pair/shared/environment.git" in text(served(access, mirror), "app.yaml")


def test_a_submodule_that_is_checked_out_is_mirrored_with_the_commit_that_is_asked_for(
    access: Access, repository: UserRepository, tmp_path: Path
) -> None:
    base = UserRepository(tmp_path / "base", remote="")
    base.commit({"cm.yaml": "a: 1\n"})
    wanted = base.commit({"cm.yaml": "a: 2\n"})
    repository.git("submodule", "add", "--quiet", str(base.folder), "base")
    repository.git("config", "--file", ".gitmodules", "submodule.base.url", "../base.git")
    repository.commit()
    mirror = mirrored(access, str(repository.folder), owner="outer")
    url = f"{access.git.url}/outer/base/environment.git"
    assert f"url = {url}" in text(served(access, mirror), ".gitmodules")
    assert BareRepo(access.repositories / "outer/base/environment.git").revision("HEAD") == wanted
    assert mirror.findings == ()


def test_a_submodule_that_is_not_checked_out_is_named_with_what_to_do(
    access: Access, repository: UserRepository, tmp_path: Path
) -> None:
    base = UserRepository(tmp_path / "base", remote="")
    base.commit({"cm.yaml": "a: 1\n"})
    repository.git("submodule", "add", "--quiet", str(base.folder), "base")
    repository.commit()
    clone = UserRepository(tmp_path / "clone", remote=str(repository.folder))
    clone.git("fetch", "--quiet", "origin")
    clone.git("reset", "--quiet", "--hard", "origin/main")
    [found] = mirrored(access, str(clone.folder), owner="lone").findings
    assert (found.thing, "git submodule update" in found.hint) == ("base", True)


def test_where_no_remote_is_named_the_one_address_whose_folders_are_here_counts(access: Access, tmp_path: Path) -> None:
    clone = UserRepository(tmp_path / "ci", remote="")
    clone.commit({"app.yaml": application("web", "web"), "web/cm.yaml": "a: 1\n"})
    mirror = mirrored(access, str(clone.folder), owner="guess")
    assert mirror.url in text(served(access, mirror), "app.yaml")
    assert any("is taken for it" in note for note in mirror.copy.notes)


def test_an_address_whose_folders_are_not_here_is_somebody_elses(access: Access, tmp_path: Path) -> None:
    clone = UserRepository(tmp_path / "ci", remote="")
    clone.commit({"app.yaml": application("web", "elsewhere")})
    mirror = mirrored(access, str(clone.folder), owner="noguess")
    assert ADDRESS in text(served(access, mirror), "app.yaml")


def test_the_values_of_a_chart_of_applications_name_the_mirror(access: Access, repository: UserRepository) -> None:
    template = application("web", "web").replace(ADDRESS, "{{ .Values.git.address }}")
    values = f"git:\n  address: {ADDRESS}   # ours\nhome: {ADDRESS}/wiki\n"
    repository.commit({"apps/Chart.yaml": CHART, "apps/values.yaml": values, "apps/templates/web.yaml": template})
    mirror = mirrored(access, str(repository.folder), owner="chart")
    assert text(served(access, mirror), "apps/values.yaml") == values.replace(f"{ADDRESS} ", f"{mirror.url} ")


def test_neither_the_password_nor_a_working_tree_is_left_in_the_copy(
    access: Access, repository: UserRepository
) -> None:
    repository.commit({"app.yaml": application("web", "web")})
    mirrored(access, str(repository.folder), owner="quiet")
    password = access.git.password().encode()
    for path in (access.folder / "work").rglob("*"):
        assert not path.is_file() or password not in path.read_bytes()
