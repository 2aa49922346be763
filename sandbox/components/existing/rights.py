"""What a sandbox may do in a cluster that is not its own: Roles, and the look whether somebody may grant them.

One list of rules for each kind of namespace: the sandbox's own, with Argo CD and the registry in it, and those that
its Applications fill. The sandbox speaks as a service account that is bound to just these rules, and by nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from sandbox.components.argocd.home import ARGOCD_API, HomeNames
from sandbox.kube.api import KubeApi

__all__ = [
    "APPLICATION_KINDS",
    "APPLICATION_RULES",
    "ARGOCD_CONTROLLER",
    "NAMESPACE_RULES",
    "OWN_KINDS",
    "OWN_RULES",
    "TENANT_RULES",
    "TYPE_RULES",
    "Permission",
    "Rule",
    "guest_rules",
    "host_rules",
    "missing",
    "role",
    "role_binding",
    "summary",
]

_READ = ("get", "list", "watch")
_ALL = (*_READ, "create", "update", "patch", "delete", "deletecollection")
_RBAC = "rbac.authorization.k8s.io"
_NAMED = ("get", "create", "patch", "delete")
_ARGOCD = ("applications", "applicationsets", "appprojects")
_AT_ONCE = 8
_SHOWN = 6

ARGOCD_CONTROLLER = "argocd-application-controller"
"""What the StatefulSet is called that syncs, wherever install.yaml was applied."""


@dataclass(frozen=True, slots=True)
class Permission:
    """One thing that somebody may do (authorization.k8s.io/v1, ``ResourceAttributes``).

    Attributes:
        verb: ``get``, ``create``, ...
        group: The API group; empty for the core group.
        resource: The plural, with the subresource behind a slash: ``pods/exec``.
        name: The only object; empty for all.
    """

    verb: str
    group: str
    resource: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of a Role (rbac.authorization.k8s.io/v1, ``PolicyRule``)."""

    group: str
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    names: tuple[str, ...] = ()

    def permissions(self) -> Iterator[Permission]:
        """Give each thing that it allows."""
        for resource in self.resources:
            for verb in self.verbs:
                for name in self.names or ("",):
                    yield Permission(verb, self.group, resource, name)

    def manifest(self) -> dict[str, Any]:
        """Give it as a Role holds it."""
        rule: dict[str, Any] = {
            "apiGroups": [self.group],
            "resources": list(self.resources),
            "verbs": list(self.verbs),
        }
        return rule | ({"resourceNames": list(self.names)} if self.names else {})


NAMESPACE_RULES = (Rule("", ("namespaces",), ("get", "create", "patch", "delete")),)
"""What who makes the namespaces needs in the whole cluster; nobody needs it where they were prepared."""

TYPE_RULES = (Rule("apiextensions.k8s.io", ("customresourcedefinitions",), ("get", "create", "patch", "delete")),)
"""What who brings Argo CD's types needs in the whole cluster; nobody needs it where they are there."""

_GRANTING = (
    Rule("", ("serviceaccounts",), _ALL),
    # Within the namespace, and never more than who grants has: the API server sees to that.
    Rule(_RBAC, ("roles", "rolebindings"), _ALL),
)

OWN_RULES = (
    Rule("", ("namespaces",), ("get",)),
    Rule("", ("configmaps", "secrets", "services", "persistentvolumeclaims"), _ALL),
    Rule("", ("pods",), (*_READ, "create", "delete", "deletecollection")),
    Rule("", ("pods/log", "services/proxy"), ("get",)),
    # The verb of a WebSocket and that of SPDY: which one kubectl takes, is the API server's affair.
    Rule("", ("pods/exec", "pods/portforward"), ("get", "create")),
    Rule("", ("events",), ("get", "list", "watch", "create", "patch")),
    Rule("apps", ("deployments", "statefulsets"), _ALL),
    Rule("apps", ("replicasets",), _READ),
    Rule("networking.k8s.io", ("networkpolicies",), _ALL),
    Rule("argoproj.io", _ARGOCD, _ALL),
    Rule("argoproj.io", ("applicationsets/finalizers",), _ALL[:-1]),
    Rule("argoproj.io", ("applicationsets/status",), ("get", "update", "patch")),
    Rule("coordination.k8s.io", ("leases",), _ALL),
    *_GRANTING,
)
"""What a sandbox may do in its own namespace; all that Argo CD's own Roles allow is in it."""

OWN_KINDS = (
    (ARGOCD_API, "Application"),
    (ARGOCD_API, "ApplicationSet"),
    (ARGOCD_API, "AppProject"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("v1", "Pod"),
    ("v1", "Service"),
    ("v1", "ConfigMap"),
    ("v1", "PersistentVolumeClaim"),
    ("v1", "ServiceAccount"),
    ("coordination.k8s.io/v1", "Lease"),
)
"""What a sandbox's own namespace is made of, beside what grants rights."""

APPLICATION_KINDS = (
    ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"),
    ("apps/v1", "DaemonSet"),
    ("apps/v1", "ReplicaSet"),
    ("batch/v1", "CronJob"),
    ("batch/v1", "Job"),
    ("autoscaling/v2", "HorizontalPodAutoscaler"),
    ("policy/v1", "PodDisruptionBudget"),
    ("networking.k8s.io/v1", "Ingress"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("v1", "Pod"),
    ("v1", "Service"),
    ("v1", "ConfigMap"),
    ("v1", "PersistentVolumeClaim"),
    ("v1", "LimitRange"),
    ("v1", "ResourceQuota"),
    ("v1", "ServiceAccount"),
)
"""What an Application may be made of: what the sample's AppProject allows, and what comes of it."""

APPLICATION_RULES = (
    Rule("", ("namespaces",), ("get",)),
    Rule(
        "",
        (
            "configmaps",
            "limitranges",
            "persistentvolumeclaims",
            "pods",
            "resourcequotas",
            "serviceaccounts",
            "services",
        ),
        _ALL,
    ),
    Rule("", ("pods/log", "services/proxy"), ("get",)),
    Rule("", ("events",), _READ),
    Rule("apps", ("daemonsets", "deployments", "replicasets", "statefulsets"), _ALL),
    Rule("batch", ("cronjobs", "jobs"), _ALL),
    Rule("autoscaling", ("horizontalpodautoscalers",), _ALL),
    Rule("networking.k8s.io", ("ingresses", "networkpolicies"), _ALL),
    Rule("policy", ("poddisruptionbudgets",), _ALL),
)
"""What Argo CD may do in a namespace that an Application fills."""

TENANT_RULES = (*APPLICATION_RULES, Rule("", ("secrets",), _ALL), _GRANTING[1])
"""What a sandbox may do there: it also brings the account by which nodes pull, and Argo CD's Role."""


def guest_rules(role_name: str, names: HomeNames) -> tuple[Rule, ...]:
    """Say what a guest of an Argo CD may do in its namespace: see and change what has these names, and nothing else.

    By names alone, also when something is made: of a server-side apply the API server asks for ``create`` by name
    (apiserver, ``handlers/patch.go``). So nothing there can be listed, and no Secret of anybody else be read.

    Args:
        role_name: The Role that holds these rules, which may be looked at.
        names: What the guest may have there.
    """
    named = (
        Rule("argoproj.io", ("applications",), (*_NAMED, "watch"), names.applications),
        Rule("argoproj.io", ("appprojects",), _NAMED, names.projects),
        Rule("", ("secrets",), _NAMED, names.secrets),
    )
    return (
        Rule(_RBAC, ("roles",), ("get",), (role_name,)),
        # Which version it is, and whether it runs.
        Rule("apps", ("statefulsets",), ("get",), (ARGOCD_CONTROLLER,)),
        # A rule without a name would be one for all.
        *(rule for rule in named if rule.names),
    )


def host_rules(role_name: str) -> tuple[Rule, ...]:
    """Say what who lets a guest in needs in Argo CD's namespace beside what the guest gets: to grant that."""
    return (Rule(_RBAC, ("roles", "rolebindings"), _NAMED, (role_name,)),)


def role(name: str, namespace: str, rules: Iterable[Rule], labels: Mapping[str, str]) -> dict[str, Any]:
    """Describe a Role."""
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "Role",
        "metadata": {"name": name, "namespace": namespace, "labels": dict(labels)},
        "rules": [rule.manifest() for rule in rules],
    }


def role_binding(
    name: str, namespace: str, role_name: str, subjects: Sequence[Mapping[str, str]], labels: Mapping[str, str]
) -> dict[str, Any]:
    """Bind a Role of the same namespace to somebody (``Subject``: kind, name, and a service account's namespace)."""
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": name, "namespace": namespace, "labels": dict(labels)},
        "roleRef": {"apiGroup": _RBAC, "kind": "Role", "name": role_name},
        "subjects": [
            {**subject, "apiGroup": "" if subject["kind"] == "ServiceAccount" else _RBAC} for subject in subjects
        ],
    }


def missing(api: KubeApi, rules: Iterable[Rule], namespace: str = "") -> list[Permission]:
    """Ask the API server what of some rules an identity may not do (``SelfSubjectAccessReview``).

    Args:
        api: The identity.
        rules: What it is to do.
        namespace: Where; in all namespaces and outside of them when empty.

    Raises:
        UnavailableError: The API server does not answer.
    """
    wanted = list(dict.fromkeys(permission for rule in rules for permission in rule.permissions()))
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        allowed = list(pool.map(lambda permission: _may(api, permission, namespace), wanted))
    return [permission for permission, may in zip(wanted, allowed, strict=True) if not may]


def summary(lacking: Iterable[Permission]) -> str:
    """Say permissions shortly: each resource with its verbs, the first few."""
    by_resource: dict[str, list[str]] = {}
    for permission in lacking:
        place = f"{permission.resource}.{permission.group}" if permission.group else permission.resource
        by_resource.setdefault(place, []).append(permission.verb)
    said = [f"{place} ({', '.join(verbs)})" for place, verbs in by_resource.items()]
    return "; ".join(said[:_SHOWN]) + (f"; and {len(said) - _SHOWN} more" if len(said) > _SHOWN else "")


def _may(api: KubeApi, permission: Permission, namespace: str) -> bool:
    resource, _, sub = permission.resource.partition("/")
    attributes = {
        "verb": permission.verb,
        "group": permission.group,
        "resource": resource,
        "subresource": sub,
        "name": permission.name,
        "namespace": namespace,
    }
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    answer = api.request("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body=review)
    return bool(answer["status"]["allowed"])
