"""Every contract has one spelling in Spark, and rows are held to it."""

from datetime import UTC, datetime

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T
from pyspark.sql.pandas.types import from_arrow_schema

from tenure.contracts.control import CONTROL_TABLES
from tenure.contracts.silver import SILVER_TABLES
from tenure.contracts.table import Column, Kind, Layer, Table
from tenure.lake.schema import arrow
from tenure.spark.schema import conform, local_rows, struct

PAIR = Table(
    name="pair",
    layer=Layer.GOLD,
    says="Two columns.",
    key=("member_key",),
    columns=(
        Column(name="member_key", kind=Kind.KEY, says="key"),
        Column(name="visits", kind=Kind.COUNT, says="visits"),
    ),
)


@pytest.mark.parametrize("table", [*SILVER_TABLES, *CONTROL_TABLES], ids=lambda table: table.name)
def test_spark_and_arrow_spell_a_contract_alike(table: Table) -> None:
    via_arrow = from_arrow_schema(arrow(table))
    assert [(f.name, f.dataType.simpleString()) for f in struct(table)] == [
        (f.name, f.dataType.simpleString()) for f in via_arrow
    ]


def test_conform_orders_widens_and_drops(spark: SparkSession) -> None:
    rows = spark.range(1).select(F.lit(2).alias("visits"), F.lit("x").alias("other"), F.lit(1).alias("member_key"))
    assert conform(rows, PAIR).schema.simpleString() == "struct<member_key:bigint,visits:bigint>"


def test_conform_shows_both_sides_of_a_missing_column(spark: SparkSession) -> None:
    with pytest.raises(ValueError, match=r"pair: no column 'visits'; there are member_key, times"):
        conform(spark.range(1).select(F.col("id").alias("member_key"), F.lit(1).alias("times")), PAIR)


def test_conform_shows_both_sides_of_a_wrong_type(spark: SparkSession) -> None:
    with pytest.raises(ValueError, match=r"pair: column 'visits' is string, the contract says bigint"):
        conform(spark.range(1).select(F.col("id").alias("member_key"), F.lit("1").alias("visits")), PAIR)


def test_rows_that_the_driver_holds_go_to_no_python_worker(spark: SparkSession) -> None:
    schema = T.StructType(
        [
            T.StructField("at", T.TimestampType()),
            T.StructField("day", T.DateType(), nullable=False),
            T.StructField("counts", T.MapType(T.StringType(), T.LongType())),
            T.StructField("pad", T.BinaryType()),
            T.StructField("names", T.ArrayType(T.StringType())),
        ]
    )
    at = datetime(2026, 3, 1, 12, 0, 0, 5, tzinfo=UTC)
    held = local_rows(
        spark, [(at, at.date(), {"a": 1}, b"\0\1", ["x", None]), (None, at.date(), {}, None, None)], schema
    )
    assert held.schema == schema
    assert "LocalTableScan" in held._jdf.queryExecution().executedPlan().toString()
    first, second = (row.asDict() for row in held.select("*", F.unix_micros("at").alias("us")).collect())
    assert (first["us"], first["day"], first["counts"]) == (round(at.timestamp() * 1e6), at.date(), {"a": 1})
    assert (bytes(first["pad"]), first["names"]) == (b"\0\1", ["x", None])
    assert (second["at"], second["counts"], second["names"]) == (None, {}, None)
    assert local_rows(spark, [], schema).collect() == []
