"""Spark's pseudonym is Python's."""

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from tenure.privacy.pseudonyms import member_key
from tenure.spark.pseudonyms import member_key as spark_member_key

IDS = ["1", "2500", "", "Ünïcödé ☃", "x" * 1_000_000, " padded "]


@pytest.mark.smoke
@pytest.mark.parametrize("secret", [b"k", b"k" * 64, b"longer than one block of the hash " * 4])
def test_spark_and_python_give_a_member_the_same_key(spark: SparkSession, secret: bytes) -> None:
    rows = spark.createDataFrame([(member_id,) for member_id in IDS], "member_id string")
    keys = [row[0] for row in rows.select(spark_member_key(F.col("member_id"), secret)).collect()]
    assert keys == [member_key(member_id, secret) for member_id in IDS]


def test_nobody_has_no_key(spark: SparkSession) -> None:
    row = spark.range(1).select(spark_member_key(F.lit(None).cast("string"), b"k").alias("key")).first()
    assert row is not None
    assert row["key"] is None


def test_no_shown_plan_holds_the_pads_of_the_secret(spark: SparkSession) -> None:
    secret = b"\x01" * 32
    rows = spark.range(1).select(spark_member_key(F.col("id").cast("string"), secret).alias("key"))
    plan = rows._jdf.queryExecution().toString().lower()
    assert "redacted" in plan
    assert "37" * 32 not in plan  # 0x01 ^ 0x36
    assert "5d" * 32 not in plan  # 0x01 ^ 0x5c
