from __future__ import annotations

import numpy as np
import pytest

from tenure.simulation.chance import Chance, pick

MANY = Chance.of(7, "member", np.arange(200_000))


@pytest.mark.smoke
def test_a_draw_depends_on_the_thing_and_not_on_its_company() -> None:
    alone = Chance.of(7, "member", np.array([41]))
    assert alone.uniform("orders", 3)[0] == MANY.uniform("orders", 3)[41]
    assert alone.gamma(0.4, "rate")[0] == MANY.gamma(0.4, "rate")[41]
    assert alone.normal("taste")[0] == MANY.normal("taste")[41]


@pytest.mark.parametrize("other", [Chance.of(8, "member", np.arange(9)), Chance.of(7, "product", np.arange(9))])
def test_seed_and_kind_make_other_numbers(other: Chance) -> None:
    assert not np.any(other.bits("orders") == MANY.bits("orders")[:9])


def test_purposes_and_steps_are_independent() -> None:
    u, other, next_step = MANY.uniform("a", 1), MANY.uniform("b", 1), MANY.uniform("a", 2)
    assert abs(np.corrcoef(u, other)[0, 1]) < 0.01
    assert abs(np.corrcoef(u, next_step)[0, 1]) < 0.01
    assert abs(np.corrcoef(u[1:], u[:-1])[0, 1]) < 0.01


def test_a_step_may_be_one_for_all_or_one_for_each() -> None:
    steps = np.full(len(MANY.keys), 5)
    assert np.array_equal(MANY.split("line", steps).keys, MANY.bits("line", steps))
    assert len(np.unique(MANY.take(np.zeros(4, dtype=int)).bits("line", np.arange(4)))) == 4


@pytest.mark.parametrize("shape", [0.25, 0.9, 3.0])
def test_gamma_has_the_mean_and_variance_of_its_shape(shape: float) -> None:
    values = MANY.gamma(shape, "gamma")
    assert values.mean() == pytest.approx(shape, rel=0.02)
    assert values.var() == pytest.approx(shape, rel=0.04)


def test_beta_poisson_and_exponential_have_their_means() -> None:
    assert MANY.beta(0.8, 2.4, "beta").mean() == pytest.approx(0.25, abs=0.003)
    assert MANY.poisson(2.5, "poisson").mean() == pytest.approx(2.5, abs=0.02)
    assert MANY.exponential(3.0, "exponential").mean() == pytest.approx(3.0, rel=0.02)


def test_pick_lays_shares_side_by_side() -> None:
    assert pick(np.array([1.0, 2.0, 1.0]), np.array([0.2, 0.3, 0.7, 0.8])).tolist() == [0, 1, 1, 2]
