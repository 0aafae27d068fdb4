from __future__ import annotations

import numpy as np
import pytest

from tenure.models.calibration import Calibration, fit_calibration
from tenure.models.mixing import choose_mix

RNG = np.random.default_rng(0)
TRUTH = RNG.normal(-1.5, 1.5, 20_000)
LABELS = (RNG.random(20_000) < 1 / (1 + np.exp(-TRUTH))).astype(float)


def test_logits_that_were_stretched_and_shifted_are_put_right():
    found = fit_calibration(3 * TRUTH + 2, LABELS)
    assert found.slope == pytest.approx(1 / 3, rel=0.05)
    assert found.intercept == pytest.approx(-2 / 3, abs=0.1)


def test_order_is_never_changed():
    said = fit_calibration(TRUTH, LABELS)(np.array([-40.0, -2, 0, 0.1, 7, 40]))
    assert (np.diff(said) >= 0).all()
    assert 0 <= said.min() <= said.max() <= 1


def test_perfectly_told_rows_give_a_finite_slope():
    found = fit_calibration(np.array([-1.0, -1, 1, 1]), np.array([0.0, 0, 1, 1]))
    assert np.isfinite([found.slope, found.intercept]).all()


def test_logits_against_the_labels_do_not_turn_the_order_round():
    assert fit_calibration(-TRUTH, LABELS).slope > 0


def test_a_branch_that_says_nothing_gets_no_weight():
    weights = choose_mix({"features": TRUTH, "sequence": RNG.normal(size=len(TRUTH))}, LABELS)
    assert weights == {"features": pytest.approx(1.0, abs=0.1), "sequence": pytest.approx(0.0, abs=0.1)}


def test_two_halves_of_the_truth_are_weighed_alike():
    half = RNG.normal(size=len(TRUTH))
    weights = choose_mix({"a": TRUTH + 3 * half, "b": TRUTH - 3 * half}, LABELS)
    assert weights["a"] == pytest.approx(0.5, abs=0.06)


def test_the_default_is_the_plain_sigmoid():
    assert Calibration()(np.array([0.0])).tolist() == [0.5]
