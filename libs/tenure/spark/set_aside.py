"""Rows that silver does not hold, as they landed: the member's id replaced by the ``member_key``."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from tenure.config.source import Feed
from tenure.spark.landing import LANDED, UNREADABLE
from tenure.spark.mapping import read_columns

_VERDICT = ("table", "feed", "fate", "rule", "flags", "replaced_by", "position", "member_key")


def taken(judged: DataFrame, table: str) -> DataFrame:
    """The rows that a rule took out: what it decided, not yet the row itself."""
    member = F.col("member_key") if "member_key" in judged.columns else F.lit(None).cast("long")
    marked = judged.where(F.col("fate").isNotNull()).withColumns({"table": F.lit(table), "member_key": member})
    return marked.select(*_VERDICT)


def as_landed(taken_rows: DataFrame, bronze: DataFrame, feed: Feed) -> DataFrame:
    """``taken_rows`` of one feed with the row as it landed, as JSON; ``bronze`` is the feed's part of the batch."""
    member_columns = read_columns(bronze, feed.columns["member_id"]) if "member_id" in feed.columns else []
    return taken_rows.join(bronze, "position").select(  # one landed row each
        *_VERDICT, "batch_id", "batch_no", "source_file", _row(bronze, member_columns).alias("row")
    )


def _row(bronze: DataFrame, member_columns: list[str]) -> Column:
    landed = bronze.schema[LANDED].dataType
    assert isinstance(landed, T.StructType)
    pseudonym = F.col("member_key").cast("string")
    shown = {name: F.col(LANDED).getField(name) for name in landed.names if name != UNREADABLE}
    columns = [(pseudonym if name in member_columns else value).alias(name) for name, value in shown.items()]
    row = F.to_json(F.struct(*columns)) if columns else F.lit("{}")
    if UNREADABLE not in landed.names:
        return row
    # Which part of an unreadable line is the member's id cannot be told: the line stays in bronze alone.
    return F.when(F.col(LANDED).getField(UNREADABLE).isNotNull(), F.lit("{}")).otherwise(row)
