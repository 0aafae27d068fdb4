"""A number's inputs by themselves, as a network reads them."""

from __future__ import annotations

import numpy as np
import torch

from tenure.models.encoding import Encoding, Number
from tenure.models.pieces import Pieces


def encoded(number: Number, x: np.ndarray, encoding: Encoding) -> np.ndarray:
    """(N,) float64 with NaN where missing -> (N, width) float32."""
    told = torch.from_numpy(number.told(x, encoding)[:, None].astype(np.float32))
    return Pieces([number], encoding=encoding)(told).numpy()
