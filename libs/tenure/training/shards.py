"""A worker's share of the data: its own buckets, as batches of tensors from any position on."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate

import numpy as np
import pyarrow as pa
import torch

from tenure.models.batch import Batch
from tenure.models.inputs import Inputs
from tenure.tasks.split import Part
from tenure.training.data import ExampleReader, batch_count, batches, bucket_order

_AHEAD = 2  # buckets read meanwhile: while one is encoded, the next is on its way from the disk


@dataclass(kw_only=True)
class Shard:
    """Buckets ``rank``, ``rank + size``, ... of one part.

    Buckets that were read stay encoded in memory, ``held`` of them at most; the two that an epoch needs next are read
    meanwhile.
    """

    reader: ExampleReader
    inputs: Inputs
    part: Part
    rank: int
    size: int
    held: int
    _read: OrderedDict[int, Batch] = field(default_factory=OrderedDict, init=False)
    _counts: dict[int, int] = field(default_factory=dict, init=False)
    _labels: dict[int, pa.Table] = field(default_factory=dict, init=False)  # counted, and not read yet
    _ahead: dict[int, Future[Batch]] = field(default_factory=dict, init=False)
    _reading: ThreadPoolExecutor = field(default_factory=partial(ThreadPoolExecutor, _AHEAD), init=False)

    @property
    def buckets(self) -> list[int]:
        return list(self.reader.buckets)[self.rank :: self.size]

    def steps(self, batch_rows: int) -> int:
        """Batches of an epoch of this worker."""
        return sum(batch_count(self._count(bucket), batch_rows) for bucket in self.buckets)

    def batches(self, *, seed: int, epoch: int, batch_rows: int, from_step: int = 0) -> Iterator[Batch]:
        """An epoch's batches from a step on; what lies before it is not read."""
        order = bucket_order(self.buckets, seed=seed, epoch=epoch)
        ends = accumulate(batch_count(self._count(bucket), batch_rows) for bucket in order)
        left = [(bucket, end) for bucket, end in zip(order, ends, strict=True) if end > from_step]
        for (bucket, end), encoded in zip(left, self._each([bucket for bucket, _ in left]), strict=True):
            drawn = batches(len(encoded), batch_rows, seed=seed, epoch=epoch, bucket=bucket)
            drawn = drawn[max(0, from_step - end + len(drawn)) :]
            if drawn:
                # In the order of the epoch at once, so that a batch is a part of it: most of a batch drawn by itself is
                # the overhead of some dozen small copies.
                yield from encoded.take(torch.from_numpy(np.concatenate(drawn))).cut([len(rows) for rows in drawn])

    def in_order(self, rows_at_once: int) -> Iterator[Batch]:
        """Every row once, to judge by."""
        for encoded in self._each(self.buckets):
            whole, rest = divmod(len(encoded), rows_at_once)
            yield from encoded.cut([rows_at_once] * whole + [rest] * (rest > 0))

    def _each(self, buckets: Sequence[int]) -> Iterator[Batch]:
        for place, bucket in enumerate(buckets):
            for needed in buckets[place : place + 1 + _AHEAD]:
                self._read_ahead(needed)
            yield self.bucket(bucket)

    def bucket(self, bucket: int) -> Batch:
        """A bucket's rows, encoded, with their labels."""
        if bucket not in self._read:
            read = self._ahead.pop(bucket, None) or self._submit(bucket)
            self._read[bucket] = read.result()
            if len(self._read) > self.held:
                self._read.popitem(last=False)
        self._read.move_to_end(bucket)
        return self._read[bucket]

    def _read_ahead(self, bucket: int) -> None:
        if bucket not in self._read and bucket not in self._ahead and len(self._ahead) <= _AHEAD:
            self._ahead[bucket] = self._submit(bucket)

    def _submit(self, bucket: int) -> Future[Batch]:
        return self._reading.submit(self._encoded, bucket, self._labels.pop(bucket, None))

    def _encoded(self, bucket: int, labels: pa.Table | None) -> Batch:
        examples = self.reader.read(bucket, self.part, labels)
        return self.inputs.batch(examples.rows).with_labels(torch.tensor(examples.labels, dtype=torch.float32))

    def _count(self, bucket: int) -> int:
        if bucket not in self._counts:
            self._labels[bucket] = self.reader.labels(bucket, self.part)
            self._counts[bucket] = len(self._labels[bucket])
        return self._counts[bucket]
