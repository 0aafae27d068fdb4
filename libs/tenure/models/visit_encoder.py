"""BERT (Devlin et al. 2019) over a member's visits.

A token is the sum of the embeddings of its parts; [CLS] stands first, then the visits from the newest back, so that a
position means how many visits ago. All rows of a batch are one packed sequence, in which each attends to itself alone:
a step's work is as much as its visits, whichever rows meet in it, so that workers seldom wait for one another.

Shapes: N rows, E events of all rows together, T places of the packed sequence, H heads, D width of a head, W width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AttentionInterface, BertConfig, BertModel

from tenure.models.batch import Visits
from tenure.models.pieces import Pieces
from tenure.models.tokens import VisitInputs

ROUND_TO = 4  # places of a row: rows of as many are one group, and a group is one call of the attention


@dataclass(frozen=True)
class Group:
    """``rows`` neighbours of the packed sequence that have ``places`` each."""

    rows: int
    places: int


@dataclass(frozen=True)
class Packed:
    """Rows laid one after the other, those of like length side by side.

    Attributes:
        groups: in their order, of all places.
        positions: (T,) int64, of each place in its row.
        is_token: (T,) bool, False for the few places that only make a row's number of places a round one.
        cls: (N,) int64, the place of each row's [CLS].
        events: (E,) int64, the place of each event.
    """

    groups: tuple[Group, ...]
    positions: Tensor
    is_token: Tensor
    cls: Tensor
    events: Tensor


class VisitEncoder(nn.Module):
    """Visits -> hidden states; the only place where sequences are laid out for attention."""

    def __init__(
        self, inputs: VisitInputs, *, width: int, layers: int, heads: int, dropout: float, intermediate: int
    ) -> None:
        super().__init__()
        self.pieces = Pieces(inputs.parts)
        self.parts = nn.Linear(self.pieces.width, width)
        self.categories = nn.EmbeddingBag(len(inputs.categories) + 1, width, mode="sum")
        self.first = nn.Parameter(torch.randn(width) * 0.02)  # [CLS]
        config = BertConfig(
            vocab_size=1,  # tokens come as embeddings
            hidden_size=width,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            intermediate_size=intermediate,
            max_position_embeddings=inputs.max_events + 1,
            type_vocab_size=1,
            hidden_dropout_prob=dropout,
            attention_probs_dropout_prob=0.0,  # with it, torch has no fused attention: the matrices are written out
        )
        self.max_places = inputs.max_events + 1
        self.bert = BertModel(config, add_pooling_layer=False)
        self.bert.set_attn_implementation(ATTENTION)
        self.bert.embeddings.word_embeddings.requires_grad_(False)  # never read: tokens come as embeddings

    def tokens(self, visits: Visits) -> Tensor:
        """(E, W) sums of the embeddings of each visit's parts."""
        starts = visits.category_offsets[:-1].to(visits.category_ids.dtype)
        mix = self.categories(visits.category_ids, starts, per_sample_weights=visits.category_weights)
        return self.parts(self.pieces(visits.places)) + mix

    def forward(self, visits: Visits, tokens: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """States of [CLS], (N, W), and of each visit, (E, W); ``tokens`` stand in for those of the visits."""
        tokens = self.tokens(visits) if tokens is None else tokens
        packed = pack(visits, self.max_places)
        laid = tokens.new_zeros(len(packed.positions), tokens.shape[1])
        laid[packed.cls] = self.first.to(tokens.dtype)
        laid[packed.events] = tokens
        states = self.bert(inputs_embeds=laid[None], position_ids=packed.positions[None], packed=packed)
        states = states.last_hidden_state[0]
        return states[packed.cls], states[packed.events]


def pack(visits: Visits, max_places: int) -> Packed:
    """Where each row of a batch stands, with as many places as its tokens, rounded up."""
    lengths = visits.lengths + 1
    places = ((lengths + ROUND_TO - 1) // ROUND_TO * ROUND_TO).clamp(max=max_places)
    order = torch.argsort(places, stable=True)
    ends = places[order].cumsum(0)
    first = torch.empty_like(ends)
    first[order] = ends - places[order]
    positions = torch.arange(int(places.sum()), device=places.device)
    positions = positions - torch.repeat_interleave(first[order], places[order])
    row = torch.repeat_interleave(visits.lengths)
    newest_first = visits.offsets[1:][row] - torch.arange(len(row), device=row.device)  # 1 for the newest
    widths, counts = torch.unique_consecutive(places[order], return_counts=True)
    return Packed(
        groups=tuple(Group(rows, width) for width, rows in zip(widths.tolist(), counts.tolist(), strict=True)),
        positions=positions,
        is_token=positions < torch.repeat_interleave(lengths[order], places[order]),
        cls=first,
        events=first[row] + newest_first,
    )


def _attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float,
    packed: Packed,
    **_: Any,
) -> tuple[Tensor, None]:
    """Attention within each row: (1, H, T, D) each -> (1, T, H, D), group by group."""
    sizes = [group.rows * group.places for group in packed.groups]
    # Split at once: the gradient of a slice is as long as all places.
    laid = (torch.split(part[0].transpose(0, 1), sizes) for part in (query, key, value))  # (T, H, D), as they were made
    attended = [value.new_zeros(0, *query.shape[1:2], query.shape[3])]
    for group, mask, *parts in zip(packed.groups, torch.split(packed.is_token, sizes), *laid, strict=True):
        q, k, v = (part.unflatten(0, (group.rows, group.places)).transpose(1, 2) for part in parts)
        states = F.scaled_dot_product_attention(q, k, v, attn_mask=mask.view(group.rows, 1, 1, -1), scale=scaling)
        attended.append(states.transpose(1, 2).flatten(0, 1))
    return torch.cat(attended)[None], None


ATTENTION = "within_visits"
AttentionInterface.register(ATTENTION, _attend)
