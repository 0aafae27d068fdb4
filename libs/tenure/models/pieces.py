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
        self.numbers = len(numbers)
        pieces: list[tuple[int, int]] = []  # of which row of the values and missing flags, less what
        for place, number in enumerate(numbers):
            pieces += [(place, step) for step in range(number.width(encoding) - number.tells_missing)]
            pieces += [(len(numbers) + place, 0)] * number.tells_missing
        seen = [(len(numbers) + place, code + 1) for place, word in enumerate(words) for code in range(len(word.words))]
        self.width = len(pieces) + len(seen)
        self.piece_of: Tensor
        self.less: Tensor
        self.word_of: Tensor
        self.code: Tensor
        of, less, word_of, code = *_columns(pieces), *_columns(seen)
        for name, values in {"piece_of": of, "less": less, "word_of": word_of, "code": code}.items():
            self.register_buffer(name, values, persistent=False)  # all follow from the inputs

    def forward(self, told: Tensor) -> Tensor:
        # A value is a row until the end: what is repeated lies side by side, and reading it so takes half the time.
        told = told.t()
        numbers = told[: self.numbers]
        is_missing = numbers.isnan()
        rows = torch.cat([torch.where(is_missing, 0.0, numbers), is_missing.to(told.dtype)])
        pieces = rows.index_select(0, self.piece_of).sub_(self.less)
        if self.is_cut:
            pieces.clamp_(0.0, 1.0)
        seen = (told.index_select(0, self.word_of) == self.code).to(told.dtype)
        return torch.cat([pieces, seen]).t() if len(seen) else pieces.t()


def _columns(of_row: Sequence[tuple[int, int]]) -> tuple[Tensor, Tensor]:
    """(F,) int64 and (F, 1) float32."""
    columns = torch.tensor(of_row, dtype=torch.int64).reshape(-1, 2)
    return columns[:, 0].contiguous(), columns[:, 1:].float()


def bins(places: Tensor) -> Tensor:
    """(E, P) int64: the bin of each part, from 1, the last one for the highest edge and beyond; 0 where missing."""
    return torch.where(places.isnan(), 0.0, places.floor() + 1).to(torch.int64)
