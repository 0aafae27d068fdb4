"""What P4d's processes do together."""

from __future__ import annotations

from functools import partial

import pytest
from benchmarks.training_workers import Epochs, Workers


def counting(rank: int, size: int) -> Epochs:
    return partial(_count, rank, size)


def _count(rank: int, size: int, count: int) -> int:
    return 100 * count * size + rank


def failing(rank: int, size: int) -> Epochs:
    return _fail


def _fail(count: int) -> int:
    raise ValueError(f"{count} epochs are too many")


def test_each_goes_through_its_share_and_all_rows_are_counted():
    with Workers(counting, 3) as workers:
        assert [workers.epochs(count) for count in (1, 2)] == [903, 1803]


def test_one_that_fails_ends_the_measurement():
    with pytest.raises(EOFError), Workers(failing, 2) as workers:
        workers.epochs(1)
