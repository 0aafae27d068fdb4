"""Running totals: a member's whole life so far, as known from one day on.

Nearly always the news of a member come after everything before them, and the totals go on from where they stood
(``continued``). A late row or a correction changes what lies in between; then the member's totals are made anew
(``resummed``), and summed over everything where one of these came. A property test holds both to the sums of what stood
on each day.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from tenure.contracts.gold import MEMBER_TOTALS
from tenure.spark.kept import Kept
from tenure.spark.knowledge import once_for_each
from tenure.spark.schema import conform
from tenure.spark.shop import bucketed

_TOTALS = ("first_visit_on", "last_visit_on", "visits", "spend_minor", "squared_gap_days")
_SUMMED = ("member_key", "day", "known_on", "superseded_on", "visits", "spend_minor")


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
    # Read twice: for the days on which everything is summed, and for those that go on.
    anew = kept(tiles.join(disordered, "member_key", "left_semi").select(*_SUMMED)).transform(resummed)
    return in_order.unionByName(anew).transform(bucketed, buckets).transform(conform, MEMBER_TOTALS)


def _steps(news: DataFrame, starts: DataFrame) -> DataFrame:
    """Tiles and the totals to go on from."""
    tiles = (
        news.withColumn("known_on", F.greatest("known_on", "day"))
        .withColumn("is_only_version", F.col("superseded_on").isNull())
        .transform(_as_steps, "is_only_version")
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


def _as_steps(tiles: DataFrame, *beside: str) -> DataFrame:
    """What each tile adds."""
    visited = F.when(F.col("visits") > 0, F.col("day"))
    return tiles.select(
        *("member_key", "known_on", "day"),
        visited.alias("first_visit_on"),
        visited.alias("last_visit_on"),
        *("visits", "spend_minor"),
        F.lit(0).cast("long").alias("squared_gap_days"),
        F.lit(False).alias("is_start"),
        *beside,
    )


def _disordered(steps: DataFrame) -> DataFrame:
    """Members of whom a step is not later than all before it in both clocks, or changes something that was known."""
    order = Window.partitionBy("member_key").orderBy(~F.col("is_start"), "known_on", "day")
    before = F.lag(F.struct("known_on", "day", "is_start")).over(order)
    is_later_known = F.when(before["is_start"], before["known_on"] < F.col("known_on")).otherwise(True)
    is_later_day = before["day"] < F.col("day")
    comes_after = F.col("is_only_version") & (before.isNull() | (is_later_known & is_later_day))
    return steps.withColumn("comes_after", comes_after).where("not comes_after").select("member_key").distinct()


def continued(steps: DataFrame, within: Sequence[str] = ("member_key",)) -> DataFrame:
    """Totals after each step, one row a member and day of knowledge, closed by the next; the start among them.

    Args:
        within: whose steps are summed; a run of a member's steps begins with its start, if it has one.
    """
    member, run = (Window.partitionBy(*of).orderBy("known_on", "day") for of in (["member_key"], list(within)))
    so_far = run.rowsBetween(Window.unboundedPreceding, 0)
    before = run.rowsBetween(Window.unboundedPreceding, -1)
    gap = F.datediff("first_visit_on", F.last("last_visit_on", ignorenulls=True).over(before))
    following = F.lead("known_on").over(member)
    return (
        steps.withColumns(
            {
                "squared_gap_days": F.col("squared_gap_days") + F.coalesce(gap * gap, F.lit(0)),
                "superseded_on": following,
            }
        )
        .withColumns(
            {
                "first_visit_on": F.min("first_visit_on").over(so_far),
                "last_visit_on": F.max("last_visit_on").over(so_far),
                **{n: F.sum(n).over(so_far) for n in ("visits", "spend_minor", "squared_gap_days")},
            }
        )
        .where(F.col("superseded_on").isNull() | (F.col("superseded_on") > F.col("known_on")))
        .select("member_key", "known_on", "superseded_on", *_TOTALS)
    )


def resummed(tiles: DataFrame) -> DataFrame:
    """Totals for each day of knowledge of a member, from all its tiles, closed by the next.

    Only where a tile tells of an earlier day than one before it, or changes one, are all tiles summed that stand then;
    from there the totals go on as they do in order.
    """
    steps = _broken(tiles.withColumn("known_on", F.greatest("known_on", "day")))
    in_order = steps.where("not is_broken").transform(_as_steps)
    starts = _summed(steps).withColumns({"day": F.col("known_on"), "is_start": F.lit(True)})
    runs = F.count_if("is_start").over(Window.partitionBy("member_key").orderBy("known_on"))
    return continued(in_order.unionByName(starts).withColumn("run", runs), ("member_key", "run"))


def _broken(tiles: DataFrame) -> DataFrame:
    """With whether the tile's day of knowledge brought a day that does not come after all before it."""
    earlier = Window.partitionBy("member_key").orderBy("known_on", "day").rowsBetween(Window.unboundedPreceding, -1)
    newest = F.max("day").over(earlier)
    is_behind = F.coalesce(newest >= F.col("day"), F.lit(False))
    return tiles.withColumn("is_behind", is_behind).withColumn(
        "is_broken", F.bool_or("is_behind").over(Window.partitionBy("member_key", "known_on"))
    )


def _summed(steps: DataFrame) -> DataFrame:
    """The sums over all tiles that stand, for each broken day of knowledge."""

    def stands(version: Column) -> Column:
        return (version >= F.col("known_on")) & (F.col("superseded_on").isNull() | (F.col("superseded_on") > version))

    broken = F.when(F.col("is_broken"), F.col("known_on"))
    versions = F.collect_set(broken).over(Window.partitionBy("member_key"))
    visit = Window.partitionBy("member_key", "version", F.col("visits") > 0).orderBy("day")
    gap = F.when(F.col("visits") > 0, F.datediff("day", F.lag("day").over(visit)))
    return (
        once_for_each(steps.withColumn("versions", versions), "version", F.col("versions"), stands)
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
