"""Which member took which product on which day, in signed parts that only ever add up."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from tenure.contracts.gold import interactions as contract
from tenure.contracts.shop import Shop
from tenure.spark.parts import QUANTITY_DIGITS, by_member, signed_parts
from tenure.spark.schema import conform
from tenure.spark.shop import bucketed


def interactions(order_lines: DataFrame, shop: Shop) -> DataFrame:
    """Every part of every member-day that the lines touch, from *all* lines of those member-days."""
    return (
        signed_parts(order_lines.transform(by_member), shop)
        .groupBy("member_key", "product_id", "day", "known_on")
        .agg(
            F.sum("times").alias("times"),
            F.round(F.sum("quantity"), QUANTITY_DIGITS).alias("quantity"),
            F.sum("paid_minor").alias("spend_minor"),
        )
        .transform(bucketed, shop.buckets)
        .transform(conform, contract(shop))
    )
