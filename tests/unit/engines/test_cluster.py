from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from sandbox.cli.own_repository import demand_whole_cluster
from sandbox.components.existing.guest_of_argocd import GuestOfArgocd
from sandbox.core.errors import UnavailableError, UsageError
from sandbox.core.timeline import Timeline
from sandbox.engines import kubeconfig
from sandbox.engines.cluster import Cluster
from sandbox.engines.cluster_guest import ClusterGuest
from sandbox.engines.engine import LeftBehindError
from sandbox.engines.records import Record, Shape, known_names
from sandbox.engines.sandboxes import ENGINES, UpOptions, down, engine_of, up
from scenarios import catalogue

# Nobody listens on the discard port.
SERVER = "https://127.0.0.1:9"


@pytest.fixture(autouse=True)
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the kubeconfig of somebody with two clusters, of which neither answers."""
    names = ("team", "other")
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "other",
        "clusters": [{"name": name, "cluster": {"server": SERVER}} for name in names],
        "users": [{"name": name, "user": {"token": "t"}} for name in names],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}} for name in names],
    }
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(config))
    monkeypatch.setenv("KUBECONFIG", str(path))
    return path


def test_the_current_context_is_never_taken_and_those_that_there_are_are_named(state: Path) -> None:
    with pytest.raises(UsageError, match="needs the name of a context") as refused:
        up("box", UpOptions("cluster"), Timeline())
    assert "one of: other, team" in refused.value.hint
    assert not (state / "box").exists()


def test_a_context_that_there_is_not_is_refused_with_those_that_there_are(state: Path) -> None:
    with pytest.raises(UsageError, match="there is no context 'tean'; did you mean 'team'"):
        up("box", UpOptions("cluster", context="tean"), Timeline())
    assert not (state / "box").exists()


def test_without_a_kubeconfig_there_is_nothing_to_choose_from(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(UsageError, match="no context to choose from") as refused:
        Cluster().place("team")
    assert str(tmp_path / "none") in refused.value.why


@pytest.mark.parametrize("engine", [name for name in ENGINES if name != "cluster"])
def test_an_engine_that_makes_its_own_cluster_takes_no_context(engine: str) -> None:
    with pytest.raises(UsageError, match="makes a cluster of its own"):
        up("box", UpOptions(engine, context="team"), Timeline())


def test_a_kubeconfig_without_a_current_context_is_as_good_as_any(mine: Path) -> None:
    mine.write_text(mine.read_text().replace("current-context: other", 'current-context: ""'))
    assert Cluster().place("team")["context"] == "team"


def test_where_a_sandbox_lives_is_kept_with_absolute_paths(mine: Path) -> None:
    assert Cluster().place("team") == {"kubeconfig": str(mine), "context": "team"}


def test_several_files_are_joined_as_kubectl_joins_them(
    mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = tmp_path / "second"
    second.write_text(mine.read_text().replace("team", "third"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KUBECONFIG", f"{mine}:second")
    assert kubeconfig.users_files() == f"{mine}:{second}"
    assert Cluster().place("third")["context"] == "third"


def test_a_sandbox_stays_in_its_cluster(state: Path) -> None:
    (state / "box").mkdir(parents=True)
    Record("box", "cluster", "unit", 1, 0.0, "versions", ready=True, context="team", kubeconfig="k").save()
    with pytest.raises(UsageError, match="lives in the cluster of context team"):
        up("box", UpOptions("cluster", context="other"), Timeline())


def test_a_sandbox_that_there_is_needs_no_context_to_be_started(state: Path) -> None:
    (state / "box").mkdir(parents=True)
    Record("box", "cluster", "unit", 1, 0.0, "others", ready=True, context="team", kubeconfig="k").save()
    with pytest.raises(UsageError, match="made with other versions"):
        up("box", UpOptions(), Timeline())


def test_more_nodes_can_not_be_asked_of_a_cluster_that_is_there() -> None:
    with pytest.raises(UsageError, match="takes the cluster as it is"):
        Cluster().check_shape(Shape(3), None)
    with pytest.raises(UsageError, match="does not have Argo CD's HA variant"):
        Cluster().check_shape(Shape(3, ha=True), None)


def test_a_cluster_that_does_not_answer_is_told_and_nothing_is_noted(state: Path, mine: Path) -> None:
    record = Record.new("box", "cluster", 1, context="team", kubeconfig=str(mine))
    with pytest.raises(UnavailableError, match="the API server does not answer"):
        Cluster().prepare(record, {}, Timeline())
    assert {path.name for path in (state / "box").iterdir()} == {"sandbox.json"}


def test_down_ends_a_sandbox_whose_cluster_is_gone_and_says_what_may_be_left(state: Path, mine: Path) -> None:
    record = Record.new("box", "cluster", 1, context="team", kubeconfig=str(mine))
    (state / "box" / "cluster.json").write_text(
        f'{{"run_id": "{record.run_id}", "kubeconfig": "{mine}", "context": "team", "registry": 30100}}'
    )
    (state / "box" / "namespaces.json").write_text('{"namespaces": ["gitops-sandbox-box", "box-core-greeter-dev"]}')
    with pytest.raises(LeftBehindError) as left:
        down("box")
    assert "gitops-sandbox-box, box-core-greeter-dev" in left.value.why
    assert "kubectl --context team delete namespace" in left.value.hint
    assert not (state / "box").exists()
    assert down("box") is False


def test_down_says_what_a_guest_may_have_left_with_its_host(state: Path, mine: Path) -> None:
    record = Record.new("box", "cluster", 1, context="team", kubeconfig=str(mine), argocd="argocd")
    (state / "box" / "cluster.json").write_text(
        f'{{"run_id": "{record.run_id}", "kubeconfig": "{mine}", "context": "team", "registry": 30100}}'
    )
    (state / "box" / "argocd.json").write_text(
        '{"namespace": "argocd", "applications": ["box-core-greeter-dev"], "projects": [], "secrets": []}'
    )
    with pytest.raises(LeftBehindError) as left:
        down("box")
    assert "kubectl --context team --namespace argocd delete applications,appprojects,secrets" in left.value.hint
    assert not (state / "box").exists()


def test_a_sandbox_that_was_never_begun_in_a_cluster_leaves_nothing_there(state: Path, mine: Path) -> None:
    Record.new("box", "cluster", 1, context="team", kubeconfig=str(mine))
    assert down("box") is True
    assert not (state / "box").exists()


def test_a_repository_of_ones_own_is_refused_before_anything_is_made(state: Path) -> None:
    with pytest.raises(UsageError, match="can't be deployed by the engine cluster"):
        demand_whole_cluster("box", UpOptions("cluster", context="team"))
    assert not (state / "box").exists()
    demand_whole_cluster("box", UpOptions())


@pytest.mark.parametrize("engine", [name for name in ENGINES if name != "cluster"])
def test_an_engine_that_makes_its_own_cluster_is_nobodys_guest(engine: str, state: Path) -> None:
    with pytest.raises(UsageError, match=f"the engine {engine} brings an Argo CD of its own"):
        up("box", UpOptions(engine, argocd="argocd"), Timeline())
    assert not (state / "box").exists()


def test_a_sandbox_stays_with_the_argo_cd_that_it_has(state: Path) -> None:
    Record.new("box", "cluster", 1, context="team", kubeconfig="k", argocd="argocd")
    Record.new("other", "cluster", 1, context="team", kubeconfig="k")
    with pytest.raises(UsageError, match="box uses the Argo CD in namespace argocd"):
        up("box", UpOptions("cluster", argocd="elsewhere"), Timeline())
    with pytest.raises(UsageError, match="other uses an Argo CD of its own"):
        up("other", UpOptions("cluster", argocd="argocd"), Timeline())
    assert known_names() == ["box", "other"]
    assert state.is_dir()


def test_a_guest_brings_nothing_of_argo_cd_and_can_not_change_its_settings(state: Path) -> None:
    record = Record.new("box", "cluster", 1, context="team", kubeconfig="k", argocd="argocd")
    engine = engine_of("box")
    assert isinstance(engine, ClusterGuest)
    mine, its = ({part.name: part for part in each.components()} for each in (Cluster(), engine))
    assert mine.keys() - its.keys() == {
        *("pki", "argocd-manifests", "argocd-settings", "argocd-config", "argocd-forward")
    }
    assert its.keys() - mine.keys() == {"argocd-refresher"}
    assert isinstance(its["argocd"], GuestOfArgocd)
    way = engine.access(record, {})
    assert ENGINES["cluster"].capabilities - way.capabilities == {"argocd-settings"}
    assert (way.argocd_namespace, way.own_namespace) == ("argocd", "gitops-sandbox-box")
    assert way.home.labels == {"dev.gitops-sandbox.name": "box", "dev.gitops-sandbox.run-id": record.run_id}
    with pytest.raises(UnavailableError, match="no account of Argo CD"):
        _ = way.argocd
    assert state.is_dir()


def test_the_sabotage_that_changes_a_secret_of_argo_cds_is_skipped_for_a_guest() -> None:
    lacking = {each.name for each in catalogue()["core"].sabotages if each.missing(ClusterGuest.capabilities)}
    assert lacking - {each.name for each in catalogue()["core"].sabotages if each.missing(Cluster.capabilities)} == {
        "webhook-secret-wrong"
    }
