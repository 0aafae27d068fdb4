"""The one place where a row becomes tensors, for training, batch and serving alike.

``fit_inputs`` reads training rows once and keeps what it learnt (bin edges, scaling, words) as plain values; ``Inputs``
lives in the manifest and turns any later rows into the same blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from pydantic import Field

from tenure.config.settings import Settings
from tenure.contracts.table import Column, Has, Kind, Table
from tenure.errors import Refused
from tenure.models.batch import Batch, Visits
from tenure.models.encoding import Encoding, Number, Words, concatenated, fit_number, fit_words, numbers
from tenure.models.rows import MemberRows, days, last

_NUMERIC = (Kind.COUNT, Kind.MONEY, Kind.NUMBER, Kind.FLAG)
EPOCH = date(1970, 1, 1)


def _days_ago(rows: MemberRows) -> np.ndarray:
    return np.repeat(rows.as_of, np.diff(rows.offsets)) - days(rows.events["day"]).astype(np.float64)


def _gap_days(rows: MemberRows) -> np.ndarray:
    day = days(rows.events["day"]).astype(np.float64)
    gaps = np.diff(day, prepend=np.nan)
    is_first = rows.offsets[:-1][np.diff(rows.offsets) > 0]
    gaps[is_first] = np.nan
    return gaps


def _weekday(rows: MemberRows) -> np.ndarray:
    return (days(rows.events["day"]) + 3.0) % 7  # 1970-01-01 was a Thursday; Monday is 0


def _discount_share(rows: MemberRows) -> np.ndarray:
    off = numbers(rows.events["discount_minor"]) + numbers(rows.events["coupon_minor"])
    full = numbers(rows.events["spend_minor"]) + off
    return np.divide(off, full, out=np.full(len(off), np.nan), where=full > 0)


def _column(name: str) -> Callable[[MemberRows], np.ndarray]:
    return lambda rows: numbers(rows.events[name])


@dataclass(frozen=True)
class Part:
    """One part of a visit's token: a number of each event, cut into at most ``bins`` bins."""

    name: str
    of: Callable[[MemberRows], np.ndarray]
    bins: int
    needs: Has | None = None


PARTS = (
    Part("days_ago", _days_ago, 24),
    Part("gap_days", _gap_days, 16),
    Part("spend_minor", _column("spend_minor"), 16),
    Part("lines", _column("lines"), 8),
    Part("baskets", _column("baskets"), 4),
    Part("weekday", _weekday, 6),
    Part("hour", _column("hour"), 8, needs=Has.HOURS),
    Part("discount_share", _discount_share, 8, needs=Has.DISCOUNTS),
)
_PART = {part.name: part for part in PARTS}


class VisitInputs(Settings):
    """What a token is made of: its parts and the words for categories."""

    max_events: int
    parts: tuple[Number, ...]
    categories: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        return sum(part.width("piecewise") for part in self.parts)

    def block(self, rows: MemberRows) -> Visits:
        rows = last(rows, self.max_events)
        of = {part.name: _PART[part.name].of(rows) for part in self.parts}
        values = concatenated([part.encode(of[part.name], "piecewise") for part in self.parts], len(rows.events))
        codes = np.stack([part.code(of[part.name]) for part in self.parts], axis=1)
        return Visits(
            torch.from_numpy(rows.offsets), torch.from_numpy(values), torch.from_numpy(codes), *self._mix(rows.events)
        )

    def _mix(self, events: pa.Table) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        if not self.categories:
            return torch.zeros(len(events) + 1, dtype=torch.int64), torch.zeros(0, dtype=torch.int64), torch.zeros(0)
        words = Words(name="categories", words=self.categories)
        lengths = pc.fill_null(pc.list_value_length(events["categories"]), 0).to_numpy()
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])
        shares = numbers(pc.list_flatten(events["category_shares"])).astype(np.float32)
        return (
            torch.from_numpy(offsets),
            torch.from_numpy(words.code(pc.list_flatten(events["categories"]))),
            torch.from_numpy(shares),
        )


class Inputs(Settings):
    """Fitted on ``rows`` training rows, the newest of them at ``newest_as_of``.

    ``unused`` names the contract's columns that no block reads, with the reason.
    """

    newest_as_of: date
    rows: int
    encoding: Encoding = "piecewise"
    numbers: tuple[Number, ...] = ()
    words: tuple[Words, ...] = ()
    visits: VisitInputs | None = None
    unused: dict[str, str] = Field(default_factory=dict)

    @property
    def width(self) -> int:
        """F, the width of the features block."""
        return sum(n.width(self.encoding) for n in self.numbers) + sum(len(w.words) for w in self.words)

    @property
    def feature_columns(self) -> tuple[str, ...]:
        return (*(n.name for n in self.numbers), *(w.name for w in self.words))

    @property
    def reads_features(self) -> bool:
        return bool(self.feature_columns)

    def batch(self, rows: MemberRows) -> Batch:
        """The named blocks of ``rows``; a row's numbers do not depend on the rows beside it.

        Raises:
            Refused: naming the columns that the inputs were fitted on and the rows lack.
        """
        self._check(rows)
        return Batch(
            ids=torch.from_numpy(np.stack([rows.member_keys, rows.as_of.astype(np.int64)], axis=1)),
            features=torch.from_numpy(self._features(rows.features)) if self.reads_features else None,
            visits=self.visits.block(rows) if self.visits else None,
        )

    def matrix(self, features: pa.Table) -> np.ndarray:
        """(N, columns) float64 as trees read it: numbers with NaN where null, words as their code."""
        columns = [numbers(features[n.name]) for n in self.numbers]
        columns += [w.code(features[w.name]).astype(np.float64) for w in self.words]
        return np.stack(columns, axis=1)

    def _features(self, features: pa.Table) -> np.ndarray:
        parts = [n.encode(numbers(features[n.name]), self.encoding) for n in self.numbers]
        return concatenated([*parts, *(w.encode(features[w.name]) for w in self.words)], len(features))

    def _check(self, rows: MemberRows) -> None:
        missing = [name for name in self.feature_columns if name not in rows.features.column_names]
        if missing:
            raise Refused(
                f"member_features lacks {', '.join(missing)}, which the model was trained on: "
                "train it again on the current release"
            )


def usable(table: Table, lacks: Iterable[Has]) -> tuple[tuple[Column, ...], dict[str, str]]:
    """Columns of ``member_features`` that a model may read, and why it may not read the others."""
    absent, chosen, unused = set(lacks), [], {}
    for column in table.columns:
        if column.name in (*table.key, *table.partition_by):
            continue
        if column.needs in absent:
            unused[column.name] = f"the source lacks {column.needs}"
        elif column.kind not in (*_NUMERIC, Kind.TEXT):
            unused[column.name] = f"a {column.kind} is no number and no word"
        else:
            chosen.append(column)
    return tuple(chosen), unused


def fit_inputs(
    rows: MemberRows,
    table: Table,
    *,
    lacks: Iterable[Has] = (),
    encoding: Encoding = "piecewise",
    bins: int = 8,
    max_events: int | None = None,
    max_words: int = 64,
) -> Inputs:
    """Bin edges, scaling and words of training rows; nothing else may be fitted on, and no other rows be among them.

    Args:
        table: the contract of ``rows.features``.
        lacks: what the shop lacks; columns that need it are not read.
        max_events: how many visits a sequence keeps; None for a model without one.
    """
    lacks = tuple(lacks)
    columns, unused = usable(table, lacks)
    fitted: list[Number | Words] = []
    for column in columns:
        values = rows.features[column.name]
        one = (
            fit_words(column.name, values, max_words)
            if column.kind == Kind.TEXT
            else fit_number(column.name, numbers(values), bins)
        )
        if one is None:
            unused[column.name] = "the same in every training row"
        else:
            fitted.append(one)
    return Inputs(
        newest_as_of=EPOCH + timedelta(days=int(rows.as_of.max())),
        rows=len(rows),
        encoding=encoding,
        numbers=tuple(n for n in fitted if isinstance(n, Number)),
        words=tuple(w for w in fitted if isinstance(w, Words)),
        visits=_fit_visits(rows, lacks, max_events, max_words) if max_events else None,
        unused=unused,
    )


def _fit_visits(rows: MemberRows, lacks: tuple[Has, ...], max_events: int, max_words: int) -> VisitInputs:
    rows = last(rows, max_events)
    parts = [fit_number(p.name, p.of(rows), p.bins) for p in PARTS if p.needs not in lacks]
    words = None
    if Has.CATEGORIES not in lacks:
        words = fit_words("categories", pc.list_flatten(rows.events["categories"]), max_words)
    return VisitInputs(
        max_events=max_events, parts=tuple(p for p in parts if p), categories=words.words if words else ()
    )
