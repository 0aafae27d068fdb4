from __future__ import annotations

import numpy as np
import pytest

from tenure.report.curves import gain, precision_recall, reliability, roc, roc_auc

LABEL = np.array([1.0, 0.0, 1.0, 0.0])
SCORE = np.array([0.9, 0.8, 0.7, 0.1])


def test_roc_goes_one_step_for_each_threshold() -> None:
    curve = roc(LABEL, SCORE)
    assert curve.x.tolist() == [0, 0, 0.5, 0.5, 1]  # of two zeros, one stands above the second one
    assert curve.y.tolist() == [0, 0.5, 0.5, 1, 1]


def test_auc_is_the_share_of_pairs_in_the_right_order_and_half_of_the_ties() -> None:
    assert roc_auc(LABEL, SCORE) == pytest.approx(3 / 4)
    assert roc_auc(LABEL, np.full(4, 0.5)) == pytest.approx(1 / 2)


def test_auc_of_one_class_is_nothing() -> None:
    assert np.isnan(roc_auc(np.ones(3), SCORE[:3]))


def test_equal_scores_make_one_point_whatever_the_order_of_rows() -> None:
    tied = np.array([0.5, 0.5, 0.5, 0.1])
    for order in ([0, 1, 2, 3], [1, 0, 3, 2]):
        assert roc(LABEL[order], tied[order]).y.tolist() == [0, 1, 1]


def test_precision_counts_the_ones_among_those_named() -> None:
    curve = precision_recall(LABEL, SCORE)
    assert curve.x.tolist() == [0.5, 0.5, 1, 1]
    assert curve.y.tolist() == pytest.approx([1, 1 / 2, 2 / 3, 1 / 2])


def test_gain_addresses_the_highest_scores_first() -> None:
    curve = gain(LABEL, SCORE)
    assert curve.x.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert curve.y.tolist() == [0, 0.5, 0.5, 1, 1]


def test_reliability_puts_equally_many_into_each_bin() -> None:
    found = reliability(LABEL, SCORE, bins=2)
    assert found.examples.tolist() == [2, 2]
    assert found.score.tolist() == pytest.approx([0.4, 0.85])
    assert found.share.tolist() == [0.5, 0.5]


def test_reliability_of_few_examples_has_no_empty_bin() -> None:
    assert reliability(LABEL, SCORE, bins=10).examples.tolist() == [1, 1, 1, 1]
