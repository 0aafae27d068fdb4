"""A worker's share of the data: its own buckets, as batches of tensors from any position on."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field

import pyarrow as pa
import torch

from tenure.models.batch import Batch
from tenure.models.inputs import Inputs
from tenure.tasks.split import Part
from tenure.training.data import ExampleReader, batch_count, batches, bucket_order


@dataclass(kw_only=True)
class Shard:
    """Buckets ``rank``, ``rank + size``, ... of one part.

    Buckets that were read stay encoded in memory, ``held`` of them at most.
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

    @property
    def buckets(self) -> list[int]:
        return list(self.reader.buckets)[self.rank :: self.size]

    def steps(self, batch_rows: int) -> int:
        """Batches of an epoch of this worker."""
        return sum(batch_count(self._count(bucket), batch_rows) for bucket in self.buckets)

    def batches(self, *, seed: int, epoch: int, batch_rows: int, from_step: int = 0) -> Iterator[Batch]:
        """An epoch's batches from a step on; what lies before it is not read."""
        step = 0
        for bucket in bucket_order(self.buckets, seed=seed, epoch=epoch):
            count = batch_count(self._count(bucket), batch_rows)
            if step + count > from_step:
                encoded = self.bucket(bucket)
                drawn = batches(len(encoded), batch_rows, seed=seed, epoch=epoch, bucket=bucket)
                for place, rows in enumerate(drawn):
                    if step + place >= from_step:
                        yield encoded.take(torch.from_numpy(rows))
            step += count

    def in_order(self, rows_at_once: int) -> Iterator[Batch]:
        """Every row once, to judge by."""
        for bucket in self.buckets:
            encoded = self.bucket(bucket)
            for rows in torch.split(torch.arange(len(encoded)), rows_at_once):
                yield encoded.take(rows)

    def bucket(self, bucket: int) -> Batch:
        """A bucket's rows, encoded, with their labels."""
        if bucket not in self._read:
            examples = self.reader.read(bucket, self.part, self._labels.pop(bucket, None))
            encoded = self.inputs.batch(examples.rows)
            self._read[bucket] = encoded.with_labels(torch.tensor(examples.labels, dtype=torch.float32))
            if len(self._read) > self.held:
                self._read.popitem(last=False)
        self._read.move_to_end(bucket)
        return self._read[bucket]

    def _count(self, bucket: int) -> int:
        if bucket not in self._counts:
            self._labels[bucket] = self.reader.labels(bucket, self.part)
            self._counts[bucket] = len(self._labels[bucket])
        return self._counts[bucket]
