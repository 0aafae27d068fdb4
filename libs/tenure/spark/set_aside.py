"""Rows that silver does not hold, as they landed: the columns that their feed reads, the member's id replaced by the
``member_key``."""

from __future__ import annotations

from collections.abc import Collection

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from tenure.config.source import Feed
from tenure.spark.landing_files import LANDED, UNREADABLE
from tenure.spark.mapping import read_columns

_VERDICT = ("table", "feed", "fate", "rule", "flags", "replaced_by", "position", "member_key")


def taken(judged: DataFrame, table: str) -> DataFrame:
    """The rows that a rule took out: what it decided, not yet the row itself."""
    member = F.col("member_key") if "member_key" in judged.columns else F.lit(None).cast("long")
    marked = judged.where(F.col("fate").isNotNull()).withColumns({"table": F.lit(table), "member_key": member})
    return marked.select(*_VERDICT)


def member_columns(bronze: DataFrame, feed: Feed) -> list[str]:
    """The landed columns that hold a member's id, as far as the feed says."""
    return read_columns(bronze, [feed.columns["member_id"]]) if "member_id" in feed.columns else []


def as_landed(taken_rows: DataFrame, bronze: DataFrame, feed: Feed, personal: Collection[str] = ()) -> DataFrame:
    """``taken_rows`` of one feed with the row as it landed, as JSON, in the columns that the feed reads.

    Args:
        bronze: the feed's part of the batch.
        personal: the ``member_columns`` of the source's other feeds. They are left out, as the pseudonym at hand is not
            theirs: an invoice file may be read by a feed of orders and by one of products, which names no member.
    """
    mine = member_columns(bronze, feed)
    # What the feed itself calls by another name is that: `id` is a member in one file and a product in the next.
    theirs = set(personal) - set(feed.columns.values())
    shown = [name for name in read_columns(bronze, feed.columns.values()) if name in mine or name not in theirs]
    return taken_rows.join(bronze, "position").select(  # one landed row each
        *_VERDICT, "batch_id", "batch_no", "source_file", _row(bronze, shown, mine).alias("row")
    )


def _row(bronze: DataFrame, shown: list[str], mine: list[str]) -> Column:
    landed = bronze.schema[LANDED].dataType
    assert isinstance(landed, T.StructType)
    pseudonym = F.col("member_key").cast("string")
    columns = [(pseudonym if name in mine else F.col(LANDED).getField(name)).alias(name) for name in shown]
    row = F.to_json(F.struct(*columns)) if columns else F.lit("{}")
    if UNREADABLE not in landed.names:
        return row
    # Which part of an unreadable line is the member's id cannot be told: the line stays in bronze alone.
    return F.when(F.col(LANDED).getField(UNREADABLE).isNotNull(), F.lit("{}")).otherwise(row)
