"""Writes down what the product may not know: the tables of ``tenure.contracts.truth``."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from tenure.contracts import truth
from tenure.lifecycle import stages
from tenure.simulation import incidents
from tenure.simulation.baskets import wanted_shares
from tenure.simulation.block import Block
from tenure.simulation.chance import Flags, Floats, Ints
from tenure.simulation.comparison import Comparison
from tenure.simulation.foresight import Ceiling, silence
from tenure.simulation.landing import Columns, Files, Words, days, same
from tenure.simulation.life import Campaign, Day, Leavers, Life
from tenure.simulation.members import LOST_CAUSE
from tenure.simulation.registers import campaign_id
from tenure.simulation.settings import CAUSES, RESPONSES, Truths
from tenure.simulation.state import FADED, NEVER, State
from tenure.simulation.tills import is_taken_over

_STAGES = Words([*stages.STAGES])


@dataclass
class Ceilings:
    """The best AUC by as_of, for the two who know most."""

    given_hidden: dict[int, Ceiling] = field(default_factory=dict)
    given_history: dict[int, Ceiling] = field(default_factory=dict)

    def add(self, other: Ceilings) -> None:
        for mine, theirs in ((self.given_hidden, other.given_hidden), (self.given_history, other.given_history)):
            for day, ceiling in theirs.items():
                mine.setdefault(day, Ceiling()).sums += ceiling.sums


@dataclass
class _Measured:
    """A campaign under way: who was eligible, and what each spends in the world where the other choice was made."""

    campaign: Campaign
    ends: int
    spend_otherwise: Floats


class Truthteller:
    """Tells the truth about one partition's life."""

    def __init__(self, block: Block, life: Life, files: Files, asked: Truths, last_day: int) -> None:
        self._block, self._life, self._files, self._asked, self._last_day = block, life, files, asked, last_day
        self._measured: _Measured | None = None
        self.ceilings = Ceilings()
        self.comparisons: dict[int, Comparison] = {}

    def before(self, state: State, day: int) -> None:
        """What is true as of a day, before anything happens on it."""
        self._tell_effects(state, day)
        if self._is_asked(day):
            self._tell_states(state, day)
        if self._is_asked(day - self._asked.horizon_days):
            self._tell_outcomes(state, day - self._asked.horizon_days, day)

    def after(self, state: State, before: State | None, day: Day, new: Ints) -> None:
        """What a day brought. ``state`` is the one after it, ``before`` the one before it where a campaign starts."""
        on = self._block.world.calendar.date(day.day)
        self._files.tell(truth.TRUE_MEMBERS, on, _members(self._block, new))
        self._files.tell(truth.TRUE_TASTES, on, _tastes(self._block, new))
        self._files.tell(truth.TRUE_LEAVERS, on, self._leavers(day.leavers))
        self._files.tell(truth.TRUE_INCIDENTS, on, self._incidents(state, day))
        if before is not None and day.campaign is not None:
            self._measure(before, day.campaign, day.day)

    def _is_asked(self, day: int) -> bool:
        since = day - self._asked.first_as_of
        return since >= 0 and since % self._asked.every_days == 0

    def _known(self, day: int) -> Ints:
        """Places of the members of whom states are told."""
        members = self._block.members
        return np.flatnonzero((members.joined < day) & ~members.is_tester)

    def _tell_outcomes(self, state: State, as_of: int, day: int) -> None:
        """Who has not ordered from ``as_of`` on; ``state`` is the one before ``day``, on which that is told."""
        known = self._known(as_of)
        no_order = state.last_order[known] < as_of
        quiet = np.flatnonzero(no_order)
        chance = self._block.members.chance.take(known[quiet])
        for ahead in range(as_of, day):
            no_order[quiet] &= ~is_taken_over(self._block.story, chance, ahead)
        columns = {
            "member_id": self._block.ids(known),
            "as_of": self._block.exported_on(as_of, len(known)),
            "no_order": pa.array(no_order),
        }
        self._files.tell(truth.TRUE_OUTCOMES, self._block.world.calendar.date(day), columns)

    def _tell_states(self, state: State, day: int) -> None:
        asked, members = self._asked, self._block.members
        known = self._known(day)
        life, state = Life(self._life.world, members.take(known)), state.take(known)
        quiet = silence(life, state, day, asked.horizon_days)
        is_at_risk = state.last_order >= day - asked.activity_days
        for ceilings, chance in (
            (self.ceilings.given_hidden, quiet.given_hidden),
            (self.ceilings.given_history, quiet.given_history),
        ):
            ceilings.setdefault(day, Ceiling()).add(chance[is_at_risk])
        columns = {
            "member_id": self._block.ids(known),
            "as_of": self._block.exported_on(day, len(known)),
            "stage": _STAGES.at(_stage(life, state, day, asked)),
            "tier": Words([level.name for level in life.story.tiers.levels]).at(state.tier),
            "has_left": pa.array(state.left_on <= day),
            "is_at_risk": pa.array(is_at_risk),
            "still_here": pa.array(np.clip(state.belief, 0.0, 1.0)),
            "no_order_given_hidden": pa.array(np.clip(quiet.given_hidden, 0.0, 1.0)),
            "no_order_given_history": pa.array(np.clip(quiet.given_history, 0.0, 1.0)),
        }
        life.settle(state, day)  # our own copy, of which only what is felt today is still asked
        columns["leave_hazard"] = pa.array(state.harm.sum(axis=0))
        self._files.tell(truth.TRUE_STATES, self._block.world.calendar.date(day), columns)

    def _leavers(self, leavers: Leavers) -> Columns:
        is_faded = leavers.cause == FADED
        harm = leavers.harm.sum(axis=0)
        without = {
            f"chance_without_{cause}": pa.array(
                np.where(is_faded, leavers.chance, -np.expm1(-(harm - leavers.harm[c])))
            )
            for c, cause in enumerate(CAUSES)
        }
        return {
            "member_id": self._block.ids(leavers.member),
            "left_on": days(self._block.world.calendar.epoch_days(0) + leavers.left_on),
            "cause": Words(["faded", *CAUSES]).at(leavers.cause),
            "chance": pa.array(leavers.chance),
            **without,
        }

    def _incidents(self, state: State, day: Day) -> Columns:
        """What the day's orders will bring, and what everyone who was still here felt at once."""
        pain = np.broadcast_to(day.price_pain, len(self._block.members)).copy()
        unwanted = np.zeros(len(self._block.members))
        if day.campaign is not None:
            unwanted[day.campaign.member] = day.campaign.harm
        found = [(i.cause, i.day, i.member, i.effect) for i in day.ahead]
        for cause, harm in ((incidents.PRICE_RISE, pain), (incidents.UNWANTED, unwanted)):
            hurt = np.flatnonzero((harm > 0) & (state.left_on >= day.day))
            found.append((cause, day.day, hurt, harm[hurt]))
        counts = [len(member) for _, _, member, _ in found]
        start = self._block.world.calendar.epoch_days(0)
        return {
            "member_id": self._block.ids(np.concatenate([member for _, _, member, _ in found])),
            "cause": Words([*CAUSES]).at(np.repeat([cause for cause, _, _, _ in found], counts)),
            "happened_on": self._block.exported_on(day.day, sum(counts)),
            "felt_on": days(start + np.repeat([felt for _, felt, _, _ in found], counts)),
            "hazard": pa.array(np.concatenate([effect for _, _, _, effect in found])),
        }

    def _measure(self, before: State, campaign: Campaign, day: int) -> None:
        """Lives the measured days again with the other choice for everyone, all other chance being the same."""
        ends = day + self._life.story.campaigns.measured_days
        if ends > self._last_day + 1 or not self._asked.counterfactuals:
            return
        can_differ = self._block.members.response[campaign.member] != LOST_CAUSE
        can_differ &= before.left_on[campaign.member] == NEVER
        asked = np.flatnonzero(can_differ)
        places = campaign.member[asked]
        life, state = Life(self._life.world, self._block.members.take(places)), before.take(places)
        for ahead in range(day, ends):
            life.live(state, ahead, treated=~campaign.is_treated[asked])
        spend = np.full(len(campaign.member), np.nan)
        spend[asked] = state.measured_spend
        self._measured = _Measured(campaign, ends, spend)

    def _tell_effects(self, state: State, day: int) -> None:
        if self._measured is None or self._measured.ends != day:
            return
        campaign, otherwise = self._measured.campaign, self._measured.spend_otherwise
        actual = state.measured_spend[campaign.member]
        other = np.where(np.isnan(otherwise), actual, otherwise)
        rows, settings = len(actual), self._life.story.campaigns
        spend_with = np.where(campaign.is_treated, actual, other)
        spend_without = np.where(campaign.is_treated, other, actual)
        self.comparisons[campaign.number] = Comparison.of(campaign.is_treated, spend_with, spend_without)
        columns = {
            "campaign_id": same(campaign_id(campaign.number), rows, pa.string()),
            "member_id": self._block.ids(campaign.member),
            "response": Words([*RESPONSES]).at(self._block.members.response[campaign.member]),
            "is_treated": pa.array(campaign.is_treated),
            "propensity": pa.array(campaign.propensity),
            "spend_with_minor": _minor(spend_with),
            "spend_without_minor": _minor(spend_without),
            "cost_minor": same(round(settings.contact_cost * 100), rows, pa.int64()),
        }
        self._files.tell(truth.TRUE_EFFECTS, self._block.world.calendar.date(day), columns)
        self._measured = None


def _minor(money: Floats) -> pa.Array:
    return pa.array(np.rint(money * 100.0).astype(np.int64))


def _members(block: Block, places: Ints) -> Columns:
    members = block.members.take(places)
    return {
        "member_id": block.ids(places),
        "joined_on": days(block.world.calendar.epoch_days(0) + members.joined),
        "channel": Words([*block.story.acquisition.channels]).at(members.channel),
        "inviter": block.inviter_ids(places),
        "orders_a_day": pa.array(members.rate),
        "drop_out": pa.array(members.drop_out),
        "patience": pa.array(members.patience),
        "response": Words([*RESPONSES]).at(members.response),
        "is_tester": pa.array(members.is_tester),
        "is_abuser": pa.array(members.is_abuser),
    }


def _tastes(block: Block, places: Ints) -> Columns:
    categories = block.world.catalogue.categories
    wanted = wanted_shares(block.story, block.world.catalogue, block.members.take(places))
    return {
        "member_id": block.ids(np.repeat(places, len(categories))),
        "category": Words([*categories]).at(np.tile(np.arange(len(categories)), len(places))),
        "share": pa.array(block.members.taste[:, places].T.reshape(-1)),
        "wanted_share": pa.array(wanted.T.reshape(-1)),
    }


def _stage(life: Life, state: State, day: int, asked: Truths) -> Ints:
    """The stage by the truth: left instead of silent, the rate instead of the gaps seen."""
    expected = life.members.rate * asked.horizon_days
    has_left: Flags = state.left_on <= day
    conditions = [
        state.orders == 0,
        has_left,
        state.orders == 1,
        state.first_order >= day - asked.activity_days,
        expected >= stages.VISITS_A_HORIZON_WHEN_LOYAL,
    ]
    names = [stages.ACQUISITION, stages.LAPSED, stages.ACTIVATION, stages.CONVERSION, stages.LOYALTY]
    places = [stages.STAGES.index(name) for name in names]
    return np.select(conditions, places, default=stages.STAGES.index(stages.RETENTION))
