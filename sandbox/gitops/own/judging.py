"""The verdict on one Application, once it has come to an end: five questions, and every finding by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sandbox.gitops.argocd_api import ArgocdApi, ArgocdError
from sandbox.gitops.own.explaining import Explanation, cleaned, explained
from sandbox.gitops.own.findings import ApplicationVerdict, Level, Stage
from sandbox.gitops.own.member import End, Member, spec_errors
from sandbox.gitops.own.planning import destination_of, sources_of
from sandbox.gitops.own.proving import differences, placed
from sandbox.gitops.own.references import lacking, pod_specs, unpinned_images
from sandbox.gitops.own.shortcomings import shortcoming, unexplained
from sandbox.kube.api import KubeApi
from sandbox.report import blocking

__all__ = ["Judge"]

Json = dict[str, Any]

_MOST_DIFFERENCES = 10
_WARNINGS = ("SharedResourceWarning", "RepeatedResourceWarning", "ExcludedResourceWarning", "OrphanedResourceWarning")
_API_VERSIONS = {"Deployment": "apps/v1", "ReplicaSet": "apps/v1", "StatefulSet": "apps/v1", "Pod": "v1"}
_ELSEWHERE = "cluster that the sandbox does not know"
_UNKNOWN = Explanation("it can't be rendered", "look at what the message names")
_REFUSED = Explanation("the API server refuses it", "look at what the message names")


class Judge:
    """Reaches verdicts in one sandbox.

    Args:
        api: The cluster.
        argocd: Argo CD.

    Attributes:
        images: Every image that the Applications judged so far name.
    """

    def __init__(self, api: KubeApi, argocd: ArgocdApi) -> None:
        self._api = api
        self._argocd = argocd
        self.images: set[str] = set()

    def verdict(self, member: Member) -> ApplicationVerdict:
        """Give the verdict on an Application.

        Raises:
            KubeError: The API server does not answer as it should.
            UnavailableError: Argo CD does not answer.
        """
        spec, status = member.application["spec"], member.status
        verdict = ApplicationVerdict(
            name=member.name,
            source=", ".join(map(str, sources_of(spec))),
            namespace=destination_of(spec)["namespace"],
            made_by=member.made_by,
            revision=str((status.get("sync") or {}).get("revision") or ""),
            seconds=member.seconds,
            timed_out=member.end is End.LATE,
        )
        if member.end is End.UNRENDERED or spec_errors(status):
            self._unrendered(verdict, status)
        elif (manifests := self._manifests(verdict)) is not None:
            self._rendered(verdict, member, manifests)
        for each in status.get("conditions") or ():
            if each["type"] in _WARNINGS:
                verdict.found(Level.WARNING, "", "Argo CD warns of it", cleaned(each["message"]))
        return verdict

    def _unrendered(self, verdict: ApplicationVerdict, status: Json) -> None:
        verdict.renders = Stage.NO
        for message in spec_errors(status):
            said = explained(message, _UNKNOWN)
            elsewhere = _ELSEWHERE in said.what
            verdict.renders = Stage.UNSEEN if elsewhere else verdict.renders
            level = Level.NOTE if elsewhere else Level.ERROR
            verdict.found(level, verdict.source, said.what, cleaned(message), said.hint)

    def _manifests(self, verdict: ApplicationVerdict) -> list[Json] | None:
        try:
            found = self._argocd.manifests(verdict.name)
        except ArgocdError as error:
            said = explained(error.why, _UNKNOWN)
            verdict.renders = Stage.NO
            verdict.found(Level.ERROR, verdict.source, said.what, cleaned(error.why), said.hint)
            return None
        verdict.renders = Stage.YES
        if not found:
            hint = "check spec.source.path, directory.include and directory.recurse"
            verdict.found(Level.WARNING, verdict.source, "it renders to nothing", hint=hint)
        return found

    def _rendered(self, verdict: ApplicationVerdict, member: Member, manifests: list[Json]) -> None:
        self._sync(verdict, member)
        kept = placed(self._api, manifests, verdict.namespace)
        verdict.objects = len(kept)
        if verdict.synced in (Stage.YES, Stage.LIMITED) or member.end is End.OUT_OF_SYNC:
            self._proof(verdict, member, kept)
        if verdict.synced in (Stage.YES, Stage.LIMITED):
            self._health(verdict, member, kept)
        self._images(verdict, kept)

    # Accepted and synced.

    def _sync(self, verdict: ApplicationVerdict, member: Member) -> None:
        operation = member.operation
        entries = (operation.get("syncResult") or {}).get("resources") or ()
        refused = [each for each in entries if each.get("status") == "SyncFailed"]
        failed_hooks = [
            each for each in entries if each.get("hookPhase") in ("Failed", "Error") and each not in refused
        ]
        in_sync = member.end in (End.HEALTHY, End.LIMITED, End.UNHEALTHY) or _is_synced(member)
        if in_sync:
            verdict.accepted, verdict.synced = Stage.YES, Stage.YES
            self._leftovers(verdict, member)
            return
        taken = failed_hooks or operation.get("phase") == "Succeeded"
        verdict.accepted = Stage.NO if refused else Stage.YES if taken else Stage.UNSEEN
        verdict.synced = Stage.NO
        self._refusals(verdict, refused)
        for each in failed_hooks:
            verdict.found(
                Level.ERROR,
                f"{each.get('hookType', 'hook')} hook {each['kind']} {each['name']}",
                "this hook failed, and the sync with it",
                str(each.get("message") or ""),
                "look at the hook's own log; on an engine without containers a hook is played and says nothing",
            )
        if not refused and not failed_hooks:
            self._unfinished(verdict, member)

    def _refusals(self, verdict: ApplicationVerdict, entries: list[Json]) -> None:
        """Name each object that was refused; those of one cause together."""
        causes: dict[tuple[Explanation, str], list[str]] = {}
        for entry in entries:
            message = cleaned(str(entry.get("message") or ""))
            group = f".{entry['group']}" if entry.get("group") else ""
            thing = f"{entry['kind']}{group} {entry['name']}"
            causes.setdefault((explained(message, _REFUSED), message), []).append(thing)
        for (said, message), things in causes.items():
            verdict.found(Level.ERROR, ", ".join(things), said.what, message, said.hint)

    def _unfinished(self, verdict: ApplicationVerdict, member: Member) -> None:
        message = cleaned(str(member.operation.get("message") or member.seen))
        if member.end is End.OUT_OF_SYNC:
            for each in member.status.get("resources") or ():
                if each.get("status") == "OutOfSync":
                    why = self._argocd.difference(verdict.name, each["kind"], each["name"])
                    verdict.found(
                        Level.ERROR,
                        f"{each['kind']} {each['name']}",
                        "it is out of sync right after a sync that succeeded",
                        why or "something changes it, or another Application has it too",
                        "write it as the API server keeps it, or name the field in spec.ignoreDifferences",
                    )
            return
        said = explained(message, Explanation("its sync did not succeed", "look at what the message names"))
        if member.end is End.STUCK and member.operation.get("phase") == "Succeeded":
            message = member.seen
            said = Explanation("Argo CD does not get further", "see what its application controller logs: --keep")
        elif member.end is End.STUCK:
            said = Explanation("its sync does not come to an end", "mend what it waits for: a wave, or a hook")
        elif member.end is End.LATE:
            message = message or member.seen
            said = Explanation("its sync was still running when the time was over", "give it more: --within SECONDS")
        verdict.found(Level.ERROR, verdict.source, said.what, message, said.hint)

    def _leftovers(self, verdict: ApplicationVerdict, member: Member) -> None:
        for each in member.status.get("resources") or ():
            if each.get("requiresPruning"):
                verdict.synced = Stage.LIMITED
                verdict.found(
                    Level.WARNING,
                    f"{each['kind']} {each['name']}",
                    "Git no longer has it, and it lives on, since the Application does not prune",
                    hint="spec.syncPolicy.automated.prune, or delete it by hand",
                )

    # Proved and healthy.

    def _proof(self, verdict: ApplicationVerdict, member: Member, kept: list[Json]) -> None:
        found = list(differences(self._api, kept, member.application))
        verdict.proved = Stage.NO if found else Stage.YES
        for each in found[:_MOST_DIFFERENCES]:
            verdict.found(
                Level.ERROR,
                str(each.key),
                "it does not live as it was rendered",
                each.said,
                "something changed it after the sync, or another Application has it too",
            )
        if len(found) > _MOST_DIFFERENCES:
            verdict.found(Level.ERROR, "", f"{len(found) - _MOST_DIFFERENCES} more objects differ")

    def _health(self, verdict: ApplicationVerdict, member: Member, kept: list[Json]) -> None:
        verdict.healthy = {End.HEALTHY: Stage.YES, End.LIMITED: Stage.LIMITED}.get(member.end or End.LATE, Stage.NO)
        bad = [each for each in member.nodes if (each.get("health") or {}).get("status") not in (None, "Healthy")]
        if verdict.healthy is not Stage.YES:
            self._unhealthy(verdict, member, bad)
        for each in lacking(self._api, kept, verdict.namespace):
            verdict.found(each.level, each.thing, each.what, each.why, each.hint)
            if each.level is Level.ERROR:
                verdict.healthy = Stage.NO

    def _unhealthy(self, verdict: ApplicationVerdict, member: Member, bad: list[Json]) -> None:
        for node in bad:
            if why := shortcoming(node):
                verdict.found(Level.NOTE, _thing(node), "whether it gets ready can't be shown here", why)
        left = unexplained(bad)
        for each in blocking.of_objects(self._live(left)):
            verdict.found(Level.ERROR, each.thing, *_reason(each.why))
        for one in left:
            health = one.get("health") or {}
            if message := health.get("message"):
                verdict.found(Level.ERROR, _thing(one), f"it is {health.get('status')}", message)
        if verdict.healthy is Stage.NO and not any(each.level is Level.ERROR for each in verdict.findings):
            verdict.found(
                Level.ERROR, "", "it did not become healthy", member.seen, "argocd app get, kubectl get events"
            )

    def _live(self, nodes: Iterable[Mapping[str, Any]]) -> list[Json]:
        found = []
        for node in nodes:
            if node["kind"] in _API_VERSIONS:
                api_version = _API_VERSIONS[node["kind"]]
                live = self._api.get(api_version, node["kind"], node["name"], node.get("namespace"))
                found += [{"apiVersion": api_version, "kind": node["kind"], **live}] if live else []
        return found

    def _images(self, verdict: ApplicationVerdict, kept: list[Json]) -> None:
        for thing, image in unpinned_images(kept):
            verdict.found(
                Level.WARNING,
                thing,
                f"the image {image} may be another one tomorrow",
                "it is named by latest, or by no tag at all",
                "name a tag that is never moved, or a digest",
            )
        self.images |= {str(each.get("image")) for _, spec in pod_specs(kept) for each in spec.get("containers") or ()}


def _is_synced(member: Member) -> bool:
    running = member.operation.get("phase") in ("Running", "Terminating", "Failed", "Error")
    return (member.status.get("sync") or {}).get("status") == "Synced" and not running


def _thing(node: Mapping[str, Any]) -> str:
    return f"{node['kind']} {node['name']}"


def _reason(why: str) -> tuple[str, str, str]:
    """Give what, why and what to do of a container or a workload that does not come up."""
    reason, _, message = why.partition(": ")
    # Where its registry does not answer, containerd repeats what the sandbox's mirror said before: not found.
    pulls = "check the name and tag, and that this machine reaches the registry; a private one needs an imagePullSecret"
    pull = ("its image can't be pulled", pulls)
    known = {
        "ErrImagePull": pull,
        "ImagePullBackOff": pull,
        "InvalidImageName": ("its image has no valid name", "mend the image"),
        "CreateContainerConfigError": (
            "it can't be started: something that it refers to is missing",
            "see the message",
        ),
        "CrashLoopBackOff": ("its container ends again and again", "look at its log: kubectl logs --previous"),
        "FailedCreate": ("its pods are refused", "see the message"),
        "ProgressDeadlineExceeded": ("its rollout has passed its deadline", "look at its pods"),
    }
    what, hint = known.get(reason, (f"it does not come up: {reason}", "see the message"))
    return what, message, hint
