"""Fitting factors: against another implementation, against what was known when, and against the baselines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from tests.alone import Alone
from tests.small_lake import NEWEST, product, purchase, small_lake, tastes

from tenure.config.env import Env
from tenure.errors import Refused
from tenure.lake.release import Release
from tenure.models.factorization import Factorization, gram, solve
from tenure.models.histories import Histories
from tenure.models.recommender import load_recommender
from tenure.registry.manifest import WEIGHTS_FILE, read_manifest
from tenure.registry.registry import Registry
from tenure.serving.loading import in_items
from tenure.serving.point_in_time import MemberPart, in_catalogue
from tenure.serving.point_in_time import read_purchases as read_requested
from tenure.training.factors import Worker, first_factors, objective, periods, shard, sweep
from tenure.training.factors_progress import Progress
from tenure.training.factors_settings import Als, Choices, FitFactors
from tenure.training.group import Group, Write
from tenure.training.purchases import read_products, read_purchases
from tenure.training.recommender import _planned, fit_recommender, incumbent
from tenure.training.settings import Evaluation


def settings(work: Path) -> FitFactors:
    als = Als(factors=8, regularization=5.0, sweeps=4)
    choices = Choices(popularity_days=(28, 365), popularity_weights=(0.0, 0.1), favourites_weights=(1.0, 4.0))
    return FitFactors(
        env=Env(work=str(work)),
        min_members=3,
        checkpoint_seconds=0,
        als=als,
        choices=choices,
        evaluation=Evaluation(resamples=100),
    )


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return small_lake(tmp_path_factory.mktemp("shop") / "lake", tastes(), [product(f"p{n}") for n in range(80)])


def bought_at_random(members: int, items: int) -> Histories:
    matrix = sp.random(members, items, 0.1, "csr", np.float64, np.random.default_rng(2))
    matrix.data = np.ceil(matrix.data * 9)
    matrix.sort_indices()
    return Histories(
        offsets=matrix.indptr.astype(np.int64), item_index=matrix.indices.astype(np.int64), times=matrix.data
    )


@pytest.mark.parametrize("weighting", ["log", "raw"])
def test_the_objective_equals_that_of_implicits_exact_als(weighting: str, tmp_path: Path) -> None:
    als = pytest.importorskip("implicit.als")
    members, items, how = 300, 150, Als(factors=16, regularization=3.0, alpha=2.0, weighting=weighting, sweeps=10)
    bought = bought_at_random(members, items)
    c = 1 + 2.0 * (np.log1p(bought.times) if weighting == "log" else bought.times)

    def dense_objective(x: np.ndarray, y: np.ndarray) -> float:
        confidence, preference = np.ones((members, items)), np.zeros((members, items))
        confidence[bought.member_index, bought.item_index] = c
        preference[bought.member_index, bought.item_index] = 1
        return float((confidence * (preference - x @ y.T) ** 2).sum() + 3.0 * ((x**2).sum() + (y**2).sum()))

    theirs = als.AlternatingLeastSquares(
        factors=16, regularization=3.0, use_cg=False, iterations=10, num_threads=1, random_state=1
    )
    start = first_factors(items, how, seed=1)
    theirs.item_factors, theirs.user_factors = start.numpy().copy(), np.zeros((members, 16), np.float32)
    matrix = sp.csr_matrix((c, bought.item_index, bought.offsets), (members, items))
    theirs.fit(matrix.astype(np.float32), show_progress=False)

    part = shard(bought, how, items, Alone(tmp_path))
    ours = start
    for _ in range(9):
        ours = sweep(part, ours, 3.0, Alone(tmp_path))
    x = solve(part.members, ours, gram(ours), 3.0)
    y = sweep(part, ours, 3.0, Alone(tmp_path))

    expected = dense_objective(theirs.user_factors.astype(float), theirs.item_factors.astype(float))
    assert dense_objective(x.double().numpy(), y.double().numpy()) == pytest.approx(expected, rel=0.0005)
    folded = solve(part.members, y, gram(y), 3.0)
    by_hand = dense_objective(folded.double().numpy(), y.double().numpy())
    assert objective(part, y, 3.0, Alone(tmp_path)) == pytest.approx(by_hand, rel=1e-4)


def test_a_row_counts_from_the_day_it_was_known(tmp_path: Path) -> None:
    day = date(2026, 3, 1)
    late, undone = day + timedelta(20), day + timedelta(30)
    rows = [
        purchase(1, "a", day, times=2),
        purchase(1, "b", day, known_on=late),
        purchase(2, "a", day),
        purchase(2, "a", day, times=-1, known_on=undone),
        purchase(3, "a", late, known_on=day),  # said before it was bought
    ]
    found = small_lake(tmp_path / "lake", rows, [product("a"), product("b")])
    products = read_products(found)
    purchases = read_purchases(found, range(4), products)

    def known(before: date) -> list[tuple[int, str, float]]:
        net = purchases.net(before)
        names = products.product_ids.to_pylist()
        return [(int(m) + 1, names[p], t) for m, p, t in zip(net.member, net.product, net.times, strict=True)]

    assert known(day) == []
    assert known(late) == [(1, "a", 2.0), (2, "a", 1.0)]
    assert known(undone) == [(1, "a", 2.0), (1, "b", 1.0), (2, "a", 1.0), (3, "a", 1.0)]
    assert known(undone + timedelta(1)) == [(1, "a", 2.0), (1, "b", 1.0), (3, "a", 1.0)]


def test_a_product_is_recommendable_as_it_was_known_then(tmp_path: Path) -> None:
    later = date(2026, 4, 1)
    versions = [product("fuel", is_recommendable=False), product("tea"), product("tea", known_on=later)]
    versions += [product("wine"), product("wine", known_on=later, is_recommendable=False)]
    products = read_products(small_lake(tmp_path / "lake", [purchase(1, "tea", later)], versions))
    assert products.product_ids.to_pylist() == ["fuel", "tea", "wine"]
    assert products.recommendable(later).tolist() == [False, True, True]
    assert products.recommendable(later + timedelta(1)).tolist() == [False, True, False]


def test_what_is_learnt_ends_where_what_it_is_judged_by_begins(release: Release) -> None:
    validation, test, served = periods(release, None)
    assert (validation.known_before, validation.until) == (NEWEST - timedelta(56), NEWEST - timedelta(28))
    assert (test.known_before, test.until) == (NEWEST - timedelta(28), NEWEST)
    assert (served.known_before, served.until) == (NEWEST, None)


@pytest.fixture(scope="module")
def fitted(release: Release, tmp_path_factory: pytest.TempPathFactory) -> Progress:
    work = tmp_path_factory.mktemp("work")
    return Worker.of(settings(work), release, Alone(work)).fit()


def test_members_tastes_are_found_where_popularity_knows_none(fitted: Progress) -> None:
    judged = fitted.fitted[1].judged
    ours, popular = (judged[f"{who}.new_items.ndcg_at_10"].mean() for who in ("model", "popularity"))
    assert ours > 1.2 * popular
    assert len(judged["model.new_items.ndcg_at_10"]) == len(judged["popularity.new_items.ndcg_at_10"])


def test_a_member_folded_in_at_request_time_is_the_member_of_the_training(
    fitted: Progress, release: Release, trained: Registry, tmp_path: Path
) -> None:
    worker = Worker.of(settings(tmp_path), release, Alone(tmp_path))
    served = fitted.fitted[2]
    place = np.full(80, -1, np.int64)
    place[served.product] = np.arange(len(served.product))
    offsets, items, times = worker.purchases.net(NEWEST).within(place, len(worker.purchases))
    bought = Histories(offsets=offsets, item_index=items, times=times)
    part = shard(bought, worker.config.als, len(served.product), worker.group)
    in_training = solve(part.members, served.factors, gram(served.factors), worker.config.als.regularization)

    model = load_recommender(trained.folder("recommender", "champion"))
    assert isinstance(model, Factorization)
    keys = worker.purchases.member_keys
    for bucket in range(release.shop.buckets):
        here = keys % release.shop.buckets == bucket
        purchases, product_ids = read_requested(release, MemberPart(bucket), keys[here])
        histories = in_items(purchases, in_catalogue(product_ids, model.product_ids))
        np.testing.assert_allclose(model.member_factors(histories), in_training[here], atol=1e-5)


def test_a_training_that_goes_on_from_a_checkpoint_comes_to_the_same(
    fitted: Progress, release: Release, tmp_path: Path
) -> None:
    class Stops(Alone):
        def save(self, metrics: dict[str, Any], write: Write | None) -> None:
            super().save(metrics, write)
            if self.saves == 6:  # in the middle of the second period
                raise InterruptedError

    with pytest.raises(InterruptedError):
        Worker.of(settings(tmp_path), release, Stops(tmp_path)).fit()
    rest, whole = Alone(tmp_path), Alone(tmp_path / "whole")
    again = Worker.of(settings(tmp_path), release, rest).fit()
    Worker.of(settings(tmp_path), release, whole).fit()
    assert rest.saves == whole.saves - 6  # it went on, and did not begin anew
    assert torch.equal(again.fitted[2].factors, fitted.fitted[2].factors)
    assert {n: v.tolist() for n, v in again.fitted[1].judged.items()} == {
        n: v.tolist() for n, v in fitted.fitted[1].judged.items()
    }


def registered(release: Release, work: Path, seed: int = 1, **changes: object) -> Registry:
    """The registry after one more training in this process."""
    env = Env(work=str(work), lake=release.root)
    config = settings(work).model_copy(update={"env": env, "seed": seed, "again": True, **changes})

    @contextmanager
    def train(run: Callable[[Group], None], name: str) -> Iterator[Path]:
        with TemporaryDirectory() as folder:
            run(Alone(Path(folder)))
            yield Path(folder) / "checkpoint"

    fit_recommender(config, train)
    return Registry(config.env.registry_root)


@pytest.fixture(scope="module")
def trained(release: Release, tmp_path_factory: pytest.TempPathFactory) -> Registry:
    return registered(release, tmp_path_factory.mktemp("work"))


def test_a_model_that_beats_popularity_answers_and_says_on_what_it_rests(trained: Registry) -> None:
    manifest = read_manifest(trained.folder("recommender", "champion"))
    assert trained.version("recommender", "candidate") == trained.version("recommender", "champion") == "2"
    assert load_recommender(trained.folder("recommender", "1")).manifest.model == "popularity"  # should ours be spoilt
    assert (manifest.gate.passed, manifest.gate.champion) == (True, "model")  # type: ignore[union-attr]
    assert manifest.split["known_before"] == str(NEWEST)
    assert manifest.split["test"] == {"known_before": str(NEWEST - timedelta(28)), "until": str(NEWEST)}
    assert set(manifest.baselines) == {"popularity", "own_favourites"}
    low, high = manifest.comparisons["minus_popularity"]["new_items.ndcg_at_10"]
    assert 0 < low < high
    judged = read_manifest(trained.folder("recommender", "champion") / "evaluation" / "before_test")
    assert judged.split["known_before"] == str(NEWEST - timedelta(28))


def test_the_next_model_is_compared_with_the_champion_on_days_that_neither_knows(
    trained: Registry, release: Release
) -> None:
    again = registered(release, Path(trained.root).parent)
    manifest = read_manifest(again.folder("recommender", "candidate"))
    assert "the champion (version 2)" in manifest.gate.reasons[1]  # type: ignore[union-attr]
    same = manifest.comparisons["minus_champion"]["new_items.ndcg_at_10"]
    assert same == pytest.approx([0, 0], abs=1e-12)
    assert again.version("recommender", "champion") == "4"


def test_a_champion_that_cannot_be_asked_is_told_and_blocks_nothing(trained: Registry, release: Release) -> None:
    test = periods(release, None)[1]
    assert incumbent(trained, release, test).is_compared  # type: ignore[union-attr]
    older = incumbent(trained, replace(release, fingerprint="another"), test)
    assert not older.is_compared  # type: ignore[union-attr]
    assert "trained on tables of fingerprint" in older.says  # type: ignore[union-attr]
    weights = trained.folder("recommender", "champion") / WEIGHTS_FILE
    whole = weights.read_bytes()
    weights.write_bytes(b"spoilt")
    spoilt = incumbent(trained, release, test)
    assert not spoilt.is_compared  # type: ignore[union-attr]
    assert "is not what its manifest describes" in spoilt.says  # type: ignore[union-attr]
    again = registered(release, Path(trained.root).parent, seed=5)
    weights.write_bytes(whole)
    gate = read_manifest(again.folder("recommender", "candidate")).gate
    assert gate is not None
    assert gate.reasons[-1].startswith("the champion (version 4) is not compared:")


def test_other_days_of_the_test_are_another_training(trained: Registry, release: Release, tmp_path: Path) -> None:
    config = settings(tmp_path)
    manifest = read_manifest(trained.folder("recommender", "candidate"))
    planned = _planned(config, release).model_copy(update={"code_version": manifest.code_version})
    assert manifest.split == planned.split
    assert manifest.config["lacks"] == planned.config["lacks"] == [has.value for has in release.shop.lacks]
    later = replace(release, newest_as_of=release.newest_as_of - timedelta(7))
    assert _planned(config, later).split != planned.split


def test_a_champion_that_knows_the_tests_days_goes_on(trained: Registry, release: Release) -> None:
    """A longer test begins on a day that the champion, and what was judged in its place, have learnt of."""
    champion = trained.version("recommender", "champion")
    again = registered(release, Path(trained.root).parent, test_days=56)
    gate = read_manifest(again.folder("recommender", "candidate")).gate
    assert gate is not None
    assert (gate.passed, gate.champion) == (False, "champion")
    assert "goes on: it has learnt of the test's days" in gate.reasons[-1]
    assert again.version("recommender", "champion") == champion


def test_where_nobody_has_a_taste_popularity_answers(tmp_path: Path) -> None:
    release = small_lake(tmp_path / "lake", tastes(groups=1), [product(f"p{n}") for n in range(80)])
    registry = registered(release, tmp_path / "work")
    champion = load_recommender(registry.folder("recommender", "champion"))
    candidate = load_recommender(registry.folder("recommender", "candidate"))
    assert (candidate.manifest.model, champion.manifest.model) == ("implicit_factorization", "popularity")
    assert candidate.manifest.gate.champion == "popularity"  # type: ignore[union-attr]
    assert champion.manifest.metrics["new_items.ndcg_at_10"].value > 0
    nothing = Histories(offsets=np.zeros(2, np.int64), item_index=np.zeros(0, np.int64), times=np.zeros(0))
    items, _ = champion.recommend(nothing, k=3)
    assert len(set(items[0].tolist())) == 3


def test_a_shop_in_which_nothing_can_be_recommended_is_told_so(tmp_path: Path) -> None:
    release = small_lake(tmp_path / "lake", [purchase(1, "fuel", date(2026, 1, 5))], [product("fuel")])
    with pytest.raises(Refused, match="no product was bought by 3 members before 2026-03-06: lower min_members"):
        registered(release, tmp_path / "work")


def test_a_shop_without_purchases_to_judge_by_is_told_so(tmp_path: Path) -> None:
    day = NEWEST - timedelta(100)
    rows = [purchase(member, item, day) for member in range(9) for item in ("tea", "wine")]
    release = small_lake(tmp_path / "lake", rows, [product("tea"), product("wine")])
    with pytest.raises(Refused, match="no member bought an item new to them between 2026-03-06 and 2026-04-03"):
        registered(release, tmp_path / "work")
