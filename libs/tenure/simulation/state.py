"""What changes about members from day to day (N members, members last)."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from tenure.simulation.chance import Flags, Floats, Ints, Places
from tenure.simulation.members import Members
from tenure.simulation.settings import CAUSES, Story

NEVER = 1 << 30
NOT_YET = -(1 << 30)
FADED = 0  # cause of those who dropped out after an order; the incidents' causes follow, from 1


@dataclass(frozen=True)
class Felt:
    """Harm that members (n,) will feel on a day: places among the members, each with its own effect."""

    member: Ints
    cause: int  # place in CAUSES
    effect: Floats


@dataclass
class State:
    left_on: Ints  # first day on which the member is gone; NEVER while here
    first_order: Ints
    last_order: Ints
    orders: Ints
    spend: Floats  # (periods + 1, N) of the tiers' periods, the running one first
    tier: Ints
    grace: Ints  # periods of grace left
    harm: Floats  # (causes, N) daily hazard
    is_treated: Flags  # by the campaign that started last
    consent: Flags  # (purposes, N)
    belief: Floats  # chance of still being here, for one who knows the traits and the orders but sees no one leave
    measured_spend: Floats  # since the campaign started last
    felt: dict[int, list[Felt]]

    def copy(self) -> State:
        return self.take(slice(None))

    def take(self, places: Places | slice) -> State:
        """The state of these members (ascending places) alone."""
        taken = {f.name: getattr(self, f.name)[..., places].copy() for f in fields(self) if f.name != "felt"}
        if isinstance(places, slice):
            return State(felt={day: list(felt) for day, felt in self.felt.items()}, **taken)
        return State(felt={day: [_among(places, f) for f in felt] for day, felt in self.felt.items()}, **taken)

    def will_feel(self, day: int, felt: Felt) -> None:
        if len(felt.member):
            self.felt.setdefault(day, []).append(felt)


def _among(places: Places, felt: Felt) -> Felt:
    at = np.searchsorted(places, felt.member)
    is_taken = places[np.minimum(at, len(places) - 1)] == felt.member if len(places) else np.zeros(len(at), dtype=bool)
    return Felt(at[is_taken], felt.cause, felt.effect[is_taken])


def fresh(story: Story, members: Members) -> State:
    n = len(members)

    def all_of(value: int) -> Ints:
        return np.full(n, value, dtype=np.int64)

    return State(
        left_on=all_of(NEVER),
        first_order=all_of(NEVER),
        last_order=all_of(NOT_YET),
        orders=all_of(0),
        spend=np.zeros((story.tiers.periods + 1, n)),
        tier=all_of(0),
        grace=all_of(story.tiers.grace_periods),
        harm=np.zeros((len(CAUSES), n)),
        is_treated=np.zeros(n, dtype=bool),
        consent=members.first_consent.copy(),
        belief=np.ones(n),
        measured_spend=np.zeros(n),
        felt={},
    )
