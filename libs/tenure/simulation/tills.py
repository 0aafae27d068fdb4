"""What the tills say: order lines, thieves' orders among them, and the lines that take them back."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import partial

import numpy as np
import pyarrow as pa

from tenure.simulation.aligned import Aligned, end_to_end
from tenure.simulation.baskets import Lines, fill
from tenure.simulation.block import Block, Diary
from tenure.simulation.calendar import DAY_US, MICROSECONDS
from tenure.simulation.chance import Chance, Flags, Ints, Places
from tenure.simulation.landing import Columns, Words, moments
from tenure.simulation.life import Day
from tenure.simulation.numbering import LINES_AN_ORDER
from tenure.simulation.settings import Story
from tenure.simulation.state import State

_BEFORE_MIDNIGHT_US = 60 * MICROSECONDS  # by when the last order is placed again, whatever the till's clock


@dataclass(frozen=True)
class Receipts:
    """n orders as they were rung up, and their L lines."""

    member: Ints
    chance: Chance
    number: Ints
    moment: Ints  # UTC microseconds
    store: Ints
    is_theft: Flags
    days_late: Ints  # by how many days the goods are late
    lines: Lines
    line_no: Ints  # (L,) unique in the shop's export
    is_claimed: Flags  # whether it will be claimed back though all is well
    comes_back: Flags  # (L,)

    def followed_by(self, other: Receipts) -> Receipts:
        lines = replace(other.lines, order=other.lines.order + len(self.member))
        both = {f.name: getattr(self, f.name) for f in fields(self)}
        for name, value in both.items():
            theirs = lines if name == "lines" else getattr(other, name)
            both[name] = end_to_end(value, theirs)
        return Receipts(**both)


@dataclass(frozen=True)
class GoodsBack(Aligned):
    """Lines (k,) that come back on one day."""

    member: Ints
    number: Ints  # of the return
    line_no: Ints
    product: Ints
    units: Ints
    paid_minor: Ints
    store: Ints


def is_taken_over(story: Story, chance: Chance, day: int) -> Flags:
    """Whether somebody takes the accounts (n,) of members over on a day."""
    return chance.happens(story.fraud.takeover_a_day, "taken over", day)


class Tills:
    def __init__(self, block: Block) -> None:
        self._block = block
        self._stores = Words([*block.story.sessions.stores])
        self._coming_back: Diary[GoodsBack] = Diary()

    def ring_up(self, state: State, day: Day) -> Receipts:
        """The day's own orders, then those of thieves."""
        orders = day.orders
        own = self._receipts(orders.member, orders.chance, orders.lines, day.day, days_late=orders.fate.days_late)
        thieves = self._thefts(state, day)
        receipts = own.followed_by(thieves) if len(thieves.member) else own
        again = self._again(own, np.flatnonzero(orders.is_placed_again), day.day)
        receipts = receipts.followed_by(again) if len(again.member) else receipts
        return self._schedule(day, receipts)

    def _receipts(
        self, member: Ints, chance: Chance, lines: Lines, day: int, *, days_late: Ints, is_theft: bool = False
    ) -> Receipts:
        block = self._block
        number = block.order_no(member, day)
        is_usual = chance.happens(block.story.sessions.usual_store_share, "the usual store")
        any_store = chance.one_of(np.array([*block.story.sessions.stores.values()]), "any store")
        return Receipts(
            member=member,
            chance=chance,
            number=number,
            moment=block.moment(member, chance, day),
            store=np.where(is_usual, block.members.home_store[member], any_store),
            is_theft=np.full(len(member), is_theft),
            days_late=days_late,
            lines=lines,
            line_no=number[lines.order] * LINES_AN_ORDER + _places(lines.order),
            is_claimed=self._claims(member, chance, is_theft=is_theft),
            comes_back=np.zeros(len(lines), dtype=bool),
        )

    def _claims(self, member: Ints, chance: Chance, *, is_theft: bool) -> Flags:
        if is_theft:
            return np.zeros(len(member), dtype=bool)
        claims = chance.happens(self._block.story.fraud.abuse_share, "claims a refund")
        return claims & self._block.members.is_abuser[member]

    def _thefts(self, state: State, day: Day) -> Receipts:
        """Orders by who took an account over, on days on which its owner does not order."""
        block, story = self._block, self._block.story
        is_open = (block.members.joined <= day.day) & ~block.members.is_tester
        is_open[day.orders.member] = False
        member = np.flatnonzero(is_open & is_taken_over(story, block.members.chance, day.day))
        chance = block.members.chance.take(member).split("theft", day.day)
        nothing = np.zeros(len(member))
        lines = fill(story, block.world.catalogue, day.shelf, block.members, member, chance, nothing, nothing)
        return self._receipts(member, chance, lines, day.day, days_late=np.zeros_like(member), is_theft=True)

    def _again(self, receipts: Receipts, twice: Ints, day: int) -> Receipts:
        """The orders at ``twice`` once more: the same lines, minutes or hours later, which come in one parcel."""
        lines = receipts.lines.take(np.flatnonzero(np.isin(receipts.lines.order, twice)))
        lines = replace(lines, order=np.searchsorted(twice, lines.order), chance=lines.chance.split("again"))
        chance = receipts.chance.take(twice).split("again")
        later = chance.exponential(self._block.story.baskets.again_minutes * 60 * MICROSECONDS, "later")
        soonest = receipts.moment[twice] + MICROSECONDS
        closing = self._block.world.calendar.midnight_us(day) + DAY_US - _BEFORE_MIDNIGHT_US
        number = receipts.number[twice] + 2
        return Receipts(
            member=receipts.member[twice],
            chance=chance,
            number=number,
            moment=np.maximum(soonest, np.minimum(soonest + later.astype(np.int64), closing)),
            store=receipts.store[twice],
            is_theft=np.zeros(len(twice), dtype=bool),
            days_late=receipts.days_late[twice],
            lines=lines,
            line_no=number[lines.order] * LINES_AN_ORDER + _places(lines.order),
            is_claimed=np.zeros(len(twice), dtype=bool),
            comes_back=np.zeros(len(lines), dtype=bool),
        )

    def _schedule(self, day: Day, receipts: Receipts) -> Receipts:
        """Decides what comes back, and when: after so many days on time, later by as much as the goods are late."""
        story, lines = self._block.story.returns, receipts.lines
        share = np.where(lines.is_bad, story.share_when_bad, story.share)
        comes_back = lines.chance.happens(share, "comes back") | receipts.is_claimed[lines.order]
        comes_back &= ~receipts.is_theft[lines.order]
        delay = story.after_days + np.floor(receipts.chance.uniform("until it comes back") * story.within_days)
        on = (day.day + delay.astype(np.int64) + receipts.days_late)[lines.order]
        self._coming_back.note_each(on, partial(_goods_back, receipts), comes_back)
        return replace(receipts, comes_back=comes_back)

    def take_back(self, day: int) -> list[GoodsBack]:
        """The day's returns, by the day of their sale."""
        return self._coming_back.open(day)

    def rows(self, receipts: Receipts, back: list[GoodsBack], day: int) -> Columns:
        """Order lines and returns (R,) as the shop exports them."""
        block, lines = self._block, receipts.lines
        order = lines.order
        sold = len(lines)
        returned = sum(len(part.member) for part in back)
        member = np.concatenate([receipts.member[order], *(part.member for part in back)])
        store = np.concatenate([receipts.store[order], *(part.store for part in back)])
        moment = np.concatenate([receipts.moment[order], *(self._moments(part, day) for part in back)])
        paid = np.concatenate([lines.paid_minor, *(-part.paid_minor for part in back)])
        zeros = np.zeros(returned, dtype=np.int64)
        return {
            "export_id": pa.array(np.concatenate([receipts.line_no, *(part.line_no for part in back)])),
            "order_no": pa.array(np.concatenate([receipts.number[order], *(part.number for part in back)])),
            "member": block.ids(member),
            "sku": block.product_ids.at(np.concatenate([lines.product, *(part.product for part in back)])),
            "sold_at": moments(moment + self._clocks(day)[store]),
            "units": pa.array(np.concatenate([lines.units, *(-part.units for part in back)]).astype(np.int32)),
            "amount": pa.array(paid / 100.0),
            "discount": pa.array(np.concatenate([lines.discount_minor, zeros]) / 100.0),
            "coupon": pa.array(np.concatenate([lines.coupon_minor, zeros]) / 100.0),
            "store": self._stores.at(store),
            "is_return": pa.array(np.arange(len(member)) >= sold),
            "exported_on": block.exported_on(day, len(member)),
        }

    def _clocks(self, day: int) -> Ints:
        """By how many microseconds (stores,) each store's clock is wrong on a day: a shared fact."""
        sessions = self._block.story.sessions
        chance = Chance.of(self._block.story.seed, "till", np.arange(len(sessions.stores)))
        return (chance.normal("clock", day) * sessions.clock_sd_seconds * MICROSECONDS).astype(np.int64)

    def _moments(self, back: GoodsBack, day: int) -> Ints:
        """One time a return note."""
        chance = Chance.of(self._block.story.seed, "return", back.number)
        return self._block.moment(back.member, chance, day)


def _places(order: Ints) -> Ints:
    """Each line's place among those of its order; ``order`` ascends."""
    return np.arange(len(order)) - np.searchsorted(order, order, side="left")


def _goods_back(receipts: Receipts, places: Places) -> GoodsBack:
    lines = receipts.lines
    order = lines.order[places]
    return GoodsBack(
        member=receipts.member[order],
        number=receipts.number[order] + 1,
        line_no=receipts.line_no[places] + LINES_AN_ORDER,
        product=lines.product[places],
        units=lines.units[places],
        paid_minor=lines.paid_minor[places],
        store=receipts.store[order],
    )
