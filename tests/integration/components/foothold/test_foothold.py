"""A sandbox's place in somebody's cluster, against a real API server and its authorizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.components.argocd.config import static_manifests
from sandbox.components.base import Context
from sandbox.components.existing.foothold import ACCOUNT, NATIVE, PREPARED_LABEL, Foothold, own_namespace
from sandbox.components.existing.leaving import leave
from sandbox.components.existing.rights import OWN_RULES, TENANT_RULES, Rule, missing, role, role_binding
from sandbox.containers.described import Owner
from sandbox.core.conditions import Deadline
from sandbox.core.errors import UnavailableError
from sandbox.kube.api import KubeApi, KubeError
from sandbox.kube.applying import apply_all

TENANT = "app-dev"


@pytest.fixture
def prepared(admin: KubeApi, weak: Foothold) -> Foothold:
    """Give somebody for whom an administrator has applied what was printed."""
    for manifest in weak.grants([tenant_of(weak.owner)]):
        admin.apply(manifest)
    return weak


def tenant_of(owner: Owner) -> str:
    return f"{owner.name}-{TENANT}"


def speaks(foothold: Foothold, folder: Path) -> KubeApi:
    path = folder / "sandbox.kubeconfig"
    foothold.write_kubeconfig(path)
    assert path.stat().st_mode & 0o777 == 0o600
    return KubeApi(path)


def config_map(namespace: str, name: str = "one") -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}}


def test_who_may_do_nothing_is_refused_with_the_permissions_that_are_lacking(weak: Foothold) -> None:
    with pytest.raises(UnavailableError) as refused:
        weak.check()
    assert "in the whole cluster: namespaces (get, create, patch, delete)" in refused.value.why
    assert f"./inv role --name {weak.owner.name}" in refused.value.hint


def test_who_may_do_nothing_has_made_nothing_when_they_are_refused(weak: Foothold, admin: KubeApi) -> None:
    with pytest.raises(UnavailableError):
        weak.claim(own_namespace(weak.owner.name), OWN_RULES)
    assert admin.get("v1", "Namespace", own_namespace(weak.owner.name)) is None


@pytest.mark.usefixtures("prepared")
def test_who_was_granted_what_is_printed_is_let_in(weak: Foothold) -> None:
    weak.check()


def test_one_lacking_permission_is_named(prepared: Foothold, admin: KubeApi) -> None:
    own = own_namespace(prepared.owner.name)
    found = admin.get("rbac.authorization.k8s.io/v1", "Role", ACCOUNT, own) or {}
    rules = [rule for rule in found["rules"] if "pods/portforward" not in rule["resources"]]
    admin.merge("rbac.authorization.k8s.io/v1", "Role", ACCOUNT, own, {"rules": rules})
    with pytest.raises(UnavailableError) as refused:
        prepared.check()
    assert f"not allowed in namespace {own}:" in refused.value.why
    assert "pods/portforward (get, create)" in refused.value.why


def test_a_namespace_of_somebody_else_is_refused_and_left_as_it_is(strong: Foothold, admin: KubeApi) -> None:
    own = own_namespace(strong.owner.name)
    before = admin.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": own}})
    for refused in (strong.check, lambda: strong.claim(own, OWN_RULES)):
        with pytest.raises(UnavailableError, match="not of this sandbox"):
            refused()
    with pytest.raises(UnavailableError, match="not of this sandbox"):
        leave(strong, [own], Deadline.after(30))
    after = admin.get("v1", "Namespace", own) or {}
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


def test_a_prepared_namespace_that_somebody_uses_is_refused(prepared: Foothold, admin: KubeApi) -> None:
    own = own_namespace(prepared.owner.name)
    admin.create(config_map(own, "theirs"))
    with pytest.raises(UnavailableError, match="is not empty") as refused:
        prepared.claim(own, OWN_RULES)
    assert "ConfigMap theirs" in refused.value.why


@pytest.mark.parametrize("kind", ["strong", "prepared"])
def test_the_sandbox_may_do_what_its_role_says_and_nothing_else(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    foothold: Foothold = request.getfixturevalue(kind)
    own, tenant = own_namespace(foothold.owner.name), tenant_of(foothold.owner)
    foothold.claim(own, OWN_RULES)
    foothold.claim(tenant, TENANT_RULES)
    sandbox = speaks(foothold, tmp_path)
    assert missing(sandbox, OWN_RULES, own) == []
    assert missing(sandbox, TENANT_RULES, tenant) == []
    beyond = (Rule("", ("secrets", "pods"), ("get", "create")), Rule("", ("namespaces", "nodes"), ("list", "create")))
    assert len(missing(sandbox, beyond, "kube-system")) == 8
    assert len(missing(sandbox, beyond)) == 8
    more = Rule("", ("pods/exec",), ("create",)), Rule("apps", ("controllerrevisions",), ("get",))
    assert len(missing(sandbox, more, tenant)) == 2


def test_the_sandbox_can_not_give_itself_more(strong: Foothold, tmp_path: Path) -> None:
    own = own_namespace(strong.owner.name)
    strong.claim(own, OWN_RULES)
    sandbox = speaks(strong, tmp_path)
    patch = {"rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]}
    with pytest.raises(KubeError) as refused:
        sandbox.merge("rbac.authorization.k8s.io/v1", "Role", ACCOUNT, own, patch)
    assert refused.value.status == 403


def test_the_sandbox_may_grant_all_that_argo_cds_own_roles_ask_for(
    cluster: Context, strong: Foothold, tmp_path: Path
) -> None:
    own = own_namespace(strong.owner.name)
    strong.claim(own, OWN_RULES)
    sandbox = speaks(strong, tmp_path)
    roles = [each for each in static_manifests(cluster.tools["argocd"], own) if each["kind"] == "Role"]
    assert len(roles) >= 5
    for each in roles:
        sandbox.apply(each)


def test_the_kubeconfig_of_the_sandbox_holds_nothing_of_the_users(prepared: Foothold, tmp_path: Path) -> None:
    prepared.claim(own_namespace(prepared.owner.name), OWN_RULES)
    path = tmp_path / "sandbox.kubeconfig"
    prepared.write_kubeconfig(path)
    theirs = yaml.safe_load(Path(prepared.kubeconfig).read_text())["users"][0]["user"]["token"]
    assert theirs not in path.read_text()


@pytest.mark.parametrize("kind", ["strong", "prepared"])
def test_leaving_takes_what_the_sandbox_made_and_nothing_else(
    kind: str, request: pytest.FixtureRequest, admin: KubeApi, tmp_path: Path
) -> None:
    foothold: Foothold = request.getfixturevalue(kind)
    own, tenant = own_namespace(foothold.owner.name), tenant_of(foothold.owner)
    other = f"other-{foothold.owner.name}"
    admin.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": other}})
    admin.create(config_map(other))
    foothold.claim(own, OWN_RULES)
    foothold.claim(tenant, TENANT_RULES)
    sandbox = speaks(foothold, tmp_path)
    for namespace in (own, tenant):
        sandbox.apply(config_map(namespace))
    application = {"name": "held", "namespace": own, "finalizers": ["resources-finalizer.argocd.argoproj.io"]}
    spec = {"project": "default", "destination": {"namespace": tenant, "server": "https://kubernetes.default.svc"}}
    sandbox.create({"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": application, "spec": spec})
    # Of the name that each namespace's own account has.
    sandbox.create({**project("default", own), "spec": {}})
    leave(foothold, [own, tenant], Deadline.after(60))
    assert admin.get("v1", "ConfigMap", "one", other) is not None
    left = {name: admin.get("v1", "Namespace", name) for name in (own, tenant)}
    if kind == "strong":
        assert left == {own: None, tenant: None}
        return
    for name, found in left.items():
        assert found is not None
        assert found["metadata"]["labels"][PREPARED_LABEL] == foothold.owner.name
        kept = [(each["kind"], each["metadata"]["name"]) for each in objects(admin, name)]
        assert sorted(kept) == [("Role", ACCOUNT), ("RoleBinding", f"{ACCOUNT}-user")], kept


def project(name: str, namespace: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject", "metadata": metadata}


def objects(admin: KubeApi, namespace: str) -> list[dict[str, Any]]:
    kinds = [("v1", "ConfigMap"), ("v1", "Secret"), ("v1", "ServiceAccount"), ("argoproj.io/v1alpha1", "Application")]
    kinds.append(("argoproj.io/v1alpha1", "AppProject"))
    kinds += [("rbac.authorization.k8s.io/v1", kind) for kind in ("Role", "RoleBinding")]
    found = [each for kind in kinds for each in admin.list(*kind, namespace)]
    return [each for each in found if each["metadata"]["name"] not in NATIVE.get(each["kind"], ())]


def test_types_that_the_sandbox_did_not_bring_stay(strong: Foothold, admin: KubeApi) -> None:
    strong.claim(own_namespace(strong.owner.name), OWN_RULES)
    leave(strong, [own_namespace(strong.owner.name)], Deadline.after(60))
    assert strong.has_types()
    assert admin.list("argoproj.io/v1alpha1", "Application") is not None


def test_a_role_is_there_before_it_is_bound_by_an_account_that_may_bind_no_other(
    strong: Foothold, tmp_path: Path
) -> None:
    own, rules = own_namespace(strong.owner.name), (Rule("", ("configmaps",), ("get",)),)
    strong.claim(own, OWN_RULES)
    account = speaks(strong, tmp_path)
    subjects = [{"kind": "ServiceAccount", "name": "default", "namespace": own}]
    names = [f"one-{number}" for number in range(8)]
    bindings = [role_binding(name, own, name, subjects, {}) for name in names]
    with pytest.raises(KubeError) as refused:
        account.apply(bindings[0])
    assert refused.value.status == 404
    apply_all(account, [*bindings, *(role(name, own, rules, {}) for name in names)], Deadline.after(10))
    found = {item["metadata"]["name"] for item in account.list("rbac.authorization.k8s.io/v1", "RoleBinding", own)}
    assert found >= set(names)
