"""The namespace of an Argo CD that is somebody else's: what a sandbox has there, by whose leave, and how it goes again.

All of it is done by name. The user's identity looks whether the host will do, gives the sandbox's service account a
Role that names what stories make, and takes all that away in the end; stories work as that account.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sandbox.components.argocd.home import ARGOCD_API, HomeNames
from sandbox.components.existing.foothold import ACCOUNT, PREPARED_LABEL, Foothold, own_namespace
from sandbox.components.existing.rights import (
    ARGOCD_CONTROLLER,
    Rule,
    guest_rules,
    host_rules,
    missing,
    role,
    role_binding,
    summary,
)
from sandbox.containers.described import Owner
from sandbox.core.conditions import Deadline, Observation, met, pending, wait_for
from sandbox.core.errors import DeadlineError, UnavailableError
from sandbox.core.files import read_json, write_json
from sandbox.core.locks import Mode, locked
from sandbox.kube.api import KubeApi, KubeError

__all__ = [
    "ArgocdHost",
    "GuestHome",
    "git_secret_name",
    "leave_host",
    "noted_names",
    "role_name",
    "version_of",
    "ways_to_leave",
]

_NOTES = "argocd.json"
_RBAC = "rbac.authorization.k8s.io/v1"
_LEFT = "applications,appprojects,secrets,rolebindings,roles"
_METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
_NOT_FOUND = 404
_IN_FORCE_SECONDS = 20.0
# What Argo CD has to delete of an Application first, it deletes in this time, or is not there to do it.
_PROPER_SECONDS = 60.0
_LOCK_SECONDS = 60.0
_ANY = HomeNames(("",), ("",), ("",))
"""In what is asked of the API server: of whatever name."""

_MAJOR = 3
"""Of Argo CD: since 3.0 it tells by an annotation which Application an object is of, which verdicts read."""


def role_name(sandbox: str) -> str:
    """Give the name of the Role in the host's namespace that limits a sandbox, and of what binds it."""
    return f"gitops-sandbox-{sandbox}"


def git_secret_name(sandbox: str) -> str:
    """Give the name of the Secret by which the host reads a sandbox's repositories."""
    return f"gitops-sandbox-{sandbox}-git"


def version_of(controller: Mapping[str, Any]) -> str:
    """Read the version of Argo CD from its controller's image; empty where its tag is none."""
    image = str(controller["spec"]["template"]["spec"]["containers"][0]["image"])
    found = re.search(r":v?(\d+\.\d+\.\d+)(?:@|$)", image)
    return found[1] if found else ""


def noted_names(folder: Path) -> tuple[str, HomeNames]:
    """Give the host's namespace and all names that a sandbox has ever asked for there; empty where it is no guest."""
    try:
        found = read_json(folder / _NOTES)
    except FileNotFoundError:
        return "", HomeNames()
    names = [tuple(map(str, found[each])) for each in ("applications", "projects", "secrets")]  # type: ignore[call-overload]  # our own
    return str(found["namespace"]), HomeNames(*names)


@dataclass(frozen=True, slots=True)
class ArgocdHost:
    """Somebody's Argo CD, seen with the user's own identity.

    Attributes:
        foothold: The user's identity.
        namespace: Where that Argo CD is.
    """

    foothold: Foothold
    namespace: str

    @property
    def _role(self) -> str:
        return role_name(self.foothold.owner.name)

    def check(self) -> str:
        """Refuse unless a sandbox can be a guest there and the user may have it so; nothing is made.

        Returns:
            The version of that Argo CD.

        Raises:
            UnavailableError: A permission is lacking, which is named, or there is no Argo CD that will do.
        """
        owner = self.foothold.owner
        base = guest_rules(self._role, HomeNames(secrets=(git_secret_name(owner.name),)))
        self.refuse(base)
        if not self.is_prepared():
            # Whatever stories are called.
            self.refuse((*guest_rules(self._role, _ANY), *host_rules(self._role)))
        return self._version()

    def _version(self) -> str:
        controller = self.foothold.api.get("apps/v1", "StatefulSet", ARGOCD_CONTROLLER, self.namespace)
        place = f"namespace {self.namespace} of context {self.foothold.context}"
        if controller is None:
            raise UnavailableError(
                f"there is no Argo CD in {place}",
                why=f"it has no StatefulSet {ARGOCD_CONTROLLER}, as install.yaml brings one",
                hint="leave --argocd out for an Argo CD of the sandbox's own",
            )
        version = version_of(controller)
        if version.partition(".")[0] != str(_MAJOR):
            raise UnavailableError(
                f"a sandbox can't be a guest of Argo CD {version or 'of an unknown version'} in {place}",
                why=f"its verdicts are made for {_MAJOR}.0 and newer of {_MAJOR}; the version is read from the tag of"
                f" the image of StatefulSet {ARGOCD_CONTROLLER}",
                hint="leave --argocd out for an Argo CD of the sandbox's own",
            )
        return version

    def refuse(self, rules: Iterable[Rule]) -> None:
        """Refuse what the user may not do in the host's namespace.

        Raises:
            UnavailableError: Something of it; names it.
        """
        if lacking := missing(self.foothold.api, rules, self.namespace):
            owner, context = self.foothold.owner, self.foothold.context
            raise UnavailableError(
                f"{self.foothold.who()} may not do what a guest of the Argo CD in namespace {self.namespace} needs",
                why=f"not allowed in namespace {self.namespace}: {summary(lacking)}",
                hint="what an administrator must grant:"
                f" ./inv role --name {owner.name} --context {context} --argocd {self.namespace}",
            )

    def is_prepared(self) -> bool:
        """Say whether an administrator has made the Role.

        Raises:
            UnavailableError: There is one of that name which is somebody else's.
        """
        found = self.foothold.api.get(_RBAC, "Role", self._role, self.namespace)
        if found is None:
            return False
        labels = found["metadata"].get("labels") or {}
        if labels.get(PREPARED_LABEL) == self.foothold.owner.name:
            return True
        _demand_ours(f"Role {self._role}", self.namespace, labels, self.foothold.owner)
        return False

    def admit(self, names: HomeNames) -> None:
        """Let the service account have these names there.

        Raises:
            UnavailableError: The user may not, or the Role was made by an administrator and does not hold them.
        """
        owner = self.foothold.owner
        if self.is_prepared():
            self.refuse(guest_rules(self._role, names))
            return
        account = {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": own_namespace(owner.name)}
        self.foothold.api.apply(role(self._role, self.namespace, guest_rules(self._role, names), owner.labels))
        self.foothold.api.apply(role_binding(self._role, self.namespace, self._role, [account], owner.labels))

    def grants(self, names: HomeNames) -> list[dict[str, Any]]:
        """Describe what an administrator has to apply there: a Role, bound to the user and to the service account."""
        owner = self.foothold.owner
        labels = {PREPARED_LABEL: owner.name}
        account = {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": own_namespace(owner.name)}
        subjects = [{"kind": "User", "name": self.foothold.who()}, account]
        all_names = HomeNames.joined([HomeNames(secrets=(git_secret_name(owner.name),)), names])
        return [
            role(self._role, self.namespace, guest_rules(self._role, all_names), labels),
            role_binding(self._role, self.namespace, self._role, subjects, labels),
        ]


@dataclass(frozen=True, slots=True)
class GuestHome:
    """The namespace of somebody else's Argo CD: a story has its names there, and can see no other.

    Attributes:
        kubeconfig: The user's.
        context: Which context of it.
        owner: The sandbox.
        folder: Its state folder.
        namespace: Where that Argo CD is.
    """

    kubeconfig: str
    context: str
    owner: Owner
    folder: Path
    namespace: str

    @property
    def labels(self) -> Mapping[str, str]:
        """The sandbox's."""
        return self.owner.labels

    def admit(self, api: KubeApi, names: HomeNames) -> None:
        """Have the service account's Role hold these names, unless one of them is somebody else's.

        Raises:
            UnavailableError: It is, or the Role can't hold them; says why.
            DeadlineError: The Role does not come into force.
        """
        wanted, held = "the Role of the sandbox to be free", "another story is let in"
        # Two stories that begin at once would each write a Role without the other's names.
        with locked(self.folder / ".argocd.lock", Mode.ALONE, Deadline.after(_LOCK_SECONDS), wanted=wanted, held=held):
            self._admit(api, names)

    def _admit(self, api: KubeApi, names: HomeNames) -> None:
        rules = guest_rules(role_name(self.owner.name), names)
        if not missing(api, rules, self.namespace):
            self._note(names)
            self._demand_ours(api, names)
            return
        host = ArgocdHost(Foothold(self.kubeconfig, self.context, self.owner), self.namespace)
        host.refuse(rules)
        self._demand_ours(host.foothold.api, names)
        host.admit(self._note(names))
        wait_for(
            lambda: self._in_force(api, rules),
            Deadline.after(_IN_FORCE_SECONDS),
            wanted=f"Role {role_name(self.owner.name)} in {self.namespace} to be in force",
            every=0.1,
        )

    def _note(self, names: HomeNames) -> HomeNames:
        """Note names before they are used: of what is broken off, ``down`` still finds what there may be."""
        whole = HomeNames.joined([noted_names(self.folder)[1], names])
        write_json(self.folder / _NOTES, {"namespace": self.namespace, **asdict(whole)})
        return whole

    def _in_force(self, api: KubeApi, rules: Sequence[Rule]) -> Observation:
        lacking = missing(api, rules, self.namespace)
        return pending(f"not allowed yet: {summary(lacking)}") if lacking else met("allowed")

    def _demand_ours(self, api: KubeApi, names: HomeNames) -> None:
        for kind, name in names.objects():
            if found := api.get(ARGOCD_API, kind, name, self.namespace):
                _demand_ours(f"{kind} {name}", self.namespace, found["metadata"].get("labels") or {}, self.owner)
        for name in names.secrets:
            if (labels := _labels_of_secret(api, name, self.namespace)) is not None:
                _demand_ours(f"Secret {name}", self.namespace, labels, self.owner)

    def held(self, api: KubeApi, names: HomeNames) -> Mapping[str, list[dict[str, Any]]]:
        """Give what stands there of these names and carries the sandbox's mark."""
        found: dict[str, list[dict[str, Any]]] = {"ApplicationSet": [], "Application": [], "AppProject": []}
        for kind, name in names.objects():
            item = api.get(ARGOCD_API, kind, name, self.namespace)
            if item is not None and _is_ours(item, self.owner):
                found[kind].append(item)
        return found

    def open_to(self, api: KubeApi, namespaces: Sequence[str], known: Sequence[str]) -> None:
        """Do nothing: the host may fill them all."""


def leave_host(foothold: Foothold, folder: Path, deadline: Deadline) -> None:
    """Delete what a sandbox has in the namespace of the Argo CD that it is a guest of.

    Applications go as their owner's would: Argo CD deletes what is theirs. Where it does not, they are freed of it.

    Args:
        foothold: The user's identity.
        folder: The sandbox's state folder; one that is no guest has noted nothing there.
        deadline: For all of it together.

    Raises:
        KubeError: Something may not be deleted.
        DeadlineError: Something stays; names it.
    """
    namespace, names = noted_names(folder)
    if not namespace:
        return
    api, owner = foothold.api, foothold.owner
    for part in (HomeNames(applications=names.applications), HomeNames(projects=names.projects)):
        _end(api, namespace, part.objects(), owner, deadline)
    for name in names.secrets:
        labels = _labels_of_secret(api, name, namespace)
        if labels is not None and owner.labels.items() <= labels.items():
            api.delete("v1", "Secret", name, namespace)
    if not ArgocdHost(foothold, namespace).is_prepared():
        for kind in ("RoleBinding", "Role"):
            api.delete(_RBAC, kind, role_name(owner.name), namespace)


def ways_to_leave(folder: Path, owner: Owner) -> str:
    """Give the words of kubectl that delete what a sandbox may have with a host; empty where it is no guest."""
    namespace, _ = noted_names(folder)
    selector = next(f"{key}={value}" for key, value in owner.labels.items())
    return f"--namespace {namespace} delete {_LEFT} --selector {selector}" if namespace else ""


def _end(api: KubeApi, namespace: str, objects: Sequence[tuple[str, str]], owner: Owner, deadline: Deadline) -> None:
    """Delete objects of Argo CD and wait until they are gone; those that it does not end itself are freed."""
    mine = [(kind, name) for kind, name in objects if _is_ours(_found(api, namespace, kind, name), owner)]
    for kind, name in mine:
        api.delete(ARGOCD_API, kind, name, namespace)

    def gone() -> Observation:
        left = [f"{kind} {name}" for kind, name in mine if _found(api, namespace, kind, name)]
        return pending(f"still there: {', '.join(left)}") if left else met("gone")

    wanted = f"what the sandbox had in namespace {namespace} to be gone"
    try:
        wait_for(gone, Deadline.after(min(_PROPER_SECONDS, deadline.remaining())), wanted=wanted, every=0.3)
    except DeadlineError:
        for kind, name in mine:
            if _found(api, namespace, kind, name):
                api.merge(ARGOCD_API, kind, name, namespace, {"metadata": {"finalizers": None}})
        wait_for(gone, deadline, wanted=wanted, every=0.3)


def _found(api: KubeApi, namespace: str, kind: str, name: str) -> dict[str, Any] | None:
    try:
        return api.get(ARGOCD_API, kind, name, namespace)
    except KubeError as error:
        # Where the type itself is gone, with the Argo CD.
        if error.status == _NOT_FOUND:
            return None
        raise


def _is_ours(item: Mapping[str, Any] | None, owner: Owner) -> bool:
    return item is not None and owner.labels.items() <= (item["metadata"].get("labels") or {}).items()


def _labels_of_secret(api: KubeApi, name: str, namespace: str) -> Mapping[str, str] | None:
    """Give the labels of a Secret and have nothing else of it sent; None where there is none."""
    path = api.resource("v1", "Secret").path(namespace, name)
    try:
        return dict(api.request("GET", path, accept=_METADATA)["metadata"].get("labels") or {})
    except KubeError as error:
        if error.status == _NOT_FOUND:
            return None
        raise


def _demand_ours(thing: str, namespace: str, labels: Mapping[str, str], owner: Owner) -> None:
    if not owner.labels.items() <= labels.items():
        raise UnavailableError(
            f"there is {thing} in namespace {namespace} already, which is not of this sandbox",
            why="it does not carry the sandbox's labels, so it is neither changed nor removed",
            hint="see whose it is, or choose another --name",
        )
