"""What is checked of a user's repository: all that lies on disk, and nothing of it is touched."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sandbox.core.errors import UnavailableError, UsageError
from sandbox.gitops.own.copying import Copy, copied
from tests.own_repositories import UserRepository


@pytest.fixture
def repository(tmp_path: Path) -> UserRepository:
    made = UserRepository(tmp_path / "environments")
    made.commit({"apps/web.yaml": "a: 1\n", ".gitignore": "*.secret\n"})
    return made


def files(copy: Copy, revision: str = "HEAD") -> dict[str, str]:
    repository = copy.repository
    entries = repository.entries(repository.revision(revision))
    return {entry.path: repository.read(entry.sha).decode() for entry in entries if not entry.is_submodule}


def test_what_is_not_committed_takes_part_and_what_is_ignored_does_not(
    repository: UserRepository, tmp_path: Path
) -> None:
    repository.write({"apps/web.yaml": "a: 2\n", "apps/new.yaml": "b: 1\n", "token.secret": "hush"})
    copy = copied(str(repository.folder), tmp_path / "copy")
    assert files(copy) == {"apps/web.yaml": "a: 2\n", "apps/new.yaml": "b: 1\n", ".gitignore": "*.secret\n"}
    assert set(copy.uncommitted) == {"apps/web.yaml", "apps/new.yaml"}
    assert any("not committed" in note for note in copy.notes)


def test_a_file_that_was_deleted_without_a_commit_is_gone(repository: UserRepository, tmp_path: Path) -> None:
    (repository.folder / "apps" / "web.yaml").unlink()
    assert set(files(copied(str(repository.folder), tmp_path / "copy"))) == {".gitignore"}


def test_only_what_is_committed_takes_part_where_that_is_asked_for(repository: UserRepository, tmp_path: Path) -> None:
    repository.write({"apps/web.yaml": "a: 2\n"})
    copy = copied(str(repository.folder), tmp_path / "copy", committed=True)
    assert files(copy)["apps/web.yaml"] == "a: 1\n"
    assert copy.repository.revision("HEAD") == copy.head == repository.git("rev-parse", "HEAD")


def test_the_users_repository_is_not_touched_in_any_file(repository: UserRepository, tmp_path: Path) -> None:
    repository.write({"apps/web.yaml": "a: 2\n", "apps/new.yaml": "b: 1\n"})
    before = repository.state()
    copied(str(repository.folder), tmp_path / "copy")
    assert repository.state() == before


def test_what_stands_in_the_environment_of_a_hook_leads_nowhere_else(
    repository: UserRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    assert "apps/web.yaml" in files(copied(str(repository.folder), tmp_path / "copy"))


def test_another_branch_stands_in_for_the_default_one(repository: UserRepository, tmp_path: Path) -> None:
    repository.git("checkout", "--quiet", "-b", "feature")
    repository.commit({"apps/feature.yaml": "c: 1\n"})
    copy = copied(str(repository.folder), tmp_path / "copy")
    assert copy.branch == "main"
    assert "apps/feature.yaml" in files(copy, "main")
    assert any("stands in for the branch main" in note for note in copy.notes)


def test_a_checkout_of_no_branch_as_ci_makes_it_stands_in_for_the_default_one(
    repository: UserRepository, tmp_path: Path
) -> None:
    head = repository.commit({"apps/ci.yaml": "c: 1\n"})
    repository.git("checkout", "--quiet", "--detach")
    repository.git("branch", "--delete", "--force", "main")
    copy = copied(str(repository.folder), tmp_path / "copy")
    assert (copy.branch, copy.repository.revision("main")) == ("main", head)


def test_branches_that_only_the_remote_has_and_tags_can_be_followed(repository: UserRepository, tmp_path: Path) -> None:
    repository.git("tag", "v1")
    repository.git("checkout", "--quiet", "-b", "production")
    production = repository.commit({"apps/production.yaml": "c: 1\n"})
    clone = UserRepository(tmp_path / "clone", remote=str(repository.folder))
    clone.git("fetch", "--quiet", "origin")
    clone.git("checkout", "--quiet", "-b", "main", "origin/main")
    copy = copied(str(clone.folder), tmp_path / "copy")
    assert copy.repository.revision("production") == production
    assert copy.repository.revision("refs/tags/v1") == copy.head


def test_a_branch_that_lies_behind_its_remote_is_taken_from_there(repository: UserRepository, tmp_path: Path) -> None:
    clone = UserRepository(tmp_path / "clone", remote=str(repository.folder))
    clone.git("fetch", "--quiet", "origin")
    clone.git("checkout", "--quiet", "-b", "work", "origin/main")
    clone.git("branch", "stable", "origin/main")
    repository.git("checkout", "--quiet", "-b", "stable")
    newer = repository.commit({"apps/newer.yaml": "c: 1\n"})
    clone.git("fetch", "--quiet", "origin")
    assert copied(str(clone.folder), tmp_path / "copy").repository.revision("stable") == newer


def test_a_shallow_clone_is_taken_without_its_history_and_says_so(repository: UserRepository, tmp_path: Path) -> None:
    repository.commit({"apps/more.yaml": "c: 1\n"})
    shallow = tmp_path / "shallow"
    repository.git("clone", "--quiet", "--depth=1", f"file://{repository.folder}", str(shallow))
    copy = copied(str(shallow), tmp_path / "copy")
    assert "apps/more.yaml" in files(copy)
    assert any("shallow" in note for note in copy.notes)


def test_a_folder_within_a_repository_is_remembered(repository: UserRepository, tmp_path: Path) -> None:
    copy = copied(str(repository.folder / "apps"), tmp_path / "copy")
    assert (copy.below, copy.name) == ("apps", "environments")


def test_a_repository_without_a_commit_is_taken_as_it_lies_there(tmp_path: Path) -> None:
    fresh = UserRepository(tmp_path / "fresh").write({"cm.yaml": "a: 1\n"})
    assert files(copied(str(fresh.folder), tmp_path / "copy")) == {"cm.yaml": "a: 1\n"}


def test_a_bare_repository_and_an_address_are_taken_too(repository: UserRepository, tmp_path: Path) -> None:
    bare = tmp_path / "bare.git"
    repository.git("clone", "--quiet", "--bare", str(repository.folder), str(bare))
    assert "apps/web.yaml" in files(copied(str(bare), tmp_path / "one"))
    copy = copied(f"file://{repository.folder}", tmp_path / "other")
    assert "apps/web.yaml" in files(copy)
    assert copy.head == repository.git("rev-parse", "HEAD")


def test_names_and_contents_that_are_unusual_come_through(repository: UserRepository, tmp_path: Path) -> None:
    odd = {"späße/a b.yaml": "x\r\n", "quo\"te's.yaml": "y", "-n.yaml": "z", "tab\t.yaml": "t"}
    for name, text in odd.items():
        path = repository.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text.encode())
    found = files(copied(str(repository.folder), tmp_path / "copy"))
    assert {name: found[name] for name in odd} == odd


def test_remotes_are_known_by_what_they_mean_and_no_password_of_theirs_is_kept(
    repository: UserRepository, tmp_path: Path
) -> None:
    repository.git("remote", "add", "fork", "https://ci-token:hunter2@git.example.com/uma/environments")
    copy = copied(str(repository.folder), tmp_path / "copy")
    assert copy.places >= {"git.example.com/team/environments", "git.example.com/uma/environments"}
    assert "hunter2" not in repr(copy)


@pytest.mark.parametrize("given", ["/nonexistent", "ext::sh -c id", "--upload-pack=id"])
def test_what_is_no_repository_is_refused(given: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no repository"):
        copied(given, tmp_path / "copy")


def test_a_folder_outside_of_any_repository_is_refused_with_what_to_do(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.mkdir()
    with pytest.raises(UsageError, match="no Git repository") as refused:
        copied(str(plain), tmp_path / "copy")
    assert "git init" in refused.value.hint


def test_an_address_with_a_password_is_refused_before_git_is_started(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="password") as refused:
        copied("https://uma:hunter2@git.invalid/x/y.git", tmp_path / "copy")
    assert "hunter2" not in str(refused.value)


def test_an_address_that_can_not_be_cloned_gives_gits_own_words(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="can't clone") as refused:
        copied(f"file://{tmp_path}/nothing.git", tmp_path / "copy")
    assert "nothing.git" in refused.value.why


def test_an_empty_repository_is_refused(tmp_path: Path) -> None:
    empty = UserRepository(tmp_path / "empty")
    with pytest.raises(UsageError, match="there is nothing"):
        copied(str(empty.folder), tmp_path / "copy")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to somebody else")
def test_a_repository_of_somebody_else_is_refused_in_gits_words(repository: UserRepository, tmp_path: Path) -> None:
    for path in [repository.folder, *repository.folder.rglob("*")]:
        os.chown(path, 65534, 65534)
    with pytest.raises(UsageError, match="refuses to read") as refused:
        copied(str(repository.folder), tmp_path / "copy")
    assert "safe.directory" in refused.value.why
