"""What the log of a Delta table tells without a query, and when it does not tell."""

from datetime import date
from pathlib import Path

import pytest
from delta.tables import DeltaTable
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from tenure.spark import delta
from tenure.spark.delta_log import Snapshot


@pytest.fixture
def path(spark: SparkSession, tmp_path: Path) -> str:
    """Three days of two rows each, in a file each; in the first, day 1's second row has gone by a deletion vector."""
    where = str(tmp_path / "visits")
    for day in (1, 2, 4):
        rows = spark.range(2, numPartitions=1).select(
            F.col("id").alias("number"), F.make_date(F.lit(2017), F.lit(6), F.lit(day)).alias("the day")
        )
        writer = rows.write.format("delta").mode("append").option("delta.columnMapping.mode", "name")
        writer.option("delta.enableDeletionVectors", "true").save(where)
    DeltaTable.forPath(spark, where).delete("`the day` = date '2017-06-01' and number = 1")
    return where


def rows_of(frame: DataFrame | None) -> list[tuple[int, int]]:
    assert frame is not None
    return sorted((row["number"], row["the day"].day) for row in frame.collect())


def jobs_of(spark: SparkSession, group: str, frame: DataFrame) -> int:
    spark.sparkContext.setJobGroup(group, group)
    frame.collect()
    spark.sparkContext._jsc.clearJobGroup()
    return len(spark.sparkContext.statusTracker().getJobIdsForGroup(group))


def checksum(path: str) -> Path:
    newest = max((Path(path) / "_delta_log").glob("*.json"))
    return newest.with_suffix(".crc")


@pytest.mark.smoke
def test_a_small_table_is_read_without_a_search_for_its_files(spark: SparkSession, path: str) -> None:
    asked = spark.read.format("delta").load(path)
    told = Snapshot(spark, path).rows()
    assert told is not None
    assert told.schema == asked.schema
    assert rows_of(told) == rows_of(asked) == [(0, 1), (0, 2), (0, 4), (1, 2), (1, 4)]
    where = "`the day` = date '2017-06-02'"
    assert jobs_of(spark, "told", told.where(where)) < jobs_of(spark, "asked", asked.where(where))


def test_what_was_read_stays_as_it_was(spark: SparkSession, path: str) -> None:
    before = delta.load(spark, path)
    DeltaTable.forPath(spark, path).delete("number = 0")
    assert rows_of(before) == [(0, 1), (0, 2), (0, 4), (1, 2), (1, 4)]
    assert rows_of(delta.load(spark, path)) == [(1, 2), (1, 4)]


def test_many_files_and_commits_of_other_writers_are_asked_of_delta(spark: SparkSession, path: str) -> None:
    held = rows_of(delta.load(spark, path))
    checksum(path).unlink()  # as a writer that knows of none leaves it
    spark._jvm.org.apache.spark.sql.delta.DeltaLog.clearCache()  # type: ignore[union-attr]
    assert Snapshot(spark, path).rows() is None
    assert not Snapshot(spark, path).holds_none("the day", [date(2017, 7, 1)])
    assert rows_of(delta.load(spark, path)) == held

    day = F.make_date(F.lit(2017), F.lit(6), F.lit(9)).alias("the day")
    more = spark.range(60, numPartitions=60).select(F.col("id").alias("number"), day)
    more.write.format("delta").mode("append").save(path)
    assert Snapshot(spark, path).rows() is None
    assert len(rows_of(delta.load(spark, path))) == len(held) + 60


def test_statistics_tell_which_days_no_row_has(spark: SparkSession, path: str) -> None:
    standing = Snapshot(spark, path)
    assert standing.holds_none("the day", [date(2017, 6, 3), date(2017, 6, 5)])
    assert not standing.holds_none("the day", [date(2017, 6, 3), date(2017, 6, 4)])
    assert standing.holds_none("number", [2, -1])
    assert not standing.holds_none("number", [1])
    assert Snapshot(spark, path + "/none").holds_none("number", [1])


def test_days_that_are_null_are_no_day_and_columns_without_statistics_tell_nothing(
    spark: SparkSession, tmp_path: Path
) -> None:
    path = str(tmp_path / "visits")
    rows = spark.range(2).select("id", F.lit(None).cast("date").alias("day"), F.lit("a").alias("said"))
    writer = rows.write.format("delta").option("delta.dataSkippingStatsColumns", "day")
    writer.save(path)
    assert Snapshot(spark, path).holds_none("day", [date(2017, 6, 1)])
    assert not Snapshot(spark, path).holds_none("id", [7])


def test_a_commit_tells_what_it_was_made_to_say(spark: SparkSession, path: str) -> None:
    newest = Snapshot(spark, path).version
    for said in ("one", "two"):
        again = delta.load(spark, path).limit(1)
        again.write.format("delta").mode("append").option("userMetadata", said).save(path)
    now = Snapshot(spark, path)
    assert [now.user_metadata(version) for version in (newest, newest + 1, newest + 2)] == [None, "one", "two"]
    assert now.user_metadata() == "two"
    assert now.user_metadata(newest + 3) is None
