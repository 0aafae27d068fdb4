"""Which days a shop's features and labels are made for."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta

from tenure.contracts.shop import Shop


def last_complete_day(batches: Iterable[tuple[date | None, date | None]]) -> date | None:
    """The newest day of which everything expected is in, so far as ``(arrived_on, newest_day)`` of each batch tell.

    The day on which a live batch arrives has not passed yet: of those batches the newest day seen counts, but none
    from the newest arrival on. A load of the past is taken to hold whole days.
    """
    told = [(arrived, newest) for arrived, newest in batches if newest is not None]
    loaded = [newest for arrived, newest in told if arrived is None]
    live = [(arrived, newest) for arrived, newest in told if arrived is not None]
    if live:
        arrived_last = max(arrived for arrived, _ in live)
        loaded.append(min(max(newest for _, newest in live), arrived_last - timedelta(days=1)))
    return max(loaded, default=None)


def newest_as_of(last_complete_day: date) -> date:
    """The day to answer for: the one after the last of which everything is in."""
    return last_complete_day + timedelta(days=1)


def grid(shop: Shop, last_complete_day: date) -> tuple[date, ...]:
    """The past ``as_of`` days to learn from, ascending."""
    newest = newest_as_of(last_complete_day)
    count = (newest - shop.first_as_of).days // shop.as_of_every_days + 1
    return tuple(shop.first_as_of + timedelta(days=i * shop.as_of_every_days) for i in range(count))


def as_of_days(shop: Shop, last_complete_day: date) -> tuple[date, ...]:
    """Every ``as_of`` that gold holds features for: the grid, and the newest one whether or not the grid meets it."""
    return tuple(sorted({*grid(shop, last_complete_day), newest_as_of(last_complete_day)}))


def matured_at(as_of: date, horizon_days: int) -> date:
    """The last day of the horizon that begins with ``as_of``."""
    return as_of + timedelta(days=horizon_days - 1)


def labelled_days(shop: Shop, last_complete_day: date) -> tuple[date, ...]:
    """The ``as_of`` of the grid whose horizon has wholly passed."""
    return tuple(
        day for day in grid(shop, last_complete_day) if matured_at(day, shop.horizon_days) <= last_complete_day
    )
