"""Consent for each purpose: given or not, withdrawn and given again over time, whatever else happens."""

from __future__ import annotations

import numpy as np

from tenure.simulation.chance import Flags, Floats
from tenure.simulation.members import Members
from tenure.simulation.settings import PURPOSES, Consent
from tenure.simulation.state import State

MARKETING = PURPOSES.index("marketing")


def change(consent: Consent, members: Members, state: State, day: int) -> Flags:
    """Moves every chain of two states by a day and says which (purposes, N) moved."""
    changes = np.zeros_like(state.consent)
    for place, purpose in enumerate(PURPOSES):
        given = state.consent[place]
        chance = np.where(given, consent.withdrawn_a_day, consent.given_again_a_day)
        changes[place] = members.chance.happens(chance, f"consent to {purpose} changes", day)
    changes &= members.joined < day
    state.consent ^= changes
    return changes


def chance_after(consent: Consent, is_given: Flags, days: int) -> Floats:
    """The chance (N,) that a consent stands after so many days."""
    withdrawn, again = consent.withdrawn_a_day, consent.given_again_a_day
    if withdrawn + again == 0:
        return is_given.astype(np.float64)
    settled = again / (withdrawn + again)
    start = is_given.astype(np.float64)
    return settled + (start - settled) * (1.0 - withdrawn - again) ** days
