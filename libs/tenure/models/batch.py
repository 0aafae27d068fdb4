"""A batch: named blocks of tensors. Padding is a model's own affair, so a sequence is values and offsets.

What is drawn and moved many times is small: a number or word is one value, and the many inputs that a network makes of
it (``Pieces``) are made where they are read.

Shapes: N rows, E events of all rows together, C categories of all events together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import torch
from torch import Tensor


@dataclass(frozen=True)
class Visits:
    """The sequence block; the events of row i are ``offsets[i]:offsets[i + 1]``, oldest first.

    Attributes:
        offsets: (N + 1,) int64.
        places: (E, P) float32, where each part of a token stands among its bin edges (``Number.place``); NaN where the
            part is missing.
        category_offsets: (E + 1,) int64.
        category_ids: (C,) int32; 0 for a category that is not in the vocabulary.
        category_weights: (C,) float32, shares of the visit's spend.
    """

    offsets: Tensor
    places: Tensor
    category_offsets: Tensor
    category_ids: Tensor
    category_weights: Tensor

    @property
    def lengths(self) -> Tensor:
        """(N,) int64."""
        return self.offsets.diff()

    def take(self, rows: Tensor) -> Visits:
        events, offsets = _take_ragged(self.offsets, rows)
        categories, category_offsets = _take_ragged(self.category_offsets, events)
        return Visits(
            offsets,
            self.places.index_select(0, events),
            category_offsets,
            self.category_ids.index_select(0, categories),
            self.category_weights.index_select(0, categories),
        )

    def between(self, first: int, last: int) -> Visits:
        """Of the rows from ``first`` to before ``last``; nothing is copied but offsets."""
        offsets = self.offsets[first : last + 1]
        start, end = int(offsets[0]), int(offsets[-1])
        category_offsets = self.category_offsets[start : end + 1]
        categories = slice(int(category_offsets[0]), int(category_offsets[-1]))
        return Visits(
            offsets - start,
            self.places[start:end],
            category_offsets - categories.start,
            self.category_ids[categories],
            self.category_weights[categories],
        )


@dataclass(frozen=True)
class Batch:
    """N rows as named blocks; a block that a model does not read is None.

    Attributes:
        features: (N, G) float32, a value for each number and word (``Inputs.batch``).
        encoded: (N, F) float32, what a network makes of them for its branches.
        visits: the sequence.
        labels: (N,) float32, where the rows are for learning.
        ids: (N, 2) int64, member_key and as_of (days since 1970).
    """

    ids: Tensor
    features: Tensor | None = None
    encoded: Tensor | None = None
    visits: Visits | None = None
    labels: Tensor | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: Tensor) -> Batch:
        """The rows at these positions, in this order."""
        return Batch(
            ids=self.ids.index_select(0, rows),
            features=None if self.features is None else self.features.index_select(0, rows),
            visits=None if self.visits is None else self.visits.take(rows),
            labels=None if self.labels is None else self.labels.index_select(0, rows),
        )

    def cut(self, sizes: Sequence[int]) -> Iterator[Batch]:
        """The rows one after the other, in parts of these sizes, of which nothing is copied but offsets."""
        for last, size in zip(accumulate(sizes), sizes, strict=True):
            rows = slice(last - size, last)
            yield Batch(
                ids=self.ids[rows],
                features=None if self.features is None else self.features[rows],
                visits=None if self.visits is None else self.visits.between(rows.start, rows.stop),
                labels=None if self.labels is None else self.labels[rows],
            )

    def with_labels(self, labels: Tensor) -> Batch:
        return replace(self, labels=labels)

    def to(self, device: torch.device) -> Batch:
        def moved(block: object) -> object:
            if isinstance(block, Tensor):
                return block.to(device, non_blocking=True)
            return Visits(*(moved(part) for part in vars(block).values())) if block is not None else None  # type: ignore[arg-type]

        return Batch(**{name: moved(block) for name, block in vars(self).items()})  # type: ignore[arg-type]


def _take_ragged(offsets: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Positions of the values of ``rows``, one row after the other, and the new offsets."""
    starts = offsets.index_select(0, rows)
    lengths = offsets.index_select(0, rows + 1) - starts
    taken = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
    within = torch.arange(int(taken[-1]), device=offsets.device)
    return within + torch.repeat_interleave(starts - taken[:-1], lengths), taken
