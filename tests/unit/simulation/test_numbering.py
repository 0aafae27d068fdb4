from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from tests.unit.simulation.numbers import made_of

from tenure.simulation.numbering import BITS, permuted, printed


@pytest.mark.parametrize("column", BITS)
def test_every_number_has_an_image_of_its_own(column: str) -> None:
    bits = BITS[column]
    numbers = np.concatenate([np.arange(10_000), (1 << bits) - 1 - np.arange(10_000)])
    images = permuted(numbers, bits)
    assert images.min() >= 0
    assert int(images.max()) < 1 << bits
    assert np.array_equal(made_of(images, column), numbers)


def test_what_a_number_is_made_of_does_not_show() -> None:
    images = permuted(np.arange(40_000), BITS["order_no"])
    for modulus in (2, 4, 64):
        counts = [np.bincount(images[of::4] % modulus, minlength=modulus) for of in range(4)]
        expected = 10_000 / modulus
        assert np.abs(np.array(counts) - expected).max() < 6 * np.sqrt(expected)
    low, high = permuted(np.arange(10_000), BITS["order_no"]), permuted(np.arange(10_000) + (1 << 40), BITS["order_no"])
    assert abs(low.mean() / high.mean() - 1) < 0.05


def test_nulls_and_other_columns_stay() -> None:
    columns = {"order_no": pa.array([4, None, 5]), "units": pa.array([4, None, 5])}
    found = printed(columns)
    assert found["order_no"].is_null().to_pylist() == [False, True, False]
    assert set(found["order_no"].drop_null().to_pylist()).isdisjoint({4, 5})
    assert found["units"] == columns["units"]
