"""What members bought, as ragged rows of item numbers, and the best items among many.

Shapes: N members, M bought items of all of them, I items of the catalogue, K items answered.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Histories:
    """Net bought counts of N members: those of member n stand at ``offsets[n]:offsets[n + 1]``.

    Each item at most once a member, every count above zero: what was wholly taken back is not there.
    """

    offsets: npt.NDArray[np.int64]  # (N + 1,)
    item_index: npt.NDArray[np.int64]  # (M,) place in the catalogue
    times: npt.NDArray[np.float64]  # (M,) lines bought less lines taken back

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def member_index(self) -> npt.NDArray[np.int64]:
        """(M,) which member each item belongs to."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    def places(self, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
        """Row and column of each bought item in an (N, I) tensor."""
        return torch.from_numpy(self.member_index).to(device), torch.from_numpy(self.item_index).to(device)

    def take(self, members: npt.NDArray[np.int64]) -> Histories:
        """The members at these places, in this order."""
        lengths = np.diff(self.offsets)[members]
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        entry = np.repeat(self.offsets[members] - offsets[:-1], lengths) + np.arange(offsets[-1])
        return Histories(offsets=offsets, item_index=self.item_index[entry], times=self.times[entry])

    def renamed(self, places: npt.NDArray[np.int64]) -> Histories:
        """The same in another catalogue's numbers: ``places[i]`` is item i's, -1 where it is no item there."""
        index = places[self.item_index]
        return self._only(index >= 0, index)

    def without(self, others: Histories) -> Histories:
        """The same members without the items that they have in ``others``."""
        width = int(max(self.item_index.max(initial=0), others.item_index.max(initial=0))) + 1
        pairs = self.member_index * width + self.item_index
        keep = ~np.isin(pairs, others.member_index * width + others.item_index)
        return self._only(keep, self.item_index)

    def _only(self, keep: npt.NDArray[np.bool_], item_index: npt.NDArray[np.int64]) -> Histories:
        kept_before = np.concatenate([[0], np.cumsum(keep)])
        return Histories(offsets=kept_before[self.offsets], item_index=item_index[keep], times=self.times[keep])

    def slice(self, start: int, stop: int) -> Histories:
        """The members ``start:stop``."""
        first, last = self.offsets[start], self.offsets[min(stop, len(self))]
        return Histories(
            offsets=self.offsets[start : stop + 1] - first,
            item_index=self.item_index[first:last],
            times=self.times[first:last],
        )


def best(raw_NI: Tensor, k: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """The ``k`` best items of each row, best first, equal ones in the catalogue's order.

    Args:
        raw_NI: float64; ``-inf`` where an item must not be answered.

    Returns:
        (N, K) places in the catalogue, -1 behind the last item that may be answered, and (N, K) ``sigmoid(raw)``.
        The sigmoid orders items of one member; it is no probability.
    """
    # Far below any difference that means something, yet enough to make the order of equal items the catalogue's.
    order = torch.arange(raw_NI.shape[1], dtype=torch.float64, device=raw_NI.device) * 1e-13
    short = max(0, k - raw_NI.shape[1])
    top = torch.topk(torch.nn.functional.pad(raw_NI - order, (0, short), value=-torch.inf), k, dim=1)
    absent = torch.isneginf(top.values)
    return torch.where(absent, -1, top.indices).cpu().numpy(), torch.sigmoid(top.values).cpu().numpy()
