"""The baseline that every recommender must beat: what most members buy, and what the member buys anyway."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tenure.errors import Refused
from tenure.models.histories import Histories
from tenure.models.recommender import Recommender
from tenure.registry.manifest import WEIGHTS_FILE, Manifest


class Popularity(Recommender):
    """Popular items first; where bought items may be answered, the member's favourites come before them.

    The score is ``sigmoid(log(times + share))``: ``share`` is the part of the members that bought the item, below 1,
    and ``times`` how often the member did. It orders items and is no probability.

    Args:
        product_ids: I ids, the catalogue.
        share_I: (I,) part of the members that bought each item, above 0 and below 1.
    """

    name = "popularity"

    def __init__(self, product_ids: list[str], share_I: Tensor, device: str | torch.device = "cpu") -> None:
        self.product_ids = product_ids
        self.device = torch.device(device)
        self._share_I = share_I.to(self.device, torch.float64)

    def raw(self, histories: Histories, include_bought: bool) -> Tensor:
        own_NI = torch.zeros(len(histories), len(self._share_I), dtype=torch.float64, device=self.device)
        if include_bought:
            own_NI[histories.places(self.device)] = torch.from_numpy(histories.times).to(self.device)
        return torch.log(own_NI + self._share_I)

    @staticmethod
    def save(folder: Path, share_I: Tensor) -> None:
        save_file({"share": share_I.to(torch.float64).contiguous()}, folder / WEIGHTS_FILE)

    @classmethod
    def load(cls, folder: Path, manifest: Manifest, device: str | torch.device = "cpu") -> Popularity:
        share_I = load_file(folder / WEIGHTS_FILE).get("share")
        product_ids = manifest.inputs.get("vocabulary", {}).get("product_id", [])
        if share_I is None or share_I.shape != (len(product_ids),):
            raise Refused(
                f"{folder}: the weights are not of the manifest's {len(product_ids)} products; register the model again"
            )
        return cls(product_ids, share_I, device)
