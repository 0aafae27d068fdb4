"""What members do in the shop's site and app: sessions as funnels, and single steps after them.

A session with an order goes through log in, browse, search, click, favourite, cart, buy; one without stops before it
buys. How often each step happens is Poisson; what is clicked first is what ends up in the basket.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tenure.simulation.aligned import Aligned
from tenure.simulation.block import Block, Diary
from tenure.simulation.calendar import MICROSECONDS
from tenure.simulation.catalogue import places_in_rows
from tenure.simulation.chance import Chance, Flags, Ints
from tenure.simulation.incidents import Fates
from tenure.simulation.landing import Columns, Words, moments
from tenure.simulation.life import Day
from tenure.simulation.messages import Asked
from tenure.simulation.numbering import LINES_AN_ORDER
from tenure.simulation.state import State
from tenure.simulation.tills import GoodsBack, Receipts

KINDS = (
    *("login", "browse", "search", "click", "favourite", "cart", "buy"),
    *("register", "review", "help", "return", "refund"),
)
LOGIN, BROWSE, SEARCH, CLICK, FAVOURITE, CART, BUY, REGISTER, REVIEW, HELP, RETURN, REFUND = range(len(KINDS))
_FUNNEL = 7
_STEPS = 256  # room for a step's number below its session's; single steps come from _SINGLE on
_SINGLE = 200
_NOTHING = -1


@dataclass(frozen=True)
class Steps(Aligned):
    """E events."""

    number: Ints
    session: Ints  # or _NOTHING
    member: Ints
    moment: Ints
    kind: Ints
    product: Ints  # or _NOTHING
    order_no: Ints  # or _NOTHING
    query: Ints  # place among the product types, or _NOTHING
    stars: Ints  # or _NOTHING


@dataclass(frozen=True)
class _Reviews(Aligned):
    member: Ints
    order_no: Ints
    place: Ints
    product: Ints
    stars: Ints


class Sessions:
    def __init__(self, block: Block) -> None:
        self._block = block
        kinds = block.world.catalogue.types()
        words = sorted(set(kinds))
        self._words = Words(words)
        self._word_of = np.array([words.index(kind) for kind in kinds])
        self._kinds = Words([*KINDS])
        self._devices = Words([*block.story.sessions.devices])
        self._regions = Words([*block.story.sessions.regions])
        self._reviews: Diary[_Reviews] = Diary()

    def rows(
        self, state: State, day: Day, receipts: Receipts, back: list[GoodsBack], new: Ints, asked: Asked
    ) -> Columns:
        """The day's events (E,). ``asked`` are the day's messages."""
        steps = self._funnels(state, day, receipts)
        for more in self._single_steps(day.day, back, new, asked):
            steps = steps.followed_by(more) if len(more.member) else steps
        self._plan_reviews(receipts, day.orders.fate, day.day)
        return self._columns(steps, day.day)

    def _visits(self, state: State, day: Day) -> Ints:
        """Who looks without ordering."""
        block, browsing = self._block, self._block.story.sessions.browsing_an_order
        rate = block.members.rate * browsing * block.world.calendar.intensity(day.day)
        is_here = (block.members.joined <= day.day) & (state.left_on > day.day) & ~block.members.is_tester
        return np.flatnonzero(is_here & block.members.chance.happens(-np.expm1(-rate), "looks", day.day))

    def _funnels(self, state: State, day: Day, receipts: Receipts) -> Steps:
        visits = self._visits(state, day)
        member = np.concatenate([receipts.member, visits])
        looks = self._block.members.chance.take(visits).split("looks", day.day)
        chance = Chance(np.concatenate([receipts.chance.keys, looks.keys])).split("session")
        start = np.concatenate([receipts.moment, self._block.moment(visits, looks, day.day)])
        session = np.concatenate([receipts.number, self._block.session_no(visits, day.day)])
        lines = np.bincount(receipts.lines.order, minlength=len(member))
        counts = self._counts(chance, lines)
        return self._walk(day, receipts, member, chance, start, session, lines, counts)

    def _counts(self, chance: Chance, lines: Ints) -> Ints:
        """How often (S, steps of the funnel) each step happens in S sessions with so many lines bought."""
        settings = self._block.story.sessions
        clicks: Ints = lines + chance.poisson(settings.clicks * np.maximum(lines, 1.0), "clicks", most=24)
        columns = (
            np.ones(len(lines), dtype=np.int64),
            chance.poisson(settings.views, "views"),
            chance.poisson(settings.searches, "searches"),
            clicks,
            chance.poisson(settings.favourite_share * clicks, "favourites"),
            lines + chance.poisson(settings.cart_share * (clicks - lines), "carts"),
            lines,
        )
        return np.stack(columns, axis=1)

    def _walk(
        self,
        day: Day,
        receipts: Receipts,
        member: Ints,
        chance: Chance,
        moment: Ints,
        number: Ints,
        lines: Ints,
        counts: Ints,
    ) -> Steps:
        flat = counts.ravel()
        session = np.repeat(np.arange(len(member)), counts.sum(axis=1))
        kind = np.repeat(np.tile(np.arange(_FUNNEL), len(member)), flat)
        position = _within(counts.sum(axis=1))
        rank = _within(flat)  # among the session's steps of the same kind
        each = chance.take(session).split("step", position)
        is_order = session < len(receipts.member)
        bought = is_order & (kind >= CLICK) & (rank < lines[session])
        product = self._products(day, receipts, member[session], each, kind, bought, session, rank, lines)
        query = np.where(kind == SEARCH, self._word_of[product], _NOTHING)
        gap = self._block.story.sessions.seconds_between * MICROSECONDS
        ahead = (position - counts.sum(axis=1)[session]) * gap + (each.uniform("pause") * gap).astype(np.int64)
        return Steps(
            number=number[session] * _STEPS + position,
            session=number[session],
            member=member[session],
            moment=moment[session] + np.where(is_order, ahead, ahead + counts.sum(axis=1)[session] * gap),
            kind=kind,
            product=np.where(kind >= CLICK, product, _NOTHING),
            order_no=np.where(kind == BUY, number[session], _NOTHING),
            query=query,
            stars=np.full(len(kind), _NOTHING),
        )

    def _products(
        self,
        day: Day,
        receipts: Receipts,
        member: Ints,
        each: Chance,
        kind: Ints,
        bought: Flags,
        session: Ints,
        rank: Ints,
        lines: Ints,
    ) -> Ints:
        """What each step is about: a line of the basket, or something to the member's taste."""
        product = np.zeros(len(kind), dtype=np.int64)
        first_line = np.cumsum(lines) - lines
        product[bought] = receipts.lines.product[first_line[session[bought]] + rank[bought]]
        looks = np.flatnonzero(~bought & (kind >= SEARCH))
        chance = each.take(looks)
        category = places_in_rows(self._block.members.taste_below[:, member[looks]], chance.uniform("category"))
        product[looks] = day.shelf.draw(category, chance.uniform("looked at"))
        return product

    def _plan_reviews(self, receipts: Receipts, fate: Fates, day: int) -> None:
        lines, settings = receipts.lines, self._block.story.sessions
        own = lines.order < len(fate.days_late)
        written = np.flatnonzero(lines.chance.happens(settings.review_share, "review") & own)
        if not len(written):
            return
        order = lines.order[written]
        given = settings.stars
        grudge = given.less_when_bad * lines.is_bad[written] + given.less_when_late * (fate.days_late[order] > 0)
        stars = given.mean - grudge + given.sd * lines.chance.take(written).normal("stars")
        on = day + settings.review_after_days + fate.days_late[order]
        reviews = _Reviews(
            receipts.member[order],
            receipts.number[order],
            receipts.line_no[written] % LINES_AN_ORDER,
            lines.product[written],
            np.clip(np.rint(stars), 1, 5).astype(np.int64),
        )
        self._reviews.note_each(on, reviews.take)

    def _single_steps(self, day: int, back: list[GoodsBack], new: Ints, asked: Asked) -> list[Steps]:
        newcomers = new[self._block.members.joined[new] == day]
        found = [self._steps(day, REGISTER, newcomers, self._block.order_no(newcomers, day), 40)]
        about = asked.take(np.flatnonzero(asked.order_no % 2 == 0))
        found.append(self._steps(day, HELP, about.member, about.order_no, 20 + about.intent, about.order_no))
        for part in back:
            number, first = np.unique(part.number, return_index=True)
            for place, kind in ((30, RETURN), (31, REFUND)):
                found.append(self._steps(day, kind, part.member[first], number, place, order_no=number - 1))
        for r in self._reviews.open(day):
            found.append(self._steps(day, REVIEW, r.member, r.order_no, r.place, r.order_no, r.product, r.stars))
        return found

    def _steps(
        self,
        day: int,
        kind: int,
        member: Ints,
        number: Ints,
        place: Ints | int,
        order_no: Ints | int = _NOTHING,
        product: Ints | int = _NOTHING,
        stars: Ints | int = _NOTHING,
    ) -> Steps:
        """Steps of one kind outside of a funnel."""
        n = len(member)
        ids = number * _STEPS + _SINGLE + place
        chance = Chance.of(self._block.story.seed, "step", ids)
        nothing = np.full(n, _NOTHING)

        def each(value: Ints | int) -> Ints:
            return nothing * 0 + np.asarray(value, dtype=np.int64)

        return Steps(
            number=ids,
            session=nothing,
            member=member,
            moment=self._block.moment(member, chance, day),
            kind=np.full(n, kind),
            product=each(product),
            order_no=each(order_no),
            query=nothing,
            stars=each(stars),
        )

    def _columns(self, steps: Steps, day: int) -> Columns:
        members = self._block.members
        return {
            "event_id": pa.array(steps.number),
            "session_id": _or_null(steps.session),
            "member": self._block.ids(steps.member),
            "at": moments(steps.moment),
            "event": self._kinds.at(steps.kind),
            "sku": self._block.product_ids.at(steps.product),
            "order_no": _or_null(steps.order_no),
            "query": self._words.at(steps.query),
            "stars": _or_null(steps.stars),
            "device": self._devices.at(members.device[steps.member]),
            "region": self._regions.at(members.region[steps.member]),
            "exported_on": self._block.exported_on(day, len(steps.member)),
        }


def _within(counts: Ints) -> Ints:
    """0, 1, ... within each of several runs of these lengths."""
    return np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)


def _or_null(values: Ints) -> pa.Array:
    return pa.array(values, mask=values == _NOTHING)
