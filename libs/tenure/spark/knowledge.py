"""The one clock of knowledge: which version of a row was known when.

A row that changes is never rewritten: a full new version is appended and the one before it is closed by
``superseded_on``. A reader at ``as_of`` takes what was known before it and not superseded before it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, timedelta

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F


def as_known(parts: DataFrame, of: Sequence[str]) -> DataFrame:
    """Each part once for every version of its whole that knows it.

    ``of`` names the columns of the whole (a member's day). A whole has one version for each ``known_on`` among its
    parts; the ``known_on`` of the result is the version's.
    """
    versions = F.collect_set("known_on").over(Window.partitionBy(*of))
    known = once_for_each(
        parts.withColumn("versions", versions), "version", F.col("versions"), lambda v: v >= F.col("known_on")
    )
    return known.withColumn("known_on", F.col("version")).drop("version", "versions")


def once_for_each(rows: DataFrame, name: str, values: Column, holds: Callable[[Column], Column]) -> DataFrame:
    """Each row once for every one of the ``values`` for which ``holds``; ``name`` says which."""
    # Not by F.filter: what has a lambda is interpreted, and on an executor each value it reads of an array costs a
    # whole new SQLConf (Spark 4.2), microseconds where generated code takes nanoseconds.
    return rows.withColumn(name, F.explode(values)).where(holds(F.col(name)))


def closed(versions: DataFrame, of: Sequence[str]) -> DataFrame:
    """The versions with ``superseded_on``: the ``known_on`` of the next version of the same whole."""
    following = F.lead("known_on").over(Window.partitionBy(*of).orderBy("known_on"))
    return versions.withColumn("superseded_on", following)


def stands_at(as_of: Column) -> Column:
    """Whether a version was known before ``as_of`` and not superseded before it."""
    was_known = F.col("known_on") < as_of
    stood = F.col("superseded_on").isNull() | (F.col("superseded_on") >= as_of)
    return was_known & stood


def standing_at(versions: DataFrame, as_of: Sequence[date]) -> DataFrame:
    """Each version once for every ``as_of`` at which it stands; at most one version of a whole each."""
    return once_for_each(versions, "as_of", days(as_of), stands_at)


def seen_from(tiles: DataFrame, as_of: Sequence[date], longest_days: int) -> DataFrame:
    """Each tile once for every ``as_of`` that sees it: within the ``longest_days`` before it, and standing at it."""

    def sees(day: Column) -> Column:
        is_in_window = (F.col("day") < day) & (F.col("day") >= F.date_sub(day, longest_days))
        return is_in_window & stands_at(day)

    return once_for_each(within(tiles, as_of, longest_days, 0), "as_of", days(as_of), sees)


def within(rows: DataFrame, as_of: Sequence[date], days_before: int, days_after: int) -> DataFrame:
    """The rows of days that lie near any ``as_of``: a plain range, by which files are skipped."""
    if not as_of:
        return rows.where(F.lit(False))
    first, end = min(as_of) - timedelta(days=days_before), max(as_of) + timedelta(days=days_after)
    return rows.where((F.col("day") >= F.lit(first)) & (F.col("day") < F.lit(end)))


def days(values: Sequence[date]) -> Column:
    """Days as an array; the empty array where there are none."""
    return F.array(*map(F.lit, values)).cast("array<date>")
