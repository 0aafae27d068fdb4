"""A whole training in this process: from a release to whoever answers."""

from __future__ import annotations

import json
import runpy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.alone import Alone
from tests.visiting_shop import GRID, SOURCE, VisitingShop, open_shop

from tenure.config.command import command
from tenure.config.source import SplitByTime
from tenure.errors import Refused, WrongInput
from tenure.models.scorer import load_scorer
from tenure.registry.manifest import MANIFEST_FILE, read_manifest
from tenure.registry.registry import Registry
from tenure.tasks.churn import CHURN
from tenure.tasks.split import ByMember
from tenure.training.data import ExampleReader
from tenure.training.evaluation import Judged
from tenure.training.fit import Outcome, fit_task
from tenure.training.group import Group
from tenure.training.judge import Champion
from tenure.training.prepare import prepare
from tenure.training.settings import FitTask

ROOT = Path(__file__).parents[3]


@contextmanager
def in_this_process(work: Callable[[Group], None], name: str, folder: Path) -> Iterator[Path]:
    work(Alone(folder / name))
    yield folder / name / "checkpoint"


def fit(shop: VisitingShop, folder: Path, **changes: object) -> Outcome:
    return fit_task(shop.settings(**changes), lambda work, name: in_this_process(work, name, folder))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> VisitingShop:
    return open_shop(tmp_path_factory.mktemp("visiting_shop"))


@pytest.fixture(scope="module")
def outcome(shop: VisitingShop, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return fit(shop, tmp_path_factory.mktemp("checkpoints"))


@pytest.fixture(scope="module")
def bundle(shop: VisitingShop, outcome: Outcome) -> Path:
    return Registry(shop.env.registry_root).folder("churn", outcome.version)


def test_the_manifest_says_where_the_model_comes_from(shop: VisitingShop, outcome: Outcome):
    manifest = outcome.manifest
    assert manifest.release_id == shop.release.release_id
    assert manifest.split["by"] == "time"
    assert manifest.split["learnt_until"] < manifest.split["test"][0]
    assert manifest.config["lacks"] == ["campaigns", "demographics", "discounts", "returns"]
    assert manifest.inputs["unused"]["age_band"] == "the source lacks demographics"
    assert set(manifest.baselines) == {"recency", "logistic_regression", "lightgbm"}
    assert manifest.rows["train"] > manifest.rows["test"] > 0


def test_metrics_carry_intervals_and_paired_differences(outcome: Outcome):
    found = outcome.manifest.metrics["roc_auc"]
    assert found.low < found.value < found.high
    low, high = outcome.manifest.comparisons["minus_lightgbm"]["roc_auc"]
    assert low < high
    assert "expected_calibration_error" in outcome.manifest.metrics


def test_predictions_of_every_model_lie_beside_the_weights(bundle: Path, outcome: Outcome):
    rows = pq.read_table(bundle / "evaluation" / "test_predictions.parquet")
    assert rows.num_rows == outcome.manifest.rows["test"]
    scores = [name for name in rows.column_names if name.startswith("score")]
    assert sorted(scores) == [
        "score",
        "score_features_only",
        "score_lightgbm",
        "score_logistic_regression",
        "score_recency",
        "score_sequence_only",
    ]
    for name in scores:
        assert 0 <= np.min(rows[name]) <= np.max(rows[name]) <= 1


def test_the_registered_model_scores_as_it_was_judged(shop: VisitingShop, bundle: Path):
    rows = pq.read_table(bundle / "evaluation" / "test_predictions.parquet")
    ready = prepare(shop.settings())
    reader: ExampleReader = ready.reader
    scorer = load_scorer(bundle)
    said = np.concatenate([scorer.score(reader.read(bucket, "test").rows) for bucket in reader.buckets])
    np.testing.assert_allclose(said, rows["score"].to_numpy(), atol=1e-6)


def test_someone_answers_and_the_gate_says_why(shop: VisitingShop, outcome: Outcome):
    registry, gate = Registry(shop.env.registry_root), outcome.manifest.gate
    champion = registry.version("churn", "champion")
    assert gate.reasons
    assert (champion == outcome.version) == (gate.champion == "model")
    if gate.champion == "logistic_regression":
        assert load_scorer(registry.folder("churn", champion)).manifest.model == "logistic_regression"


def test_the_baseline_is_registered_whoever_answers_and_before_the_model(shop: VisitingShop, outcome: Outcome):
    registry = Registry(shop.env.registry_root)
    baseline = str(int(outcome.version) - 1)
    assert load_scorer(registry.folder("churn", baseline)).manifest.model == "logistic_regression"
    assert registry.version("churn", "candidate") == outcome.version
    assert outcome.manifest.model == "member_encoder"


QUICK = {"loop": {"batch_rows": 256, "pretraining_epochs": 0, "epochs": 1}, "evaluation": {"resamples": 10}}


def test_a_champion_of_another_contract_lets_the_next_one_be_trained(tmp_path: Path):
    own = open_shop(tmp_path / "shop")
    first = fit(own, tmp_path / "first", **QUICK)
    registry = Registry(own.env.registry_root)
    manifest = registry.folder("churn", "champion") / MANIFEST_FILE
    older = manifest.read_text().replace('"visits_7d"', '"visits_9d"').replace(own.release.fingerprint, "older")
    manifest.write_text(older)
    again = fit(own, tmp_path / "again", **QUICK, again=True)
    assert again.version != first.version
    champion = registry.version("churn", "champion")
    assert champion in {again.version, str(int(again.version) - 1)}
    assert again.manifest.gate.reasons[-1].endswith(
        "is not compared: it was trained on tables of fingerprint older, these are of 0123456789abcdef"
    )


def test_other_days_of_the_split_are_another_training(tmp_path: Path):
    own = open_shop(tmp_path / "shop")
    first = fit(own, tmp_path / "first", **QUICK)
    assert fit(own, tmp_path / "same", **QUICK).version == first.version
    days = SOURCE.split.model_copy(update={"validation": SOURCE.split.validation[:1]})
    again = fit(own, tmp_path / "other", **QUICK, source=SOURCE.model_copy(update={"split": days}))
    assert again.version != first.version
    assert again.manifest.split["validation"] == [str(SOURCE.split.validation[0])]


def test_a_champion_that_has_learnt_of_the_tests_days_goes_on(tmp_path: Path):
    """A model of earlier days, judged on days that the champion knows: nobody can say who is better."""
    own = open_shop(tmp_path / "shop")
    fit(own, tmp_path / "first", **QUICK)
    champion = Registry(own.env.registry_root).version("churn", "champion")
    earlier = SplitByTime(train_until=GRID[5], validation=(GRID[7], GRID[8]), test=SOURCE.split.validation)
    again = fit(own, tmp_path / "again", **QUICK, source=SOURCE.model_copy(update={"split": earlier}))
    assert again.version != champion
    assert Registry(own.env.registry_root).version("churn", "champion") == again.champion == champion
    assert (again.manifest.gate.passed, again.manifest.gate.champion) == (False, "champion")
    assert again.manifest.gate.reasons[-1].startswith(f"the champion (version {champion}) goes on: it has learnt of")


def test_two_seeds_of_the_command_line_stand_in_manifest_and_evaluation(tmp_path: Path):
    own = open_shop(tmp_path / "shop")
    settings = tmp_path / "churn.yaml"
    settings.write_text(own.settings(**QUICK).model_dump_json(), encoding="utf-8")

    def run(config: FitTask) -> Outcome:
        return fit_task(config, lambda work, name: in_this_process(work, name, tmp_path))

    flags = runpy.run_path(str(ROOT / "ray_apps/train/fit_task.py"))["FLAGS"]
    command(FitTask, run, says="", config="", flags=flags, argv=["--config", str(settings), "--seeds", "2"])
    folder = Registry(own.env.registry_root).folder("churn", "candidate")
    manifest = read_manifest(folder)
    assert (manifest.config["seeds"], manifest.seed) == (2, 1)
    seeds = json.loads((folder / "evaluation" / "seeds.json").read_text())
    assert [one["seed"] for one in seeds] == [1, 2]
    assert seeds[0]["consumed"] != seeds[1]["consumed"]
    mean = sum(one["metrics"]["roc_auc"] for one in seeds) / 2
    assert manifest.metrics["roc_auc"].value == pytest.approx(mean)


def test_the_same_training_again_learns_nothing(shop: VisitingShop, outcome: Outcome, tmp_path: Path):
    again = fit(shop, tmp_path)
    assert (again.version, again.manifest) == (outcome.version, outcome.manifest)
    assert not list(tmp_path.iterdir())


def test_a_second_training_is_held_against_the_champion_on_the_same_rows(
    shop: VisitingShop, outcome: Outcome, tmp_path: Path
):
    weak = {"width": 4, "layers": 1, "heads": 1, "intermediate": 4, "rank": 0}
    untaught = {**QUICK["loop"], "pretraining_epochs": 0, "epochs": 1, "learning_rate": 1e-12}
    again = fit(shop, tmp_path, architecture=weak, loop=untaught, seed=9)
    assert any("the champion (version" in reason for reason in again.manifest.gate.reasons)
    registry = Registry(shop.env.registry_root)
    assert registry.version("churn", "candidate") == again.version
    assert registry.version("churn", "champion") == again.champion == outcome.champion


def test_a_benchmark_below_what_it_is_known_to_reach_is_a_fault(shop: VisitingShop, tmp_path: Path):
    baselines = {"trials": 2, "threads": 1, "rounds": 5, "lightgbm_auc_at_least": {SOURCE.name: 0.999}}
    with pytest.raises(Refused, match=r"LightGBM reaches a ROC AUC of .* below the 0\.999"):
        fit(shop, tmp_path, baselines=baselines)


def test_members_can_be_divided_instead_of_days(shop: VisitingShop):
    secrets = shop.work / "secrets"
    secrets.mkdir(exist_ok=True)
    (secrets / "member_key_secret").write_text("a secret")
    ready = prepare(shop.settings(split={"by": "member"}))
    members = {
        part: {int(key) for b in ready.reader.buckets for key in ready.reader.member_keys(b, part)}
        for part in ("train", "validation", "test")
    }
    assert not members["train"] & members["validation"]
    assert not members["train"] & members["test"]


@pytest.mark.parametrize(("drawn_by", "rows"), [("a secret", 3), ("another", 1)], ids=["the same draw", "another draw"])
def test_who_was_kept_from_the_champion_may_judge_it(drawn_by: str, rows: int):
    """Of a champion that learnt of members until 4 January: all members of the test where they are the same, the rows
    of later days where they are not."""
    learnt_by = {**ByMember(salt="a secret").says(), "learnt_until": "1970-01-05"}
    scorer = SimpleNamespace(manifest=SimpleNamespace(split=learnt_by))
    champion = Champion("1", scorer, "", ByMember(salt=drawn_by).says())  # type: ignore[arg-type]
    keys = np.arange(3)
    assert champion.may_judge(Judged(keys, np.array([3, 4, 5]), keys % 2.0, keys > 0)).sum() == rows


def test_a_part_in_which_all_come_to_the_same_is_refused_before_anything_is_learnt(tmp_path: Path):
    with pytest.raises(Refused, match=r"all \d+ (validation|test) rows of churn have the same outcome: let the part"):
        prepare(open_shop(tmp_path, members=3, seed=1).settings())


def test_settings_of_another_shop_are_wrong_input(shop: VisitingShop):
    other = SOURCE.model_copy(update={"name": "another_shop"})
    with pytest.raises(WrongInput, match="is of visiting_shop, the settings say another_shop"):
        prepare(shop.settings(source=other))


def test_a_misspelt_setting_of_the_network_is_wrong_input_before_anything_is_read(tmp_path: Path):
    nothing_to_read = VisitingShop(tmp_path)
    with pytest.raises(WrongInput, match="of member_encoder: unknown key 'widht'; did you mean 'width'") as refused:
        prepare(nothing_to_read.settings(architecture={"widht": 128}))
    assert refused.value.exit_code == 2


def test_a_lake_without_a_release_says_what_to_run_first(tmp_path: Path):
    with pytest.raises(WrongInput, match="run jobs/refresh"):
        prepare(VisitingShop(tmp_path).settings())


def test_evaluation_files_are_plain_json(bundle: Path):
    seeds = json.loads((bundle / "evaluation" / "seeds.json").read_text())
    assert seeds[0]["mix"].keys() == {"features", "trees", "sequence"}
    assert len(seeds[0]["consumed"]) == 1
    assert CHURN.gate.beats in json.loads((bundle / "evaluation" / "metrics.json").read_text())
