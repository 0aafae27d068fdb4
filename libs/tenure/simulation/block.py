"""One partition's members with what their rows need: ids, times, and what is still to come on later days."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import numpy as np
import pyarrow as pa

from tenure.simulation.aligned import each_of
from tenure.simulation.calendar import MICROSECONDS
from tenure.simulation.chance import Chance, Flags, Ints, Places
from tenure.simulation.landing import Words, days
from tenure.simulation.life import World
from tenure.simulation.members import NOBODY, Members, member_id
from tenure.simulation.numbering import DAYS_AN_ORDER_NO

T = TypeVar("T")
_HOUR_US = 3600 * MICROSECONDS
_LOOKING = 1 << 43  # beyond the number of any order


class Block:
    def __init__(self, world: World, members: Members) -> None:
        self.world, self.story, self.members = world, world.story, members
        self._member_ids = pa.array([member_id(int(number)) for number in members.number], pa.string())
        self.product_ids = Words(world.catalogue.product_ids())

    def ids(self, members: Places) -> pa.Array:
        """The shop's ids (n,) of members at these places."""
        return self._member_ids.take(pa.array(members.astype(np.int32)))

    def inviter_ids(self, members: Places) -> pa.Array:
        """Who invited members at these places (n,); null where nobody did."""
        numbers = self.members.inviter[members]
        return pa.array([None if number == NOBODY else member_id(int(number)) for number in numbers], pa.string())

    def order_no(self, members: Places, day: int) -> Ints:
        """Every fourth number (n,), one a member and day.

        The odd one after it is its return's; the next two are those of the same order placed again.
        """
        return (self.members.number[members] * DAYS_AN_ORDER_NO + day) * 4

    def session_no(self, members: Places, day: int) -> Ints:
        """The number (n,) of a session in which a member looks and orders nothing; of others it is the order's."""
        return self.order_no(members, day) + _LOOKING

    def moment(self, members: Places, chance: Chance, day: int) -> Ints:
        """A time of day (n,) in the shop's hours, in UTC microseconds."""
        later = self.story.sessions.late_riser_hours * self.members.is_late_riser[members]
        hour = chance.one_of(self.world.calendar.hours, "hour") + later
        within = (chance.uniform("within the hour") * _HOUR_US).astype(np.int64)
        return self.world.calendar.midnight_us(day) + np.minimum(hour, 23) * _HOUR_US + within

    def exported_on(self, day: int, rows: int) -> pa.Array:
        return days(np.full(rows, self.world.calendar.epoch_days(day)))


class Diary(Generic[T]):
    """What will be told on a later day."""

    def __init__(self) -> None:
        self._pages: dict[int, list[T]] = {}

    def note(self, day: int, what: T) -> None:
        self._pages.setdefault(day, []).append(what)

    def note_each(self, due: Ints, tell: Callable[[Places], T], among: Flags | None = None) -> None:
        """Notes, on each day of ``due`` (n,), what is told of the places that are due then; or of those ``among``."""
        for day, places in each_of(due, among):
            self.note(day, tell(places))

    def open(self, day: int) -> list[T]:
        return self._pages.pop(day, [])
