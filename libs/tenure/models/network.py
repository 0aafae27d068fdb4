"""What every network is: branches that each answer one logit a row, and the weights under which they are added.

Each branch learns on a loss of its own: under one joint loss the branch that learns fastest leaves the others nothing
to learn. The weights are chosen on validation afterwards, so they are no parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from tenure.models.batch import Batch
from tenure.models.inputs import Inputs


@dataclass(frozen=True)
class Outputs:
    """``logit`` (N,) and what each branch says, (N,) each."""

    logit: Tensor
    branches: dict[str, Tensor]


class Network(nn.Module):
    """A sum of branches.

    Args:
        branches: modules that turn a batch, its features encoded, into (N,) logits.
    """

    def __init__(self, branches: Mapping[str, nn.Module], inputs: Inputs) -> None:
        super().__init__()
        self.pieces = inputs.pieces()
        self.branches = nn.ModuleDict(dict(branches))
        self.mix: Tensor
        self.register_buffer("mix", torch.full((len(branches),), 1 / len(branches)))

    def forward(self, batch: Batch) -> Outputs:
        if batch.features is not None:
            batch = replace(batch, encoded=self.pieces(batch.features))
        said = {name: branch(batch).float() for name, branch in self.branches.items()}
        return Outputs((torch.stack(list(said.values()), dim=1) * self.mix).sum(dim=1), said)

    def set_mix(self, weights: Mapping[str, float]) -> None:
        self.mix.copy_(torch.tensor([weights[name] for name in self.branches]))

    @property
    def without_sequence(self) -> tuple[str, ...]:
        """The branches that read the features alone."""
        return tuple(name for name, branch in self.branches.items() if not getattr(branch, "reads_sequence", False))

    def pretraining(self) -> nn.Module | None:
        """What may be learnt before any label is seen: a module that turns a batch into (N,) losses."""
        for branch in self.branches.values():
            offered = getattr(branch, "pretraining", None)
            if offered is not None:
                return offered()
        return None
