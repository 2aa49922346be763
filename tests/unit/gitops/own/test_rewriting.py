from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sandbox.gitops.own.rewriting import rewritten, takes_address_from_values

OWN = "https://git.example.com/team/environments.git"
MIRROR = "http://127.0.0.1:4242/own/environments/environment.git"
MIRRORS = {"git.example.com/team/environments": MIRROR}


def done(text: str, path: str = "app.yaml", *, values: bool = False) -> str:
    return rewritten(text, MIRRORS, path=path, values=values)


APPLICATION = f"""\
# See {OWN}
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata:
  name: "wéb"   # not ASCII, and wide: 😀
  annotations: {{link: {OWN}}}
spec:
  source:
    repoURL:   '{OWN}'   # ours
    path: apps/web
"""


def test_only_the_address_is_replaced_and_every_comment_and_space_stays() -> None:
    assert done(APPLICATION) == APPLICATION.replace(f"'{OWN}'", f"'{MIRROR}'")


@pytest.mark.parametrize(
    "line",
    [
        "repoURL: git@git.example.com:team/environments",
        'repoURL: "https://git.example.com/Team/Environments"',
        "- repoURL: &own https://git.example.com/team/environments.git",
        '{"repoURL": "https://git.example.com/team/environments.git", "path": "x"}',
        "- repoURL=https://git.example.com/team/environments.git",
        "{repoURL: https://git.example.com/team/environments.git, path: x}",
    ],
)
def test_however_a_repo_url_is_written_it_names_the_mirror_then(line: str) -> None:
    assert MIRROR in done(line)


@pytest.mark.parametrize(
    "line",
    [
        "# repoURL: https://git.example.com/team/environments.git",
        "repoURL: https://git.example.com/team/environments-old.git",
        "repoURL: https://git.example.com/team/environments/more",
        "repoURL: https://other.example.com/team/environments.git",
        "homepage: https://git.example.com/team/environments.git",
        "otherrepoURL: https://git.example.com/team/environments.git",
        "repoURL: {{ .Values.address }}",
    ],
)
def test_what_is_no_repo_url_of_ours_stays(line: str) -> None:
    assert done(line) == line


def test_a_repo_url_in_a_helm_template_is_replaced_though_it_is_no_yaml() -> None:
    text = "{{- range .Values.x }}\nspec: {source: {repoURL: " + OWN + "}}\n{{- end }}"
    assert done(text) == text.replace(OWN, MIRROR)


def test_a_json_patch_that_sets_the_repo_url_names_the_mirror() -> None:
    text = f"- op: replace\n  path: /spec/source/repoURL\n  value: {OWN}\n"
    assert done(text, "patch.yaml") == text.replace(OWN, MIRROR)


def test_an_application_set_names_the_mirror_in_generators_elements_and_parameters() -> None:
    text = f"""\
apiVersion: argoproj.io/v1alpha1
kind: ApplicationSet
metadata: {{annotations: {{see: {OWN}}}}}
spec:
  generators:
  - matrix: {{generators: [{{git: {{repoURL: {OWN}}}}}, {{list: {{elements: [{{repo: '{OWN}'}}]}}}}]}}
  template: {{spec: {{source: {{repoURL: '{{{{repo}}}}', helm: {{parameters: [{{name: r, value: {OWN}}}]}}}}}}}}
"""
    spec = yaml.safe_load(done(text))
    assert str(spec["spec"]).count(MIRROR) == 3
    assert spec["metadata"]["annotations"]["see"] == OWN


def project(*repositories: str) -> str:
    items = "".join(f"  - {each}\n" for each in repositories)
    return f"apiVersion: argoproj.io/v1alpha1\nkind: AppProject\nspec:\n  sourceRepos:\n{items}"


def allowed(text: str) -> list[str]:
    found: Any = yaml.safe_load(text)["spec"]["sourceRepos"]
    return list(found)


def test_a_project_allows_the_mirror_where_it_allowed_the_repository() -> None:
    assert allowed(done(project(OWN, "https://other/x"))) == [MIRROR, "https://other/x"]


def test_a_project_that_allows_or_denies_by_a_pattern_says_the_same_of_the_mirror() -> None:
    text = project(
        "https://git.example.com/team/*", "'!https://git.example.com/team/env*'", "https://git.example.com/x/*"
    )
    assert allowed(done(text)) == [
        "https://git.example.com/team/*",
        MIRROR,
        "!https://git.example.com/team/env*",
        f"!{MIRROR}",
        "https://git.example.com/x/*",
    ]


def test_a_project_that_allows_everything_is_left_alone() -> None:
    assert done(project("'*'")) == project("'*'")


def test_the_values_of_a_chart_that_takes_its_address_from_them_name_the_mirror() -> None:
    text = f"git:\n  address: {OWN}\nhome: see {OWN}\n"
    assert done(text, "apps/values.yaml", values=True) == text.replace(f"address: {OWN}", f"address: {MIRROR}")
    assert done(text, "apps/values.yaml") == text


def test_a_template_says_whether_its_address_is_a_value() -> None:
    assert takes_address_from_values('source: {repoURL: "{{ .Values.git }}"}'.replace("{repoURL", "repoURL"))
    assert not takes_address_from_values(f"repoURL: {OWN}")


def test_a_submodule_by_a_relative_address_gets_its_mirror() -> None:
    text = '[submodule "base"]\n\tpath = base\n\turl = ../base.git\n'
    assert rewritten(text, {"../base.git": MIRROR}, path=".gitmodules") == text.replace("../base.git", MIRROR)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_a_text_that_does_not_name_the_repository_is_never_changed(text: str) -> None:
    assert done(text) == text


@given(st.text(alphabet="ab: \n-{}'\"é😀", max_size=40), st.text(alphabet="ab \n#é😀", max_size=20))
def test_whatever_stands_around_a_repo_url_stays(before: str, after: str) -> None:
    text = f"{before}\nrepoURL: {OWN}\n{after}"
    assert done(text) == f"{before}\nrepoURL: {MIRROR}\n{after}"
