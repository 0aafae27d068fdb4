"""Batches of rows that lie in memory as tensors, in plain torch (P15); ``Batch`` and ``Visits`` are containers."""

from __future__ import annotations

import torch

from tenure.models.batch import Batch, Visits


def taken(rows: Batch, at: torch.Tensor) -> Batch:
    """The rows at these positions."""
    assert rows.visits is not None
    assert rows.features is not None
    visits = rows.visits
    events, offsets = _taken(visits.offsets, at)
    categories, category_offsets = _taken(visits.category_offsets, events)
    return Batch(
        ids=rows.ids[at],
        features=rows.features[at],
        visits=Visits(
            offsets=offsets,
            places=visits.places[events],
            category_offsets=category_offsets,
            category_ids=visits.category_ids[categories],
            category_weights=visits.category_weights[categories],
        ),
        labels=None if rows.labels is None else rows.labels[at],
    )


def _taken(offsets: torch.Tensor, at: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    count = offsets.diff()[at]
    found = torch.cat([torch.zeros(1, dtype=torch.int64), count.cumsum(0)])
    return torch.arange(int(found[-1])) + torch.repeat_interleave(offsets[at] - found[:-1], count), found
