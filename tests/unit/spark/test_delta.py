"""Delta tables follow their contracts, and every write counts what it wrote."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from delta.tables import DeltaTable
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from tenure.contracts.table import Column, Kind, Layer, Table
from tenure.lake.layout import table_path
from tenure.spark import delta
from tenure.spark.night import begin_anew
from tenure.spark.schema import struct

VISITS = Table(
    name="visits",
    layer=Layer.GOLD,
    says="Visits.",
    key=("member_key", "day"),
    columns=(
        Column(name="bucket", kind=Kind.COUNT, says="bucket"),
        Column(name="member_key", kind=Kind.KEY, says="member"),
        Column(name="day", kind=Kind.DAY, says="day"),
        Column(name="spend_minor", kind=Kind.MONEY, says="spend", nullable=True),
    ),
    partition_by=("bucket",),
    sort_by=("member_key", "day"),
)


def visits(spark: SparkSession, *rows: tuple[int, int, int]) -> DataFrame:
    schema = "member_key bigint, day_of_june int, spend_minor bigint"
    frame = spark.createDataFrame(rows, schema)
    return frame.select(
        F.lit(0).alias("bucket"),
        "member_key",
        F.make_date(F.lit(2017), F.lit(6), "day_of_june").alias("day"),
        "spend_minor",
    )


def held(spark: SparkSession, root: Path) -> list[tuple[int, int, int | None]]:
    rows = delta.read(spark, str(root), VISITS).orderBy("member_key", "day").collect()
    return [(row["member_key"], row["day"].day, row["spend_minor"]) for row in rows]


@pytest.mark.smoke
def test_an_append_counts_what_it_wrote(spark: SparkSession, tmp_path: Path) -> None:
    counts = {"dear": F.count_if(F.col("spend_minor") > 100)}
    wrote = delta.append(visits(spark, (1, 1, 50), (2, 1, 150)), str(tmp_path), VISITS, counts)
    assert wrote == {"rows": 2, "dear": 1}
    assert held(spark, tmp_path) == [(1, 1, 50), (2, 1, 150)]


def test_a_write_of_nothing_counts_nothing(spark: SparkSession, tmp_path: Path) -> None:
    assert delta.append(visits(spark).limit(0), str(tmp_path), VISITS, {"dear": F.sum("spend_minor")})["rows"] == 0
    nothing = visits(spark, (1, 1, 1)).where(F.lit(False))
    assert delta.append(nothing, str(tmp_path), VISITS, {"dear": F.sum("spend_minor")})["rows"] == 0


def test_a_replacement_twice_leaves_the_same_table(spark: SparkSession, tmp_path: Path) -> None:
    delta.append(visits(spark, (1, 1, 50), (1, 2, 60)), str(tmp_path), VISITS)
    for _ in range(2):
        wrote = delta.replace_where(
            visits(spark, (1, 2, 70), (3, 2, 80)), str(tmp_path), VISITS, "day", [date(2017, 6, 2)]
        )
        assert wrote == {"rows": 2}
    assert held(spark, tmp_path) == [(1, 1, 50), (1, 2, 70), (3, 2, 80)]


def test_a_merge_updates_by_key_and_inserts_the_rest(spark: SparkSession, tmp_path: Path) -> None:
    delta.merge(visits(spark, (1, 1, 50), (2, 1, 60)), str(tmp_path), VISITS)
    assert delta.merge(visits(spark, (2, 1, 61), (3, 1, 70)), str(tmp_path), VISITS)["rows"] == 2
    assert held(spark, tmp_path) == [(1, 1, 50), (2, 1, 61), (3, 1, 70)]


def test_the_rows_of_some_members_are_replaced_and_nobody_elses(spark: SparkSession, tmp_path: Path) -> None:
    delta.append(visits(spark, (1, 1, 50), (1, 2, 60), (1, 9, 90), (2, 1, 70), (3, 1, 80)), str(tmp_path), VISITS)
    members = spark.createDataFrame([(1,), (4,)], "member_key bigint")
    within = "old.day < date'2017-06-05'"
    for _ in range(2):  # again changes nothing
        rows = visits(spark, (1, 2, 61), (1, 3, 62), (4, 1, 40))
        assert delta.replace_members(rows, str(tmp_path), VISITS, members, within) == {"rows": 3}
        assert held(spark, tmp_path) == [(1, 2, 61), (1, 3, 62), (1, 9, 90), (2, 1, 70), (3, 1, 80), (4, 1, 40)]


def test_a_restored_table_stands_where_it_stood(spark: SparkSession, tmp_path: Path) -> None:
    delta.append(visits(spark, (1, 1, 50)), str(tmp_path), VISITS)
    before = delta.version(spark, str(tmp_path), VISITS)
    delta.append(visits(spark, (2, 1, 60)), str(tmp_path), VISITS)
    delta.restore(spark, str(tmp_path), VISITS, before)
    assert held(spark, tmp_path) == [(1, 1, 50)]
    after = delta.version(spark, str(tmp_path), VISITS)
    delta.restore(spark, str(tmp_path), VISITS, after)
    assert delta.version(spark, str(tmp_path), VISITS) == after


def is_scanned(rows: DataFrame) -> bool:
    return "parquet" in rows._jdf.queryExecution().optimizedPlan().toString()


def test_an_empty_table_stands_without_a_scan_and_a_filled_one_with_its_rows(
    spark: SparkSession, tmp_path: Path
) -> None:
    root = str(tmp_path)
    nothing = delta.standing(spark, root, VISITS)
    assert [(field.name, field.dataType) for field in nothing.schema] == [(f.name, f.dataType) for f in struct(VISITS)]
    assert nothing.collect() == []
    assert not is_scanned(nothing)
    assert delta.exists(spark, root, VISITS)

    delta.append(visits(spark, (1, 1, 50)), root, VISITS)
    assert is_scanned(delta.standing(spark, root, VISITS))
    assert [row["member_key"] for row in delta.standing(spark, root, VISITS).collect()] == [1]

    begin_anew(spark, root, VISITS)
    assert not is_scanned(delta.standing(spark, root, VISITS))


def test_what_replaces_nothing_is_appended_and_what_replaces_rows_is_not(spark: SparkSession, tmp_path: Path) -> None:
    root = str(tmp_path)

    def replaced(day: int, *rows: tuple[int, int, int]) -> str:
        delta.replace_where(visits(spark, *rows), root, VISITS, "day", [date(2017, 6, day)])
        newest = DeltaTable.forPath(spark, table_path(root, VISITS)).history(1).first()
        assert newest is not None
        return newest["operationParameters"]["mode"]

    assert replaced(2, (1, 2, 50)) == "Append"
    assert replaced(2, (1, 2, 60)) == "Overwrite"
    assert replaced(4, (1, 4, 70)) == "Append"
    assert replaced(3, (1, 3, 80)) == "Append"  # between the days of two files
    assert replaced(4, (1, 4, 71)) == "Overwrite"
    assert held(spark, tmp_path) == [(1, 2, 60), (1, 3, 80), (1, 4, 71)]


def test_a_table_of_an_earlier_contract_gets_the_columns_that_it_lacks(spark: SparkSession, tmp_path: Path) -> None:
    root, earlier = str(tmp_path), replace(VISITS, columns=VISITS.columns[:-1])
    delta.append(visits(spark, (1, 1, 50)), root, earlier)
    for _ in range(2):
        delta.widen(spark, root, VISITS)
    assert delta.version(spark, root, VISITS) == 2  # made, written, widened once
    delta.append(visits(spark, (2, 1, 60)), root, VISITS)
    assert held(spark, tmp_path) == [(1, 1, None), (2, 1, 60)]


def test_statistics_are_kept_on_filtered_columns_only(spark: SparkSession, tmp_path: Path) -> None:
    delta.create(spark, str(tmp_path), VISITS)
    detail = DeltaTable.forPath(spark, table_path(str(tmp_path), VISITS)).detail().first()
    assert detail is not None
    assert detail["properties"]["delta.dataSkippingStatsColumns"] == "member_key,day"
    assert detail["properties"]["delta.enableDeletionVectors"] == "false"
    assert detail["partitionColumns"] == ["bucket"]


def test_what_a_release_names_stays_readable_for_more_than_a_year(spark: SparkSession, tmp_path: Path) -> None:
    delta.create(spark, str(tmp_path), VISITS)
    begin_anew(spark, str(tmp_path), VISITS)  # as other settings do
    detail = DeltaTable.forPath(spark, table_path(str(tmp_path), VISITS)).detail().first()
    assert detail is not None
    assert detail["properties"]["delta.logRetentionDuration"] == "interval 400 days"
    assert detail["properties"]["delta.deletedFileRetentionDuration"] == "interval 400 days"
