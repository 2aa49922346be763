from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.gitops.own.explaining import Explanation, cleaned, explained

MISSING = (
    "`kustomize build <path to cached source>/apps/x` failed exit status 1: Error: accumulating resources:"
    " accumulation err='accumulating resources from 'a.yaml': evalsymlink failure on"
    " '<path to cached source>/apps/x/a.yaml' : lstat: no such file or directory'"
)
OTHERWISE = Explanation("nobody knows", "look")


@pytest.mark.parametrize(
    ("message", "what"),
    [
        (
            "The Kubernetes API could not find bitnami.com/SealedSecret for requested resource crd/db. Make sure that",
            "the cluster has no kind SealedSecret of group bitnami.com",
        ),
        ('Gadget.example.com "" not found', "the cluster has no kind Gadget of group example.com"),
        ('namespaces "web" not found', "there is no namespace web"),
        ("apps/webb: app path does not exist", "there is no folder apps/webb in that revision"),
        ("Application referencing project team which does not exist", "there is no AppProject team"),
        ("unable to resolve 'v9' to a commit SHA", "the repository has no branch, tag or commit v9"),
        ("failed to list refs: authentication required", "the source is private, or is not there"),
        ("dial tcp: lookup charts.example.com: no such host", "the source can't be reached from here"),
        (
            MISSING,
            "the kustomization names a file or folder that is missing: apps/x/a.yaml",
        ),
        (
            "repository contains out-of-bounds symlinks. file: a",
            "the repository holds a symbolic link that leads out of it",
        ),
    ],
)
def test_what_a_known_message_means_is_said(message: str, what: str) -> None:
    found = explained(f"Failed to load target state: rpc error: code = Unknown desc = {message}", OTHERWISE)
    assert found.what == what
    assert found.hint


def test_a_message_that_is_not_known_gets_what_is_said_otherwise() -> None:
    assert explained("the moon is full", OTHERWISE) == OTHERWISE


def test_a_message_loses_its_wrapping_and_the_folders_of_the_server() -> None:
    message = (
        "rpc error: code = Unknown desc = open /tmp/_argocd-repo/0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f/apps/x: gone"
    )
    assert cleaned(message) == "open apps/x: gone"


@given(st.text())
def test_any_message_can_be_explained_and_stays_readable(message: str) -> None:
    assert len(cleaned(message)) <= 710
    assert explained(message, OTHERWISE).what
