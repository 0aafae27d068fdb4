"""Versions, aliases, and bundles whose weights are the ones that were registered."""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient
from safetensors.numpy import save_file

from tenure.errors import Busy, Refused, WrongInput
from tenure.registry import registry as registry_module
from tenure.registry.gate import Difference, decide, not_compared, promote
from tenure.registry.manifest import WEIGHTS_FILE, Interval, Manifest, read_manifest, write_manifest
from tenure.registry.registry import Alias, Registry

MANIFEST = Manifest(
    task="churn",
    model="member_encoder",
    release_id="r1",
    source="corner_shop",
    fingerprint="00ff",
    code_version="0.1.0",
    seed=1,
    metrics={"roc_auc": Interval(value=0.85, low=0.84, high=0.86)},
    created_at=datetime(2026, 11, 23, tzinfo=UTC),
)


def bundle(folder: Path, manifest: Manifest = MANIFEST) -> Manifest:
    folder.mkdir(parents=True)
    save_file({"w": np.arange(3, dtype=np.float32)}, folder / WEIGHTS_FILE)
    (folder / "evaluation").mkdir()
    (folder / "evaluation" / "curves.json").write_text("{}")
    return write_manifest(folder, manifest)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    return Registry(tmp_path_factory.mktemp("registry"))


@pytest.mark.smoke
def test_a_registered_bundle_comes_back_whole(registry: Registry, tmp_path: Path) -> None:
    manifest = bundle(tmp_path / "b")
    version = registry.register("churn", manifest, tmp_path / "b")
    registry.set_alias("churn", "champion", version)
    folder = registry.folder("churn", "champion")
    assert read_manifest(folder) == manifest
    assert (folder / "evaluation" / "curves.json").read_text() == "{}"
    assert registry.version("churn", "champion") == version


def test_a_training_is_known_again_by_its_release_code_settings_and_split(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "registry")
    planned = MANIFEST.model_copy(update={"config": {"epochs": 2}, "split": {"test": ["2026-03-01"]}})
    version = registry.register("churn", bundle(tmp_path / "b", planned), tmp_path / "b")
    registry.set_alias("churn", "candidate", version)
    assert registry.trained_as(planned) is None  # nobody answers yet
    registry.set_alias("churn", "champion", version)
    assert registry.trained_as(planned) == version
    changes = ({"release_id": "r2"}, {"code_version": "2"}, {"config": {"epochs": 3}}, {"split": {"test": []}})
    for change in changes:
        assert registry.trained_as(planned.model_copy(update=change)) is None


def test_a_promotion_that_dies_half_way_leaves_a_rerun_that_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = Registry(tmp_path / "registry")
    before = MANIFEST.model_copy(update={"release_id": "r0"})
    old, new = (
        registry.register("churn", bundle(tmp_path / manifest.release_id, manifest), tmp_path / manifest.release_id)
        for manifest in (before, MANIFEST)
    )
    promote(registry, "churn", candidate=old, champion=old, before=None)
    set_alias = registry.set_alias

    def dies_after_one(task: str, alias: Alias, version: str, **told: str | None) -> None:
        set_alias(task, alias, version, **told)
        raise KeyboardInterrupt

    with monkeypatch.context() as killed:
        killed.setattr(registry, "set_alias", dies_after_one)
        with pytest.raises(KeyboardInterrupt):
            promote(registry, "churn", candidate=new, champion=new, before=old)
    assert registry.trained_as(MANIFEST) is None
    promote(registry, "churn", candidate=new, champion=new, before=new)
    assert registry.trained_as(MANIFEST) == new
    assert registry.version("churn", "champion") == new


def test_a_champion_that_came_meanwhile_gives_way_to_nobody_who_has_not_met_it(tmp_path: Path) -> None:
    """Two trainings at once: each was compared with who answered before both."""
    registry = Registry(tmp_path / "registry")
    first, one, other = (
        registry.register("churn", bundle(tmp_path / name, MANIFEST), tmp_path / name) for name in ("a", "b", "c")
    )
    promote(registry, "churn", candidate=first, champion=first, before=None)
    promote(registry, "churn", candidate=one, champion=one, before=first)
    for before in (first, None):
        with pytest.raises(Busy, match=rf"version {one} became the champion .* version {other}.* has not met it"):
            promote(registry, "churn", candidate=other, champion=other, before=before)
    assert registry.version("churn", "champion") == registry.version("churn", "candidate") == one


def test_a_spoilt_candidate_is_as_good_as_not_trained(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "registry")
    version = registry.register("churn", bundle(tmp_path / "b"), tmp_path / "b")
    promote(registry, "churn", candidate=version, champion=version, before=None)
    assert registry.trained_as(MANIFEST) == version
    (registry.folder("churn", version) / WEIGHTS_FILE).write_bytes(b"spoilt")
    assert registry.trained_as(MANIFEST) is None


def test_an_alias_moves_and_the_older_version_stays(registry: Registry, tmp_path: Path) -> None:
    manifest = bundle(tmp_path / "b")
    first = registry.register("churn", manifest, tmp_path / "b")
    second = registry.register("churn", manifest, tmp_path / "b")
    assert int(second) == int(first) + 1
    promote(registry, "churn", candidate=second, champion=first, before=registry.version("churn", "champion"))
    assert registry.version("churn", "candidate") == second
    assert registry.version("churn", "champion") == first
    assert {first, second} <= set(registry.versions("churn"))
    assert registry.folder("churn", first) != registry.folder("churn", second)


def test_a_registry_without_champion_says_what_to_do(registry: Registry) -> None:
    assert registry.version("tiers", "champion") is None
    with pytest.raises(WrongInput, match="has no champion for tiers; train one"):
        registry.folder("tiers", "champion")


def test_an_unknown_version_is_refused(registry: Registry) -> None:
    with pytest.raises(WrongInput, match="no version 999 of churn"):
        registry.folder("churn", "999")
    with pytest.raises(WrongInput, match="no version 999 of churn"):
        registry.set_alias("churn", "champion", "999")


def test_weights_that_changed_are_refused(registry: Registry, tmp_path: Path) -> None:
    version = registry.register("churn", bundle(tmp_path / "b"), tmp_path / "b")
    weights = registry.folder("churn", version) / WEIGHTS_FILE
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x7f")
    with pytest.raises(Refused, match="is not what its manifest describes"):
        registry.folder("churn", version)


def test_a_bundle_of_another_task_is_not_registered(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(WrongInput, match="not the one to register for recommender"):
        registry.register("recommender", bundle(tmp_path / "b"), tmp_path / "b")


def test_a_manifest_with_an_unknown_key_is_refused(tmp_path: Path) -> None:
    bundle(tmp_path / "b")
    path = tmp_path / "b" / "manifest.json"
    path.write_text(path.read_text().replace('"seed"', '"sed"'))
    with pytest.raises(WrongInput, match="is no manifest"):
        read_manifest(tmp_path / "b")


def test_a_registry_that_was_moved_still_answers(tmp_path: Path) -> None:
    before = Registry(tmp_path / "before")
    version = before.register("churn", bundle(tmp_path / "b"), tmp_path / "b")
    shutil.move(tmp_path / "before", tmp_path / "after")
    assert read_manifest(Registry(tmp_path / "after").folder("churn", version)) == read_manifest(tmp_path / "b")


def test_a_registry_that_was_moved_takes_new_models(tmp_path: Path) -> None:
    Registry(tmp_path / "before").register("churn", bundle(tmp_path / "b"), tmp_path / "b")
    shutil.move(tmp_path / "before", tmp_path / "after")
    after = Registry(tmp_path / "after")
    version = after.register("churn", bundle(tmp_path / "c"), tmp_path / "c")
    assert after.folder("churn", version).is_relative_to(tmp_path / "after")
    assert read_manifest(after.folder("churn", version)) == read_manifest(tmp_path / "c")
    assert not (tmp_path / "before").exists()


def test_two_trainings_that_register_at_once_get_versions_of_their_own(tmp_path: Path) -> None:
    bundle(tmp_path / "b")
    script = (
        "import sys\n"
        "from tenure.registry.manifest import read_manifest\n"
        "from tenure.registry.registry import Registry\n"
        "print(Registry(sys.argv[1]).register('churn', read_manifest(sys.argv[2]), sys.argv[2]))"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "registry"), str(tmp_path / "b")]

    def register(_: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, capture_output=True, text=True, timeout=120)

    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(register, range(2)))
    assert sorted(run.stdout.strip() for run in done) == ["1", "2"], [run.stderr for run in done]
    assert [run.stderr for run in done] == ["", ""]  # quiet: no migration log, no advertisement


URL = "http://mlflow.example:5000"


@pytest.fixture(scope="module")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(Registry(tmp_path_factory.mktemp("empty")).root) / "mlflow.db"


@pytest.fixture
def server(tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Registry]:
    """A registry at ``URL``. What answers there is MLflow's own client on a database of the given name: the package
    that we install has no server. Every one shares the cache, as registries of one URL on one machine do."""

    def made(name: str) -> Registry:
        folder = tmp_path / name
        if not folder.exists():
            folder.mkdir()
            shutil.copy(empty_database, folder)
        client = MlflowClient(f"sqlite:///{folder}/mlflow.db", f"sqlite:///{folder}/mlflow.db")
        if client.get_experiment_by_name("churn") is None:
            client.create_experiment("churn", artifact_location=str(folder / "artifacts"))
        with monkeypatch.context() as at:
            at.setattr(registry_module, "_client", lambda uri: client)
            return Registry(URL, cache=tmp_path / "cache")

    return made


def test_a_servers_bundle_is_fetched_once_and_comes_back_whole(
    server: Callable[[str], Registry], tmp_path: Path
) -> None:
    registry = server("database")
    version = registry.register("churn", bundle(tmp_path / "b"), tmp_path / "b")
    promote(registry, "churn", candidate=version, champion=version, before=None)
    folder = registry.folder("churn", "champion")
    assert folder.is_relative_to(tmp_path / "cache")
    assert read_manifest(folder) == read_manifest(tmp_path / "b")
    assert (folder / "evaluation" / "curves.json").read_text() == "{}"
    shutil.rmtree(tmp_path / "database" / "artifacts")  # from now on the copy alone is left
    assert server("database").folder("churn", "champion") == folder
    assert sorted(path.name for path in folder.parent.iterdir()) == [".lock", folder.name]


def test_a_server_made_anew_serves_its_own_version_1(server: Callable[[str], Registry], tmp_path: Path) -> None:
    for name, seed in (("before", 1), ("after", 2)):
        manifest = bundle(tmp_path / f"b{seed}", MANIFEST.model_copy(update={"seed": seed}))
        registry = server(name)
        assert registry.register("churn", manifest, tmp_path / f"b{seed}") == "1"
        assert read_manifest(registry.folder("churn", "1")).seed == seed


def test_a_spoilt_copy_of_a_servers_bundle_is_fetched_again(
    server: Callable[[str], Registry], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    version = server("database").register("churn", bundle(tmp_path / "b"), tmp_path / "b")
    copy = server("database").folder("churn", version)
    (copy / WEIGHTS_FILE).write_bytes(b"spoilt")
    with caplog.at_level(logging.WARNING):
        assert server("database").folder("churn", version) == copy
    assert read_manifest(copy) == read_manifest(tmp_path / "b")
    assert "is fetched again" in caplog.text


def test_what_is_spoilt_at_the_server_itself_is_refused_and_not_fetched_at_every_look(
    server: Callable[[str], Registry], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = server("database")
    version = registry.register("churn", bundle(tmp_path / "b"), tmp_path / "b")
    (weights,) = (tmp_path / "database" / "artifacts").rglob(WEIGHTS_FILE)
    weights.write_bytes(b"spoilt")
    fetch, fetched = registry._fetch, []
    monkeypatch.setattr(registry, "_fetch", lambda *where: (fetched.append(where), fetch(*where)))
    for _ in range(2):
        with pytest.raises(Refused, match="is not what its manifest describes"):
            registry.folder("churn", version)
    assert len(fetched) == 1


DIFFERENCE = Difference(against="popularity", metric="ndcg_at_10", ours=0.05, theirs=0.045, low=0.002, high=0.008)


def test_the_gate_wants_the_whole_interval_above_zero() -> None:
    gate = decide("popularity", beats=[DIFFERENCE])
    assert (gate.passed, gate.champion) == (True, "model")
    assert gate.reasons == ("ndcg_at_10: 0.0500, popularity 0.0450; difference +0.0050 [+0.0020, +0.0080]: better",)


def test_where_the_model_is_not_shown_to_be_better_the_baseline_answers() -> None:
    unclear = Difference(against="popularity", metric="ndcg_at_10", ours=0.05, theirs=0.045, low=-0.001, high=0.008)
    gate = decide("popularity", beats=[unclear])
    assert (gate.passed, gate.champion) == (False, "popularity")
    assert gate.reasons[0].endswith("not shown to be better")


def test_a_note_is_a_reason_that_decides_nothing() -> None:
    gate = decide("popularity", beats=[DIFFERENCE], notes=[not_compared("3", "it is spoilt")])
    assert gate.passed
    assert gate.reasons[-1] == "the champion (version 3) is not compared: it is spoilt"


def against_champion(ours: float, low: float, high: float) -> Difference:
    return Difference(against="the champion (version 3)", metric="roc_auc", ours=ours, theirs=0.86, low=low, high=high)


def test_a_model_below_the_champion_does_not_answer_though_the_interval_reaches_zero() -> None:
    gate = decide("champion", beats=[DIFFERENCE], not_worse_than=[against_champion(0.857, -0.006, 0.0001)])
    assert (gate.passed, gate.champion) == (False, "champion")
    assert gate.reasons[1] == (
        "roc_auc: 0.8570, the champion (version 3) 0.8600; difference -0.0030 [-0.0060, +0.0001]: "
        "below it, and who answers gives way to its equal only"
    )


def test_a_model_level_with_the_champion_answers() -> None:
    for ours in (0.86, 0.86 - 1e-14, 0.8601):
        gate = decide("champion", beats=[DIFFERENCE], not_worse_than=[against_champion(ours, -0.001, 0.001)])
        assert (gate.passed, gate.reasons[1].endswith(": not worse")) == (True, True)


def test_a_model_worse_than_the_champion_does_not_pass() -> None:
    worse = Difference(against="champion 3", metric="ndcg_at_10", ours=0.05, theirs=0.06, low=-0.02, high=-0.001)
    assert not decide("popularity", beats=[DIFFERENCE], not_worse_than=[worse]).passed
    assert not decide("popularity", beats=[DIFFERENCE], holds={"calibrated": False}).passed
