"""Campaigns: randomised ones with controls, and ones targeted by past spend; four ways to respond to them.

The four responses are those of uplift modelling (Radcliffe and Surry 1999).
"""

from __future__ import annotations

import numpy as np

from tenure.simulation.chance import Chance, Flags, Floats
from tenure.simulation.members import DO_NOT_DISTURB, LOST_CAUSE, PERSUADABLE, Members
from tenure.simulation.settings import CAUSES, Story
from tenure.simulation.state import State
from tenure.simulation.tiers import recent_spend

_UNWANTED = CAUSES.index("unwanted_campaign")


class Campaigns:
    """Campaigns are numbered from 0; the even ones are randomised. One runs at a time."""

    def __init__(self, story: Story) -> None:
        self.settings = story.campaigns
        self._unwanted_effect = story.incidents.effects["unwanted_campaign"]
        self._seed = story.seed

    def starting(self, day: int) -> int | None:
        since = day - self.settings.first_day
        return since // self.settings.every_days if since >= 0 and since % self.settings.every_days == 0 else None

    def running(self, day: int) -> int | None:
        since = day - self.settings.first_day
        is_on = since >= 0 and since % self.settings.every_days < self.settings.days
        return since // self.settings.every_days if is_on else None

    def first_day(self, campaign: int) -> int:
        return self.settings.first_day + campaign * self.settings.every_days

    def is_randomised(self, campaign: int) -> bool:
        return campaign % 2 == 0

    def coupon(self, campaign: int) -> float:
        """The share that its coupon takes off."""
        low, high = self.settings.coupon
        u = Chance.of(self._seed, "campaign", np.array([campaign])).uniform("coupon")[0]
        return float(np.round(low + (high - low) * u, 2))

    def propensity(self, campaign: int, state: State) -> Floats:
        """The chance (N,) that an eligible member is addressed."""
        if self.is_randomised(campaign):
            return np.full(len(state.tier), self.settings.randomised_share)
        is_spender = recent_spend(state) >= self.settings.targeted_from_spend
        return np.where(is_spender, self.settings.targeted_share, self.settings.untargeted_share)

    def address(self, members: Members, state: State, is_treated: Flags) -> None:
        """Starts a campaign for those who are addressed."""
        state.is_treated = is_treated
        state.measured_spend = np.zeros(len(members))
        state.harm[_UNWANTED] += self.harm(members, is_treated)

    def harm(self, members: Members, is_treated: Flags) -> Floats:
        """What being addressed adds to the daily hazard (N,) of leaving: of who would rather not be disturbed."""
        is_disturbed = is_treated & (members.response == DO_NOT_DISTURB)
        return np.where(is_disturbed, self._unwanted_effect * members.patience, 0.0)

    def lift(self, members: Members, state: State, day: int) -> Floats | float:
        """What the running campaign multiplies order rates (N,) by."""
        if self.running(day) is None:
            return 1.0
        lift = np.ones(len(members))
        lift[state.is_treated & (members.response == PERSUADABLE)] += self.settings.persuadable_lift
        lift[state.is_treated & (members.response == DO_NOT_DISTURB)] -= self.settings.disturbed_drop
        return lift

    def may_redeem(self, members: Members, state: State, day: int) -> Flags:
        if self.running(day) is None:
            return np.zeros(len(members), dtype=bool)
        is_willing = (members.response != LOST_CAUSE) & (members.response != DO_NOT_DISTURB)
        return state.is_treated & is_willing
