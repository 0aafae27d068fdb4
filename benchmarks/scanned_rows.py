"""What the batches of a training must hold, told by the columns that a scan reads and by nothing else of ours (P4d).

Shapes: N rows, G numbers and words, V versions of visits.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.simulated_lake import Unequal
from tenure.models.batch import Batch
from tenure.models.inputs import Inputs

NEVER = np.iinfo(np.int64).max
MAY_DIFFER_BY = 1e-5  # a batch holds 32 bits of where a number stands among its bin edges


@dataclass(frozen=True)
class Rows:
    """N rows by member_key and as_of.

    Attributes:
        ids: (N, 2) int64, member_key and as_of (days since 1970).
        labels: (N,), 0 or 1.
        features: (N, G), where each number stands among its bin edges (NaN where it is missing), and which word it is.
        visits: (N,) how many visits the row sees.
    """

    ids: np.ndarray
    labels: np.ndarray
    features: np.ndarray
    visits: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    def at(self, rows: np.ndarray) -> Rows:
        return Rows(*(block[rows] for block in vars(self).values()))

    @property
    def in_order(self) -> Rows:
        return self.at(np.lexsort(self.ids.T[::-1]))


def of_batches(batches: Iterable[Batch]) -> Rows:
    parts = [_of_batch(batch) for batch in batches]
    blocks = zip(*(vars(part).values() for part in parts), strict=True)
    return Rows(*(np.concatenate(block) for block in blocks)).in_order


def _of_batch(batch: Batch) -> Rows:
    assert batch.features is not None
    assert batch.visits is not None
    assert batch.labels is not None
    blocks = (batch.ids, batch.labels, batch.features, batch.visits.lengths)
    return Rows(*(block.clone().numpy() for block in blocks))  # a part of a bucket would hold all of it


def of_scan(labels: pa.Table, features: pa.Table, events: pa.Table, inputs: Inputs) -> Rows:
    """The rows that have a label.

    Raises:
        Unequal: if one has no features.
    """
    assert inputs.visits is not None
    ids = _ids(labels)
    place = {one: row for row, one in enumerate(map(tuple, _ids(features).tolist()))}
    at = [place.get(one) for one in map(tuple, ids.tolist())]
    if None in at:
        raise Unequal(f"no features were scanned of member_key and as_of {ids[at.index(None)].tolist()}")
    known = features.take(pa.array(at))
    stands = [_place(known[number.name], number.edges) for number in inputs.numbers]
    stands += [_word(known[words.name], words.words) for words in inputs.words]
    visits = np.minimum(visits_seen(events, ids), inputs.visits.max_events)
    return Rows(ids, labels["value"].to_numpy(), np.stack(stands, axis=1), visits).in_order


def _ids(table: pa.Table) -> np.ndarray:
    return np.stack([table["member_key"].to_numpy(), _days(table["as_of"])], axis=1)


def _days(column: pa.ChunkedArray) -> np.ndarray:
    """(rows,) int64, days since 1970."""
    return column.cast(pa.int32()).to_numpy().astype(np.int64)


def _place(column: pa.ChunkedArray, edges: tuple[float, ...]) -> np.ndarray:
    x = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return np.interp(x, edges, np.arange(len(edges)))


def _word(column: pa.ChunkedArray, words: tuple[str, ...]) -> np.ndarray:
    """From 1; 0 for another word or none."""
    place = {word: number for number, word in enumerate(words, start=1)}
    return np.array([place.get(word, 0) for word in column.to_pylist()], np.float64)


def visits_seen(events: pa.Table, ids: np.ndarray) -> np.ndarray:
    """(N,) how many visits had been known before each row's day and not been taken back by then.

    Args:
        events: V versions of visits; one counts from the day after it is known, and not before the day after the visit,
            until the next one of the same visit does.
    """
    events = events.sort_by([(name, "ascending") for name in ("member_key", "day", "known_on")])
    owner, day = events["member_key"].to_numpy(), _days(events["day"])
    known = np.maximum(_days(events["known_on"]), day)
    is_next_same = (owner[1:] == owner[:-1]) & (day[1:] == day[:-1])
    until = np.append(np.where(is_next_same, known[1:], NEVER), NEVER)
    is_visit = pc.not_equal(events["kind"], "none").to_numpy()
    seen = np.zeros(len(ids), np.int64)
    for as_of in np.unique(ids[:, 1]):
        rows = ids[:, 1] == as_of
        members, visits = np.unique(owner[is_visit & (known < as_of) & (until >= as_of)], return_counts=True)
        of = dict(zip(members.tolist(), visits.tolist(), strict=True))
        seen[rows] = [of.get(member, 0) for member in ids[rows, 0].tolist()]
    return seen


def hold_same(ours: Rows, scanned: Rows) -> None:
    """Raises ``Unequal`` where the rows, a label, a feature or a number of visits are not those of the scan."""
    if len(ours) != len(scanned):
        raise Unequal(f"{len(ours):,} rows in batches, {len(scanned):,} labels scanned")
    for name, mine in vars(ours).items():
        other = getattr(scanned, name)
        is_near = np.isclose(mine, other, rtol=0, atol=MAY_DIFFER_BY, equal_nan=True) if name == "features" else False
        is_same = (mine == other) | is_near
        if not is_same.all():
            row = int(np.argmin(is_same.reshape(len(ours), -1).all(axis=1)))
            where = f"first of member_key and as_of {ours.ids[row].tolist()}: {mine[row]} is not {other[row]}"
            raise Unequal(f"{(~is_same).sum():,} {name} in batches are not those scanned, {where}")
