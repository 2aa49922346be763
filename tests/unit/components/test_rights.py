from __future__ import annotations

from sandbox.components.argocd.home import HomeNames
from sandbox.components.existing.rights import (
    APPLICATION_KINDS,
    APPLICATION_RULES,
    OWN_KINDS,
    OWN_RULES,
    TENANT_RULES,
    Permission,
    guest_rules,
    role,
    role_binding,
    summary,
)


def allowed(rules: object) -> set[tuple[str, str, str]]:
    return {(each.verb, each.group, each.resource) for rule in rules for each in rule.permissions()}  # type: ignore[attr-defined]


def test_what_is_lacking_is_told_by_resource_and_not_at_any_length() -> None:
    lacking = [Permission("get", "", "pods/exec"), Permission("create", "", "pods/exec")]
    lacking += [Permission("get", "apps", f"things{number}") for number in range(9)]
    told = summary(lacking)
    assert told.startswith("pods/exec (get, create); things0.apps (get); ")
    assert told.endswith("; and 4 more")
    assert summary(lacking[:2]) == "pods/exec (get, create)"


def test_no_rule_allows_everything_or_more_than_rights_that_one_has() -> None:
    for verb, group, resource in allowed((*OWN_RULES, *TENANT_RULES)):
        assert "*" not in (verb, group, resource)
        assert verb not in {"escalate", "bind", "impersonate"}
        assert not resource.startswith(("cluster", "nodes", "persistentvolumes"))


def test_argo_cd_can_neither_read_secrets_nor_grant_rights_where_applications_are() -> None:
    resources = {resource for _, _, resource in allowed(APPLICATION_RULES)}
    assert not resources & {"secrets", "roles", "rolebindings", "pods/exec"}


def test_all_that_is_emptied_may_be_emptied() -> None:
    for kinds, rules in ((OWN_KINDS, OWN_RULES), (APPLICATION_KINDS, TENANT_RULES)):
        may = {(group, resource) for verb, group, resource in allowed(rules) if verb == "deletecollection"}
        for api_version, kind in kinds:
            group = api_version.rpartition("/")[0]
            plural = {"Ingress": "ingresses", "NetworkPolicy": "networkpolicies"}.get(kind, f"{kind.lower()}s")
            assert (group, plural) in may, kind


def test_a_role_and_its_binding_are_of_one_namespace_and_name_who_is_meant() -> None:
    made = role("box", "ns", APPLICATION_RULES, {"a": "b"})
    assert made["metadata"] == {"name": "box", "namespace": "ns", "labels": {"a": "b"}}
    assert {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get"]} in made["rules"]
    account = {"kind": "ServiceAccount", "name": "box", "namespace": "own"}
    bound = role_binding("box", "ns", "box", [account, {"kind": "User", "name": "dana"}], {})
    assert bound["roleRef"] == {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "box"}
    assert [each["apiGroup"] for each in bound["subjects"]] == ["", "rbac.authorization.k8s.io"]


def test_a_guest_may_do_nothing_to_what_has_no_name_of_its_own() -> None:
    for names in (HomeNames(), HomeNames(("a",), ("p",), ("s",))):
        assert all(each.name for rule in guest_rules("gitops-sandbox-box", names) for each in rule.permissions())


def test_a_guest_may_list_nothing_and_touch_no_other_kind() -> None:
    rules = guest_rules("gitops-sandbox-box", HomeNames(("a",), ("p",), ("s",)))
    made = {(resource, verb) for verb, _, resource in allowed(rules) if verb in ("create", "patch", "delete")}
    assert {resource for resource, _ in made} == {"applications", "appprojects", "secrets"}
    assert not [each for each in allowed(rules) if each[0] in ("list", "deletecollection", "update")]
