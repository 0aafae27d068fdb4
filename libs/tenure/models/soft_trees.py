"""Many shallow trees whose splits are soft, so that they learn by gradient descent (oblivious trees: one split a level;
Popov, Morozov, Babenko 2019). They find thresholds and the meeting of two or three features where a factorization
machine bends smoothly: their sum errs less.

Shapes: N rows, F encoded features, G numbers and words that trees may split, T trees, D levels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tenure.models.batch import Batch
from tenure.models.inputs import Inputs

SPREAD = 4.0  # a number runs from -SPREAD / 2 to SPREAD / 2
SHARPNESS = 3.0  # of the choice of a feature: a split starts with a few and settles on one


class SoftTrees(nn.Module):
    """(N, F) encoded features -> (N,) logits."""

    learning_rate_factor = 10.0  # of the network's: splits and leaves start far from where they end

    def __init__(self, inputs: Inputs, trees: int, depth: int) -> None:
        super().__init__()
        matrix, start = split_values(inputs)
        self.matrix: Tensor
        self.start: Tensor
        self.register_buffer("matrix", matrix, persistent=False)  # both follow from the inputs
        self.register_buffer("start", start, persistent=False)
        self.trees, self.depth = trees, depth
        splits = trees * depth
        self.choice = nn.Parameter(torch.randn(matrix.shape[1], splits))
        self.threshold = nn.Parameter((torch.rand(splits) - 0.5) * SPREAD)
        self.log_slope = nn.Parameter(torch.full((splits,), 0.7))
        self.leaf = nn.Parameter(torch.zeros(trees, 2**depth))
        self.bias = nn.Parameter(torch.zeros(1))

    def forward(self, batch: Batch) -> Tensor:
        assert batch.encoded is not None
        values = batch.encoded @ self.matrix + self.start  # (N, G)
        split = values @ torch.softmax(self.choice * SHARPNESS, dim=0) - self.threshold
        right = torch.sigmoid(split * self.log_slope.exp()).view(-1, self.trees, self.depth)
        reach = right.new_ones(len(right), self.trees, 1)  # how much of a row reaches each node, by level
        for level in range(self.depth):
            share = right[:, :, level, None]
            reach = torch.cat([reach * share, reach * (1 - share)], dim=2)
        return (reach * self.leaf).sum(dim=(1, 2)) + self.bias


def split_values(inputs: Inputs) -> tuple[Tensor, Tensor]:
    """(F, G) and (G,): what turns encoded features into one value for each number, word and missing flag.

    A number's pieces add up to its place among the quantiles, from -2 to 2; a missing one stands in the middle.
    """
    columns: list[Tensor] = []
    start: list[float] = []
    place = 0

    def column(weights: dict[int, float], at: float = 0.0) -> None:
        values = torch.zeros(inputs.width)
        for row, weight in weights.items():
            values[row] = weight
        columns.append(values)
        start.append(at)

    for number in inputs.numbers:
        pieces = number.width(inputs.encoding) - number.tells_missing
        is_cut = inputs.encoding == "piecewise"
        weights = {place + piece: SPREAD / pieces if is_cut else 1.0 for piece in range(pieces)}
        missing = {place + pieces: SPREAD / 2 if is_cut else 0.0} if number.tells_missing else {}
        column(weights | missing, -SPREAD / 2 if is_cut else 0.0)
        for row in missing:
            column({row: 1.0})
        place += pieces + number.tells_missing
    for row in range(place, inputs.width):
        column({row: 1.0})
    return torch.stack(columns, dim=1), torch.tensor(start)
