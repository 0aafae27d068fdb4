"""What members write to the shop. Texts come from a small grammar: no evidence of language quality."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tenure.simulation import consent
from tenure.simulation.aligned import Aligned
from tenure.simulation.block import Block, Diary
from tenure.simulation.calendar import MICROSECONDS
from tenure.simulation.chance import Chance, Flags, Ints
from tenure.simulation.landing import Columns, Words, moments
from tenure.simulation.life import Day
from tenure.simulation.state import State
from tenure.simulation.tills import GoodsBack, Receipts

INTENTS = (
    "where_is_my_order",
    "complaint_late",
    "complaint_quality",
    "product_question",
    "return_request",
    "unsubscribe",
)
WHERE, LATE, QUALITY, QUESTION, RETURN, UNSUBSCRIBE = range(len(INTENTS))
OUTCOMES = ("unanswered", "informed", "refunded", "replaced", "apologised")
UNANSWERED, INFORMED, REFUNDED, REPLACED, APOLOGISED = range(len(OUTCOMES))
_MESSAGES_AN_ORDER = 8
_HOUR_US = 3600 * MICROSECONDS

_OPENINGS = ("Hello, ", "Hi there, ", "Dear team, ", "")
_CORES = {
    "where_is_my_order": (
        "where is my order?",
        "my parcel has not arrived yet.",
        "can you tell me when my order comes?",
        "the tracking has not changed for days.",
    ),
    "complaint_late": (
        "my order came far too late.",
        "you promised three days and it took a week.",
        "I had to wait much longer than you said.",
        "this delay is not acceptable.",
    ),
    "complaint_quality": (
        "what I received is broken.",
        "the quality is poor, it fell apart at once.",
        "this is not what the picture showed.",
        "one of the items does not work.",
    ),
    "product_question": (
        "does this come in another size?",
        "is this item suitable for children?",
        "when will it be back in stock?",
        "which of the two lasts longer?",
    ),
    "return_request": (
        "I would like to send something back.",
        "how do I return an item?",
        "please take one article back.",
        "I need a return label.",
    ),
    "unsubscribe": (
        "please stop sending me offers.",
        "take me off your mailing list.",
        "I no longer want your newsletter.",
        "no more advertising, please.",
    ),
}
_CLOSINGS = ("", " Thank you.", " Please answer soon.", " Best regards")
_TEXTS = tuple(o + core + c for intent in INTENTS for o in _OPENINGS for core in _CORES[intent] for c in _CLOSINGS)
_TEXTS_AN_INTENT = len(_TEXTS) // len(INTENTS)


@dataclass(frozen=True)
class Asked(Aligned):
    """Messages (q,) about orders, or about nothing in particular where the order's number is odd."""

    member: Ints
    order_no: Ints
    intent: Ints
    is_unanswered: Flags


@dataclass(frozen=True)
class Ticket(Aligned):
    """Messages (q,) as they are closed; ``answered_at`` means nothing where nobody answered."""

    number: Ints
    asked: Asked
    at: Ints
    text: Ints
    answered_at: Ints
    outcome: Ints


class MessageDesk:
    """Exports a message when it is closed: by the answer, or as nobody gave one."""

    def __init__(self, block: Block) -> None:
        self._block, self._settings = block, block.story.messages
        self._texts = Words([*_TEXTS])
        self._coming: Diary[Asked] = Diary()
        self._open: Diary[Ticket] = Diary()

    def receive(self, state: State, day: Day, receipts: Receipts, back: list[GoodsBack]) -> Asked:
        """The day's messages, those that earlier orders led to first."""
        self._foresee(day, receipts)
        asked = _asked(np.zeros(0, np.int64), np.zeros(0, np.int64), WHERE)
        for part in self._coming.open(day.day):
            asked = asked.followed_by(part)
        for goods in back:
            number, first = np.unique(goods.number, return_index=True)
            asked = asked.followed_by(_asked(goods.member[first], number - 1, RETURN))
        return asked.followed_by(self._goodbyes(state, day))

    def _foresee(self, day: Day, receipts: Receipts) -> None:
        """What today's orders will make members write, and when: of what came only once it did."""
        fate, settings = day.orders.fate, self._settings
        own = np.arange(len(fate.days_late))
        number, chance = receipts.number[own], day.orders.chance
        member, today = receipts.member[own], np.full(len(own), day.day)
        promised = today + self._block.story.incidents.delivery_days
        is_late, next_day = fate.days_late > 0, promised + fate.days_late + 1
        wonders = is_late & chance.happens(settings.late_question_share, "where is it")
        curious = chance.happens(settings.question_share, "a question")
        found = (
            (promised, WHERE, wonders, None),
            (next_day, LATE, fate.has_complaint & is_late & ~fate.is_bad, fate.is_unanswered),
            (next_day, QUALITY, fate.has_complaint & fate.is_bad, fate.is_unanswered),
            (today, QUESTION, curious, None),
        )
        for on, intent, is_asked, is_unanswered in found:
            asked = _asked(member, number, intent, is_unanswered)
            self._coming.note_each(on, asked.take, is_asked)

    def _goodbyes(self, state: State, day: Day) -> Asked:
        """Who withdraws consent to marketing says so."""
        withdrew = day.consent_changes[consent.MARKETING] & ~state.consent[consent.MARKETING]
        member = np.flatnonzero(withdrew)
        return _asked(member, self._block.order_no(member, day.day) + 1, UNSUBSCRIBE)

    def closed(self, asked: Asked, day: int) -> Columns:
        """Rows of what is closed on the day, be it of ``asked``, the day's messages, or of earlier ones."""
        number = asked.order_no * _MESSAGES_AN_ORDER + asked.intent
        chance = Chance.of(self._block.story.seed, "message", number)
        at = self._block.moment(asked.member, chance, day)
        waits = chance.exponential(self._settings.mean_answer_hours * _HOUR_US, "until answered").astype(np.int64)
        text = asked.intent * _TEXTS_AN_INTENT + (chance.uniform("text") * _TEXTS_AN_INTENT).astype(np.int64)
        tickets = Ticket(number, asked, at, text, at + waits, _outcomes(asked, chance))
        closes = np.where(
            asked.is_unanswered, day + self._settings.given_up_after_days, self._days_of(tickets.answered_at, day)
        )
        self._open.note_each(closes, tickets.take)
        closed = tickets.take(np.zeros(0, np.int64))
        for part in self._open.open(day):
            closed = closed.followed_by(part)
        return self._rows(closed, day)

    def _days_of(self, times: Ints, first: int) -> Ints:
        """The local days (n,) of times (n,) of which none is before the day ``first``."""
        midnights = [self._block.world.calendar.midnight_us(first)]
        while midnights[-1] <= times.max(initial=0):
            midnights.append(self._block.world.calendar.midnight_us(first + len(midnights)))
        return first - 1 + np.searchsorted(np.array(midnights), times, side="right")

    def _rows(self, closed: Ticket, day: int) -> Columns:
        asked = closed.asked
        is_about_order = asked.order_no % 2 == 0
        return {
            "message_id": pa.array(closed.number),
            "member": self._block.ids(asked.member),
            "order_no": pa.array(asked.order_no, mask=~is_about_order),
            "at": moments(closed.at),
            "text": self._texts.at(closed.text),
            "intent": Words([*INTENTS]).at(asked.intent),
            "answered_at": pc.if_else(pa.array(asked.is_unanswered), None, moments(closed.answered_at)),
            "outcome": Words([*OUTCOMES]).at(closed.outcome),
            "exported_on": self._block.exported_on(day, len(closed.number)),
        }


def _asked(member: Ints, order_no: Ints, intent: int, is_unanswered: Flags | None = None) -> Asked:
    ignored = np.zeros(len(member), dtype=bool) if is_unanswered is None else is_unanswered
    return Asked(member, order_no, np.full(len(member), intent), ignored)


def _outcomes(asked: Asked, chance: Chance) -> Ints:
    amends = REFUNDED + (chance.uniform("amends") * 3).astype(np.int64)
    is_complaint = (asked.intent == LATE) | (asked.intent == QUALITY)
    return np.where(asked.is_unanswered, UNANSWERED, np.where(is_complaint, amends, INFORMED))
