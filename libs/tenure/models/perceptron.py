"""A multilayer perceptron of one hidden layer over piecewise-linear encodings (Gorishniy, Rubachev, Babenko 2022), held
back by much dropout: it errs elsewhere than a factorization machine of the same features, so their sum errs less."""

from __future__ import annotations

from torch import Tensor, nn

from tenure.models.batch import Batch

INPUT_DROPOUT, HIDDEN_DROPOUT = 0.1, 0.5


class Perceptron(nn.Module):
    """(N, F) features -> (N,) logits."""

    weight_decay_factor = 10.0

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Dropout(INPUT_DROPOUT),
            nn.Linear(width, hidden),
            nn.ReLU(),
            nn.Dropout(HIDDEN_DROPOUT),
            nn.Linear(hidden, 1),
        )

    def forward(self, batch: Batch) -> Tensor:
        assert batch.features is not None
        return self.layers(batch.features).squeeze(1)
