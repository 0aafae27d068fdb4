"""The one place where a row becomes tensors, for training, batch and serving alike.

``fit_inputs`` reads training rows once and keeps what it learnt (bin edges, scaling, words) as plain values; ``Inputs``
lives in the manifest and turns any later rows into the same blocks.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import torch
from pydantic import Field

from tenure.config.settings import Settings
from tenure.contracts.table import Column, Has, Kind, Table
from tenure.errors import Refused
from tenure.models.batch import Batch
from tenure.models.encoding import Encoding, Number, Words, fit_number, fit_words, numbers
from tenure.models.pieces import Pieces
from tenure.models.rows import MemberRows
from tenure.models.tokens import VisitInputs, fit_visits

_NUMERIC = (Kind.COUNT, Kind.MONEY, Kind.NUMBER, Kind.FLAG)
EPOCH = date(1970, 1, 1)


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
        """F, how many inputs a network reads of the features."""
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

    def pieces(self) -> Pieces:
        """What makes (N, F) inputs of the (N, G) features of a batch."""
        return Pieces(self.numbers, self.words, self.encoding)

    def _features(self, features: pa.Table) -> np.ndarray:
        """(N, G) float32: numbers as ``Number.told``, words as their code."""
        block = np.empty((len(features), len(self.numbers) + len(self.words)), np.float32)
        for place, number in enumerate(self.numbers):
            block[:, place] = number.told(numbers(features[number.name]), self.encoding)
        for place, word in enumerate(self.words, start=len(self.numbers)):
            block[:, place] = word.code(features[word.name])
        return block

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
        visits=fit_visits(rows, lacks, max_events, max_words) if max_events else None,
        unused=unused,
    )
