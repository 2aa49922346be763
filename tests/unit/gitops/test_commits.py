from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.core.errors import UsageError
from sandbox.gitops.commits import Commit
from sandbox.gitops.git import Credential, _checked

SUBJECTS = st.text(st.characters(exclude_categories=["C"]), min_size=1).filter(lambda text: text == text.strip())
KEYS = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9-]{0,20}[A-Za-z0-9])?", fullmatch=True)
VALUES = st.text(min_size=1).filter(lambda text: text == text.strip() and "\n" not in text and "\r" not in text)


def commit(message: str) -> Commit:
    return Commit("a" * 40, "Ada", message, ())


@given(SUBJECTS, st.dictionaries(KEYS, VALUES, min_size=1, max_size=4))
def test_trailers_are_read_as_they_were_written(subject: str, trailers: dict[str, str]) -> None:
    lines = "\n".join(f"{key}: {value}" for key, value in trailers.items())
    assert commit(f"{subject}\n\n{lines}\n").trailers() == trailers
    assert commit(f"{subject}\n\nA body: with a colon.\n\n{lines}").trailers() == trailers


@given(SUBJECTS)
def test_a_subject_alone_has_no_trailers(subject: str) -> None:
    assert commit(subject).trailers() == {}
    assert commit(f"Release: {subject}\n").trailers() == {}


def test_what_is_no_trailer_is_passed_over() -> None:
    message = "Change\n\nImage-New: a:1@sha256:0\nnot a trailer\nhttp://example.com/: no\nspaced key: no\n"
    assert commit(message).trailers() == {"Image-New": "a:1@sha256:0"}


def test_a_commit_is_shown_by_its_subject_and_the_first_of_its_revision() -> None:
    assert commit("Subject\n\nBody\n").subject == "Subject"
    assert commit("Subject").short == "aaaaaaaa"


@pytest.mark.parametrize(
    "revision", ["", "HEAD", "a" * 39, "A" * 40, "a" * 40 + "\n", "--upload-pack=x", "HEAD^{tree}"]
)
def test_only_a_full_revision_reaches_git(revision: str) -> None:
    with pytest.raises(UsageError, match="is no full commit SHA"):
        _checked(revision)
    assert _checked("0" * 40) == "0" * 40


def test_a_credential_is_for_one_server_and_is_not_shown() -> None:
    credential = Credential("http://127.0.0.1:1", "ci", "hush")
    environment = credential.environment()
    assert environment["GIT_CONFIG_KEY_0"] == "http.http://127.0.0.1:1/.extraHeader"
    token = environment["GIT_CONFIG_VALUE_0"].rpartition(" ")[2]
    assert base64.b64decode(token) == b"ci:hush"
    assert "hush" not in repr(credential)
