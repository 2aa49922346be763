"""What a repository is found to hold, and which Applications it gets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sandbox.gitops.own.copying import copied
from sandbox.gitops.own.findings import Level
from sandbox.gitops.own.layout import Layout
from sandbox.gitops.own.planning import Plan, planned
from tests.own_repositories import ADDRESS, UserRepository, application, deployment

CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: it}\n"


@pytest.fixture
def repository(tmp_path: Path) -> UserRepository:
    return UserRepository(tmp_path / "environments")


def layout_of(repository: UserRepository) -> Layout:
    copy = copied(str(repository.folder), repository.folder.parent / "copy")
    return Layout(copy.repository, copy.repository.revision("HEAD"))


def plan_of(repository: UserRepository, *, below: str = "", prefix: str = "", rendered: Any = ()) -> Plan:
    return planned(
        layout_of(repository), ADDRESS, home="argocd", below=below, prefix=prefix, render=lambda _: list(rendered)
    )


def roots(plan: Plan) -> list[str]:
    return sorted(each.name for each in plan.roots)


def application_set(name: str, path: str) -> str:
    return f"""\
apiVersion: argoproj.io/v1alpha1
kind: ApplicationSet
metadata: {{name: {name}}}
spec:
  generators: [{{git: {{repoURL: {ADDRESS}, directories: [{{path: "{path}"}}]}}}}]
  template: {{metadata: {{name: x}}, spec: {{source: {{repoURL: {ADDRESS}, path: "{{{{path}}}}"}}}}}}
"""


def test_what_an_app_of_apps_deploys_is_left_to_it(repository: UserRepository) -> None:
    repository.write(
        {
            "root.yaml": application("root", "apps"),
            "apps/one.yaml": application("one", "manifests/one"),
            "apps/deeper/two.yaml": application("two", "manifests/two"),
        }
    )
    assert roots(plan_of(repository)) == ["root", "two"]


def test_an_app_of_apps_that_recurses_deploys_what_lies_deeper_too(repository: UserRepository) -> None:
    root = application("root", "apps").replace('path: "apps"', "path: apps\n    directory: {recurse: true}")
    repository.write({"root.yaml": root, "apps/deeper/two.yaml": application("two", "x")})
    assert roots(plan_of(repository)) == ["root"]


def test_what_an_app_of_apps_takes_through_a_kustomization_is_left_to_it(repository: UserRepository) -> None:
    repository.write(
        {
            "root.yaml": application("root", "apps/production"),
            "apps/production/kustomization.yaml": "resources: [../base, extra.yaml]\n",
            "apps/production/extra.yaml": application("extra", "x"),
            "apps/base/kustomization.yaml": "resources: [web.yaml]\n",
            "apps/base/web.yaml": application("web", "x"),
            "apps/base/forgotten.yaml": application("forgotten", "x"),
        }
    )
    assert roots(plan_of(repository)) == ["forgotten", "root"]


def test_manifests_are_counted_and_nothing_else_that_is_written_in_yaml(repository: UserRepository) -> None:
    repository.write(
        {
            "one.yaml": f"{application('one', 'x')}\n---\n{application('two', 'x')}",
            "x/kustomization.yaml": "resources: [three.yaml]\n",
            "x/three.yaml": application("three", "y"),
            "x/values.yaml": "replicas: 3\n",
            ".github/workflow.yaml": application("hidden", "x"),
        }
    )
    assert layout_of(repository).manifests == 3


def test_what_an_application_set_deploys_by_its_folders_is_left_to_it(repository: UserRepository) -> None:
    repository.write(
        {"set.yaml": application_set("fleet", "clusters/*"), "clusters/one/app.yaml": application("a", "x")}
    )
    assert roots(plan_of(repository)) == ["fleet"]


def test_an_application_of_another_repository_deploys_nothing_of_this_one(repository: UserRepository) -> None:
    elsewhere = application("elsewhere", "apps", address="https://git.example.com/other/repository.git")
    repository.write({"root.yaml": elsewhere, "apps/one.yaml": application("one", "x")})
    assert roots(plan_of(repository)) == ["elsewhere", "one"]


def test_a_circle_of_applications_is_named_and_entered_at_one_place(repository: UserRepository) -> None:
    repository.write(
        {
            "one/second.yaml": application("second", "two"),
            "two/third.yaml": application("third", "three"),
            "three/first.yaml": application("first", "one"),
        }
    )
    plan = plan_of(repository)
    assert len(plan.roots) == 1
    [found] = plan.findings
    assert found.level is Level.ERROR
    assert all(f"Application {name}" in found.thing for name in ("first", "second", "third"))


def test_an_application_that_deploys_its_own_file_is_no_circle(repository: UserRepository) -> None:
    plan = plan_of(repository.write({"argocd/self.yaml": application("self", "argocd")}))
    assert (roots(plan), plan.findings) == (["self"], [])


def test_applications_below_a_kustomization_are_created_as_that_renders_them(repository: UserRepository) -> None:
    repository.write(
        {"argocd/kustomization.yaml": "resources: [app.yaml]\n", "argocd/app.yaml": application("web", "x")}
    )
    made = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": {"name": "team-web"}, "spec": {}}
    other = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}}
    plan = plan_of(repository, rendered=[made, other])
    assert roots(plan) == ["team-web"]
    assert "ConfigMap settings" in plan.findings[0].what


def test_a_patch_of_an_application_is_no_application(repository: UserRepository) -> None:
    patch = "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: web}\nspec: {project: other}\n"
    assert roots(plan_of(repository.write({"patch.yaml": patch, "cm.yaml": CONFIG_MAP}))) == ["root"]


def test_a_list_and_a_file_of_several_documents_are_looked_into(repository: UserRepository) -> None:
    both = application("one", "x") + "---\n" + application("two", "y")
    indented = "".join(f"  {line}\n" for line in application("three", "z").splitlines())
    repository.write({"many.yaml": both, "list.yaml": f"apiVersion: v1\nkind: List\nitems:\n-{indented[1:]}"})
    assert roots(plan_of(repository)) == ["one", "three", "two"]


def test_only_what_lies_below_the_folder_that_was_given_is_created(repository: UserRepository) -> None:
    repository.write({"a/one.yaml": application("one", "x"), "b/two.yaml": application("two", "y")})
    assert roots(plan_of(repository, below="b")) == ["two"]


def test_where_nothing_is_declared_each_environment_gets_an_application(repository: UserRepository) -> None:
    repository.write(
        {
            "web/base/kustomization.yaml": "resources: [deploy.yaml]\n",
            "web/base/deploy.yaml": deployment("web"),
            "web/overlays/dev/kustomization.yaml": "namespace: web-dev\nresources: [../../base]\n",
            "web/components/tls/kustomization.yaml": "kind: Component\n",
            "charts/api/Chart.yaml": "apiVersion: v2\nname: api\nversion: 1.0.0\n",
            "charts/api/templates/cm.yaml": CONFIG_MAP,
            "charts/api/charts/inner/Chart.yaml": "apiVersion: v2\nname: inner\nversion: 1.0.0\n",
            "charts/lib/Chart.yaml": "apiVersion: v2\nname: lib\nversion: 1.0.0\ntype: library\n",
            "plain/cm.yaml": CONFIG_MAP,
            ".github/workflows/ci.yaml": CONFIG_MAP,
            "docs/notes.yaml": "just: notes\n",
        }
    )
    plan = plan_of(repository, prefix="mine")
    assert plan.proposed
    assert roots(plan) == ["mine-charts-api", "mine-plain", "mine-web-overlays-dev"]
    by_name = {each.name: each.manifest["spec"] for each in plan.roots}
    assert by_name["mine-web-overlays-dev"]["destination"]["namespace"] == "web-dev"
    assert by_name["mine-plain"]["source"] == {"repoURL": ADDRESS, "targetRevision": "HEAD", "path": "plain"}


def test_a_chart_that_makes_applications_is_the_one_that_is_created(repository: UserRepository) -> None:
    repository.write(
        {
            "apps/Chart.yaml": "apiVersion: v2\nname: apps\nversion: 1.0.0\n",
            "apps/templates/web.yaml": "{{ if true }}\n" + application("web", "web") + "{{ end }}\n",
            "web/cm.yaml": CONFIG_MAP,
        }
    )
    plan = plan_of(repository)
    assert roots(plan) == ["apps"]
    assert plan.roots[0].manifest["spec"]["destination"]["namespace"] == "argocd"


def test_a_folder_with_a_long_name_gets_a_name_that_the_api_server_takes(repository: UserRepository) -> None:
    deep = "/".join(["a-rather-long-folder-name"] * 6)
    [root] = plan_of(repository.write({f"{deep}/cm.yaml": CONFIG_MAP})).roots
    assert len(root.name) <= 50


def test_symbolic_links_that_lead_out_are_named_and_those_within_are_not(repository: UserRepository) -> None:
    repository.write({"apps/cm.yaml": CONFIG_MAP})
    links = {
        "apps/absolute": "/etc/passwd",
        "apps/above": "../../other",
        "apps/out-and-in": "../../environments/apps/cm.yaml",
        "apps/within": "../apps/cm.yaml",
        "apps/dangling": "nothing",
    }
    for name, target in links.items():
        (repository.folder / name).symlink_to(target)
    assert layout_of(repository).links_outside == {
        name: links[name] for name in ("apps/absolute", "apps/above", "apps/out-and-in")
    }


def test_a_link_is_never_followed_when_a_file_is_read(repository: UserRepository) -> None:
    repository.write({"apps/cm.yaml": CONFIG_MAP})
    (repository.folder / "apps" / "link.yaml").symlink_to("/etc/hostname")
    layout = layout_of(repository)
    assert layout.text("apps/link.yaml") == ""
    assert layout.documents("apps/link.yaml") == []


def test_git_lfs_pointers_are_named(repository: UserRepository) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 12345\n"
    repository.write({"data.bin": pointer, "about.md": "version https://git-lfs.github.com/spec/v1 is a line"})
    assert layout_of(repository).lfs_pointers == ["data.bin"]


def test_files_that_can_not_be_parsed_are_passed_over(repository: UserRepository) -> None:
    (repository.folder / "latin.yaml").write_bytes("name: caf\u00e9\n".encode("latin-1"))
    repository.write({"broken.yaml": "a: [1\nargoproj.io/: }", "date.yaml": "at: 2026-99-99\n", "cm.yaml": CONFIG_MAP})
    assert roots(plan_of(repository)) == ["root"]


@pytest.mark.parametrize(
    "files",
    [
        {"setup/kustomization.yaml": "resources: ['https://github.com/argoproj/argo-cd/manifests/ha?ref=v3.0.0']\n"},
        {"setup/cm.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: argocd-cm\n"},
    ],
)
def test_an_application_that_sets_an_argo_cd_up_is_not_created_beside_the_one_there_is(
    repository: UserRepository, files: dict[str, str]
) -> None:
    own = application("argo-cd", "setup", namespace="argocd")
    repository.write({**files, "apps/argo-cd.yaml": own, "apps/web.yaml": application("web", "web")})
    plan = plan_of(repository)
    assert roots(plan) == ["web"]
    assert "sets an Argo CD up" in plan.findings[0].what
