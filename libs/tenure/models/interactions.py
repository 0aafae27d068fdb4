"""A linear model with all pairs of features, each pair's weight the product of two short vectors: a factorization
machine (Rendle 2010), here of piecewise-linear encodings."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tenure.models.batch import Batch


class FactorizationMachine(nn.Module):
    """(N, F) encoded -> (N,) logits; ``rank`` numbers a feature stand for its part in all pairs, 0 for none."""

    learning_rate_factor = 2.0  # of the network's: it is shallow
    weight_decay_factor = 10.0

    def __init__(self, width: int, rank: int) -> None:
        super().__init__()
        self.out = nn.Linear(width, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)
        self.pairs = nn.Parameter(torch.randn(width, rank) * 0.01)

    def forward(self, batch: Batch) -> Tensor:
        x = batch.encoded
        assert x is not None
        both = (x @ self.pairs).square() - x.square() @ self.pairs.square()  # (N, rank), each pair twice
        return self.out(x).squeeze(1) + both.sum(dim=1) / 2
