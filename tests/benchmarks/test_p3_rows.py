"""P3's rows keep all cores busy, whoever computes."""

from __future__ import annotations

import pytest
from benchmarks import machine
from benchmarks.p3_python_udfs import hold_busy, spread
from benchmarks.simulated_lake import Unequal


@pytest.fixture
def two_cores(monkeypatch):
    """As many as the session of the tests has."""
    monkeypatch.setattr(machine, "cores", lambda: 2)


def test_rows_of_one_partition_are_read_by_a_task_a_core_once_they_are_spread(spark, two_cores, tmp_path):
    spread(spark.range(100).limit(50), tmp_path / "rows")
    rows = spark.read.parquet(str(tmp_path / "rows"))
    assert hold_busy(rows) == 2
    assert rows.count() == 50


def test_rows_that_would_leave_a_core_idle_are_refused(spark, two_cores):
    with pytest.raises(Unequal, match="read by 1 tasks, and there are 2 cores"):
        hold_busy(spark.range(100).coalesce(1))
