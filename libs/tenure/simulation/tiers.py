"""The tier programme: qualification by what was spent, a grace period, one level down at a time."""

from __future__ import annotations

import numpy as np

from tenure.simulation.chance import Floats, Ints
from tenure.simulation.settings import Tiers
from tenure.simulation.state import State


def recent_spend(state: State) -> Floats:
    """Paid (N,) in the running period and the whole ones that count."""
    total = state.spend[0].copy()
    for row in state.spend[1:]:
        total += row
    return total


def review(tiers: Tiers, state: State, day: int) -> None:
    """At the start of a period: closes the one before and moves members up at once, down after their grace."""
    if day == 0 or day % tiers.period_days:
        return
    state.spend[1:] = state.spend[:-1]
    state.spend[0] = 0.0
    earned = _level(tiers, recent_spend(state))
    falls_short = earned < state.tier
    loses = falls_short & (state.grace == 0)
    state.tier = np.where(loses, state.tier - 1, np.maximum(state.tier, earned))
    keeps_for_now = falls_short & ~loses
    state.grace = np.where(keeps_for_now, state.grace - 1, tiers.grace_periods)


def _level(tiers: Tiers, spend: Floats) -> Ints:
    limits = np.array([level.from_spend for level in tiers.levels[1:]])
    return np.searchsorted(limits, spend, side="right").astype(np.int64)
