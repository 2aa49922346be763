"""A sandbox's place in a cluster that was there before: namespaces, and a service account that may do no more.

The user's own identity is used here alone, for what a namespace can't grant: to make and delete namespaces, to bring
Argo CD's types, and to bind the service account by which everything else is done. Nothing of it is kept.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from sandbox.components.existing.rights import (
    NAMESPACE_RULES,
    OWN_RULES,
    TENANT_RULES,
    TYPE_RULES,
    Rule,
    missing,
    role,
    role_binding,
    summary,
)
from sandbox.containers.described import Owner
from sandbox.core.conditions import Deadline, Observation, met, pending, wait_for
from sandbox.core.errors import UnavailableError
from sandbox.core.files import write_file
from sandbox.kube.api import KubeApi, KubeError

__all__ = ["ACCOUNT", "NATIVE", "PREPARED_LABEL", "Foothold", "own_namespace"]

ACCOUNT = "gitops-sandbox"
"""What the service account and the Role that limits it are called, in each namespace."""

PREPARED_LABEL = "dev.gitops-sandbox.prepared-for"
"""On a namespace that an administrator has made for the sandbox of this name."""

NATIVE = {
    "ConfigMap": ("kube-root-ca.crt", "openshift-service-ca.crt"),
    "ServiceAccount": ("default", "builder", "deployer"),
}
"""What a namespace has by itself, on one kind of cluster or another: the names by kind."""

_TOKEN = "gitops-sandbox-token"  # noqa: S105  # the name of the Secret, not the secret
_FORBIDDEN, _NOT_FOUND = 403, 404
_SHOWN = 6
_TOKEN_SECONDS = 30.0


_EMPTY_AT_FIRST = (("v1", "ConfigMap"), ("v1", "ServiceAccount"), ("v1", "Service"), ("v1", "PersistentVolumeClaim"))


def own_namespace(sandbox: str) -> str:
    """Give the name of a sandbox's own namespace."""
    return f"gitops-sandbox-{sandbox}"


@dataclass(frozen=True, slots=True)
class Foothold:
    """A sandbox's place in somebody's cluster, seen with that user's own identity.

    Attributes:
        kubeconfig: The user's; several files are joined as KUBECONFIG joins them.
        context: Which context of it.
        owner: The sandbox.
    """

    kubeconfig: str
    context: str
    owner: Owner
    api: KubeApi = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "api", KubeApi(self.kubeconfig, self.context))

    def check(self) -> None:
        """Refuse unless the user may do all that the sandbox needs; nothing is made.

        Raises:
            UnavailableError: A permission is lacking, which is named, or a namespace is somebody else's.
        """
        own = own_namespace(self.owner.name)
        types = () if self.has_types() else TYPE_RULES
        if self.look(own) == "prepared":
            self._refuse(OWN_RULES, own)
            self._refuse(types)
        else:
            self._refuse((*NAMESPACE_RULES, *types, *OWN_RULES, *TENANT_RULES))

    def _refuse(self, rules: Iterable[Rule], namespace: str = "") -> None:
        """Refuse what the user may not do, in a namespace or in all of them."""
        if lacking := missing(self.api, rules, namespace):
            place = f"in namespace {namespace}" if namespace else "in the whole cluster"
            raise UnavailableError(
                f"{self.who()} may not do what the sandbox needs in the cluster of context {self.context}",
                why=f"not allowed {place}: {summary(lacking)}",
                hint=f"what an administrator must grant: ./inv role --name {self.owner.name} --context {self.context}",
            )

    def who(self) -> str:
        """Give the user's name as the API server knows it (authentication.k8s.io/v1, ``SelfSubjectReview``)."""
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        answer = self.api.request("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", body=review)
        return str(answer["status"]["userInfo"]["username"])

    def has_types(self) -> bool:
        """Say whether the cluster has Argo CD's types; that everybody may ask."""
        try:
            served = self.api.request("GET", "/apis/argoproj.io/v1alpha1")["resources"]
        except KubeError as error:
            if error.status == _NOT_FOUND:
                return False
            raise
        # Other programs of the same makers have types in that group too.
        return {"applications", "applicationsets", "appprojects"} <= {each["name"] for each in served}

    def look(self, name: str) -> str:
        """Say what a namespace is to the sandbox: ``absent``, ``made`` by it, or ``prepared`` for it.

        Raises:
            UnavailableError: It is somebody else's.
        """
        try:
            found = self.api.get("v1", "Namespace", name)
        except KubeError as error:
            if error.status == _FORBIDDEN:
                # Who may not even look can't have been given it.
                return "absent"
            raise
        if found is None:
            return "absent"
        labels = found["metadata"].get("labels") or {}
        if labels.get(PREPARED_LABEL) == self.owner.name:
            return "prepared"
        if self.owner.labels.items() <= labels.items():
            return "made"
        raise UnavailableError(
            f"there is a namespace {name} already, which is not of this sandbox",
            why="it does not carry the sandbox's labels, so it is neither used nor removed",
            hint=f"see what it is: kubectl --context {self.context} get namespace {name} -o yaml; or another --name",
        )

    def claim(self, name: str, rules: Iterable[Rule]) -> None:
        """Have a namespace, made now or prepared by an administrator, and let the service account work in it.

        Raises:
            UnavailableError: It is somebody else's, it may not be made, or a prepared one is not empty.
        """
        rules, labels = tuple(rules), self.owner.labels
        state = self.look(name)
        if state == "absent":
            self._refuse(NAMESPACE_RULES)
            manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
            self.api.create(manifest)
        if state == "prepared":
            self._refuse(rules, name)
            if self.api.get("rbac.authorization.k8s.io/v1", "RoleBinding", ACCOUNT, name) is None:
                self._check_empty(name)
        else:
            self.api.apply(role(ACCOUNT, name, rules, labels))
        account = {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": own_namespace(self.owner.name)}
        self.api.apply(role_binding(ACCOUNT, name, ACCOUNT, [account], labels))

    def _check_empty(self, name: str) -> None:
        """Refuse a namespace that somebody uses: all that is in it in the end is the sandbox's, and goes."""
        for api_version, kind in _EMPTY_AT_FIRST:
            others = [
                item["metadata"]["name"]
                for item in self.api.list(api_version, kind, name)
                if item["metadata"]["name"] not in NATIVE.get(kind, ())
            ]
            if others:
                raise UnavailableError(
                    f"namespace {name} was prepared for this sandbox, and is not empty",
                    why=f"there is {kind} {', '.join(others[:_SHOWN])}",
                    hint="empty it, or prepare another under another --name",
                )

    def write_kubeconfig(self, path: Path) -> None:
        """Make the service account and write its kubeconfig; it holds nothing of the user's.

        Raises:
            DeadlineError: The cluster gives no token.
        """
        namespace, labels = own_namespace(self.owner.name), self.owner.labels
        account = {"name": ACCOUNT, "namespace": namespace, "labels": labels}
        self.api.apply(
            {
                "apiVersion": "v1",
                "kind": "ServiceAccount",
                "metadata": account,
                "automountServiceAccountToken": False,
            }
        )
        self.api.apply(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {**account, "name": _TOKEN, "annotations": {"kubernetes.io/service-account.name": ACCOUNT}},
                "type": "kubernetes.io/service-account-token",
            }
        )
        token = ""

        def given() -> Observation:
            nonlocal token
            found = self.api.get("v1", "Secret", _TOKEN, namespace) or {}
            token = (found.get("data") or {}).get("token", "")
            return met("given") if token else pending("the Secret holds no token yet")

        wait_for(given, Deadline.after(_TOKEN_SECONDS), wanted=f"a token for service account {ACCOUNT}", every=0.1)
        write_file(path, self._kubeconfig(base64.b64decode(token).decode()))

    def _kubeconfig(self, token: str) -> str:
        endpoint = self.api.endpoint()
        cluster: dict[str, Any] = {"server": endpoint.server}
        if endpoint.authority is not None:
            cluster["certificate-authority-data"] = base64.b64encode(endpoint.authority.encode()).decode()
        if not endpoint.verified:
            cluster["insecure-skip-tls-verify"] = True
        cluster |= {"tls-server-name": endpoint.server_name} if endpoint.server_name else {}
        cluster |= {"proxy-url": endpoint.proxy} if endpoint.proxy else {}
        name, namespace = f"gitops-sandbox-{self.owner.name}", own_namespace(self.owner.name)
        return yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": name,
                "clusters": [{"name": name, "cluster": cluster}],
                "users": [{"name": name, "user": {"token": token}}],
                "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": namespace}}],
            },
            sort_keys=False,
        )

    def grants(self, tenants: Iterable[str]) -> list[dict[str, Any]]:
        """Describe what an administrator has to apply for this user: the namespaces, and a Role in each.

        Args:
            tenants: The namespaces that Applications are to fill.
        """
        own, labels = own_namespace(self.owner.name), {PREPARED_LABEL: self.owner.name}
        user = [{"kind": "User", "name": self.who()}]
        made: list[dict[str, Any]] = []
        for name, rules in {own: OWN_RULES, **dict.fromkeys(tenants, TENANT_RULES)}.items():
            made += [
                {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}},
                role(ACCOUNT, name, rules, labels),
                role_binding(f"{ACCOUNT}-user", name, ACCOUNT, user, labels),
            ]
        return made
