"""Being a guest in the namespace of somebody's Argo CD, against a real API server and its authorizer."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import pytest

from sandbox.components.argocd.home import HomeNames
from sandbox.components.existing.argocd_host import ArgocdHost, GuestHome, git_secret_name, leave_host, role_name
from sandbox.components.existing.foothold import Foothold, own_namespace
from sandbox.components.existing.rights import OWN_RULES, Rule, missing
from sandbox.containers.described import Owner
from sandbox.core.conditions import Deadline, Observation, met, pending, wait_for
from sandbox.core.errors import UnavailableError
from sandbox.engines.cluster_guest import ClusterGuest
from sandbox.kube.api import KubeApi, KubeError

API = "argoproj.io/v1alpha1"
RBAC = "rbac.authorization.k8s.io/v1"


@pytest.fixture
def host(admin: KubeApi) -> str:
    """Give the namespace of an Argo CD, of which there is just what is looked at."""
    name = f"argocd-{secrets.token_hex(3)}"
    admin.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    admin.create(controller(name, "quay.io/argoproj/argocd:v3.6.1"))
    admin.create(held_secret("argocd-secret", name))
    return name


def controller(namespace: str, image: str) -> dict[str, Any]:
    labels = {"app": "controller"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "one", "image": image}]}}
    spec = {"replicas": 0, "serviceName": "x", "selector": {"matchLabels": labels}, "template": template}
    metadata = {"name": "argocd-application-controller", "namespace": namespace}
    return {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": metadata, "spec": spec}


def held_secret(name: str, namespace: str, labels: dict[str, str] | None = None) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace, "labels": labels or {}}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"key": "value"}}


def application(name: str, namespace: str, labels: dict[str, str] | None = None) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace, "labels": labels or {}}
    spec = {"project": "x", "destination": {"namespace": "x", "server": "https://kubernetes.default.svc"}}
    return {"apiVersion": API, "kind": "Application", "metadata": metadata, "spec": spec}


def names_of(owner: Owner, story: str = "core") -> HomeNames:
    begin = f"{owner.name}-{story}"
    return HomeNames((f"{begin}-dev",), (f"{begin}-project",), (f"{begin}-wrong-password",))


def speaks(foothold: Foothold, folder: Path) -> KubeApi:
    foothold.claim(own_namespace(foothold.owner.name), OWN_RULES)
    path = folder / "sandbox.kubeconfig"
    foothold.write_kubeconfig(path)
    return KubeApi(path)


def home_of(foothold: Foothold, folder: Path, host: str) -> GuestHome:
    return GuestHome(foothold.kubeconfig, foothold.context, foothold.owner, folder, host)


def prepare(admin: KubeApi, foothold: Foothold, host: str) -> None:
    """Do as an administrator does with what is printed."""
    for manifest in [*foothold.grants([]), *ArgocdHost(foothold, host).grants(names_of(foothold.owner))]:
        admin.apply(manifest)


def test_who_may_do_nothing_there_is_refused_with_what_is_lacking(weak: Foothold, host: str) -> None:
    with pytest.raises(UnavailableError) as refused:
        ArgocdHost(weak, host).check()
    assert f"not allowed in namespace {host}: roles.{RBAC.partition('/')[0]} (get)" in refused.value.why
    assert "secrets (get, create, patch, delete)" in refused.value.why
    assert f"./inv role --name {weak.owner.name} --context theirs --argocd {host}" in refused.value.hint


def test_one_lacking_permission_is_named(weak: Foothold, admin: KubeApi, host: str) -> None:
    prepare(admin, weak, host)
    name = role_name(weak.owner.name)
    found = admin.get(RBAC, "Role", name, host) or {}
    rules = [rule for rule in found["rules"] if rule["resources"] != ["statefulsets"]]
    admin.merge(RBAC, "Role", name, host, {"rules": rules})

    def refused() -> Observation:
        try:
            ArgocdHost(weak, host).check()
        except UnavailableError as error:
            lacking = f"not allowed in namespace {host}: statefulsets.apps (get)"
            return met() if error.why == lacking else pending(error.why)
        return pending("it may all")

    # The API server's authorizer follows a role a moment later.
    wait_for(refused, Deadline.after(10), wanted="just that to be named")


def test_who_was_granted_what_is_printed_is_let_in_and_told_the_version(
    weak: Foothold, admin: KubeApi, host: str
) -> None:
    prepare(admin, weak, host)
    assert ArgocdHost(weak, host).check() == "3.6.1"


def test_the_doctor_says_which_argo_cd_would_take_a_guest_and_what_is_lacking(
    strong: Foothold, weak: Foothold, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", strong.kubeconfig)
    said = ClusterGuest().survey_host("box", strong.context, host)
    assert said.endswith(f"as a guest of Argo CD 3.6.1 in namespace {host}")
    monkeypatch.setenv("KUBECONFIG", weak.kubeconfig)
    with pytest.raises(UnavailableError, match="may not do what"):
        ClusterGuest().survey_host("box", weak.context, host)


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ("quay.io/argoproj/argocd:v2.14.3", "Argo CD 2.14.3"),
        ("quay.io/argoproj/argocd:v4.0.0", "Argo CD 4.0.0"),
        ("registry.example:5000/argocd:latest", "Argo CD of an unknown version"),
    ],
)
def test_an_argo_cd_of_another_version_is_refused_by_its_name(
    strong: Foothold, admin: KubeApi, host: str, image: str, said: str
) -> None:
    admin.apply(controller(host, image))
    with pytest.raises(UnavailableError, match=f"can't be a guest of {said} in namespace {host}") as refused:
        ArgocdHost(strong, host).check()
    assert "3.0 and newer of 3" in refused.value.why


def test_a_namespace_without_an_argo_cd_is_refused(strong: Foothold) -> None:
    with pytest.raises(UnavailableError, match="there is no Argo CD in namespace default"):
        ArgocdHost(strong, "default").check()


@pytest.mark.parametrize("kind", ["strong", "weak"])
def test_the_sandbox_may_have_its_names_there_and_can_see_nothing_else(
    kind: str, request: pytest.FixtureRequest, admin: KubeApi, host: str, tmp_path: Path
) -> None:
    foothold: Foothold = request.getfixturevalue(kind)
    if kind == "weak":
        prepare(admin, foothold, host)
    account, home, names = speaks(foothold, tmp_path), home_of(foothold, tmp_path, host), names_of(foothold.owner)
    home.admit(account, names)
    # Made by a server-side apply, each under its own name.
    account.apply(application(names.applications[0], host, dict(home.labels)))
    account.apply(held_secret(names.secrets[0], host, dict(home.labels)))
    assert [item["metadata"]["name"] for item in home.held(account, names)["Application"]] == list(names.applications)
    with pytest.raises(KubeError) as refused:
        account.apply(application("another", host))
    assert refused.value.status == 403
    everything = (
        Rule("", ("secrets", "configmaps"), ("get", "list", "watch", "create", "patch", "delete")),
        Rule("argoproj.io", ("applications", "appprojects", "applicationsets"), ("get", "list", "create", "patch")),
        Rule("", ("pods", "pods/exec", "pods/log", "pods/portforward"), ("get", "create")),
    )
    wanted = [permission for rule in everything for permission in rule.permissions()]
    assert missing(account, everything, host) == wanted


def test_what_an_administrator_has_not_granted_is_refused_for_another_story(
    weak: Foothold, admin: KubeApi, host: str, tmp_path: Path
) -> None:
    prepare(admin, weak, host)
    account, home = speaks(weak, tmp_path), home_of(weak, tmp_path, host)
    with pytest.raises(UnavailableError, match="may not do what a guest"):
        home.admit(account, names_of(weak.owner, "other"))
    home.admit(account, names_of(weak.owner))


@pytest.mark.parametrize("kind", ["Application", "AppProject", "Secret"])
def test_a_name_of_somebody_else_is_refused_and_left_as_it_is(
    strong: Foothold, admin: KubeApi, host: str, tmp_path: Path, kind: str
) -> None:
    names = names_of(strong.owner)
    theirs = {
        "Application": application(names.applications[0], host),
        "AppProject": {**application(names.projects[0], host), "kind": "AppProject", "spec": {}},
        "Secret": held_secret(names.secrets[0], host),
    }[kind]
    before = admin.create(theirs)
    account = speaks(strong, tmp_path)
    with pytest.raises(UnavailableError, match=f"there is {kind} .* in namespace {host} already"):
        home_of(strong, tmp_path, host).admit(account, names)
    leave_host(strong, tmp_path, Deadline.after(30))
    after = admin.get(theirs["apiVersion"], kind, theirs["metadata"]["name"], host) or {}
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


@pytest.mark.parametrize("kind", ["strong", "weak"])
def test_leaving_takes_what_the_sandbox_has_there_and_nothing_else(
    kind: str, request: pytest.FixtureRequest, admin: KubeApi, host: str, tmp_path: Path
) -> None:
    foothold: Foothold = request.getfixturevalue(kind)
    if kind == "weak":
        prepare(admin, foothold, host)
    admin.create(application("theirs", host))
    before = objects(admin, host)
    account, home, names = speaks(foothold, tmp_path), home_of(foothold, tmp_path, host), names_of(foothold.owner)
    git = HomeNames(secrets=(git_secret_name(foothold.owner.name),))
    for each in (git, names):
        home.admit(account, each)
    account.apply(application(names.applications[0], host, dict(home.labels)))
    for name in (*git.secrets, *names.secrets):
        account.apply(held_secret(name, host, dict(home.labels)))
    assert objects(admin, host) != before
    leave_host(foothold, tmp_path, Deadline.after(30))
    assert objects(admin, host) == before


def objects(admin: KubeApi, namespace: str) -> set[tuple[str, str, str]]:
    kinds = [("v1", "Secret"), (API, "Application"), (API, "AppProject"), (RBAC, "Role"), (RBAC, "RoleBinding")]
    found = [item for kind in kinds for item in admin.list(*kind, namespace)]
    return {(item["kind"], item["metadata"]["name"], item["metadata"]["resourceVersion"]) for item in found}
