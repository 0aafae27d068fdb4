"""The numbers that the shop's systems print, which tell nothing but which thing is meant.

Within the simulation a number is put together from its member's, its day and what it is for, so that it is the same in
every partition. As such it would tell whoever reads the landing files more than a shop's numbers do: whose an order is
that names nobody, which line is a copy, which payment came after one that failed. So what lands, and what truth tables
name, is that number's image under a fixed permutation: still unique, still the same everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from tenure.simulation.chance import Places

DAYS_AN_ORDER_NO = 4096  # an order's number holds its member and day; eleven years
LINES_AN_ORDER = 16  # room for a line's number below its order's
# By column, wherever it stands; an order's number is as short as such numbers are. A session that led to an order has
# the order's number.
BITS = {"order_no": 44, "session_id": 44, "export_id": 63, "payment_id": 63, "message_id": 63, "event_id": 63}
FIRST, SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB  # both odd, so multiplying by them loses nothing
APART = 0x2545F4914F6CDD1D  # so that nothing is the image of nothing


def printed(columns: Mapping[str, pa.Array]) -> dict[str, pa.Array]:
    """The columns with every number among them as it is printed; nulls stay."""
    return {name: _printed(values, BITS[name]) if name in BITS else values for name, values in columns.items()}


def permuted(numbers: Places, bits: int) -> np.ndarray:
    """A permutation of the numbers below ``2 ** bits``, of some of them (N,).

    Multiplying by an odd number and folding the upper half into the lower one, twice over, can each be undone.
    """
    word, half = np.uint64((1 << bits) - 1), np.uint64((bits + 1) // 2)
    z = (numbers.astype(np.uint64) ^ np.uint64(APART)) & word
    for factor in (FIRST, SECOND):
        z = (z * np.uint64(factor)) & word
        z ^= z >> half
    return z.astype(np.int64)


def _printed(values: pa.Array, bits: int) -> pa.Array:
    is_absent = np.asarray(values.is_null()) if values.null_count else None
    numbers = np.asarray(values.fill_null(0))
    if len(numbers) and not 0 <= numbers.min() <= numbers.max() < 1 << bits:
        raise ValueError(f"a number of more than {bits} bits has no image of its own")
    return pa.array(permuted(numbers, bits), mask=is_absent)
