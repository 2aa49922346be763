from __future__ import annotations

from typing import Any

from sandbox.gitops.own.family import family, live_cycles


def application(name: str, *, tracked_by: str = "", owned_by: str = "", kind: str = "Application") -> dict[str, Any]:
    annotations = (
        {"argocd.argoproj.io/tracking-id": f"{tracked_by}:argoproj.io/{kind}:argocd/{name}"} if tracked_by else {}
    )
    owners = [{"kind": "ApplicationSet", "name": owned_by}] if owned_by else []
    metadata = {"name": name, "namespace": "argocd", "annotations": annotations, "ownerReferences": owners}
    return {"kind": kind, "metadata": metadata}


def test_a_family_is_what_its_roots_make_and_what_these_make_in_turn() -> None:
    objects = [
        application("root"),
        application("child", tracked_by="root"),
        application("fleet", tracked_by="child", kind="ApplicationSet"),
        application("fleet-one", owned_by="fleet"),
        application("stranger"),
        application("strangers-child", tracked_by="stranger"),
    ]
    found = family({("Application", "root"): "apps/root.yaml"}, objects)
    assert {name: by for (_, name), (_, by) in found.items()} == {
        "root": "apps/root.yaml",
        "child": "Application root",
        "fleet": "Application child",
        "fleet-one": "ApplicationSet fleet",
    }


def test_a_copy_that_still_carries_the_note_of_its_original_is_no_child() -> None:
    copy = application("copy")
    copy["metadata"]["annotations"] = {"argocd.argoproj.io/tracking-id": "root:argoproj.io/Application:argocd/child"}
    assert set(family({("Application", "root"): "x"}, [application("root"), copy])) == {("Application", "root")}


def test_a_circle_ends_and_is_named() -> None:
    circle = [application("one", tracked_by="two"), application("two", tracked_by="one")]
    assert len(family({("Application", "one"): "x"}, circle)) == 2
    [found] = live_cycles(circle)
    assert "Application one" in found.thing
    assert "circle" in found.what


def test_an_application_that_deploys_itself_is_no_circle() -> None:
    assert live_cycles([application("self", tracked_by="self")]) == []
