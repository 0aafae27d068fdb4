"""What belongs to a shop and shapes its tables: part of the contract's fingerprint."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import date

from tenure.contracts.table import Has


@dataclass(frozen=True, kw_only=True)
class Shop:
    """A shop's settings.

    ``windows_days`` are the look-back windows of features, ascending; ``activity_days`` is how recently a member must
    have visited to be at risk at all; ``horizon_days`` is how long a silence counts as churn. ``categories`` are the
    shop's main categories, each with a share of its own among the features. ``as_of_every_days`` anchors the grid of
    past ``as_of`` days at ``first_as_of``. ``buckets`` is fixed when the lake is created.
    """

    name: str
    currency: str
    calendar: str  # IANA time zone of the shop's day
    windows_days: tuple[int, ...]
    activity_days: int
    horizon_days: int
    first_as_of: date
    as_of_every_days: int
    buckets: int
    categories: tuple[str, ...] = ()
    lacks: tuple[Has, ...] = ()

    def has(self, what: Has) -> bool:
        return what not in self.lacks


def shop_to_json(shop: Shop) -> str:
    return json.dumps(shop.__dict__, default=str, sort_keys=True)


def shop_from_json(text: str) -> Shop:
    values = json.loads(text)
    return replace(
        Shop(**values),
        windows_days=tuple(values["windows_days"]),
        categories=tuple(values["categories"]),
        lacks=tuple(Has(name) for name in values["lacks"]),
        first_as_of=date.fromisoformat(values["first_as_of"]),
    )
