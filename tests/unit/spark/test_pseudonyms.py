"""Spark's pseudonym is Python's."""

from typing import Any

import pytest
from pyspark import SparkContext
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from tenure.privacy.pseudonyms import member_key
from tenure.spark.pseudonyms import with_member_key

IDS = ["1", "2500", "", "Ünïcödé ☃", "x" * 1_000_000, " padded "]


@pytest.mark.smoke
@pytest.mark.parametrize("secret", [b"k", b"k" * 64, b"longer than one block of the hash " * 4])
def test_spark_and_python_give_a_member_the_same_key(spark: SparkSession, secret: bytes) -> None:
    rows = spark.createDataFrame([(member_id,) for member_id in IDS], "member_id string")
    keys = [row["member_key"] for row in with_member_key(rows, secret).collect()]
    assert keys == [member_key(member_id, secret) for member_id in IDS]


def test_nobody_has_no_key(spark: SparkSession) -> None:
    row = with_member_key(spark.range(1).select(F.lit(None).cast("string").alias("member_id")), b"k").first()
    assert row is not None
    assert row["member_key"] is None


def test_nothing_that_spark_shows_of_a_plan_holds_the_pads_of_the_secret(spark: SparkSession) -> None:
    secret = b"\x01" * 32
    keyed = with_member_key(spark.range(1).select(F.col("id").cast("string").alias("member_id")), secret)
    query = keyed._jdf.queryExecution()
    shown = "\n".join([query.toString(), *_told_to_the_event_log(spark, query.executedPlan())]).lower()
    assert "sha2" in shown
    assert "37" * 8 not in shown  # 0x01 ^ 0x36
    assert "5d" * 8 not in shown  # 0x01 ^ 0x5c


def test_the_pads_pass_through_no_file(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    def into_a_file(*_: Any) -> None:
        raise AssertionError("written to Spark's temporary folder")

    monkeypatch.setattr(SparkContext, "_serialize_to_jvm", into_a_file)
    row = with_member_key(spark.range(1).select(F.lit("1").alias("member_id")), b"k").first()
    assert row is not None
    assert row["member_key"] == member_key("1", b"k")


def _told_to_the_event_log(spark: SparkSession, plan: Any) -> list[str]:
    jvm = spark.sparkContext._jvm
    assert jvm is not None
    waiting, found = [jvm.org.apache.spark.sql.execution.SparkPlanInfo.fromSparkPlan(plan)], []
    while waiting:
        node = waiting.pop()
        found.append(node.simpleString())
        children = node.children()
        waiting += [children.apply(place) for place in range(children.size())]
    return found
