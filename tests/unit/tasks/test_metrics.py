from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from tenure.tasks.metrics import AVERAGE_PRECISION, CALIBRATION_ERROR, ROC_AUC

LABELS = np.array([1, 0, 1, 0, 0, 1])
SCORES = np.array([0.9, 0.8, 0.8, 0.3, 0.2, 0.1])


@pytest.mark.smoke
def test_roc_auc_counts_pairs_and_half_of_each_tie():
    # Of nine pairs: the positive at .9 beats three, the one at .8 ties one and beats two, the one at .1 beats none.
    assert ROC_AUC(LABELS, SCORES) == pytest.approx((3 + 2.5 + 0) / 9)


def test_average_precision_steps_over_ties_together():
    assert AVERAGE_PRECISION(LABELS, SCORES) == pytest.approx((1 / 1 + 2 / 3 + 3 / 6) / 3)


def test_weights_stand_for_repeated_rows():
    weights = np.array([2, 0, 1, 3, 1, 1])
    repeated = np.repeat(np.arange(6), weights)
    for metric in (ROC_AUC, AVERAGE_PRECISION):
        assert metric.of(LABELS, SCORES)(weights) == pytest.approx(metric(LABELS[repeated], SCORES[repeated]))


def test_both_equal_scikit_learn_on_random_rows_with_ties():
    rng = np.random.default_rng(0)
    labels, scores = rng.integers(0, 2, 500), rng.integers(0, 40, 500) / 40
    assert ROC_AUC(labels, scores) == pytest.approx(roc_auc_score(labels, scores))
    assert AVERAGE_PRECISION(labels, scores) == pytest.approx(average_precision_score(labels, scores))


def test_calibration_error_is_the_mean_gap_of_equal_bins():
    scores = np.repeat(np.arange(10) / 10, 10)
    labels = np.tile([1, 0, 0, 0, 0, 0, 0, 0, 0, 0], 10)  # one of ten comes true, whatever was said
    assert CALIBRATION_ERROR(labels, scores) == pytest.approx(np.abs(np.arange(10) / 10 - 0.1).mean())


def test_one_class_alone_has_no_roc_auc():
    assert np.isnan(ROC_AUC(np.zeros(3), np.arange(3.0)))
