"""Working copies against the sandbox's own Git server: commit, push, lost race, revert, export, and no leak."""

from __future__ import annotations

import base64
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.components.base import Context
from sandbox.components.git_server import DEVELOPER_SECRET, DEVELOPER_USER, repositories_root
from sandbox.core.errors import UsageError
from sandbox.core.files import new_password
from sandbox.gitops.git import Credential, GitError, WorkingCopy
from sandbox.servers.repositories import create_repository, delete_repository
from tests.integration.components.conftest import Bring
from tests.integration.core.support import command_line
from tests.own_repositories import UserRepository

NAME = "core/environment"


@pytest.fixture(scope="module")
def server(brought_up: Bring) -> Iterator[Context]:
    with brought_up("git-server", tools=()) as context:
        yield context


@pytest.fixture
def credential(server: Context) -> Credential:
    return Credential(f"http://{server.address('git-server')}", DEVELOPER_USER, server.secrets.value(DEVELOPER_SECRET))


@pytest.fixture
def url(server: Context, credential: Credential) -> Iterator[str]:
    """Give the URL of an empty repository."""
    root = repositories_root(server.folder)
    create_repository(root, NAME)
    yield f"{credential.url}/{NAME}.git"
    delete_repository(root, NAME)


@pytest.fixture
def ours(tmp_path: Path, url: str, credential: Credential) -> WorkingCopy:
    """Give a working copy whose first commit is pushed."""
    content = tmp_path / "content"
    (content / "apps").mkdir(parents=True)
    (content / "apps" / "app.yaml").write_text("replicas: 1\n")
    (content / "run.sh").write_text("#!/bin/sh\n")
    (content / "run.sh").chmod(0o755)
    folder = tmp_path / "ours"
    copy = WorkingCopy.create(folder, url, credential, "Ada Author", content, message="Begin")
    copy.push()
    return copy


@pytest.fixture
def theirs(tmp_path: Path, url: str, credential: Credential, ours: WorkingCopy) -> WorkingCopy:
    """Give somebody else's clone."""
    copy = WorkingCopy.clone(tmp_path / "theirs", url, credential, "Bob Builder")
    assert copy.head == ours.head
    return copy


def change(copy: WorkingCopy, file: str, content: str, message: str = "Change a file") -> str:
    (copy.folder / file).write_text(content)
    return copy.commit(message)


def test_what_was_pushed_is_cloned_with_who_and_why(ours: WorkingCopy, theirs: WorkingCopy) -> None:
    revision = ours.commit("Nothing new", trailers={"Image-New": "a:1@sha256:0", "Build-Id": "7"})
    ours.push()
    assert theirs.pull() == revision
    newest, first = theirs.log()
    assert (newest.revision, newest.author, newest.subject) == (revision, "Ada Author", "Nothing new")
    assert newest.trailers() == {"Image-New": "a:1@sha256:0", "Build-Id": "7"}
    assert newest.parents == (first.revision,)
    assert (theirs.folder / "apps/app.yaml").read_text() == "replicas: 1\n"


def test_files_that_were_removed_or_added_are_part_of_a_commit(ours: WorkingCopy, theirs: WorkingCopy) -> None:
    (ours.folder / "run.sh").unlink()
    change(ours, "apps/new.yaml", "new")
    ours.push()
    theirs.pull()
    assert not (theirs.folder / "run.sh").exists()
    assert (theirs.folder / "apps/new.yaml").read_text() == "new"


def test_a_lost_race_is_refused_and_won_by_a_pull_that_puts_the_own_commit_on_top(
    ours: WorkingCopy, theirs: WorkingCopy
) -> None:
    first = change(theirs, "theirs", "1")
    theirs.push()
    change(ours, "ours", "1")
    with pytest.raises(GitError, match="can't push to http") as caught:
        ours.push()
    assert "fetch first" in caught.value.why or "non-fast-forward" in caught.value.why
    head = ours.pull()
    ours.push()
    assert [commit.revision for commit in ours.log(limit=2)] == [head, first]
    assert theirs.pull() == head
    assert ours.log(limit=1)[0].author == "Ada Author"


def test_a_race_over_the_same_line_is_told(ours: WorkingCopy, theirs: WorkingCopy) -> None:
    change(theirs, "apps/app.yaml", "replicas: 2\n")
    theirs.push()
    change(ours, "apps/app.yaml", "replicas: 3\n")
    with pytest.raises(GitError, match="can't rebase on what was fetched"):
        ours.pull()


def test_a_revert_undoes_commits_newest_first_and_keeps_the_trail(ours: WorkingCopy) -> None:
    two = change(ours, "apps/app.yaml", "replicas: 2\n", "Two")
    three = change(ours, "apps/app.yaml", "replicas: 3\n", "Three")
    head = ours.revert(three, two)
    assert (ours.folder / "apps/app.yaml").read_text() == "replicas: 1\n"
    log = ours.log(limit=4)
    assert [commit.subject for commit in log] == ['Revert "Two"', 'Revert "Three"', "Three", "Two"]
    assert f"This reverts commit {three}" in log[1].message
    assert log[0].revision == head
    assert log[0].author == "Ada Author"
    ours.push()


def test_a_revert_that_can_not_be_done_is_told(ours: WorkingCopy) -> None:
    two = change(ours, "apps/app.yaml", "replicas: 2\n")
    change(ours, "apps/app.yaml", "replicas: 3\n")
    with pytest.raises(GitError, match=f"can't revert {two}"):
        ours.revert(two)
    with pytest.raises(UsageError, match="is no full commit SHA"):
        ours.revert("HEAD")


def test_a_squash_replaces_the_history_here_and_on_the_server(
    ours: WorkingCopy, tmp_path: Path, url: str, credential: Credential
) -> None:
    change(ours, "apps/app.yaml", "replicas: 2\n")
    ours.push()
    ours.squash("Tidy up")
    fresh = WorkingCopy.clone(tmp_path / "fresh", url, credential, "Bob Builder")
    (only,) = fresh.log()
    assert (only.revision, only.message.strip(), only.parents) == (ours.head, "Tidy up", ())
    assert (fresh.folder / "apps/app.yaml").read_text() == "replicas: 2\n"


def test_an_export_holds_the_tree_of_that_commit_and_nothing_else(ours: WorkingCopy, tmp_path: Path) -> None:
    first = ours.head
    change(ours, "apps/app.yaml", "replicas: 2\n")
    (ours.folder / "apps" / "app.yaml").write_text("never committed")
    (ours.folder / "untracked").write_text("never committed")
    tree = ours.export(first, tmp_path / "export" / "tree")
    files = {str(path.relative_to(tree)) for path in tree.rglob("*") if path.is_file()}
    assert files == {"apps/app.yaml", "run.sh"}
    assert (tree / "apps/app.yaml").read_text() == "replicas: 1\n"
    assert os.access(tree / "run.sh", os.X_OK)
    assert [path.name for path in tree.parent.iterdir()] == ["tree"]
    assert (ours.folder / "apps" / "app.yaml").read_text() == "never committed"
    with pytest.raises(GitError, match="can't read commit"):
        ours.export("0" * 40, tmp_path / "none")


def test_a_reset_throws_away_what_was_not_pushed(ours: WorkingCopy) -> None:
    first = ours.head
    change(ours, "apps/app.yaml", "replicas: 2\n")
    ours.reset(first)
    assert ours.head == first
    assert (ours.folder / "apps/app.yaml").read_text() == "replicas: 1\n"


def test_a_wrong_password_or_repository_is_told_without_the_password(
    tmp_path: Path, url: str, credential: Credential
) -> None:
    wrong = Credential(credential.url, credential.user, new_password())
    with pytest.raises(GitError, match=f"can't clone {url}") as caught:
        WorkingCopy.clone(tmp_path / "copy", url, wrong, "Ada")
    assert wrong.password not in str(caught.value)
    with pytest.raises(GitError, match="can't clone"):
        WorkingCopy.clone(tmp_path / "copy", f"{credential.url}/core/nothing.git", credential, "Ada")


def test_a_credential_is_shown_to_its_own_server_only(
    server: Context, tmp_path: Path, url: str, credential: Credential
) -> None:
    del server
    elsewhere = Credential("http://127.0.0.1:1", credential.user, credential.password)
    with pytest.raises(GitError, match="can't clone"):
        WorkingCopy.clone(tmp_path / "copy", url, elsewhere, "Ada")


def test_nothing_of_the_users_own_git_takes_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ours: WorkingCopy
) -> None:
    hook = tmp_path / "hooks" / "pre-commit"
    hook.parent.mkdir()
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    (tmp_path / ".gitconfig").write_text(
        f"[user]\n\tname = Mallory\n[commit]\n\tgpgSign = true\n[core]\n\thooksPath = {hook.parent}\n"
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Mallory")
    two = change(ours, "apps/app.yaml", "replicas: 2\n")
    ours.revert(two)
    assert {commit.author for commit in ours.log()} == {"Ada Author"}
    ours.push()


def test_a_hook_of_the_user_that_runs_us_loses_nothing_of_its_repository(
    server: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, credential: Credential
) -> None:
    del server
    theirs = UserRepository(tmp_path / "theirs").write({"file": "theirs\n"})
    theirs.git("add", "file")
    before = theirs.state()
    inner = theirs.folder / ".git"
    names = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY")
    for name, path in zip(names, (inner, theirs.folder, inner / "index", inner / "objects"), strict=True):
        monkeypatch.setenv(name, str(path))
    content = tmp_path / "content"
    content.mkdir()
    (content / "file").write_text("ours\n")
    copy = WorkingCopy.create(tmp_path / "copy", url, credential, "Ada", content, message="Begin")
    assert copy.folder == tmp_path / "copy"
    assert [commit.subject for commit in copy.log()] == ["Begin"]
    assert theirs.state() == before


def test_the_credential_is_in_no_file_of_the_working_copy_and_no_argument(
    ours: WorkingCopy, theirs: WorkingCopy, credential: Credential
) -> None:
    token = base64.b64encode(f"{credential.user}:{credential.password}".encode()).decode()
    seen, ended = list[str](), threading.Event()

    def watch() -> None:
        # Many looks at every process of the machine, while git pushes and fetches.
        while not ended.is_set():
            for entry in Path("/proc").iterdir():
                if entry.name.isdigit():
                    try:
                        seen.append(" ".join(command_line(int(entry.name))))
                    except OSError:
                        continue

    watcher = threading.Thread(target=watch)
    watcher.start()
    for number in range(3):
        change(ours, "apps/app.yaml", f"replicas: {number + 5}\n")
        ours.push()
        theirs.pull()
    ended.set()
    watcher.join()
    pushes = [line for line in seen if " push " in line or " fetch " in line or "git-remote-http" in line]
    assert pushes
    assert not [line for line in seen if credential.password in line or token in line]
    for copy in (ours, theirs):
        for path in copy.folder.rglob("*"):
            if path.is_file():
                content = path.read_bytes()
                assert credential.password.encode() not in content
                assert token.encode() not in content
    assert credential.password not in ours.remote
