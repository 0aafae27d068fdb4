"""Payments, and who is behind them: honest members, thieves of accounts, testers of cards, abusers of refunds.

Thieves and testers work in rings that share devices; a ring is a shared fact. What is wrong is reported days or weeks
later, and not always (as in the Fraud Detection Handbook, Le Borgne et al. 2022).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tenure.simulation.aligned import Aligned
from tenure.simulation.block import Block, Diary
from tenure.simulation.calendar import MICROSECONDS
from tenure.simulation.chance import Chance, Floats, Ints
from tenure.simulation.landing import Columns, Words, days, moments
from tenure.simulation.tills import Receipts

KINDS = ("honest", "account_takeover", "card_testing", "refund_abuse")
HONEST, TAKEOVER, TESTING, ABUSE = range(len(KINDS))
_REASONS = ("", "not mine", "not mine", "goods not as claimed")
_PAYMENTS_AN_ORDER = 64
_NONE = -1


@dataclass(frozen=True)
class Payments(Aligned):
    """Q payments and tries."""

    number: Ints
    order_no: Ints  # or _NONE
    member: Ints
    moment: Ints
    amount: Floats
    device: Ints
    is_approved: Ints
    kind: Ints
    ring: Ints  # or _NONE


@dataclass(frozen=True)
class _Reported(Aligned):
    number: Ints
    kind: Ints


class PaymentDesk:
    def __init__(self, block: Block) -> None:
        self._block, self._fraud = block, block.story.fraud
        self._methods = Words([*self._fraud.payment_methods])
        self._reported: Diary[_Reported] = Diary()

    def take(self, receipts: Receipts, day: int) -> Payments:
        """The day's payments: one an order, declined tries before some, bursts by testers of cards."""
        paid = self._for_orders(receipts)
        tries = paid.take(np.flatnonzero(receipts.chance.happens(self._fraud.declined_share, "declined")))
        failed = Payments(
            number=tries.number + 1,
            order_no=tries.order_no,
            member=tries.member,
            moment=tries.moment - int(self._fraud.seconds_until_retry * MICROSECONDS),
            amount=tries.amount,
            device=tries.device,
            is_approved=tries.is_approved * 0,
            kind=tries.kind,
            ring=tries.ring,
        )
        payments = paid.followed_by(failed).followed_by(self._tests(day))
        self._foresee_reports(payments, day)
        return payments

    def _for_orders(self, receipts: Receipts) -> Payments:
        members, n = self._block.members, len(receipts.member)
        paid = receipts.lines.paid_minor / 100.0
        amount: Floats = np.bincount(receipts.lines.order, paid, minlength=n).astype(np.float64)
        ring = np.where(receipts.is_theft, self._ring(receipts.chance), _NONE)
        own = members.chance.take(receipts.member).split("device", 0)
        return Payments(
            number=receipts.number * _PAYMENTS_AN_ORDER,
            order_no=receipts.number,
            member=receipts.member,
            moment=receipts.moment,
            amount=amount,
            device=np.where(receipts.is_theft, self._devices(ring, receipts.chance), _positive(own)),
            is_approved=np.ones(n, dtype=np.int64),
            kind=np.where(receipts.is_theft, TAKEOVER, np.where(receipts.is_claimed, ABUSE, HONEST)),
            ring=ring,
        )

    def _tests(self, day: int) -> Payments:
        """A tester's burst of small payments, the day after registering."""
        members = self._block.members
        tester = np.flatnonzero(members.is_tester & (members.joined == day - 1))
        counts = 1 + members.chance.take(tester).poisson(self._fraud.tests_each - 1.0, "tests", most=40)
        member = np.repeat(tester, counts)
        place = np.arange(len(member)) - np.repeat(np.cumsum(counts) - counts, counts)
        chance = members.chance.take(member).split("test", place)
        ring = self._ring(members.chance.take(member))
        low, high = self._fraud.test_amount
        gap = int(self._fraud.seconds_between_tests * MICROSECONDS)
        first = self._block.moment(member, members.chance.take(member).split("burst"), day)
        return Payments(
            number=self._block.order_no(member, day) * _PAYMENTS_AN_ORDER + 2 + place,
            order_no=np.full(len(member), _NONE),
            member=member,
            moment=first + place * gap,
            amount=np.round(low + (high - low) * chance.uniform("amount"), 2),
            device=self._devices(ring, chance),
            is_approved=chance.happens(self._fraud.tests_approved_share, "approved").astype(np.int64),
            kind=np.full(len(member), TESTING),
            ring=ring,
        )

    def _ring(self, chance: Chance) -> Ints:
        return (chance.uniform("ring") * self._fraud.rings).astype(np.int64)

    def _devices(self, ring: Ints, chance: Chance) -> Ints:
        which = (chance.uniform("device of the ring") * self._fraud.devices_a_ring).astype(np.int64)
        return _positive(Chance.of(self._block.story.seed, "ring", ring).split("device", which))

    def _foresee_reports(self, payments: Payments, day: int) -> None:
        chance = Chance.of(self._block.story.seed, "payment", payments.number)
        is_reported = (payments.kind != HONEST) & (payments.is_approved == 1)
        is_reported &= chance.happens(self._fraud.reported_share, "reported")
        later = chance.exponential(self._fraud.reported_after_days, "until reported").astype(np.int64)
        delay = self._fraud.reported_from_days + later
        delay += np.where(payments.kind == ABUSE, self._block.story.returns.within_days, 0)
        self._reported.note_each(
            day + delay, lambda places: _Reported(payments.number[places], payments.kind[places]), is_reported
        )

    def rows(self, payments: Payments, day: int) -> Columns:
        chance = self._block.members.chance.take(payments.member)
        shares = np.array([*self._fraud.payment_methods.values()])
        return {
            "payment_id": pa.array(payments.number),
            "order_no": pa.array(payments.order_no, mask=payments.order_no == _NONE),
            "member": self._block.ids(payments.member),
            "at": moments(payments.moment),
            "amount": pa.array(payments.amount),
            "method": self._methods.at(np.where(payments.kind == TESTING, 0, chance.one_of(shares, "method"))),
            "device_id": pa.array(payments.device),
            "is_approved": pa.array(payments.is_approved == 1),
            "exported_on": self._block.exported_on(day, len(payments.member)),
        }

    def report_rows(self, day: int) -> Columns:
        """Chargebacks that the shop hears of on a day."""
        reported = self._reported.open(day) or [_Reported(np.zeros(0, np.int64), np.zeros(0, np.int64))]
        number = np.concatenate([part.number for part in reported])
        kind = np.concatenate([part.kind for part in reported])
        on = np.full(len(number), self._block.world.calendar.epoch_days(day))
        return {
            "payment_id": pa.array(number),
            "reported_on": days(on),
            "reason": Words([*_REASONS]).at(kind),
            "exported_on": days(on),
        }


def truth_columns(payments: Payments) -> Columns:
    return {
        "payment_id": pa.array(payments.number),
        "kind": Words([*KINDS]).at(payments.kind),
        "ring": pa.array(payments.ring, mask=payments.ring == _NONE),
    }


def _positive(chance: Chance) -> Ints:
    return (chance.keys >> np.uint64(1)).astype(np.int64)
