"""A member by three branches: a factorization machine and soft trees of the encoded features, and BERT over the
visits."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn

from tenure.config.settings import Settings
from tenure.models.batch import Batch
from tenure.models.inputs import Inputs
from tenure.models.interactions import FactorizationMachine
from tenure.models.masked_visits import MaskedVisits
from tenure.models.network import Network
from tenure.models.soft_trees import SoftTrees
from tenure.models.visit_encoder import VisitEncoder


class MemberEncoder(Settings):
    """
    Attributes:
        rank: of the features' pairs in the factorization machine.
        trees: soft trees of the features, 0 for none, each of ``depth`` splits.
        features_width: how many numbers made of the features BERT's head sees beside [CLS], 0 for none.
    """

    width: int = Field(default=64, gt=0)
    layers: int = Field(default=2, gt=0)
    heads: int = Field(default=4, gt=0)
    intermediate: int = Field(default=128, gt=0)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    rank: int = Field(default=8, ge=0)
    trees: int = Field(default=128, ge=0)
    depth: int = Field(default=3, gt=0, le=6)
    features_width: int = Field(default=32, ge=0)


class SequenceBranch(nn.Module):
    """[CLS] of the visits, and what the features add to it, -> (N,) logits."""

    reads_sequence = True

    def __init__(self, settings: MemberEncoder, inputs: Inputs) -> None:
        super().__init__()
        assert inputs.visits is not None
        self.visits = inputs.visits
        self.encoder = VisitEncoder(
            inputs.visits,
            width=settings.width,
            layers=settings.layers,
            heads=settings.heads,
            dropout=settings.dropout,
            intermediate=settings.intermediate,
        )
        seen = settings.features_width
        self.features = nn.Linear(inputs.width, seen) if seen else None
        self.dropout = nn.Dropout(settings.dropout)
        self.out = nn.Linear(settings.width + seen, 1)

    def forward(self, batch: Batch) -> Tensor:
        assert batch.visits is not None
        state, _ = self.encoder(batch.visits)
        if self.features is not None:
            assert batch.encoded is not None
            state = torch.cat([state, torch.relu(self.features(batch.encoded))], dim=1)
        return self.out(self.dropout(state)).squeeze(1)

    def pretraining(self) -> MaskedVisits:
        """What is learnt before any label is seen; shares the encoder's weights."""
        return MaskedVisits(self.encoder, self.visits, self.encoder.parts.out_features)


def member_encoder(settings: MemberEncoder, inputs: Inputs) -> Network:
    branches: dict[str, nn.Module] = {}
    if inputs.reads_features:
        branches["features"] = FactorizationMachine(inputs.width, settings.rank)
        if settings.trees:
            branches["trees"] = SoftTrees(inputs, settings.trees, settings.depth)
    if inputs.visits is not None:
        branches["sequence"] = SequenceBranch(settings, inputs)
    return Network(branches, inputs)
