"""When members order: BG/NBD in days (Fader, Hardie, Lee 2005), with rest after an order and a lift for newcomers."""

from __future__ import annotations

import numpy as np

from tenure.simulation.chance import Floats
from tenure.simulation.members import Members
from tenure.simulation.settings import Story
from tenure.simulation.state import NEVER, State


def order_chance(
    story: Story, members: Members, state: State, day: int, intensity: float, lift: Floats | float
) -> Floats:
    """The chance (N,) that a member who is still here orders on the day; 0 before joining and for testers of cards."""
    purchasing = story.purchasing
    tier_rate = np.array([level.rate for level in story.tiers.levels])
    rested = (day - state.last_order) * members.rate / purchasing.rest_gaps
    rate = members.rate * intensity * tier_rate[state.tier] * lift * (1.0 - purchasing.rest * np.exp(-rested))
    rate *= _newcomers_lift(story, members, state, day)
    rate[(members.joined > day) | members.is_tester] = 0.0
    return -np.expm1(-rate)


def _newcomers_lift(story: Story, members: Members, state: State, day: int) -> Floats:
    days_here = np.maximum(day - members.joined, 0)
    lift = story.purchasing.newcomer_lift * np.exp(-days_here / story.purchasing.newcomer_days)
    return 1.0 + np.where(state.first_order == NEVER, lift, 0.0)
