"""The way back to a release is gone once."""

from __future__ import annotations

from pathlib import Path

from pyspark.sql import Row, SparkSession

from tenure.contracts.silver import MEMBER_IDENTITIES
from tenure.spark import delta
from tenure.spark.releases import roll_back
from tenure.spark.schema import struct


def put(spark: SparkSession, root: str, member_key: int) -> None:
    delta.append(spark.createDataFrame([(member_key, "m", 1)], struct(MEMBER_IDENTITIES)), root, MEMBER_IDENTITIES)


def keys(spark: SparkSession, root: str) -> list[int]:
    return sorted(row["member_key"] for row in delta.read(spark, root, MEMBER_IDENTITIES).collect())


def test_what_went_back_once_does_not_go_back_again(spark: SparkSession, tmp_path: Path) -> None:
    root, tables = str(tmp_path), (MEMBER_IDENTITIES,)
    put(spark, root, 1)
    release = Row(tables={MEMBER_IDENTITIES.name: delta.version(spark, root, MEMBER_IDENTITIES)})
    for member_key in (2, 3):
        put(spark, root, member_key)
        assert roll_back(spark, root, tables, release) == (MEMBER_IDENTITIES.name,)
        assert roll_back(spark, root, tables, release) == ()
        assert keys(spark, root) == [1]


def test_a_table_that_no_release_knows_is_emptied_once(spark: SparkSession, tmp_path: Path) -> None:
    root, tables = str(tmp_path), (MEMBER_IDENTITIES,)
    put(spark, root, 1)
    assert roll_back(spark, root, tables, None) == (MEMBER_IDENTITIES.name,)
    assert roll_back(spark, root, tables, None) == ()
    assert keys(spark, root) == []
