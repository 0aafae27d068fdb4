from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.unit.simulation.small_shop import small_shop

from tenure.simulation.chance import Floats, Ints
from tenure.simulation.foresight import Ceiling, silence
from tenure.simulation.life import Life, World
from tenure.simulation.members import members
from tenure.simulation.state import NEVER


def ceiling(chance: list[float]) -> Ceiling:
    found = Ceiling()
    found.add(np.array(chance))
    return found


def test_two_members_who_are_sure_are_told_apart_wholly() -> None:
    assert ceiling([0.0, 1.0]).auc == pytest.approx(1.0)


def test_equal_chances_cannot_be_told_apart() -> None:
    assert ceiling([0.3, 0.3, 0.3]).auc == pytest.approx(0.5)


def test_the_best_auc_of_two_members_is_that_of_their_one_pair() -> None:
    # The pair counts where one is silent and the other is not: .8 * .6 one way, .4 * .2 the other.
    assert ceiling([0.8, 0.4]).auc == pytest.approx(0.48 / 0.56)


def test_ceilings_of_parts_add_up() -> None:
    whole, part = ceiling([0.1, 0.9, 0.4]), ceiling([0.1, 0.9])
    part.sums += ceiling([0.4]).sums
    assert part.auc == whole.auc
    assert part.members == 3


def test_ceilings_are_the_same_in_whatever_order_parts_are_added() -> None:
    chance = np.random.default_rng(5).uniform(0.3, 0.31, 3000)  # many to a bin
    whole, parts = Ceiling(), Ceiling()
    whole.add(chance)
    for part in reversed(np.array_split(chance, 7)):
        one = Ceiling()
        one.add(part)
        parts.sums += one.sums
    assert (parts.members, parts.silent, parts.auc) == (whole.members, whole.silent, whole.auc)


def lived(story_overrides: tuple[str, ...], days: int, until: int, number: Ints) -> tuple[Floats, Floats, np.ndarray]:
    """The two chances of silence as of ``until``, and who was silent in the four weeks from it."""
    story = small_shop(Path("unused"), *story_overrides)
    world = World(story)
    life = Life(world, members(story, world.catalogue, number))
    state = life.fresh()
    for day in range(until):
        life.live(state, day)
    foreseen, orders = silence(life, state, until, days), state.orders.copy()
    known = (life.members.joined < until) & ~life.members.is_tester
    for day in range(until, until + days):
        life.live(state, day)
    is_silent = (state.orders == orders)[known]
    return foreseen.given_hidden[known], foreseen.given_history[known], is_silent


@pytest.mark.parametrize("until", [40, 60])  # a randomised campaign runs or starts meanwhile, a targeted one starts
def test_chances_of_silence_come_true(until: int) -> None:
    given_hidden, given_history, is_silent = lived(("fraud.takeover_a_day=0",), 28, until, np.arange(6000))
    for chance in (given_hidden, given_history):
        error = np.sqrt((chance * (1 - chance)).sum()) / len(chance)
        assert abs(chance.mean() - is_silent.mean()) < 4 * error
        middling = (chance > 0.3) & (chance < 0.7)
        spread = np.sqrt((chance[middling] * (1 - chance[middling])).sum()) / middling.sum()
        assert abs(chance[middling].mean() - is_silent[middling].mean()) < 4 * spread


def test_without_leaving_and_campaigns_silence_is_the_product_of_the_days() -> None:
    quiet = ("purchasing.drop_out_b=1e9", "incidents.price_rise_share=0", "campaigns.first_day=1000")
    story = small_shop(Path("unused"), *quiet, "fraud.takeover_a_day=0")
    world = World(story)
    life = Life(world, members(story, world.catalogue, np.arange(50)))
    state = life.fresh()
    by_hand = np.ones(50)
    for day in range(3):
        by_hand *= 1.0 - life.chances(state, day)[1]
    assert silence(life, state, 0, 3).given_hidden == pytest.approx(by_hand)


def test_belief_is_right_about_who_is_still_here() -> None:
    story = small_shop(Path("unused"))
    world = World(story)
    life = Life(world, members(story, world.catalogue, np.arange(6000)))
    state = life.fresh()
    for day in range(80):
        life.live(state, day)
    is_here = state.left_on == NEVER
    error = np.sqrt((state.belief * (1 - state.belief)).sum()) / len(is_here)
    assert abs(state.belief.mean() - is_here.mean()) < 4 * error
