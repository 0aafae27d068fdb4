"""Ranking metrics by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tenure.models.histories import Histories
from tenure.training.ranking import ranking_metrics, resampled


def histories(*members: list[int]) -> Histories:
    flat = [item for member in members for item in member]
    return Histories(
        offsets=np.cumsum([0, *map(len, members)]), item_index=np.array(flat, np.int64), times=np.ones(len(flat))
    )


def test_hits_count_by_their_rank_and_by_what_could_be_found() -> None:
    answered = np.array([[5, 1, 9], [2, 3, 4], [7, -1, -1]])
    found = ranking_metrics(answered, histories([1], [2, 4, 8, 6], [0]))
    second, third = 1 / np.log2(3), 1 / np.log2(4)
    assert found["hit_rate_at_3"].tolist() == [1, 1, 0]
    assert found["ndcg_at_3"] == pytest.approx([second, (1 + third) / (1 + second + third), 0])
    assert found["recall_at_3"] == pytest.approx([1, 2 / 4, 0])


def test_resampled_bounds_hold_the_mean_and_pair_the_members() -> None:
    rng = np.random.default_rng(1)
    ours = rng.random(400)
    found = resampled({"ours": ours, "difference": ours - (ours - 0.01)}, 200, rng)
    assert found["ours"].value == pytest.approx(ours.mean())
    assert found["ours"].low < ours.mean() < found["ours"].high
    assert (found["difference"].low, found["difference"].high) == pytest.approx((0.01, 0.01))
