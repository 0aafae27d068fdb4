"""What a recommender answers, whichever it is: the best items for members, from what they bought.

Loaded from a bundle: ``load_recommender(registry.folder("recommender", "champion"))``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tenure.errors import Refused
from tenure.models.histories import Histories, best
from tenure.registry.manifest import Manifest, read_manifest

MEMBERS_AT_ONCE = 256  # rows of a catalogue's width held at a time


class Recommender(ABC):
    """Ranks the catalogue for members, trained or not: all that it knows of a member is the history it is given."""

    product_ids: list[str]
    device: torch.device
    manifest: Manifest  # of one that was loaded from a bundle

    @abstractmethod
    def raw(self, histories: Histories, include_bought: bool) -> Tensor:
        """(N, I) float64 scores before the sigmoid."""

    def recommend(
        self, histories: Histories, k: int, include_bought: bool = False
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """The ``k`` best items for each of N members, best first.

        Args:
            histories: what the members bought before the day to answer for.
            include_bought: whether items that the member bought before may be answered.

        Returns:
            (N, K) places in ``product_ids``, -1 where the catalogue has no further item, and (N, K) scores: a sigmoid
            that orders one member's items and is no probability. A member's row does not depend on the others.
        """
        slices = (histories.slice(n, n + MEMBERS_AT_ONCE) for n in range(0, len(histories), MEMBERS_AT_ONCE))
        parts = [self._recommend(part, k, include_bought) for part in slices]
        if not parts:
            width = min(k, len(self.product_ids))
            return np.empty((0, width), np.int64), np.empty((0, width))
        return np.concatenate([items for items, _ in parts]), np.concatenate([scores for _, scores in parts])

    def _recommend(
        self, histories: Histories, k: int, include_bought: bool
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        raw_NI = self.raw(histories, include_bought)
        if not include_bought:
            raw_NI[histories.places(self.device)] = -torch.inf
        return best(raw_NI, k)


def load_recommender(folder: str | Path, device: str = "cpu") -> Recommender:
    """The recommender of a bundle folder.

    Raises:
        WrongInput: if the folder holds no readable manifest.
        Refused: if the weights do not fit the manifest.
    """
    from tenure.models.factorization import Factorization
    from tenure.models.popularity import Popularity

    manifest = read_manifest(folder)
    kinds: dict[str, type[Factorization] | type[Popularity]] = {k.name: k for k in (Factorization, Popularity)}
    if manifest.model not in kinds:
        raise Refused(f"{folder}: {manifest.model} is no recommender; there are {', '.join(kinds)}")
    recommender = kinds[manifest.model].load(Path(folder), manifest, device)
    recommender.manifest = manifest
    return recommender
