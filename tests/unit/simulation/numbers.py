"""What a printed number was made of: the permutation of ``tenure.simulation.numbering`` undone."""

from __future__ import annotations

import numpy as np

from tenure.simulation.numbering import APART, BITS, FIRST, SECOND


def made_of(printed: object, column: str) -> np.ndarray:
    """The numbers (N,) within the simulation of those that landed in a column."""
    bits = BITS[column]
    word, half = np.uint64((1 << bits) - 1), np.uint64((bits + 1) // 2)
    z = np.asarray(printed, dtype=np.uint64)
    for factor in (SECOND, FIRST):
        z = z ^ (z >> half)
        z = (z * np.uint64(pow(factor, -1, 1 << bits))) & word
    return ((z ^ np.uint64(APART)) & word).astype(np.int64)
