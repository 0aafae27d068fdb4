"""What a training of factors has come to: written as a checkpoint every so often, read by whoever goes on.

Shapes: I items of a period's catalogue, D factors.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

PERIODS = ("validation", "test", "served")


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """What a period came to. ``judged`` holds a number a member judged, by ``model.items.metric``."""

    product: npt.NDArray[np.int64]
    factors: Tensor  # (I, D)
    share: Tensor  # (I,) popularity that goes into the score
    baseline_share: Tensor  # (I,) popularity as the baseline counts it
    objective: float
    members: int  # who bought anything
    pairs: int  # members' items that were learnt from
    chosen: Mapping[str, float]
    judged: Mapping[str, npt.NDArray[np.float64]] = field(default_factory=dict)


@dataclass(frozen=True)
class Progress:
    """Where a training stands: whole periods, and the item factors after ``sweeps`` of the next."""

    fitted: tuple[Fitted, ...] = ()
    sweeps: int = 0
    factors: Tensor | None = None

    def write(self, folder: Path) -> None:
        tensors: dict[str, Tensor] = {} if self.factors is None else {"factors": self.factors.cpu()}
        plain: list[dict[str, Any]] = []
        for period, done in zip(PERIODS, self.fitted, strict=False):
            arrays = {name: torch.from_numpy(array) for name, array in done.judged.items()}
            arrays |= {"product": torch.from_numpy(done.product), "factors": done.factors.cpu()}
            arrays |= {"share": done.share, "baseline_share": done.baseline_share}
            tensors |= {f"{period}/{name}": array.clone().contiguous() for name, array in arrays.items()}
            plain.append({name: getattr(done, name) for name in ("objective", "members", "pairs", "chosen")})
        save_file(tensors, folder / "factors.safetensors")
        (folder / "progress.json").write_text(json.dumps({"sweeps": self.sweeps, "fitted": plain}))

    @classmethod
    def read(cls, folder: Path) -> Progress:
        tensors = load_file(folder / "factors.safetensors")
        plain = json.loads((folder / "progress.json").read_text())
        named = ("product", "factors", "share", "baseline_share")
        fitted = []
        for period, numbers in zip(PERIODS, plain["fitted"], strict=False):
            own = {name.split("/", 1)[1]: array for name, array in tensors.items() if name.startswith(f"{period}/")}
            fitted.append(
                Fitted(
                    product=own["product"].numpy(),
                    factors=own["factors"],
                    share=own["share"],
                    baseline_share=own["baseline_share"],
                    judged={name: array.numpy() for name, array in own.items() if name not in named},
                    **numbers,
                )
            )
        return cls(tuple(fitted), plain["sweeps"], tensors.get("factors"))
