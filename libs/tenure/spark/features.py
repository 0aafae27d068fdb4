"""What was known of a member before a day: windows over tiles, running totals, the member's own data."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from tenure.contracts import gold, rules
from tenure.contracts.landing import DEMOGRAPHICS
from tenure.contracts.shop import Shop
from tenure.contracts.table import Combine
from tenure.lifecycle.stages import stage
from tenure.spark.knowledge import seen_from, standing_at
from tenure.spark.rules import decided
from tenure.spark.schema import conform
from tenure.spark.shop import bucketed, without

MEMBER_AT = ["member_key", "as_of"]


def member_features(
    members: DataFrame, tiles: DataFrame, totals: DataFrame, as_of: Sequence[date], shop: Shop
) -> DataFrame:
    """One row for every ``as_of`` and member known before it, silent ones too. One shuffle, however many ``as_of``."""
    table = gold.member_features(shop)
    longest_days = max(shop.windows_days)
    seen = tiles.transform(seen_from, as_of, longest_days).groupBy(*MEMBER_AT).agg(*_windows(shop))
    return (
        members.transform(known_before, as_of)
        .join(seen, MEMBER_AT, "left")  # at most one row each
        .join(totals.transform(standing_at, as_of).transform(life), MEMBER_AT, "left")  # at most one row each
        .transform(_filled, shop)
        .transform(told_by_a_row, shop)
        .withColumn("newest_known_on", F.greatest("member_known_on", "tile_known_on", "totals_known_on"))
        .transform(bucketed, shop.buckets)
        .transform(without, table, shop.lacks)
        .transform(conform, table)
    )


def known_before(members: DataFrame, as_of: Sequence[date]) -> DataFrame:
    """Each member once for every ``as_of`` before which it was known, as the newest version known then says; of two
    versions of one day, the newer batch's. That a member was seen takes nothing back that was known before."""
    member = Window.partitionBy("member_key").orderBy("known_on", "batch_no")
    is_first = F.row_number().over(member) == 1
    return (
        members.withColumn("counts", is_first | ~F.array_contains("flags", rules.FIRST_SEEN))
        .where("counts")
        .withColumn("superseded_on", F.lead("known_on").over(member))
        .withColumn("first_known_on", F.min("known_on").over(Window.partitionBy("member_key")))
        .transform(standing_at, as_of)
        .select(
            *MEMBER_AT,
            *(c.name for c in DEMOGRAPHICS),
            F.datediff("as_of", "first_known_on").alias("days_since_known"),
            F.coalesce(*(F.col(c.name) for c in DEMOGRAPHICS)).isNotNull().alias("has_demographics"),
            F.col("known_on").alias("member_known_on"),
        )
    )


def life(totals: DataFrame) -> DataFrame:
    """What a life so far says at ``as_of``.

    The gaps between visits have mean ``(last - first) / (visits - 1)`` and, from the sum of their squares, the sample
    standard deviation.
    """
    gaps = F.col("visits") - 1
    span = F.datediff("last_visit_on", "first_visit_on")
    mean = F.when(gaps >= 1, span / gaps)
    variance = F.when(gaps >= 2, F.greatest((F.col("squared_gap_days") - span * span / gaps) / (gaps - 1), F.lit(0.0)))
    return totals.select(
        *MEMBER_AT,
        F.datediff("as_of", "first_visit_on").alias("days_since_first_visit"),
        F.datediff("as_of", "last_visit_on").alias("days_since_last_visit"),
        F.col("visits").alias("lifetime_visits"),
        F.col("spend_minor").alias("lifetime_spend_minor"),
        mean.alias("mean_gap_days"),
        F.sqrt(variance).alias("sd_gap_days"),
        F.col("known_on").alias("totals_known_on"),
    )


def _windows(shop: Shop) -> list[Column]:
    return [
        *(_combined(measure.name, measure.combine, window) for measure, window in gold.windowed(shop)),
        F.max("known_on").alias("tile_known_on"),
    ]


def _combined(measure: str, combine: Combine | None, window: int) -> Column:
    within = F.when(F.datediff("as_of", "day") <= window, F.col(measure))
    aggregate = {Combine.SUM: F.sum, Combine.MAX: F.max, Combine.MIN: F.min, Combine.BITS: F.bit_or}[
        combine or Combine.SUM
    ]
    return aggregate(within).alias(f"{measure}_{window}d")


def _filled(rows: DataFrame, shop: Shop) -> DataFrame:
    """A member who did nothing did it zero times."""
    sums = {gold.over(measure, window).name for measure, window in gold.windowed(shop)}
    return rows.fillna(0, subset=[*sorted(sums), "lifetime_visits", "lifetime_spend_minor"])


def told_by_a_row(rows: DataFrame, shop: Shop) -> DataFrame:
    """With what follows from a row's windows and life alone: ratios, the categories seen, and the stage."""
    return rows.withColumns({**_ratios(shop), "stage": decided(stage(shop))})


def _ratios(shop: Shop) -> dict[str, Column]:
    long = max(shop.windows_days)
    middle = sorted(shop.windows_days)[-2]
    discounts = F.col(f"discount_minor_{long}d") + F.col(f"coupon_minor_{long}d")

    def trend(measure: str) -> Column:
        return _over(F.col(f"{measure}_{middle}d") / middle, F.col(f"{measure}_{long}d") / long)

    return {
        "overdue": _over(F.col("days_since_last_visit"), F.col("mean_gap_days")),
        "visits_trend": trend("visits"),
        "spend_trend": trend("spend_minor"),
        "mean_basket_minor": _over(F.col(f"spend_minor_{long}d"), F.col(f"baskets_{long}d")),
        "discount_share": _over(discounts, F.col(f"spend_minor_{long}d") + discounts),
        "categories_seen": F.bit_count(f"category_bits_{long}d"),
    }


def _over(part: Column, whole: Column) -> Column:
    """Null where the whole is nothing, or less than nothing."""
    return F.when(whole > 0, part / whole)
