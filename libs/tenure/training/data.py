"""A release as training reads it: one bucket's labels, features and visits merged by sorted key, never a whole table.

The order of rows is a function of (epoch, seed, bucket, row), so that a position says what was consumed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property

import numpy as np
import pyarrow as pa

from tenure.contracts.gold import LABELS, NEWEST_KNOWN_ON
from tenure.contracts.table import Table
from tenure.errors import Refused
from tenure.lake.release import Release
from tenure.models.inputs import usable
from tenure.models.rows import MemberRows, cut, days
from tenure.tasks.split import EPOCH, PARTS, Part, Split
from tenure.tasks.task import Task

_DAY_BITS = 20  # days since 1970 until the year 4840


@dataclass(frozen=True)
class Examples:
    """N rows to learn from or to judge by.

    Attributes:
        rows: the members, each at its ``as_of``.
        labels: (N,) float64.
        matured_at: (N,) int32, days since 1970.
    """

    rows: MemberRows
    labels: np.ndarray
    matured_at: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: np.ndarray) -> Examples:
        return Examples(self.rows.take(rows), self.labels[rows], self.matured_at[rows])


@dataclass(frozen=True, kw_only=True)
class ExampleReader:
    """Examples of a task at a release, by bucket and part."""

    release: Release
    task: Task
    split: Split
    max_events: int
    columns: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        chosen, _ = usable(self.features, self.release.shop.lacks)
        object.__setattr__(self, "columns", (*self.features.key, NEWEST_KNOWN_ON.name, *(c.name for c in chosen)))

    @cached_property
    def features(self) -> Table:
        return self.task.inputs.features(self.release.shop)

    @property
    def buckets(self) -> range:
        return range(self.release.shop.buckets)

    def read(self, bucket: int, part: Part, labels: pa.Table | None = None) -> Examples:
        """The part's rows of a bucket, by member_key and as_of.

        Args:
            labels: what ``labels`` gave for the same bucket and part, where it was asked before.

        Raises:
            Refused: if a label has no row of features.
        """
        labels, features = self._rows(bucket, part, labels)
        return self._examples(labels, features, self._events(bucket, features))

    def read_all(self, bucket: int, part: Part) -> tuple[Examples, MemberRows]:
        """The part's rows as ``read`` gives them, and the same rows with the visits of which nothing was left: money
        may have stayed where no goods did, and windows count it."""
        labels, features = self._rows(bucket, part)
        events = self._events(bucket, features)
        return self._examples(labels, features, events), self._cut(features, events, undone=True)

    def count(self, bucket: int, part: Part) -> int:
        """How many rows ``read`` will give, from the labels alone."""
        return len(self.labels(bucket, part))

    def member_keys(self, bucket: int, part: Part) -> np.ndarray:
        """Members of the part's rows, with repeats."""
        return self.labels(bucket, part)["member_key"].to_numpy()

    def _rows(self, bucket: int, part: Part, labels: pa.Table | None = None) -> tuple[pa.Table, pa.Table]:
        """Labels, and the features of each."""
        labels = self.labels(bucket, part) if labels is None else labels
        where = f"bucket = {bucket}{_between('as_of', *self.split.days(part))}"
        features = self.release.read(self.features, self.columns, where=where, order_by=self.features.key)
        return labels, features.take(_places(labels, features, self.task.name))

    def _examples(self, labels: pa.Table, features: pa.Table, events: pa.Table | None) -> Examples:
        return Examples(self._cut(features, events), labels["value"].to_numpy(), days(labels["matured_at"]))

    def labels(self, bucket: int, part: Part) -> pa.Table:
        """The part's labels of a bucket, by member_key and as_of: a row for each that ``read`` will give."""
        where = f"bucket = {bucket} and task = '{self.task.examples}'{_between('as_of', *self.split.days(part))}"
        names = ("member_key", "as_of", "value", "matured_at")
        labels = self.release.read(LABELS, names, where=where, order_by=("member_key", "as_of"))
        parts = self.split.parts(labels["member_key"].to_numpy(), days(labels["as_of"]))
        return labels.filter(pa.array(parts == PARTS.index(part)))

    def _cut(self, features: pa.Table, events: pa.Table | None, *, undone: bool = False) -> MemberRows:
        if events is None:
            return MemberRows(features, pa.table({}), np.zeros(len(features) + 1, np.int64))
        return cut(features, events, self.max_events, undone=undone)

    def _events(self, bucket: int, features: pa.Table) -> pa.Table | None:
        """Versions of the bucket's visits that any of the rows may know; None for a task without a sequence."""
        sequence = self.task.inputs.sequence
        if sequence is None:
            return None
        table = sequence(self.release.shop)
        newest = EPOCH + timedelta(days=int(days(features["as_of"]).max(initial=0)))
        names = [c.name for c in table.columns if c.name not in table.partition_by]
        where = f"bucket = {bucket} and known_on < DATE '{newest}'"
        return self.release.read(table, names, where=where, order_by=table.key)


def labelled_days(release: Release, task: Task) -> list[date]:
    """Days of which there are labels, ascending."""
    seen: set[int] = set()
    for bucket in range(release.shop.buckets):
        rows = release.read(LABELS, ("as_of",), where=f"bucket = {bucket} and task = '{task.examples}'")
        seen.update(np.unique(days(rows["as_of"])).tolist())
    return [EPOCH + timedelta(days=day) for day in sorted(seen)]


def _between(column: str, first: date | None, last: date | None) -> str:
    after = f" and {column} >= DATE '{first}'" if first else ""
    return after + (f" and {column} <= DATE '{last}'" if last else "")


def _places(labels: pa.Table, features: pa.Table, task: str) -> np.ndarray:
    """(labels,) the row of each label's features; both are sorted by member_key and as_of."""
    members = np.unique(features["member_key"].to_numpy())
    keys, wanted = (_keys(rows, members) for rows in (features, labels))
    places = np.searchsorted(keys, wanted)
    is_found = keys[np.minimum(places, len(keys) - 1)] == wanted if len(keys) else np.zeros(len(wanted), bool)
    if not is_found.all():
        raise Refused(f"{(~is_found).sum()} labels of {task} have no row in member_features: run jobs/refresh.py again")
    return places


def _keys(rows: pa.Table, members: np.ndarray) -> np.ndarray:
    """(rows,) member_key and as_of as one number that sorts like both; -1 for nobody of the ``members``, who are
    ascending."""
    owner = rows["member_key"].to_numpy()
    place = np.searchsorted(members, owner)
    is_one = members[np.minimum(place, len(members) - 1)] == owner if len(members) else np.zeros(len(owner), bool)
    return np.where(is_one, (place << _DAY_BITS) + days(rows["as_of"]), -1)


def generator(*position: int) -> np.random.Generator:
    """The chance that belongs to a position, the same in every process."""
    return np.random.default_rng([abs(p) for p in position])


def bucket_order(buckets: Sequence[int], *, seed: int, epoch: int) -> list[int]:
    """The buckets of a rank in the order of an epoch."""
    return [int(b) for b in generator(seed, epoch).permutation(np.asarray(buckets))]


def batches(rows: int, batch_rows: int, *, seed: int, epoch: int, bucket: int) -> list[np.ndarray]:
    """Positions of one bucket's rows, shuffled and cut into ``batch_count`` batches of as many rows, or one less."""
    drawn = generator(seed, epoch, bucket, 1).permutation(rows)
    return np.array_split(drawn, batch_count(rows, batch_rows)) if rows else []


def batch_count(rows: int, batch_rows: int) -> int:
    return -(-rows // batch_rows)
