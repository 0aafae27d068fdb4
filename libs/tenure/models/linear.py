"""Logistic regression as a linear module: a baseline with the interface of every network."""

from __future__ import annotations

from torch import Tensor, nn

from tenure.config.settings import Settings
from tenure.models.batch import Batch
from tenure.models.inputs import Inputs
from tenure.models.network import Network


class LogisticRegression(Settings):
    """No settings: its width is that of the encoded features."""


class Linear(nn.Module):
    """(N, F) encoded features -> (N,) logits. Starts at zero: the loss is convex, and nothing is gained by chance."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.out = nn.Linear(width, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, batch: Batch) -> Tensor:
        assert batch.encoded is not None
        return self.out(batch.encoded).squeeze(1)


def logistic_regression(settings: LogisticRegression, inputs: Inputs) -> Network:
    return Network({"features": Linear(inputs.width)}, inputs)
