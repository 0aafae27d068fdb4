"""One day of a shop's members, in the order in which things happen; all else reads what this decides."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tenure.simulation import consent, incidents, tiers
from tenure.simulation.aligned import Aligned
from tenure.simulation.baskets import Lines, fill
from tenure.simulation.calendar import Calendar
from tenure.simulation.campaigns import Campaigns
from tenure.simulation.catalogue import Catalogue, Shelf
from tenure.simulation.chance import Chance, Flags, Floats, Ints
from tenure.simulation.incidents import Fates, Incident
from tenure.simulation.members import Members
from tenure.simulation.purchasing import order_chance
from tenure.simulation.settings import Story
from tenure.simulation.state import FADED, NEVER, State, fresh


class World:
    """What members share: the calendar, the catalogue, the campaigns."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.calendar = Calendar(story)
        self.catalogue = Catalogue(story, self.calendar)
        self.campaigns = Campaigns(story)


@dataclass(frozen=True)
class Orders:
    """n orders of a day and their lines."""

    member: Ints  # (n,) places of the members
    chance: Chance
    lines: Lines
    fate: Fates
    has_coupon: Flags
    is_placed_again: Flags  # the same lines honestly bought twice, minutes or hours later

    @property
    def paid_minor(self) -> Ints:
        """(n,), of both where an order is placed again."""
        once = np.bincount(self.lines.order, self.lines.paid_minor, minlength=len(self.member)).astype(np.int64)
        return once * (1 + self.is_placed_again)


@dataclass(frozen=True)
class Leavers(Aligned):
    """Members (n,) who left: from which day on, why, how likely that was, and the hazard of the day (causes, n)."""

    member: Ints
    left_on: Ints
    cause: Ints
    chance: Floats
    harm: Floats


@dataclass(frozen=True)
class Campaign:
    """A campaign that starts today: who could be addressed (n,), with which chance, who was, and whom that drives
    away by how much."""

    number: int
    member: Ints
    propensity: Floats
    is_treated: Flags
    harm: Floats


@dataclass(frozen=True)
class Day:
    """What happened on one day."""

    day: int
    shelf: Shelf
    orders: Orders
    ahead: list[Incident]
    price_pain: Floats | float
    leavers: Leavers
    campaign: Campaign | None
    consent_changes: Flags  # (purposes, N)


class Life:
    """Members of a world, day after day. A day is a function of the state and the day alone."""

    def __init__(self, world: World, members: Members) -> None:
        self.world, self.story, self.members = world, world.story, members

    def fresh(self) -> State:
        return fresh(self.story, self.members)

    def live(self, state: State, day: int, *, treated: Flags | None = None) -> Day:
        """Moves the state by a day and tells what happened. ``treated`` (N,) overrules who a starting campaign
        addresses, for the world that might have been."""
        self.settle(state, day)
        changes = consent.change(self.story.consent, self.members, state, day)
        campaign = self._campaign(state, day, treated)
        leave, order = self.chances(state, day)
        upset = self._leave(state, day, leave)
        shelf = self.world.catalogue.shelf(day)
        orders = self._order(state, day, order, shelf)
        ahead = incidents.foresee(self.story, self.members, orders.member, orders.lines, orders.fate, day)
        incidents.await_all(state, ahead)
        faded = self._fade(state, day, orders)
        self._believe(state, orders, leave, order, day)
        pain = incidents.price_pain(self.story, self.world.catalogue, self.members, day)
        return Day(day, shelf, orders, ahead, pain, upset.followed_by(faded), campaign, changes)

    def settle(self, state: State, day: int) -> None:
        """What the day brings whatever members do: reviews of tiers, harm that fades or is felt."""
        tiers.review(self.story.tiers, state, day)
        incidents.feel(self.story, self.world.catalogue, self.members, state, day)

    def chances(self, state: State, day: int) -> tuple[Floats, Floats]:
        """The chances (N,) of leaving today, and, for who stays, of ordering."""
        lift = self.world.campaigns.lift(self.members, state, day)
        order = order_chance(self.story, self.members, state, day, self.world.calendar.intensity(day), lift)
        return np.where(self.members.joined <= day, incidents.leaving(state), 0.0), order

    def _campaign(self, state: State, day: int, treated: Flags | None) -> Campaign | None:
        number = self.world.campaigns.starting(day)
        if number is None:
            return None
        is_eligible = (self.members.joined < day) & state.consent[consent.MARKETING] & ~self.members.is_tester
        propensity = self.world.campaigns.propensity(number, state)
        is_treated = is_eligible & self.members.chance.happens(propensity, "addressed", day)
        self.world.campaigns.address(self.members, state, is_treated if treated is None else treated)
        harm = self.world.campaigns.harm(self.members, is_treated)
        eligible = np.flatnonzero(is_eligible)
        return Campaign(number, eligible, propensity[eligible], is_treated[eligible], harm[eligible])

    def _leave(self, state: State, day: int, leave: Floats) -> Leavers:
        harmed = np.flatnonzero((leave > 0) & (state.left_on == NEVER))
        chance = self.members.chance.take(harmed)
        gone = harmed[chance.happens(leave[harmed], "leaves", day)]
        harm = state.harm[:, gone]
        below = np.cumsum(harm, axis=0)
        u = self.members.chance.take(gone).uniform("why", day) * below[-1]
        cause = 1 + (u > below[:-1]).sum(axis=0)
        state.left_on[gone] = day
        return Leavers(gone, np.full(len(gone), day), cause, leave[gone], harm)

    def _order(self, state: State, day: int, order: Floats, shelf: Shelf) -> Orders:
        is_here = state.left_on == NEVER
        owner = np.flatnonzero(is_here & self.members.chance.happens(order, "orders", day))
        chance = self.members.chance.take(owner).split("order", day)
        running = self.world.campaigns.running(day)
        redeems = self.world.campaigns.may_redeem(self.members, state, day)[owner]
        redeems &= chance.happens(self.story.campaigns.redeemed_share, "redeems")
        coupon = np.where(redeems, 0.0 if running is None else self.world.campaigns.coupon(running), 0.0)
        off = np.array([level.discount for level in self.story.tiers.levels])[state.tier[owner]]
        lines = fill(self.story, self.world.catalogue, shelf, self.members, owner, chance, off, coupon)
        fate = incidents.fates(self.story, self.members, owner, chance, lines, day)
        again = chance.happens(self.story.baskets.again_share, "again")
        orders = Orders(owner, chance, lines, fate, redeems, again)
        self._remember(state, day, orders)
        return orders

    def _remember(self, state: State, day: int, orders: Orders) -> None:
        paid = orders.paid_minor / 100.0
        state.first_order[orders.member] = np.minimum(state.first_order[orders.member], day)
        state.last_order[orders.member] = day
        state.orders[orders.member] += 1
        state.spend[0][orders.member] += paid
        state.measured_spend[orders.member] += paid

    def _fade(self, state: State, day: int, orders: Orders) -> Leavers:
        drop_out = self.members.drop_out[orders.member]
        is_gone = orders.chance.happens(drop_out, "drops out")
        gone = orders.member[is_gone]
        state.left_on[gone] = day + 1
        return Leavers(
            gone, np.full(len(gone), day + 1), np.full(len(gone), FADED), drop_out[is_gone], state.harm[:, gone]
        )

    def _believe(self, state: State, orders: Orders, leave: Floats, order: Floats, day: int) -> None:
        """Bayes' rule, a day on: who does not order has left, or stayed and did not order."""
        stays = state.belief * (1.0 - leave)
        silent = 1.0 - stays * order
        state.belief = np.where(silent > 0, stays * (1.0 - order) / np.maximum(silent, 1e-300), 0.0)
        state.belief[orders.member] = 1.0 - self.members.drop_out[orders.member]
