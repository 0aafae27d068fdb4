"""Answers of both recommenders on rows small enough to check by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import torch

from tenure.errors import Refused
from tenure.models.factorization import Architecture, Factorization, loss, observed, solve
from tenure.models.histories import Histories, best
from tenure.models.popularity import Popularity
from tenure.models.recommender import Recommender, load_recommender
from tenure.registry.manifest import Manifest, write_manifest

PRODUCTS = ["bread", "milk", "tea", "wine"]
SHARE = torch.tensor([0.8, 0.5, 0.2, 0.1], dtype=torch.float64)
ARCHITECTURE = {
    "factors": 2,
    "weighting": "log",
    "alpha": 2.0,
    "regularization": 0.5,
    "popularity_weight": 0.1,
    "favourites_weight": 3.0,
}
FACTORS = torch.tensor([[1.0, 0.0], [0.8, 0.3], [-0.2, 0.9], [0.1, 0.7]])


def manifest(model: str) -> Manifest:
    return Manifest(
        task="recommender",
        model=model,
        architecture=ARCHITECTURE if model == Factorization.name else {},
        inputs={"vocabulary": {"product_id": PRODUCTS}},
        release_id="r1",
        source="corner_shop",
        fingerprint="00ff",
        code_version="0.1.0",
        seed=1,
        created_at=datetime(2026, 11, 23, tzinfo=UTC),
    )


def factorization() -> Factorization:
    return Factorization(PRODUCTS, FACTORS, SHARE, Architecture(**ARCHITECTURE))


def popularity() -> Popularity:
    return Popularity(PRODUCTS, SHARE)


def bought(*members: dict[str, float]) -> Histories:
    items = [PRODUCTS.index(product) for member in members for product in member]
    return Histories(
        offsets=np.cumsum([0, *map(len, members)]),
        item_index=np.array(items, np.int64),
        times=np.array([count for member in members for count in member.values()], np.float64),
    )


def test_popularity_answers_what_most_members_buy_and_the_member_has_not() -> None:
    items, scores = popularity().recommend(bought({"bread": 3}, {}), k=2)
    assert items.tolist() == [[1, 2], [0, 1]]
    assert scores[1].tolist() == pytest.approx([0.8 / 1.8, 0.5 / 1.5])


def test_popularity_puts_the_members_favourites_first_where_they_may_be_answered() -> None:
    items, _ = popularity().recommend(bought({"wine": 1, "tea": 5}), k=4, include_bought=True)
    assert items.tolist() == [[2, 3, 0, 1]]


def test_a_folded_in_member_minimises_the_loss_of_the_paper() -> None:
    history = bought({"bread": 3, "tea": 1})
    y = FACTORS.double().numpy()
    c = 1 + 2.0 * np.log1p(np.array([3.0, 0.0, 1.0, 0.0]))
    p = np.array([1.0, 0.0, 1.0, 0.0])
    by_hand = np.linalg.solve(y.T @ np.diag(c) @ y + 0.5 * np.eye(2), y.T @ (c * p))
    np.testing.assert_allclose(factorization().member_factors(history)[0], by_hand, rtol=1e-12)


def test_the_score_is_the_sigmoid_of_the_members_and_the_items_factors() -> None:
    history = bought({"bread": 3})
    model = factorization()
    items, scores = model.recommend(history, k=3)
    x = model.member_factors(history)[0]
    raw = FACTORS.double() @ x + 0.1 * torch.log(SHARE)
    assert 0 not in items
    np.testing.assert_allclose(scores[0], torch.sigmoid(raw[items[0]]), rtol=1e-12)


@pytest.mark.parametrize("model", [factorization(), popularity()], ids=lambda model: model.name)
def test_an_answer_does_not_depend_on_who_else_is_asked_for(model: Recommender) -> None:
    rng = np.random.default_rng(3)
    members = [
        {product: float(rng.integers(1, 5)) for product in rng.choice(PRODUCTS, rng.integers(0, 4), replace=False)}
        for _ in range(600)
    ]
    items, scores = model.recommend(bought(*members), k=4, include_bought=True)
    for n in (0, 17, 255, 256, 599):
        item, score = model.recommend(bought(members[n]), k=4, include_bought=True)
        assert item.tolist() == [items[n].tolist()]
        np.testing.assert_allclose(score[0], scores[n], atol=1e-9)


def test_a_member_who_bought_everything_gets_nothing_new() -> None:
    items, _ = factorization().recommend(bought(dict.fromkeys(PRODUCTS, 1.0)), k=2)
    assert items.tolist() == [[-1, -1]]


def test_a_member_without_history_gets_what_is_popular() -> None:
    items, _ = factorization().recommend(bought({}), k=3)
    assert items.tolist() == [[0, 1, 2]]


def test_a_catalogue_smaller_than_what_is_asked_for_ends_in_nothing() -> None:
    places, scores = best(torch.tensor([[0.0, 1.0, -torch.inf]], dtype=torch.float64), 5)
    assert places.tolist() == [[1, 0, -1, -1, -1]]
    assert scores[0, 2:].tolist() == [0.0, 0.0, 0.0]


def test_no_member_is_no_row() -> None:
    items, scores = factorization().recommend(bought(), k=3)
    assert items.shape == scores.shape == (0, 3)


def test_one_half_step_never_raises_the_loss_and_counts_every_pair() -> None:
    history = bought({"bread": 3, "tea": 1}, {"wine": 2}, {})
    rows = observed(history, "raw", 1.0)
    y = FACTORS.double()
    x = solve(rows, y, y.T @ y, 0.5)
    score = x @ y.T
    c, p = torch.ones(3, 4).double(), torch.zeros(3, 4).double()
    c[0, 0], c[0, 2], c[1, 3] = 4, 2, 3
    p[0, 0] = p[0, 2] = p[1, 3] = 1
    assert loss(rows, x, y) == pytest.approx(float((c * (p - score) ** 2).sum()))
    nudged = x + 0.01
    assert loss(rows, x, y) + 0.5 * (x**2).sum() < loss(rows, nudged, y) + 0.5 * (nudged**2).sum()


@pytest.mark.smoke
@pytest.mark.parametrize("model", [Factorization.name, Popularity.name])
def test_a_saved_recommender_answers_the_same(model: str, tmp_path: Path) -> None:
    if model == Factorization.name:
        Factorization.save(tmp_path, FACTORS, SHARE)
    else:
        Popularity.save(tmp_path, SHARE)
    write_manifest(tmp_path, manifest(model))
    before = factorization() if model == Factorization.name else popularity()
    items, scores = load_recommender(tmp_path).recommend(bought({"milk": 2}), k=4, include_bought=True)
    expected_items, expected_scores = before.recommend(bought({"milk": 2}), k=4, include_bought=True)
    assert items.tolist() == expected_items.tolist()
    np.testing.assert_allclose(scores, expected_scores)


def test_weights_of_another_catalogue_are_refused(tmp_path: Path) -> None:
    Factorization.save(tmp_path, FACTORS[:3], SHARE[:3])
    write_manifest(tmp_path, manifest(Factorization.name))
    with pytest.raises(Refused, match="the manifest says"):
        load_recommender(tmp_path)


def test_an_architecture_that_is_none_is_refused(tmp_path: Path) -> None:
    Factorization.save(tmp_path, FACTORS, SHARE)
    broken = manifest(Factorization.name).model_copy(update={"architecture": {"factors": 2}})
    write_manifest(tmp_path, broken)
    with pytest.raises(Refused, match=r"weighting.*register the model again"):
        load_recommender(tmp_path)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_batched_cholesky_on_the_device_answers_like_the_cpu() -> None:
    rng = np.random.default_rng(5)
    histories = bought(*({p: float(rng.integers(1, 9)) for p in PRODUCTS[: rng.integers(0, 5)]} for _ in range(500)))
    on_device = Factorization(PRODUCTS, FACTORS, SHARE, Architecture(**ARCHITECTURE), "cuda")
    np.testing.assert_allclose(
        on_device.member_factors(histories).cpu(), factorization().member_factors(histories), atol=1e-10
    )
    assert on_device.recommend(histories, 3)[0].tolist() == factorization().recommend(histories, 3)[0].tolist()
