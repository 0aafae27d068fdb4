"""P4a's writes are the jobs' own, of the rows that are given."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from benchmarks import p4a_delta_write
from benchmarks.p4a_delta_write import in_memory, writes
from benchmarks.simulated_lake import Lake
from deltalake import DeltaTable
from pyspark import StorageLevel
from pyspark.sql import functions as F

from tenure.contracts.gold import member_days
from tenure.contracts.silver import ORDER_LINES
from tenure.errors import WrongInput
from tenure.lake.layout import table_path
from tenure.spark import delta
from tenure.spark.schema import struct

DAY = date(2025, 9, 10)


NOTHING = {"string": "", "bigint": 0, "double": 0.0, "boolean": False, "date": DAY, "array<string>": []}


def row(table, **values):
    """A row that says nothing but ``values``."""
    nothing = {
        field.name: None if field.nullable else NOTHING.get(field.dataType.simpleString()) for field in struct(table)
    }
    return tuple((nothing | values)[name] for name in nothing)


@pytest.fixture
def lake(spark, tmp_path):
    lake = Lake(work=tmp_path / "work", landing=tmp_path / "landing")
    (lake.landing / "orders" / DAY.isoformat()).mkdir(parents=True)
    known = {"member_key": 11, "day": DAY, "known_on": DAY}
    at = datetime(2025, 9, 10, 8, tzinfo=UTC)
    told = {**known, "occurred_at": at, "flags": ["near_duplicate"], "batch_id": "b", "batch_no": 1}
    lines = [row(ORDER_LINES, **told, line_key=key, position=key) for key in (1, 2)]
    tiles = member_days(lake.source.shop)
    for table, rows in ((ORDER_LINES, lines), (tiles, [row(tiles, **known, bucket=bucket) for bucket in (0, 1)])):
        path = table_path(lake.root, table)
        spark.createDataFrame(rows, struct(table)).write.format("delta").partitionBy(*table.partition_by).save(path)
    return lake


def test_both_tables_are_written_as_the_jobs_write_them_and_hold_the_rows_given(spark, lake, tmp_path):
    for write in writes(spark, lake):
        with in_memory(spark, write.rows) as held:
            held.refuse_on_disk()
            assert held.rows == 2
            write.by_job(write.rows, str(tmp_path / "ours"))
            write.as_parquet(str(tmp_path / "plain" / write.table.name))
        plain = spark.read.schema(struct(write.table)).parquet(str(tmp_path / "plain" / write.table.name))
        write.refuse_unequal(delta.read(spark, str(tmp_path / "ours"), write.table), plain)
        written = DeltaTable(table_path(str(tmp_path / "ours"), write.table))
        assert write.properties.items() <= written.metadata().configuration.items()


def test_what_clean_counts_as_it_writes_is_counted(spark, lake, tmp_path):
    lines = writes(spark, lake)[0].rows
    written = p4a_delta_write.by_clean(lines, str(tmp_path / "ours"), lake)
    assert (written.silver, written.newest_day, written.rules) == (2, DAY, {"near_duplicate": 2})


def test_rows_that_lie_on_disk_are_refused_and_what_others_hold_is_not(spark):
    others, mine = (spark.range(count).select(F.col("id")) for count in (100, 200))
    with in_memory(spark, others, StorageLevel.DISK_ONLY) as on_disk:
        with in_memory(spark, mine) as held:
            held.refuse_on_disk()
        with pytest.raises(WrongInput, match="give fewer --events"):
            on_disk.refuse_on_disk()
