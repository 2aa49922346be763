from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sandbox.core.errors import UnavailableError, UsageError
from sandbox.core.files import (
    make_private_dir,
    new_password,
    read_json,
    remove_tree,
    write_file,
    write_json,
    write_new_file,
    writing_errors,
)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = write_file(tmp_path / "file", "old")
    with path.open() as reader:
        write_file(path, b"new")
        # Whoever had it open reads on in the old one to its end.
        assert reader.read() == "old"
    assert path.read_text() == "new"
    assert names(tmp_path) == ["file"]


def test_a_write_that_fails_leaves_the_old_content_and_no_draft(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    target.mkdir()
    with pytest.raises(UnavailableError):
        write_file(target, "content")
    assert target.is_dir()
    assert names(tmp_path) == ["folder"]


@pytest.mark.usefixtures("open_umask")
@pytest.mark.parametrize("write", [write_file, write_new_file, write_json])
def test_what_is_written_under_an_open_umask_is_for_this_user_alone(
    tmp_path: Path, write: Callable[[Path, str], Path]
) -> None:
    assert mode(write(tmp_path / "secret", "content")) == 0o600


@pytest.mark.usefixtures("open_umask")
def test_a_file_that_was_open_to_all_is_for_this_user_alone_once_written(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("old")
    assert mode(path) == 0o666
    assert mode(write_file(path, "new")) == 0o600
    assert mode(write_file(path, "new", mode=0o755)) == 0o755


@pytest.mark.usefixtures("open_umask")
def test_a_private_folder_and_the_parents_made_for_it_are_for_this_user_alone(tmp_path: Path) -> None:
    make_private_dir(tmp_path / "a" / "b" / "c")
    assert [mode(tmp_path / part) for part in ("a", "a/b", "a/b/c")] == [0o700] * 3


def test_a_parent_that_was_there_before_keeps_its_rights(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o755)
    make_private_dir(shared / "mine")
    assert (mode(shared), mode(shared / "mine")) == (0o755, 0o700)


@pytest.mark.usefixtures("open_umask")
def test_a_folder_that_was_open_to_all_is_made_private(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    assert mode(make_private_dir(folder)) == 0o700


def test_a_file_in_the_place_of_a_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    for path in (tmp_path / "state", tmp_path / "state" / "below"):
        with pytest.raises(UnavailableError, match=f"can't write {path}"):
            make_private_dir(path)


def test_of_many_writers_of_a_new_file_one_wins_and_all_read_the_same(tmp_path: Path) -> None:
    path, start = tmp_path / "secret", threading.Barrier(8)
    read: list[str] = []

    def write(number: int) -> None:
        start.wait()
        read.append(write_new_file(path, f"{number}" * 1000).read_text())

    writers = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(read) == 8
    assert len(set(read)) == 1
    assert names(tmp_path) == ["secret"]


@pytest.mark.parametrize("write", [write_file, write_new_file, write_json])
def test_a_read_only_folder_is_told_with_a_way_out(read_only_folder: Path, write: Callable[[Path, str], Path]) -> None:
    with pytest.raises(UnavailableError) as caught:
        write(read_only_folder / "file", "content")
    assert str(read_only_folder) in caught.value.what
    assert caught.value.why == "Permission denied"
    assert "XDG_STATE_HOME" in caught.value.hint


def test_a_folder_in_a_read_only_folder_is_told_with_a_way_out(read_only_folder: Path) -> None:
    with pytest.raises(UnavailableError, match="can't write"):
        make_private_dir(read_only_folder / "sandbox")


def test_a_full_disk_is_told_with_a_way_out() -> None:
    with pytest.raises(UnavailableError, match=r"can't write /cache") as caught, writing_errors(Path("/cache")):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert caught.value.why == "No space left on device"
    assert "free some space" in caught.value.hint


@pytest.mark.parametrize("content", [b"", b"{", b'{"a": 1} x', b"[1]", b"null", b'"text"', b"\xff\xfe", b"\0" * 64])
def test_a_damaged_file_is_told_and_left_to_be_looked_at(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        read_json(path)
    assert caught.value.what == f"{path} is damaged"
    assert caught.value.why
    assert f"rm {path}" in caught.value.hint
    assert path.read_bytes() == content


def test_what_was_written_as_json_is_read_again(tmp_path: Path) -> None:
    assert read_json(write_json(tmp_path / "state.json", {"ä": [1, None]})) == {"ä": [1, None]}
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "none.json")


def test_passwords_differ_and_are_safe_wherever_they_are_put() -> None:
    passwords = {new_password() for _ in range(50)}
    assert len(passwords) == 50
    assert all(len(password) >= 43 and not set(password) - set(SAFE) for password in passwords)


SAFE = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"


@contextlib.contextmanager
def ordinary_rights(folder: Path) -> Iterator[None]:
    """Do without root's rights for a while, as the owner of ``folder`` and all that is in it."""
    if os.geteuid() != 0:
        yield
        return
    nobody = 65534
    for parent, folders, files in os.walk(folder):
        for name in (".", *folders, *files):
            os.chown(Path(parent) / name, nobody, nobody, follow_symlinks=False)
    os.seteuid(nobody)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_tree_is_removed_with_the_folders_that_were_locked_and_nothing_a_link_leads_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "outside").mkdir(mode=0o500)
    for locked in (0o555, 0o000):
        inner = tmp_path / "sandbox" / f"{locked:o}" / "inner"
        inner.mkdir(parents=True)
        (inner / "file").write_text("content")
        (inner / "link").symlink_to(tmp_path / "outside")
    monkeypatch.chdir(tmp_path)
    with ordinary_rights(tmp_path):
        for locked in (0o555, 0o000):
            Path(f"sandbox/{locked:o}/inner").chmod(locked)
            Path(f"sandbox/{locked:o}").chmod(locked)
        remove_tree(Path("sandbox"))
    assert names(tmp_path) == ["outside"]
    assert mode(tmp_path / "outside") == 0o500
