"""Tiles: what a member did on one day, as known from one day on."""

from __future__ import annotations

from functools import reduce

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from tenure.contracts.gold import OTHER_CATEGORIES_BIT, category_measure
from tenure.contracts.gold import member_days as contract
from tenure.contracts.shop import Shop
from tenure.spark.knowledge import closed
from tenure.spark.parts import MEMBER_DAY, QUANTITY_DIGITS, accumulated, by_member, signed_parts
from tenure.spark.schema import conform
from tenure.spark.shop import bucketed, without

VERSION = (*MEMBER_DAY, "known_on")


def member_days(order_lines: DataFrame, campaign_touches: DataFrame, shop: Shop) -> DataFrame:
    """Every version of every member-day that the rows touch, from *all* rows of those member-days."""
    table = contract(shop)
    sums = _sums(shop)
    added = (
        orders(order_lines.transform(by_member), shop)
        .unionByName(touched(campaign_touches.transform(by_member)), allowMissingColumns=True)
        .groupBy(*VERSION)
        .agg(*(_total(name).alias(name) for name in sums))
    )
    return (
        added.transform(accumulated, sums)
        .withColumn("items", F.round("items", QUANTITY_DIGITS))
        .withColumn("visits", (F.col("baskets") > 0).cast("long"))
        .withColumn("category_bits", _category_bits(shop))
        .transform(closed, of=MEMBER_DAY)
        .transform(bucketed, shop.buckets)
        .transform(without, table, shop.lacks)
        .transform(conform, table)
    )


def orders(order_lines: DataFrame, shop: Shop) -> DataFrame:
    """What each order added to its member's day on each day of knowledge; ``baskets`` is 1 when something of it was
    first kept, -1 when the last of it was taken back."""
    order = Window.partitionBy(*MEMBER_DAY, "order_id").orderBy("known_on")
    is_kept = (F.sum("lines").over(order) > 0).cast("long")
    return (
        signed_parts(order_lines, shop)
        .groupBy(*VERSION, "order_id")
        .agg(*_of_an_order(shop))
        .withColumn("is_kept", is_kept)
        .withColumn("baskets", F.col("is_kept") - F.lag("is_kept", 1, 0).over(order))
        .drop("order_id", "is_kept")
    )


def touched(campaign_touches: DataFrame) -> DataFrame:
    """What campaigns added to a member's day."""
    return campaign_touches.groupBy(*VERSION).agg(
        F.count_if(F.col("touch_kind") == "targeted").alias("targeted"),
        F.count_if(F.col("touch_kind") == "redeemed").alias("redeemed"),
    )


def _of_an_order(shop: Shop) -> list[Column]:
    return [
        F.sum("times").alias("lines"),
        F.sum("quantity").alias("items"),
        F.sum("paid_minor").alias("spend_minor"),
        *(F.sum(name).alias(name) for name in ("discount_minor", "coupon_minor", "returned_minor")),
        *(
            F.sum(F.when(F.col("category") == category, F.col("paid_minor"))).alias(category_measure(i, category).name)
            for i, category in enumerate(shop.categories)
        ),
        *(
            F.sum(F.when(F.col("category") == category, F.col("times"))).alias(_lines_of(i))
            for i, category in enumerate(shop.categories)
        ),
        F.sum(F.when(~F.col("category").isin(*shop.categories), F.col("times"))).alias(_lines_of(OTHER_CATEGORIES_BIT)),
    ]


def _sums(shop: Shop) -> tuple[str, ...]:
    positions = range(len(shop.categories))
    return (
        *("baskets", "lines", "items", "spend_minor", "discount_minor", "coupon_minor", "returned_minor"),
        *(category_measure(i, shop.categories[i]).name for i in positions),
        *(_lines_of(i) for i in (*positions, OTHER_CATEGORIES_BIT)),
        *("targeted", "redeemed"),
    )


def _lines_of(bit: int) -> str:
    """Lines kept of one category, from which its bit follows."""
    return f"lines_of_category_{bit}"


def _category_bits(shop: Shop) -> Column:
    """No bit tells of a line whose category is not known."""

    def bit(position: int) -> Column:
        is_kept = (F.col(_lines_of(position)) > 0).cast("long")
        return F.shiftleft(is_kept, position)

    return reduce(Column.bitwiseOR, map(bit, (*range(len(shop.categories)), OTHER_CATEGORIES_BIT)))


def _total(value: Column | str) -> Column:
    return F.coalesce(F.sum(value), F.lit(0))
