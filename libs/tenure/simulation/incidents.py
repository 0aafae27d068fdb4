"""Incidents: what goes wrong with an order, and by how much and for how long it raises the hazard of leaving.

A proportional hazard with effects that fade (Cox 1972; for the decay, Hawkes 1971). What happens to an order is
settled when it is placed and felt later; price rises are shared facts. So, as long as a member does not order, the
hazard ahead is known, and the truth about the next weeks has a closed form.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tenure.simulation.aligned import each_of
from tenure.simulation.baskets import IN_STOCK, Lines
from tenure.simulation.catalogue import Catalogue
from tenure.simulation.chance import Chance, Flags, Floats, Ints
from tenure.simulation.members import Members
from tenure.simulation.settings import CAUSES, Story
from tenure.simulation.state import Felt, State

LATE, STOCK_OUT, PRICE_RISE, BAD_QUALITY, UNANSWERED, UNWANTED = range(len(CAUSES))
_DISTURBANCE_DAYS = 7


@dataclass(frozen=True)
class Fates:
    """What became of n orders."""

    days_late: Ints
    is_bad: Flags
    has_complaint: Flags
    is_unanswered: Flags


@dataclass(frozen=True)
class Incident:
    """Incidents (n,) of one cause that will be felt on one day."""

    cause: int
    day: int
    member: Ints
    effect: Floats


def fates(story: Story, members: Members, owner: Ints, orders: Chance, lines: Lines, day: int) -> Fates:
    """What becomes of n orders of members ``owner`` (n,)."""
    incidents = story.incidents
    regions = Chance.of(story.seed, "region", np.arange(len(story.sessions.regions)))
    is_disrupted = regions.happens(incidents.disrupted_share, "disrupted", day // _DISTURBANCE_DAYS)
    late_share = np.where(is_disrupted, incidents.late_share_disrupted, incidents.late_share)[members.region[owner]]
    is_late = orders.happens(late_share, "late")
    days_late = np.where(is_late, 1 + orders.exponential(incidents.mean_days_late, "days late").astype(np.int64), 0)
    is_bad = np.zeros(len(owner), dtype=bool)
    is_bad[lines.order[lines.is_bad]] = True
    has_complaint = (is_late | is_bad) & orders.happens(incidents.complaint_share, "complaint")
    is_unanswered = has_complaint & orders.happens(incidents.unanswered_share, "unanswered")
    return Fates(days_late, is_bad, has_complaint, is_unanswered)


def foresee(story: Story, members: Members, owner: Ints, lines: Lines, fate: Fates, day: int) -> list[Incident]:
    """The incidents that a day's orders will bring. Lateness is felt on the promised day, what is wrong with the goods
    once they are there."""
    incidents = story.incidents
    patience = members.patience[owner]
    promised = np.full(len(owner), day + incidents.delivery_days)
    there = promised + fate.days_late
    lateness = np.log2(1.0 + fate.days_late)
    missed = np.bincount(lines.order[lines.wanted != IN_STOCK], minlength=len(owner)).astype(np.float64)
    found = (
        (LATE, promised, lateness),
        (STOCK_OUT, np.full(len(owner), day + 1), missed),
        (BAD_QUALITY, there, fate.is_bad.astype(np.float64)),
        (UNANSWERED, there + incidents.answer_days, fate.is_unanswered.astype(np.float64)),
    )
    named = []
    for cause, felt_on, size in found:
        effect = incidents.effects[CAUSES[cause]] * size * patience
        for when, hit in each_of(felt_on, size > 0):
            named.append(Incident(cause, when, owner[hit], effect[hit]))
    return named


def await_all(state: State, ahead: list[Incident]) -> None:
    for incident in ahead:
        state.will_feel(incident.day, Felt(incident.member, incident.cause, incident.effect))


def feel(story: Story, catalogue: Catalogue, members: Members, state: State, day: int) -> None:
    """Lets old harm fade and adds what is felt today."""
    state.harm *= 0.5 ** (1.0 / story.incidents.half_life_days)
    for felt in state.felt.pop(day, ()):
        np.add.at(state.harm[felt.cause], felt.member, felt.effect)
    state.harm[PRICE_RISE] += price_pain(story, catalogue, members, day)


def price_pain(story: Story, catalogue: Catalogue, members: Members, day: int) -> Floats | float:
    """Harm (N,) of the day's price rises: by tenths of the price, in proportion to the taste for the category."""
    rises = catalogue.price_rises(day)
    if not rises.any():
        return 0.0
    pain = np.zeros(len(members))
    for category in np.flatnonzero(rises):
        pain += 10.0 * rises[category] * members.taste[category]
    pain[members.joined > day] = 0.0
    return story.incidents.effects["price_rise"] * pain * members.patience


def leaving(state: State) -> Floats:
    """The chance (N,) of leaving today because of what is still felt."""
    total = state.harm[0].copy()
    for row in state.harm[1:]:
        total += row
    return -np.expm1(-total)
