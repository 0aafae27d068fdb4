"""A member's visits as the tokens of a sequence: the parts of each, and the words for its categories."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from tenure.config.settings import Settings
from tenure.contracts.table import Has
from tenure.models.batch import Visits
from tenure.models.encoding import Number, Words, fit_number, fit_words, numbers
from tenure.models.rows import MemberRows, days, offsets_of, ranges


def _days_ago(rows: MemberRows) -> np.ndarray:
    return np.repeat(rows.as_of, np.diff(rows.offsets)) - _days(rows).astype(np.float64)


def _gap_days(rows: MemberRows) -> np.ndarray:
    gaps = np.diff(_days(rows).astype(np.float64), prepend=np.nan)
    is_first = rows.offsets[:-1][np.diff(rows.offsets) > 0]
    gaps[is_first] = np.nan
    return gaps


def _days(rows: MemberRows) -> np.ndarray:
    return rows.each(days(rows.held["day"]))


def _weekday(visits: pa.Table) -> np.ndarray:
    return (days(visits["day"]) + 3.0) % 7  # 1970-01-01 was a Thursday; Monday is 0


def _discount_share(visits: pa.Table) -> np.ndarray:
    off = numbers(visits["discount_minor"]) + numbers(visits["coupon_minor"])
    full = numbers(visits["spend_minor"]) + off
    return np.divide(off, full, out=np.full(len(off), np.nan), where=full > 0)


def _column(name: str) -> Callable[[pa.Table], np.ndarray]:
    return lambda visits: numbers(visits[name])


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part of a visit's token: a number of each event, cut into at most ``bins`` bins.

    It is made either ``of_visit``, of the visit alone, or ``of_row``, in whole days, of a row and its events.
    """

    name: str
    bins: int
    of_visit: Callable[[pa.Table], np.ndarray] | None = None
    of_row: Callable[[MemberRows], np.ndarray] | None = None
    needs: Has | None = None

    def of(self, rows: MemberRows) -> np.ndarray:
        """(E,) float64, NaN where it is missing."""
        values, index = self.distinct(rows)
        return values if index is None else values.take(index)

    def distinct(self, rows: MemberRows) -> tuple[np.ndarray, np.ndarray | None]:
        """(D,) values, and (E,) which of them each event has; None where value by value is event by event."""
        if self.of_visit is not None:
            return self.of_visit(rows.held), rows.places
        assert self.of_row is not None
        return _by_value(self.of_row(rows))


def _by_value(x: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Whole numbers as all those between the least and the greatest, and a missing one at their end."""
    known = x[~np.isnan(x)]
    low, high = (known.min(), known.max()) if len(known) else (0.0, 0.0)
    if high - low > len(x):
        return x, None
    values = np.append(np.arange(low, high + 1), np.nan)
    return values, np.where(np.isnan(x), len(values) - 1, x - low).astype(np.int64)


PARTS = (
    Part(name="days_ago", of_row=_days_ago, bins=24),
    Part(name="gap_days", of_row=_gap_days, bins=16),
    Part(name="spend_minor", of_visit=_column("spend_minor"), bins=16),
    Part(name="lines", of_visit=_column("lines"), bins=8),
    Part(name="baskets", of_visit=_column("baskets"), bins=4),
    Part(name="weekday", of_visit=_weekday, bins=6),
    Part(name="hour", of_visit=_column("hour"), bins=8, needs=Has.HOURS),
    Part(name="discount_share", of_visit=_discount_share, bins=8, needs=Has.DISCOUNTS),
)
_PART = {part.name: part for part in PARTS}


Run = tuple[np.ndarray | None, list[tuple[Number, np.ndarray]]]


def _runs(parts: Sequence[tuple[Number, np.ndarray, np.ndarray | None]]) -> list[Run]:
    """Parts that follow one another and whose values are told by one index."""
    runs: list[Run] = []
    for part, values, index in parts:
        if not (runs and runs[-1][0] is index):
            runs.append((index, []))
        runs[-1][1].append((part, values))
    return runs


def _each(of_values: np.ndarray, index: np.ndarray | None) -> torch.Tensor:
    rows = torch.from_numpy(of_values)
    return rows if index is None else rows.index_select(0, torch.from_numpy(index))


class VisitInputs(Settings):
    """What a token is made of: its parts and the words for categories."""

    max_events: int
    parts: tuple[Number, ...]
    categories: tuple[str, ...] = ()

    def block(self, rows: MemberRows) -> Visits:
        rows = rows.last(self.max_events)
        if rows.event_count < len(rows.held):  # or most of what is encoded would be for nobody
            rows = rows.compact()
        # Parts of the same index side by side, so that an event's share of them is copied as one.
        runs = _runs([(part, *_PART[part.name].distinct(rows)) for part in self.parts])
        places = [
            _each(
                np.stack([part.place(of) for part, of in parts], axis=1, dtype=np.float32, casting="same_kind"), index
            )
            for index, parts in runs
        ]
        return Visits(torch.from_numpy(rows.offsets), torch.cat(places, dim=1), *self._mix(rows))

    def _mix(self, rows: MemberRows) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        if not self.categories:
            empty = torch.zeros(0, dtype=torch.int32)
            return torch.zeros(rows.event_count + 1, dtype=torch.int64), empty, torch.zeros(0)
        words = Words(name="categories", words=self.categories)
        held = pc.fill_null(pc.list_value_length(rows.held["categories"]), 0).to_numpy().astype(np.int64)
        lengths, starts = rows.each(held), rows.each(offsets_of(held)[:-1])
        taken = ranges(starts, lengths)
        ids = words.code(pc.list_flatten(rows.held["categories"]))
        shares = numbers(pc.list_flatten(rows.held["category_shares"])).astype(np.float32)
        return (
            torch.from_numpy(offsets_of(lengths)),
            torch.from_numpy(ids.astype(np.int32).take(taken)),
            torch.from_numpy(shares.take(taken)),
        )


def fit_visits(rows: MemberRows, lacks: Collection[Has], max_events: int, max_words: int) -> VisitInputs:
    """Bin edges and words of the last ``max_events`` visits of training rows."""
    rows = rows.last(max_events)
    parts = [fit_number(p.name, p.of(rows), p.bins) for p in PARTS if p.needs not in lacks]
    words = None
    if Has.CATEGORIES not in lacks:
        words = fit_words("categories", pc.list_flatten(rows.column("categories")), max_words)
    return VisitInputs(
        max_events=max_events, parts=tuple(p for p in parts if p), categories=words.words if words else ()
    )
