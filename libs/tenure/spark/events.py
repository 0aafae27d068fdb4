"""The raw parts of sequence tokens: a member's visits, one a day, as known from one day on."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from tenure.contracts.gold import member_events as contract
from tenure.contracts.shop import Shop
from tenure.contracts.table import Has
from tenure.spark.days import VERSION
from tenure.spark.knowledge import as_known
from tenure.spark.parts import MEMBER_DAY, by_member, signed_parts
from tenure.spark.schema import conform
from tenure.spark.shop import bucketed, without

UNKNOWN_CATEGORY = "unknown"


def member_events(order_lines: DataFrame, tiles: DataFrame, shop: Shop) -> DataFrame:
    """Every version of every visit that the lines touch, from *all* lines of those member-days.

    Args:
        tiles: ``member_days`` of those days, of which each version of a visit is one: its sums are not made again.
    """
    table = contract(shop)
    taken_off = () if Has.DISCOUNTS in shop.lacks else ("discount_minor", "coupon_minor")
    sums = tiles.select(*VERSION, "baskets", "lines", "spend_minor", *taken_off).transform(by_member)
    return (
        mixes(order_lines.transform(by_member), shop)
        .join(sums, list(VERSION))  # exactly one tile each
        .withColumn("kind", F.when(F.col("lines") > 0, "visit").otherwise("none"))
        .withColumn("categories", F.col("mix.category"))
        .withColumn("category_shares", _shares())
        .transform(bucketed, shop.buckets)
        .transform(without, table, shop.lacks)
        .transform(conform, table)
    )


def mixes(order_lines: DataFrame, shop: Shop) -> DataFrame:
    """What each version of a visit was made of: ``mix``, categories kept with their lines and spend, most spent on
    first, with the sums over them; and ``hour``, of the first basket."""
    category = F.coalesce("category", F.lit(UNKNOWN_CATEGORY)).alias("category")
    is_kept = F.col("lines") > 0
    part = F.struct((-F.greatest("paid", F.lit(0))).alias("unpaid"), "category", "lines")
    return (
        signed_parts(order_lines, shop)
        .groupBy(*VERSION, category)
        .agg(F.sum("times").alias("lines"), F.sum("paid_minor").alias("paid"), F.min("hour").alias("hour"))
        .transform(as_known, of=MEMBER_DAY)
        .groupBy(*VERSION, "category")
        .agg(F.sum("lines").alias("lines"), F.sum("paid").alias("paid"), F.min("hour").alias("hour"))
        .groupBy(*VERSION)
        # Ties go by name, so that the order is the same on every run.
        .agg(
            F.sort_array(F.collect_list(F.when(is_kept, part))).alias("mix"),
            F.sum(F.when(is_kept, part["unpaid"])).alias("all_unpaid"),
            F.sum(F.when(is_kept, part["lines"])).alias("all_lines"),
            F.min("hour").alias("hour"),
        )
    )


def _shares() -> Column:
    """Shares of the spend; of the lines, where nothing was paid for any of them."""
    unpaid, lines = F.col("all_unpaid"), F.col("all_lines")
    return F.transform("mix", lambda part: F.when(unpaid < 0, part["unpaid"] / unpaid).otherwise(part["lines"] / lines))
