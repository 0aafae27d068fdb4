"""Running totals: a member's whole life so far, as known from one day on.

Nearly always the news of a member come after everything before them, and the totals go on from where they stood
(``continued``). A late row or a correction changes what lies in between; then the member's totals are summed anew for
each day of knowledge (``resummed``). Both give the same numbers; a property test holds them equal.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from tenure.contracts.gold import MEMBER_TOTALS
from tenure.spark.kept import Kept
from tenure.spark.knowledge import closed, of_versions
from tenure.spark.schema import conform
from tenure.spark.shop import bucketed

_TOTALS = ("first_visit_on", "last_visit_on", "visits", "spend_minor", "squared_gap_days")


def member_totals(news: DataFrame, kept: Kept, standing: DataFrame, tiles: DataFrame, buckets: int) -> DataFrame:
    """Every version of totals that the news change: those before are closed, those after are new.

    Args:
        news: all versions of the member-days that have news.
        standing: totals not superseded so far.
        tiles: all of ``member_days``; read for members only whose news do not come after everything else.
    """
    starts = standing.join(news.select("member_key").distinct(), "member_key", "left_semi")
    steps = _steps(news, starts)
    # Looked up first and by themselves: they are few, and told to every task they spare a shuffle of all tiles.
    disordered = kept.at_hand(steps.transform(_disordered))
    in_order = steps.join(disordered, "member_key", "left_anti").transform(continued)
    anew = tiles.join(disordered, "member_key", "left_semi").transform(resummed)
    return (
        in_order.unionByName(anew)
        .transform(closed, of=("member_key",))
        .transform(bucketed, buckets)
        .transform(conform, MEMBER_TOTALS)
    )


def _steps(news: DataFrame, starts: DataFrame) -> DataFrame:
    """Tiles and the totals to go on from."""
    visited = F.when(F.col("visits") > 0, F.col("day"))
    tiles = news.select(
        "member_key",
        F.greatest("known_on", "day").alias("known_on"),
        visited.alias("first_visit_on"),
        visited.alias("last_visit_on"),
        "visits",
        "spend_minor",
        F.lit(0).cast("long").alias("squared_gap_days"),
        "day",
        F.col("superseded_on").isNull().alias("is_only_version"),
        F.lit(False).alias("is_start"),
    )
    known = starts.select(
        "member_key",
        "known_on",
        *_TOTALS,
        F.coalesce("last_visit_on", F.lit("0001-01-01").cast("date")).alias("day"),
        F.lit(True).alias("is_only_version"),
        F.lit(True).alias("is_start"),
    )
    return tiles.unionByName(known)


def _disordered(steps: DataFrame) -> DataFrame:
    """Members of whom a step is not later than all before it in both clocks, or changes something that was known."""
    order = Window.partitionBy("member_key").orderBy(~F.col("is_start"), "known_on", "day")
    before = F.lag(F.struct("known_on", "day", "is_start")).over(order)
    is_later_known = F.when(before["is_start"], before["known_on"] < F.col("known_on")).otherwise(True)
    is_later_day = before["day"] < F.col("day")
    comes_after = F.col("is_only_version") & (before.isNull() | (is_later_known & is_later_day))
    return steps.withColumn("comes_after", comes_after).where("not comes_after").select("member_key").distinct()


def continued(steps: DataFrame) -> DataFrame:
    """Totals after each step, one row a member and day of knowledge; the start among them."""
    order = Window.partitionBy("member_key").orderBy("known_on", "day")
    so_far = order.rowsBetween(Window.unboundedPreceding, 0)
    before = order.rowsBetween(Window.unboundedPreceding, -1)
    gap = F.datediff("first_visit_on", F.last("last_visit_on", ignorenulls=True).over(before))
    following = F.lead("known_on").over(order)
    is_last_of_its_day = following.isNull() | (following > F.col("known_on"))
    return (
        steps.withColumn("squared_gap_days", F.col("squared_gap_days") + F.coalesce(gap * gap, F.lit(0)))
        .withColumn("is_last_of_its_day", is_last_of_its_day)
        .withColumns(
            {
                "first_visit_on": F.min("first_visit_on").over(so_far),
                "last_visit_on": F.max("last_visit_on").over(so_far),
                **{n: F.sum(n).over(so_far) for n in ("visits", "spend_minor", "squared_gap_days")},
            }
        )
        .where("is_last_of_its_day")
        .select("member_key", "known_on", *_TOTALS)
    )


def resummed(tiles: DataFrame) -> DataFrame:
    """Totals summed over all tiles that stand, for each day of knowledge of a member."""
    known = tiles.withColumn("known_on", F.greatest("known_on", "day"))

    def stands(version: Column) -> Column:
        return (version >= F.col("known_on")) & (F.col("superseded_on").isNull() | (F.col("superseded_on") > version))

    visit = Window.partitionBy("member_key", "version", F.col("visits") > 0).orderBy("day")
    gap = F.when(F.col("visits") > 0, F.datediff("day", F.lag("day").over(visit)))
    return (
        of_versions(known, ["member_key"], stands)
        .withColumn("gap", gap)
        .groupBy("member_key", F.col("version").alias("known_on"))
        .agg(
            F.min(F.when(F.col("visits") > 0, F.col("day"))).alias("first_visit_on"),
            F.max(F.when(F.col("visits") > 0, F.col("day"))).alias("last_visit_on"),
            F.sum("visits").alias("visits"),
            F.sum("spend_minor").alias("spend_minor"),
            F.coalesce(F.sum(F.col("gap") * F.col("gap")), F.lit(0)).cast("long").alias("squared_gap_days"),
        )
    )
