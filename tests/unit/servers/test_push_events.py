from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sandbox.servers.push_events import RefUpdate, parse_log, parse_ref_updates

ZERO, ONE, TWO = "0" * 40, "1" * 40, "2" * 40
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
PATH = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1).filter(
    lambda path: not path.startswith("\x01")
)


def test_lines_of_the_hook_become_updates_and_know_what_they_did() -> None:
    created, deleted = parse_ref_updates(f"{ZERO} {ONE} refs/heads/main\n{ONE} {ZERO} refs/tags/v1\n\n")

    assert (created.ref, created.created, created.deleted) == ("refs/heads/main", True, False)
    assert (deleted.ref, deleted.created, deleted.deleted) == ("refs/tags/v1", False, True)


@given(st.text())
def test_whatever_a_hook_says_is_read_or_left_out(text: str) -> None:
    assert all(isinstance(update, RefUpdate) for update in parse_ref_updates(text))


def record(message: str, files: list[tuple[str, str]], mark: str = ">") -> str:
    header = "\0".join([f"\x01{mark}{ONE}", TWO, "2026-11-24T16:00:00+00:00", "Ada", "a@x", "CI", "c@x", message, ""])
    changes = "".join(f"{status}\0{path}\0" for status, path in files)
    return f"{header}\0\n{changes}" if files else f"{header}\0"


@given(st.lists(st.tuples(TEXT, st.lists(st.tuples(st.sampled_from("AMDT"), PATH)), st.sampled_from("<>")), max_size=4))
def test_any_message_and_any_path_comes_through_the_log(
    commits: list[tuple[str, list[tuple[str, str]], str]],
) -> None:
    parsed = parse_log("".join(record(message, files, mark) for message, files, mark in commits))

    assert [commit.header["message"] for commit in parsed] == [message for message, _, _ in commits]
    assert [commit.dropped for commit in parsed] == [mark == "<" for _, _, mark in commits]
    for commit, (_, files, _) in zip(parsed, commits, strict=True):
        assert commit.files["added"] == [path for status, path in files if status == "A"]
        assert commit.files["modified"] == [path for status, path in files if status in "MT"]
        assert commit.files["removed"] == [path for status, path in files if status == "D"]


def test_a_commit_is_told_as_github_tells_it() -> None:
    (commit,) = parse_log(record("Release 2\n\nBecause.\n", [("M", "apps/a.yaml")]))

    assert commit.as_json("http://127.0.0.1:3000/core/environment") == {
        "id": ONE,
        "tree_id": TWO,
        "timestamp": "2026-11-24T16:00:00+00:00",
        "message": "Release 2\n\nBecause.",
        "distinct": True,
        "url": f"http://127.0.0.1:3000/core/environment/commit/{ONE}",
        "author": {"name": "Ada", "email": "a@x"},
        "committer": {"name": "CI", "email": "c@x"},
        "added": [],
        "removed": [],
        "modified": ["apps/a.yaml"],
    }
