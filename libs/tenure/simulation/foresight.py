"""What could be known at best: the chance that a member will not order, and the best AUC that any model could reach.

As long as a member does not order, everything ahead is settled but two things: whether the member leaves, and whether
a campaign that starts meanwhile addresses the member. So the chance of no order in a horizon is a recursion over its
days, and a campaign splits it in two. No continuation is sampled.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tenure.simulation import consent
from tenure.simulation.chance import Flags, Floats
from tenure.simulation.life import Life
from tenure.simulation.state import NEVER, State


@dataclass(frozen=True)
class Silence:
    """The chance (N,) of no order from a day on, by what is known on it."""

    given_hidden: Floats  # who knows all that is hidden, also who has left
    given_history: Floats  # who knows all traits and all orders, but sees no one leave


@dataclass
class _Branch:
    weight: Floats  # chance of this branch
    here: Floats  # chance of being here and not having ordered, within it
    gone: Floats  # chance of having left without an order
    state: State


def silence(life: Life, state: State, day: int, horizon_days: int) -> Silence:
    """No order in the days from ``day`` on, for the state before it. Thefts of accounts count as orders."""
    n = len(life.members)
    branches = [_Branch(np.ones(n), np.ones(n), np.zeros(n), state.copy())]
    for ahead in range(day, day + horizon_days):
        for branch in branches:
            life.settle(branch.state, ahead)
        number = life.world.campaigns.starting(ahead)
        if number is not None:
            branches = [part for branch in branches for part in _split(life, branch, number, ahead, ahead - day + 1)]
        for branch in branches:
            leave, order = life.chances(branch.state, ahead)
            branch.gone += branch.here * leave
            branch.here *= (1.0 - leave) * (1.0 - order)
    stays = np.zeros(n)
    for branch in branches:
        stays += branch.weight * (branch.here + branch.gone)
    no_theft = (1.0 - life.story.fraud.takeover_a_day) ** horizon_days
    is_here = state.left_on > day - 1
    belief = state.belief
    return Silence(
        given_hidden=np.where(is_here & (state.left_on == NEVER), stays, 1.0) * no_theft,
        given_history=(belief * stays + 1.0 - belief) * no_theft,
    )


def _split(life: Life, branch: _Branch, number: int, day: int, days_ahead: int) -> list[_Branch]:
    """The branch in which the campaign addresses the member, and the one in which it does not."""
    may = consent.chance_after(life.story.consent, branch.state.consent[consent.MARKETING], days_ahead)
    chance = life.world.campaigns.propensity(number, branch.state) * may
    chance = np.where(life.members.joined < day, chance, 0.0)
    parts = []
    for is_treated, weight in ((True, chance), (False, 1.0 - chance)):
        state = branch.state.copy()
        life.world.campaigns.address(life.members, state, _all(len(chance), is_treated))
        parts.append(_Branch(branch.weight * weight, branch.here.copy(), branch.gone.copy(), state))
    return parts


def _all(n: int, value: bool) -> Flags:
    return np.full(n, value, dtype=bool)


_BINS = 1 << 14
_ONE = 1 << 30  # chances are added up in such parts: whole numbers make the same sum in any order of the members


class Ceiling:
    """The expected ROC AUC of the true chances themselves, when every outcome is drawn by its own chance.

    No score of the same members has a higher expectation: it orders pairs by their likelihood ratio (Neyman and
    Pearson 1933). Chances are counted in bins, so that parts can be added up in little memory and in any order; ties
    count a half, and a pair is two different members.
    """

    def __init__(self) -> None:
        self.sums = np.zeros((3, _BINS), dtype=np.int64)  # members; silent, silent times talking in parts of one

    def add(self, chance: Floats) -> None:
        place = np.minimum((chance * _BINS).astype(np.int64), _BINS - 1)
        self.sums[0] += np.bincount(place, minlength=_BINS)
        for row, weight in ((1, chance), (2, chance * (1.0 - chance))):
            np.add.at(self.sums[row], place, np.rint(weight * _ONE).astype(np.int64))

    @property
    def members(self) -> int:
        return int(self.sums[0].sum())

    @property
    def silent(self) -> float:
        return float(self.sums[1].sum() / _ONE)

    @property
    def auc(self) -> float:
        """0.5 where there is no pair to order."""
        members, silent, both = self.sums[0], self.sums[1] / _ONE, self.sums[2] / _ONE
        talking = members - silent
        below = np.cumsum(talking) - talking
        right = float(np.sum(silent * below) + 0.5 * np.sum(silent * talking - both))
        pairs = float(silent.sum() * talking.sum() - both.sum())
        return right / pairs if pairs > 0 else 0.5
