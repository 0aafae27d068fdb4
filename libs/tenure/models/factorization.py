"""Implicit-feedback factorization by alternating least squares (Hu, Koren, Volinsky 2008), exact and batched.

Shapes: N rows to solve (members or items), M observed entries of all of them, I rows of the other side, D factors.
The loss is ``sum over all pairs of c (p - x.y)^2 + regularization (|X|^2 + |Y|^2)`` with preference ``p`` 1 and
confidence ``c = 1 + alpha f(times)`` where something was observed, 0 and 1 elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tenure.config.settings import Settings, checked
from tenure.errors import Refused, WrongInput
from tenure.models.histories import Histories
from tenure.models.recommender import Recommender
from tenure.registry.manifest import WEIGHTS_FILE, Manifest

Weighting = Literal["log", "raw"]
# Padded entries whose factors are held at a time: on a CPU they stay in a core's cache, a GPU wants many.
ENTRIES_AT_ONCE = {"cpu": 1 << 13, "cuda": 1 << 20}


class Architecture(Settings):
    """What a factorization is made of, as its manifest holds it."""

    factors: int
    weighting: Weighting
    alpha: float
    regularization: float
    popularity_weight: float = 0.0
    favourites_weight: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Observed:
    """Observed entries of N rows: row n has the columns ``column_index[offsets[n]:offsets[n + 1]]``."""

    offsets: Tensor  # (N + 1,) int64
    column_index: Tensor  # (M,) int64
    confidence: Tensor  # (M,)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def to(self, device: torch.device | str, dtype: torch.dtype) -> Observed:
        return Observed(
            offsets=self.offsets.to(device),
            column_index=self.column_index.to(device),
            confidence=self.confidence.to(device, dtype),
        )


def confidence(times: Tensor, weighting: Weighting, alpha: float) -> Tensor:
    """``1 + alpha times``, or ``1 + alpha log(1 + times)``; both are in the paper."""
    return 1 + alpha * (torch.log1p(times) if weighting == "log" else times)


def observed(histories: Histories, weighting: Weighting, alpha: float) -> Observed:
    times = torch.from_numpy(np.ascontiguousarray(histories.times))
    return Observed(
        offsets=torch.from_numpy(np.ascontiguousarray(histories.offsets)),
        column_index=torch.from_numpy(np.ascontiguousarray(histories.item_index)),
        confidence=confidence(times, weighting, alpha),
    )


def gram(factors_ID: Tensor) -> Tensor:
    """(D, D) product of the factors with themselves: what all unobserved pairs add to every row's equations."""
    return factors_ID.T @ factors_ID


def solve(rows: Observed, factors_ID: Tensor, gram_DD: Tensor, regularization: float) -> Tensor:
    """(N, D) the factors of the rows that minimise the loss while the other side stands still.

    A row's answer does not depend on the other rows, so a member folded in alone gets what training would give.
    """
    solved_ND = factors_ID.new_zeros(len(rows), factors_ID.shape[1])
    base_DD = gram_DD + regularization * torch.eye(len(gram_DD), dtype=gram_DD.dtype, device=gram_DD.device)
    for which, columns_BL, extra_BL in _batches(rows):
        y_BLD = factors_ID[columns_BL]
        weighted_BLD = y_BLD * extra_BL[..., None]
        left_BDD = torch.baddbmm(base_DD, weighted_BLD.mT, y_BLD)
        right_BD = weighted_BLD.sum(1) + (y_BLD * (extra_BL > 0)[..., None]).sum(1)
        cholesky_BDD = torch.linalg.cholesky(left_BDD)
        solved_ND[which] = torch.cholesky_solve(right_BD[..., None], cholesky_BDD)[..., 0]
    return solved_ND


def _batches(rows: Observed) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Rows of like length together, padded to the next power of two: which rows, their columns, confidence less 1.

    Rows without an entry are left out: their factors are zero.
    """
    lengths = torch.diff(rows.offsets)
    padded = torch.where(lengths > 0, 2 ** torch.ceil(torch.log2(lengths.clamp(min=1).double())).long(), 0)
    for width in torch.unique(padded).tolist():
        if width:
            for which in torch.split(torch.nonzero(padded == width)[:, 0], max(1, _entries_at_once(rows) // width)):
                yield which, *_padded(rows, which, lengths[which], width)


def _entries_at_once(rows: Observed) -> int:
    return ENTRIES_AT_ONCE.get(rows.offsets.device.type, ENTRIES_AT_ONCE["cpu"])


def _padded(rows: Observed, which: Tensor, lengths: Tensor, width: int) -> tuple[Tensor, Tensor]:
    place_L = torch.arange(width, device=which.device)
    is_entry_BL = place_L < lengths[:, None]
    entry_BL = torch.where(is_entry_BL, rows.offsets[which][:, None] + place_L, 0)
    extra_BL = torch.where(is_entry_BL, rows.confidence[entry_BL] - 1, 0)
    return rows.column_index[entry_BL], extra_BL


def loss(rows: Observed, x_ND: Tensor, y_ID: Tensor) -> Tensor:
    """The weighted squared error over all pairs of these rows, without the regularization; a scalar.

    Unobserved pairs are not visited: they add ``sum (x.y)^2 = <X'X, Y'Y>``, which observed ones then correct.
    """
    member = torch.repeat_interleave(torch.arange(len(rows), device=x_ND.device), torch.diff(rows.offsets))
    total = (gram(x_ND) * gram(y_ID)).sum()
    for part in torch.split(torch.arange(len(member), device=x_ND.device), _entries_at_once(rows)):
        score = (x_ND[member[part]] * y_ID[rows.column_index[part]]).sum(1)
        total = total + (rows.confidence[part] * (1 - score) ** 2 - score**2).sum()
    return total


class Factorization(Recommender):
    """Items and members as factors; a member's are folded in from the history, also one that training never saw.

    The score is ``sigmoid(q_u . r_i)`` with ``q_u = (x_u, popularity_weight)`` and ``r_i = (y_i, log share_i)``; where
    bought items may be answered, ``favourites_weight log(1 + times)`` is added. It orders items and is no probability.

    Args:
        product_ids: I ids, the catalogue.
        factors_ID: (I, D) item factors.
        share_I: (I,) part of the members that bought each item of late, above 0 and below 1.
    """

    name = "implicit_factorization"

    def __init__(
        self,
        product_ids: list[str],
        factors_ID: Tensor,
        share_I: Tensor,
        architecture: Architecture,
        device: str | torch.device = "cpu",
    ) -> None:
        self.product_ids = product_ids
        self.architecture = architecture
        self.device = torch.device(device)
        # Double precision: a member's answer is the same alone and among a thousand.
        self._factors_ID = factors_ID.to(self.device, torch.float64)
        self._gram_DD = gram(self._factors_ID)
        self._log_share_I = torch.log(share_I.to(self.device, torch.float64))

    def member_factors(self, histories: Histories) -> Tensor:
        """(N, D) float64 factors folded in from what the members bought."""
        how = self.architecture
        rows = observed(histories, how.weighting, how.alpha).to(self.device, torch.float64)
        return solve(rows, self._factors_ID, self._gram_DD, how.regularization)

    def affinity(self, histories: Histories) -> Tensor:
        """(N, I) float64 products of the members' and the items' factors."""
        return self.member_factors(histories) @ self._factors_ID.T

    def raw(self, histories: Histories, include_bought: bool) -> Tensor:
        raw_NI = self.affinity(histories) + self.architecture.popularity_weight * self._log_share_I
        if include_bought:
            raw_NI[histories.places(self.device)] += self.architecture.favourites_weight * torch.log1p(
                torch.from_numpy(histories.times).to(self.device)
            )
        return raw_NI

    @staticmethod
    def save(folder: Path, factors_ID: Tensor, share_I: Tensor) -> None:
        weights = {"item_factors": factors_ID.to(torch.float32), "share": share_I.to(torch.float64)}
        save_file({name: weight.cpu().contiguous() for name, weight in weights.items()}, folder / WEIGHTS_FILE)

    @classmethod
    def load(cls, folder: Path, manifest: Manifest, device: str | torch.device = "cpu") -> Factorization:
        try:
            architecture = checked(Architecture, manifest.architecture, f"the manifest in {folder}")
        except WrongInput as error:
            raise Refused(f"{error}; register the model again") from None
        weights = load_file(folder / WEIGHTS_FILE)
        product_ids = manifest.inputs.get("vocabulary", {}).get("product_id", [])
        shapes = {name: tuple(weight.shape) for name, weight in weights.items()}
        expected = {"item_factors": (len(product_ids), architecture.factors), "share": (len(product_ids),)}
        if shapes != expected:
            raise Refused(f"{folder}: the weights are {shapes}, the manifest says {expected}; register the model again")
        return cls(product_ids, weights["item_factors"], weights["share"], architecture, device)
