"""What a network reads of numbers that stand at a place among their bin edges.

Shapes: E events, P parts, V pieces and missing flags of all parts together.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tenure.models.encoding import Number


class Pieces(nn.Module):
    """(E, P) places, NaN where missing -> (E, V) the piecewise-linear encoding, as ``encode_into`` of each."""

    def __init__(self, parts: Sequence[Number]) -> None:
        super().__init__()
        self.parts = [(len(part.edges) - 1, part.tells_missing) for part in parts]
        self.width = sum(pieces + tells_missing for pieces, tells_missing in self.parts)
        self.steps: Tensor
        most = max((pieces for pieces, _ in self.parts), default=0)
        self.register_buffer("steps", torch.arange(most, dtype=torch.float32), persistent=False)

    def forward(self, places: Tensor) -> Tensor:
        is_missing = places.isnan()
        known = torch.where(is_missing, 0.0, places)
        columns = []
        for part, (pieces, tells_missing) in enumerate(self.parts):
            columns.append(known[:, part : part + 1] - self.steps[:pieces])
            if tells_missing:
                columns.append(is_missing[:, part : part + 1].to(known.dtype))
        return torch.cat(columns, dim=1).clamp_(0.0, 1.0)


def bins(places: Tensor) -> Tensor:
    """(E, P) int64: the bin of each part, from 1, the last one for the highest edge and beyond; 0 where missing."""
    return torch.where(places.isnan(), 0.0, places.floor() + 1).to(torch.int64)
