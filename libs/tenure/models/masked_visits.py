"""Pre-training of the visit encoder: some visits are hidden, and their parts are told from the others (Devlin et al.
2019, with the parts of a token in place of words)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tenure.models.batch import Batch, Visits
from tenure.models.pieces import bins
from tenure.models.tokens import VisitInputs
from tenure.models.visit_encoder import VisitEncoder

MASKED_SHARE = 0.15


class MaskedVisits(nn.Module):
    """The encoder with one small head a part; only the encoder is kept."""

    def __init__(self, encoder: VisitEncoder, inputs: VisitInputs, width: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.hidden = nn.Parameter(torch.randn(width) * 0.02)  # [MASK]
        self.heads = nn.ModuleList(nn.Linear(width, part.codes) for part in inputs.parts)
        self.mix = nn.Linear(width, len(inputs.categories) + 1) if inputs.categories else None

    def forward(self, batch: Batch) -> Tensor:
        """(N,) loss of each row: the mean over its hidden visits of the cross-entropies of their parts."""
        visits = batch.visits
        assert visits is not None
        tokens = self.encoder.tokens(visits)
        is_hidden = torch.rand(len(tokens), device=tokens.device) < MASKED_SHARE
        tokens = torch.where(is_hidden[:, None], self.hidden.to(tokens.dtype), tokens)
        _, states = self.encoder(visits, tokens)
        losses = self._losses(visits, states[is_hidden].float(), is_hidden)
        return _mean_by_row(losses, visits, is_hidden)

    def _losses(self, visits: Visits, states: Tensor, is_hidden: Tensor) -> Tensor:
        """(hidden visits,) sums of the cross-entropies of all parts; a missing part is no target."""
        total = states.new_zeros(len(states))
        for head, codes in zip(self.heads, bins(visits.places[is_hidden]).unbind(1), strict=True):
            total = total + F.cross_entropy(head(states), codes, reduction="none") * (codes > 0)
        if self.mix is not None:
            shares = _shares(visits, self.mix.out_features)[is_hidden]
            total = total - (shares * F.log_softmax(self.mix(states), dim=1)).sum(1)
        return total


def _shares(visits: Visits, categories: int) -> Tensor:
    """(E, categories) the visit's spend by category, no share below zero."""
    event_lengths = visits.category_offsets.diff()
    event = torch.repeat_interleave(event_lengths)
    shares = visits.category_weights.new_zeros(len(event_lengths), categories)
    shares.index_put_((event, visits.category_ids.long()), visits.category_weights.clamp(min=0), accumulate=True)
    return shares / shares.sum(1, keepdim=True).clamp(min=1e-6)


def _mean_by_row(losses: Tensor, visits: Visits, is_hidden: Tensor) -> Tensor:
    rows = torch.repeat_interleave(visits.lengths)[is_hidden]
    sums = losses.new_zeros(len(visits.lengths)).index_add(0, rows, losses)
    return sums / torch.bincount(rows, minlength=len(sums)).clamp(min=1)
