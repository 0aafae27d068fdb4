"""Contract rows of members before any tensor: features and the visits that were known, side by side.

Shapes: N members at an ``as_of``, E events of all of them together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

NEVER = np.iinfo(np.int32).max  # days since 1970 of a row that nothing supersedes


@dataclass(frozen=True)
class MemberRows:
    """N members, each at an ``as_of``.

    A visit is seen at many ``as_of``, so events are held once and named by their place: what is made of a visit alone
    is made once.

    Attributes:
        features: N rows with columns of ``member_features``, ``member_key`` and ``as_of`` among them.
        held: rows with columns of ``member_events``, in any order, each of them any number of times an event.
        offsets: (N + 1,) int64; the events of row i are ``offsets[i]:offsets[i + 1]``, oldest first, already cut (see
            ``cut``).
        places: (E,) int64, where in ``held`` each event lies; None where they are the events as they lie.
    """

    features: pa.Table
    held: pa.Table
    offsets: np.ndarray
    places: np.ndarray | None = None

    def __len__(self) -> int:
        return self.features.num_rows

    @property
    def as_of(self) -> np.ndarray:
        """(N,) int32, days since 1970."""
        return days(self.features["as_of"])

    @property
    def member_keys(self) -> np.ndarray:
        """(N,) int64."""
        return self.features["member_key"].to_numpy()

    @property
    def event_count(self) -> int:
        """E, repeats counted."""
        return len(self.held) if self.places is None else len(self.places)

    @property
    def events(self) -> pa.Table:
        """(E,) the events one after the other, made anew each time."""
        return self.held if self.places is None else self.held.take(self.places)

    def column(self, name: str) -> pa.ChunkedArray:
        """(E,) one column of the events."""
        return self.held[name] if self.places is None else self.held[name].take(pa.array(self.places))

    def each(self, of_held: np.ndarray) -> np.ndarray:
        """(E, ...) what was made of each of ``held``, for each event."""
        return of_held if self.places is None else of_held.take(self.places, axis=0)

    def take(self, rows: np.ndarray) -> MemberRows:
        """The rows at these positions, in this order."""
        lengths = np.diff(self.offsets)[rows]
        return MemberRows(
            self.features.take(rows),
            self.held,
            offsets_of(lengths),
            self._places(ranges(self.offsets[:-1][rows], lengths)),
        )

    def last(self, max_events: int) -> MemberRows:
        """The same rows with at most their last ``max_events`` events."""
        lengths = np.minimum(np.diff(self.offsets), max_events)
        if lengths.sum() == self.event_count:
            return self
        kept = ranges(self.offsets[1:] - lengths, lengths)
        return MemberRows(self.features, self.held, offsets_of(lengths), self._places(kept))

    def compact(self) -> MemberRows:
        """The same rows, of which nothing is held that no event is."""
        if self.places is None:
            return self
        used, places = np.unique(self.places, return_inverse=True)
        return MemberRows(self.features, self.held.take(used), self.offsets, places)

    def _places(self, events: np.ndarray) -> np.ndarray:
        return events if self.places is None else self.places[events]


def days(column: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """Days since 1970 of a date column without nulls, (rows,) int32."""
    return column.cast(pa.int32()).to_numpy()


def cut(features: pa.Table, events: pa.Table, max_events: int, *, undone: bool = False) -> MemberRows:
    """Each member's last ``max_events`` visits as they were known before the row's own ``as_of``.

    Args:
        features: N rows with ``member_key`` and ``as_of``, in any order, of one or several ``as_of``.
        events: versions of visits, sorted by member_key, day, known_on; those of other members are passed over.
        undone: the visits of which nothing was left by then, instead of the others.
    """
    keys, as_of, versions = features["member_key"].to_numpy(), days(features["as_of"]), Versions.of(events)
    counts, seen = np.zeros(len(keys), np.int64), []
    for day in np.unique(as_of):
        rows = np.flatnonzero(as_of == day)
        taken, counts[rows] = versions.visible(keys[rows], int(day), max_events, undone=undone)
        seen.append((rows, taken))
    offsets = offsets_of(counts)
    chosen = np.empty(offsets[-1], np.int64)
    for rows, taken in seen:
        chosen[ranges(offsets[rows], counts[rows])] = taken
    return MemberRows(features, events, offsets, chosen)


def cut_events(events: pa.Table, member_keys: np.ndarray, as_of: date, max_events: int) -> tuple[pa.Table, np.ndarray]:
    """``cut`` for one day: the events of all ``member_keys``, one after the other, and their (N + 1,) offsets."""
    day = (as_of - date(1970, 1, 1)).days
    taken, lengths = Versions.of(events).visible(member_keys, day, max_events)
    return events.take(taken), offsets_of(lengths)


@dataclass(frozen=True)
class Versions:
    """Versions of visits, as far as it matters for who sees them when; sorted by member, day and knowledge.

    A version counts from the day after its ``known_on`` until the next version of the same day's visit is known, and
    never before the day after the visit.
    """

    owners: np.ndarray
    known_on: np.ndarray
    superseded_on: np.ndarray
    is_undone: np.ndarray

    @classmethod
    def of(cls, events: pa.Table) -> Versions:
        known_on = np.maximum(days(events["known_on"]), days(events["day"]))
        is_undone = pc.equal(events["kind"], "none").to_numpy(zero_copy_only=False)
        return cls(events["member_key"].to_numpy(), known_on, _superseded_on(events, known_on), is_undone)

    def visible(
        self, member_keys: np.ndarray, as_of: int, max_events: int, *, undone: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """Which events each member had as known before a day, and how many of them (the last ``max_events`` at most);
        ``undone``: those of which nothing was left."""
        is_known = (self.known_on < as_of) & (self.superseded_on >= as_of)
        seen = np.flatnonzero(is_known & (self.is_undone == undone))
        owners = self.owners[seen]
        ends = np.searchsorted(owners, member_keys, side="right")
        lengths = np.minimum(ends - np.searchsorted(owners, member_keys, side="left"), max_events)
        return seen[ranges(ends - lengths, lengths)], lengths


def _superseded_on(events: pa.Table, known_on: np.ndarray) -> np.ndarray:
    """(versions,) the known_on of the next version of the same visit, or never."""
    owner, day = events["member_key"].to_numpy(), days(events["day"])
    is_next_same = (owner[1:] == owner[:-1]) & (day[1:] == day[:-1])
    until = np.full(len(owner), NEVER, np.int64)
    until[:-1][is_next_same] = known_on[1:][is_next_same]
    return until


def ranges(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """``starts[0], starts[0] + 1, ...`` for each of the lengths, one range after the other."""
    offsets = offsets_of(lengths)
    return np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)


def offsets_of(lengths: np.ndarray) -> np.ndarray:
    """(N + 1,) int64: where each of N runs begins, and the end."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])


def joined(parts: Sequence[MemberRows]) -> MemberRows:
    """Rows of several reads as one, in their order."""
    starts = offsets_of(np.array([len(part.held) for part in parts]))
    places = [part.each(np.arange(len(part.held))) + start for part, start in zip(parts, starts, strict=False)]
    return MemberRows(
        pa.concat_tables([part.features for part in parts]),
        pa.concat_tables([part.held for part in parts]),
        offsets_of(np.concatenate([np.diff(part.offsets) for part in parts])),
        np.concatenate(places),
    )
