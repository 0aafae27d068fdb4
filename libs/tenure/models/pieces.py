"""What a network reads of numbers and words that a batch holds as one value each.

Shapes: N rows, G numbers and words, F inputs of all of them together.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tenure.models.encoding import Encoding, Number, Words


class Pieces(nn.Module):
    """(N, G) values as ``Number.told`` and ``Words.code`` tell them -> (N, F).

    A number is its pieces (see ``Number.place``), or itself where it is standardised, nothing where it is missing; then
    whether it is, where that was seen in training. A word is one input for each that was seen.
    """

    def __init__(
        self, numbers: Sequence[Number], words: Sequence[Words] = (), encoding: Encoding = "piecewise"
    ) -> None:
        super().__init__()
        self.is_cut = encoding == "piecewise"
        self.numbers = [(number.width(encoding) - number.tells_missing, number.tells_missing) for number in numbers]
        self.words = [len(word.words) for word in words]
        self.width = sum(pieces + tells_missing for pieces, tells_missing in self.numbers) + sum(self.words)
        self.steps: Tensor
        most = max([0, *(pieces for pieces, _ in self.numbers), *self.words])
        self.register_buffer("steps", torch.arange(most, dtype=torch.float32), persistent=False)

    def forward(self, told: Tensor) -> Tensor:
        is_missing = told.isnan()
        known = torch.where(is_missing, 0.0, told)
        columns = []
        for place, (pieces, tells_missing) in enumerate(self.numbers):
            columns.append(known[:, place : place + 1] - self.steps[:pieces])
            if tells_missing:
                columns.append(is_missing[:, place : place + 1].to(known.dtype))
        for place, words in enumerate(self.words, start=len(self.numbers)):
            columns.append((known[:, place : place + 1] == self.steps[:words] + 1).to(known.dtype))
        inputs = torch.cat(columns, dim=1)
        return inputs.clamp_(0.0, 1.0) if self.is_cut else inputs


def bins(places: Tensor) -> Tensor:
    """(E, P) int64: the bin of each part, from 1, the last one for the highest edge and beyond; 0 where missing."""
    return torch.where(places.isnan(), 0.0, places.floor() + 1).to(torch.int64)
