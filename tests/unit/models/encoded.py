"""A number's inputs by themselves, as they stand in the features block."""

from __future__ import annotations

import numpy as np

from tenure.models.encoding import Encoding, Number


def encoded(number: Number, x: np.ndarray, encoding: Encoding) -> np.ndarray:
    """(N,) float64 with NaN where missing -> (N, width) float32."""
    block = np.empty((len(x), number.width(encoding)), np.float32)
    number.encode_into(block, x, encoding)
    return block
