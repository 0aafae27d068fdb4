"""Sessions: a member's events in runs between which nothing happened for longer than a gap."""

from __future__ import annotations

from datetime import timedelta

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from tenure.contracts.gold import MEMBER_SESSIONS
from tenure.spark.schema import conform

_MICROSECOND = timedelta(microseconds=1)


def member_sessions(events: DataFrame, gap: timedelta) -> DataFrame:
    """One row a session: its number within the member, its key, first and last event, and how many events.

    Two events of a member that follow each other are in one session where no more than ``gap`` lies between them. Rows
    without a member or a moment are in none.

    Args:
        events: ``member_key`` and ``occurred_at``, one row an event, in any order.
        gap: more than nothing.
    """
    gap_us = gap // _MICROSECOND
    if gap_us <= 0:
        raise ValueError(f"sessions need a gap of more than nothing, not {gap}")
    member = Window.partitionBy("member_key").orderBy("first_us")
    silence_us = F.col("first_us") - F.lag("last_us").over(member)
    begins = (silence_us.isNull() | (silence_us > gap_us)).cast("long")
    return (
        events.transform(_spans, gap_us)
        .withColumn("begins", begins)
        .withColumn("session_no", F.sum("begins").over(member))
        .groupBy("member_key", "session_no")
        .agg(F.min("first_us").alias("first_us"), F.max("last_us").alias("last_us"), F.sum("events").alias("events"))
        .select(
            "member_key",
            "session_no",
            F.xxhash64("member_key", "first_us").alias("session_key"),
            F.timestamp_micros("first_us").alias("started_at"),
            F.timestamp_micros("last_us").alias("ended_at"),
            "events",
        )
        .transform(conform, MEMBER_SESSIONS)
    )


def _spans(events: DataFrame, gap_us: int) -> DataFrame:
    """Events of a member that fall between two multiples of the gap, as one row: ``first_us``, ``last_us``, ``events``.

    They are in one session whatever came before them, so only these few rows need to be shuffled and put in order; and
    integers are compared faster than times.
    """
    at = events.select("member_key", F.unix_micros("occurred_at").alias("at_us")).where(
        F.col("member_key").isNotNull() & F.col("at_us").isNotNull()
    )
    return at.groupBy("member_key", (F.col("at_us") - F.pmod("at_us", F.lit(gap_us))).alias("span_us")).agg(
        F.min("at_us").alias("first_us"), F.max("at_us").alias("last_us"), F.count(F.lit(1)).alias("events")
    )
