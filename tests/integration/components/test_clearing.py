"""Clearing a tenant, by a real API server, its controllers and a real registry."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sandbox.components.base import Context
from sandbox.components.cluster_state import etcd_of
from sandbox.components.written import Revision, Written
from sandbox.core.commands import run
from sandbox.core.conditions import Deadline, Observation, met, pending, wait_for
from sandbox.engines.access import Access
from sandbox.engines.embedded import Embedded
from sandbox.engines.records import Record
from sandbox.gitops.clearing import clear_tenant
from sandbox.gitops.registry import RegistryView
from sandbox.gitops.tenant import Tenant, Tenants
from sandbox.gitops.world import World
from sandbox.kube.api import KubeApi
from sandbox.servers.ci_runs import RunStore
from sandbox.servers.repositories import create_repository, list_repositories
from tests.e2e.support import crane_account
from tests.integration.components.conftest import Bring

API = "argoproj.io/v1alpha1"
PARTS = ("etcd", "kube-controller-manager", "registry")


@pytest.fixture(scope="module")
def context(brought_up: Bring) -> Iterator[Context]:
    with brought_up(*PARTS, tools=Embedded.tools) as made:
        yield made


@pytest.fixture
def access(context: Context) -> Access:
    record = Record.load(context.name)
    assert record is not None
    return Embedded().access(record, context.tools)


@pytest.fixture
def api(context: Context) -> Iterator[KubeApi]:
    api = KubeApi(context.folder / "kubeconfig")
    yield api
    api.close()


@pytest.fixture
def tenant(access: Access, api: KubeApi) -> Iterator[Tenant]:
    one = Tenant(f"t{secrets.token_hex(4)}")
    Tenants(access.folder).add(one)
    yield one
    # To its end: what a namespace's deletion still takes away would be missing from what the next test counts.
    clear_tenant(access, api, one)


def made(api: KubeApi, kind: str, name: str, namespace: str | None = None, **more: Any) -> dict[str, Any]:
    """Make an object of the core group."""
    metadata = {"name": name, **({"namespace": namespace} if namespace else {}), **more.pop("metadata", {})}
    return api.create({"apiVersion": "v1", "kind": kind, "metadata": metadata, **more})


def application(api: KubeApi, name: str, **spec: Any) -> dict[str, Any]:
    source = {"repoURL": "https://git.example.com/else.git", "path": "."}
    destination = {"server": "https://kubernetes.default.svc", "namespace": "default"}
    manifest = {
        "apiVersion": API,
        "kind": "Application",
        "metadata": {
            "name": name,
            "namespace": "argocd",
            "finalizers": ["resources-finalizer.argocd.argoproj.io"],
        },
        "spec": {"project": "default", "source": source, "destination": destination, **spec},
    }
    return api.create(manifest)


def names(api: KubeApi) -> set[str]:
    """Name everything that there is, of every kind."""
    kinds = [kind for kind in api.kinds() if "list" in kind.verbs]
    return {
        f"{kind.plural} {each.get('namespace', '')}/{each['name']}" for kind in kinds for each in api.metadata(kind)
    }


def settled(api: KubeApi) -> set[str]:
    """Name everything once every namespace has what its controllers give it."""

    def look() -> Observation:
        found = names(api)
        spaces = {each.rpartition("/")[2] for each in found if each.startswith("namespaces ")}
        given = ("configmaps {}/kube-root-ca.crt", "serviceaccounts {}/default")
        missing = [each.format(space) for space in spaces for each in given if each.format(space) not in found]
        return pending(f"missing: {missing}") if missing else met("")

    wait_for(look, Deadline.after(30), wanted="the controllers to have come to rest")
    return {each for each in names(api) if not each.startswith(("leases ", "events "))}


@pytest.mark.parametrize("seen_before", [False, True], ids=["never seen before", "seen when nothing of it was there"])
def test_all_that_a_tenant_has_made_goes_and_nothing_else(
    api: KubeApi, access: Access, tenant: Tenant, *, seen_before: bool
) -> None:
    if seen_before:
        clear_tenant(access, api, tenant)
        Tenants(access.folder).add(tenant)
    other, longer = Tenant(f"o{tenant.name}"), Tenant(f"{tenant.name}-two")
    for each in (other, longer):
        Tenants(access.folder).add(each)
        made(api, "Namespace", f"{each.name}-space")
        create_repository(access.repositories, each.environment)
    before, repositories = settled(api), list_repositories(access.repositories)

    made(api, "Namespace", f"{tenant.name}-greeter-dev")
    made(api, "Namespace", f"{tenant.name}-further")
    made(api, "Namespace", "where-it-is-deployed-to")
    made(api, "ConfigMap", "settings", f"{tenant.name}-further", data={"a": "1"})
    made(api, "Secret", f"{tenant.name}-password", "argocd")
    made(api, "PersistentVolume", f"{tenant.name}-disk", spec=DISK)
    url = f"{access.git.url}/{tenant.name}/anything.git"
    to = {"server": "https://kubernetes.default.svc", "namespace": "where-it-is-deployed-to"}
    application(api, "bears-another-name", source={"repoURL": url, "path": "."}, destination=to)
    application(api, f"{tenant.name}-app", project=tenant.project)
    tracked = {"annotations": {"argocd.argoproj.io/tracking-id": "bears-another-name:/ConfigMap:default/smuggled"}}
    made(api, "ConfigMap", "smuggled", "default", metadata=tracked)
    generators: list[Any] = [{"list": {"elements": []}}]
    templated = {"project": tenant.project, "destination": {}, "source": {"repoURL": url, "path": "."}}
    template = {"metadata": {"name": "{{name}}"}, "spec": templated}
    spec = {"generators": generators, "template": template}
    metadata = {"name": "made-of-one", "namespace": "argocd"}
    api.create({"apiVersion": API, "kind": "ApplicationSet", "metadata": metadata, "spec": spec})
    project = {"name": tenant.project, "namespace": "argocd", "finalizers": ["resources-finalizer.argocd.argoproj.io"]}
    api.create({"apiVersion": API, "kind": "AppProject", "metadata": project, "spec": {}})
    for repository in (tenant.source, tenant.environment, f"{tenant.name}/fork"):
        create_repository(access.repositories, repository)
    (access.folder / "work" / tenant.name).mkdir(parents=True)

    assert clear_tenant(access, api, tenant).freed == ()

    assert settled(api) == before
    assert list_repositories(access.repositories) == repositories
    assert not (access.folder / "work" / tenant.name).exists()
    assert tenant.name not in Tenants(access.folder).names()
    for each in (other, longer):
        clear_tenant(access, api, each)


def test_of_each_kind_that_there_is_something_of_it_is_known_whether_it_was_written(
    api: KubeApi, context: Context, tenant: Tenant
) -> None:
    space = f"{tenant.name}-space"
    made(api, "Namespace", space)
    made(api, "Service", "one", space, spec={"ports": [{"port": 80}]})
    made(api, "Endpoints", "two", space)
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    replicas = {"replicas": 0, "selector": {"a": "b"}, "template": template}
    made(api, "ReplicationController", "three", space, spec=replicas)
    backend = {"defaultBackend": {"service": {"name": "one", "port": {"number": 80}}}}
    ingress = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress"}
    api.create({**ingress, "metadata": {"name": "four", "namespace": space}, "spec": backend})
    made(api, "Node", tenant.name)
    written, kinds = Written(etcd_of(context)), api.kinds()
    begin = Revision(etcd_of(context).origin(), 0)
    held = {kind for kind in kinds if {"list", "delete"} <= kind.verbs and api.metadata(kind)}
    found = written.since(begin, kinds)
    assert held <= set(found)
    assert {"nodes", "services", "endpoints", "replicationcontrollers", "ingresses"} <= {kind.plural for kind in held}
    assert len(found) < len(kinds)
    now = written.revision()
    api.delete("v1", "Node", tenant.name)
    api.delete("v1", "Namespace", space)
    made(api, "Secret", tenant.name, "default")
    assert "secrets" in {kind.plural for kind in written.since(now, kinds)}
    assert "storageclasses" not in {kind.plural for kind in written.since(now, kinds)}


DISK = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/nonexistent"}}


def test_what_a_finalizer_holds_is_named_and_freed(api: KubeApi, access: Access, tenant: Tenant) -> None:
    space = f"{tenant.name}-held"
    held = {"finalizers": ["example.com/nobody-takes-this-off"]}
    made(api, "Namespace", space)
    made(api, "ConfigMap", "stuck", space, metadata=held)
    made(api, "PersistentVolume", f"{tenant.name}-disk", spec=DISK, metadata=held)

    freed = clear_tenant(access, api, tenant).freed

    assert sorted(freed) == [
        f"ConfigMap stuck in {space}, held by example.com/nobody-takes-this-off",
        f"PersistentVolume {tenant.name}-disk, held by example.com/nobody-takes-this-off",
    ]
    assert api.get("v1", "Namespace", space) is None
    assert api.get("v1", "PersistentVolume", f"{tenant.name}-disk") is None


def test_a_namespace_that_hangs_in_its_own_deletion_is_taken_up_where_it_hangs(
    api: KubeApi, access: Access, tenant: Tenant
) -> None:
    space = f"{tenant.name}-hangs"
    made(api, "Namespace", space)
    made(api, "ConfigMap", "stuck", space, metadata={"finalizers": ["example.com/hold"]})
    api.delete("v1", "ConfigMap", "stuck", space)
    api.delete("v1", "Namespace", space)

    assert clear_tenant(access, api, tenant).freed == (f"ConfigMap stuck in {space}, held by example.com/hold",)
    assert api.get("v1", "Namespace", space) is None


def test_what_bears_the_name_of_a_tenant_but_is_older_than_it_stays(api: KubeApi, access: Access) -> None:
    tenant = Tenant(f"t{secrets.token_hex(4)}")
    name = f"{tenant.name}-was-here-before"
    made(api, "ConfigMap", name, "default")
    Tenants(access.folder).add(tenant)
    # Times have whole seconds: as if the tenant had come an hour later.
    (access.folder / "tenants" / tenant.name).write_text("2999-01-01T00:00:00Z")

    clear_tenant(access, api, tenant)

    assert api.get("v1", "ConfigMap", name, "default") is not None
    api.delete("v1", "ConfigMap", name, "default")


def test_a_tenants_own_refusing_webhook_does_not_hold_its_objects(api: KubeApi, access: Access, tenant: Tenant) -> None:
    space = f"{tenant.name}-refused"
    made(api, "Namespace", space)
    made(api, "ConfigMap", "stuck", space)
    rule = {"operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}
    hook = {
        "name": "refuse.example.com",
        "clientConfig": {"url": "https://127.0.0.1:1/refuse"},
        "rules": [rule],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": space}},
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": 1,
    }
    group = "admissionregistration.k8s.io/v1"
    metadata = {"name": f"{tenant.name}-refuses"}
    api.create(
        {"apiVersion": group, "kind": "ValidatingWebhookConfiguration", "metadata": metadata, "webhooks": [hook]}
    )

    clear_tenant(access, api, tenant)

    assert api.get("v1", "Namespace", space) is None


def test_the_images_under_its_prefix_go_and_those_of_others_stay(
    api: KubeApi, access: Access, tenant: Tenant, push_image: Any
) -> None:
    digest = push_image(f"{tenant.name}/greeter:1")
    push_image(f"{tenant.name}/greeter:2")
    push_image(f"{tenant.name}x/greeter:1")
    view = RegistryView(access.registry_address, access.registry.user, access.registry.password())
    assert view.tags(f"{tenant.name}/") == {f"{tenant.name}/greeter": ["1", "2"]}

    clear_tenant(access, api, tenant)

    assert view.tags(f"{tenant.name}/") == {}
    assert view.digest(f"{tenant.name}/greeter", digest) is None
    assert view.tags(f"{tenant.name}x/") == {f"{tenant.name}x/greeter": ["1"]}


@pytest.fixture
def push_image(access: Access, tmp_path: Path) -> Any:
    """Give a function that pushes an image of one small layer and returns its digest."""
    crane = str(access.tools["crane"].binary())
    account = crane_account(access.to_json([]), tmp_path)

    def push(name: str) -> str:
        (tmp_path / "file").write_text(name)
        run(["tar", "-cf", tmp_path / "layer.tar", "-C", tmp_path, "file"], timeout=30)
        image = f"{access.registry_address}/{name}"
        run([crane, "append", "--insecure", "-f", tmp_path / "layer.tar", "-t", image], timeout=60, env=account)
        return run([crane, "digest", image], timeout=30, env=account).strip()

    return push


def test_the_records_of_its_runs_go(api: KubeApi, access: Access, tenant: Tenant) -> None:
    store = RunStore(access.runs)
    for name in (tenant.source, "somebody/else"):
        event = {"ref": "refs/heads/main", "after": "a" * 40, "repository": {"full_name": name}}
        run = store.add(event, name)
        assert run is not None
        store.finish(replace(run, status="running").ended("passed", ""))

    clear_tenant(access, api, tenant)

    assert [run.repository for run in store.all()] == ["somebody/else"]


def test_a_world_hears_of_its_application_and_of_that_ones_objects_each_time_it_is_entered(
    access: Access, api: KubeApi, tenant: Tenant
) -> None:
    world = World(access, tenant)
    heard: list[tuple[str, str]] = []
    world.listen(lambda resource, event: heard.append((resource.kind, event["object"]["metadata"].get("name", ""))))
    name = world.dev.name
    for telling in ("first", "second"):
        with world:
            heard.clear()
            made(api, "Namespace", name)
            made(api, "ConfigMap", telling, name)
            spec = {
                "project": "default",
                "destination": {"namespace": name},
                "source": {"repoURL": "http://git.invalid"},
            }
            api.create(
                {
                    "apiVersion": API,
                    "kind": "Application",
                    "metadata": {"name": name, "namespace": "argocd"},
                    "spec": spec,
                }
            )
            wanted = {("Application", name), ("ConfigMap", telling)}

            def heard_of(wanted: set[tuple[str, str]] = wanted) -> Observation:
                return met() if wanted <= {*heard} else pending(f"heard of {heard}")

            wait_for(heard_of, Deadline.after(20), wanted=f"the {telling} telling to hear of both", wake=world.changed)
