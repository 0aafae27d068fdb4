"""BERT (Devlin et al. 2019) over a member's visits.

A token is the sum of the embeddings of its parts; [CLS] stands first, then the visits from the newest back, so that a
position means how many visits ago.

Shapes: N rows, E events of all rows together, L longest sequence of the batch, W width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers import BertConfig, BertModel

from tenure.models.batch import Visits
from tenure.models.tokens import VisitInputs


class VisitEncoder(nn.Module):
    """Visits -> hidden states; the only place where sequences are padded."""

    def __init__(
        self, inputs: VisitInputs, *, width: int, layers: int, heads: int, dropout: float, intermediate: int
    ) -> None:
        super().__init__()
        self.parts = nn.Linear(inputs.width, width)
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
        self.bert = BertModel(config, add_pooling_layer=False)
        self.bert.embeddings.word_embeddings.requires_grad_(False)  # never read: tokens come as embeddings

    def tokens(self, visits: Visits) -> Tensor:
        """(E, W) sums of the embeddings of each visit's parts."""
        mix = self.categories(
            visits.category_ids, visits.category_offsets[:-1], per_sample_weights=visits.category_weights
        )
        return self.parts(visits.values) + mix

    def forward(self, visits: Visits, tokens: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """States of [CLS], (N, W), and of each visit, (E, W); ``tokens`` stand in for those of the visits."""
        tokens = self.tokens(visits) if tokens is None else tokens
        row, place = _places(visits)
        longest = int(visits.lengths.max()) + 1 if len(visits.lengths) else 1
        padded = tokens.new_zeros(len(visits.lengths), longest, tokens.shape[1])
        padded[:, 0] = self.first.to(tokens.dtype)
        padded[row, place] = tokens
        is_token = torch.arange(longest, device=tokens.device) <= visits.lengths[:, None]
        states = self.bert(inputs_embeds=padded, attention_mask=is_token.long()).last_hidden_state
        return states[:, 0], states[row, place]


def _places(visits: Visits) -> tuple[Tensor, Tensor]:
    """Of each event its row and its place in the padded sequence, 1 for the newest."""
    row = torch.repeat_interleave(visits.lengths)
    return row, visits.offsets[1:][row] - torch.arange(len(row), device=row.device)
