"""Writes a day into the landing files, feed by feed."""

from __future__ import annotations

from collections.abc import Iterable

from tenure.contracts.truth import TRUE_PAYMENTS
from tenure.simulation.block import Block
from tenure.simulation.chance import Ints
from tenure.simulation.faults import FaultyTills
from tenure.simulation.landing import Columns, Files
from tenure.simulation.life import Day
from tenure.simulation.messages import MessageDesk
from tenure.simulation.payments import PaymentDesk, truth_columns
from tenure.simulation.registers import consent_rows, control_rows, member_rows, touch_rows
from tenure.simulation.sessions import Sessions
from tenure.simulation.settings import SimulateShop
from tenure.simulation.state import State
from tenure.simulation.tills import GoodsBack, Receipts, Tills


class Teller:
    """What the shop's systems write about one partition."""

    def __init__(self, block: Block, files: Files, config: SimulateShop) -> None:
        self._block, self._files, self._config = block, files, config
        self._feeds = frozenset(config.feeds)
        self._tills = Tills(block)
        self._faults = FaultyTills(block, config.faults, files)
        self._sessions = Sessions(block)
        self._payments = PaymentDesk(block)
        self._messages = MessageDesk(block)

    def tell(self, state: State, day: Day, new: Ints) -> None:
        """Everything that one day leaves behind. ``new`` are the places of who registered."""
        receipts = self._tills.ring_up(state, day)
        back = self._tills.take_back(day.day)
        self._land("members", day.day, member_rows(self._block, new, day.day))
        lines = self._tills.rows(receipts, back, day.day)
        if self._faults.is_at_work:
            lines = self._faults.spoil(lines, receipts, day)
        self._land("orders", day.day, lines)
        if self._feeds & {"payments", "chargebacks"}:
            self._tell_payments(receipts, day.day)
        if self._feeds & {"messages", "events"}:
            self._tell_visits(state, day, receipts, back, new)
        self._land("touches", day.day, touch_rows(self._block, day))
        self._land("controls", day.day, control_rows(self._block, day))
        self._land("consents", day.day, consent_rows(self._block, new, day, state.consent))

    def _tell_payments(self, receipts: Receipts, day: int) -> None:
        payments = self._payments.take(receipts, day)
        self._land("payments", day, self._payments.rows(payments, day))
        self._land("chargebacks", day, self._payments.report_rows(day))
        self._files.tell(TRUE_PAYMENTS, self._block.world.calendar.date(day), truth_columns(payments))

    def _tell_visits(self, state: State, day: Day, receipts: Receipts, back: list[GoodsBack], new: Ints) -> None:
        asked = self._messages.receive(state, day, receipts, back)
        self._land("messages", day.day, self._messages.closed(asked, day.day))
        if "events" in self._feeds:
            self._land("events", day.day, self._sessions.rows(state, day, receipts, back, new, asked))

    def tell_shared(self, feeds: Iterable[tuple[str, Columns]], day: int) -> None:
        for feed, columns in feeds:
            self._land(feed, day, columns)

    def _land(self, feed: str, day: int, columns: Columns) -> None:
        if feed in self._feeds:
            self._files.land(feed, self._block.world.calendar.date(day), columns)
