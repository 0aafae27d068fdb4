"""What happened from ``as_of`` on. Labels read what is known now; who is at risk reads what was known then."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from tenure.contracts.gold import LABELS
from tenure.contracts.shop import Shop
from tenure.spark.knowledge import days, once_for_each, seen_from, within
from tenure.spark.schema import conform
from tenure.spark.shop import bucketed

MEMBER_AT = ["member_key", "as_of"]
CHURN = "churn"


def labels(tiles: DataFrame, as_of: Sequence[date], shop: Shop) -> DataFrame:
    """Of every task, at ``as_of`` that have matured; the caller says which have."""
    return reduce(DataFrame.unionByName, (of_task(tiles, as_of, shop) for of_task in LABELS_OF.values()))


def churn_labels(tiles: DataFrame, as_of: Sequence[date], shop: Shop) -> DataFrame:
    """1 for a member without a visit in ``[as_of, as_of + horizon_days)``, among those at risk: seen, as known then, in
    the ``activity_days`` before ``as_of``."""
    at_risk = (
        tiles.where(F.col("visits") > 0)
        .transform(seen_from, as_of, shop.activity_days)
        .groupBy(*MEMBER_AT)
        .agg(F.max("known_on").alias("risk_known_on"))
    )
    return (
        at_risk.join(came_back(tiles, as_of, shop.horizon_days), MEMBER_AT, "left")  # at most one row each
        .withColumn("value", F.col("return_known_on").isNull().cast("double"))
        .withColumn("task", F.lit(CHURN))
        .withColumn("horizon_days", F.lit(shop.horizon_days))
        .withColumn("matured_at", F.date_add("as_of", shop.horizon_days - 1))
        .withColumn("newest_known_on", F.greatest("matured_at", "risk_known_on", "return_known_on"))
        .transform(bucketed, shop.buckets)
        .transform(conform, LABELS)
    )


def came_back(tiles: DataFrame, as_of: Sequence[date], horizon_days: int) -> DataFrame:
    """Members with a visit in the horizon of an ``as_of``, as known now."""

    def has_it_in_its_horizon(day: Column) -> Column:
        return (F.col("day") >= day) & (F.col("day") < F.date_add(day, horizon_days))

    is_visit_of_today = F.col("superseded_on").isNull() & (F.col("visits") > 0)
    return (
        tiles.where(is_visit_of_today)
        .transform(within, as_of, 0, horizon_days)
        .transform(once_for_each, "as_of", days(as_of), has_it_in_its_horizon)
        .groupBy(*MEMBER_AT)
        .agg(F.max("known_on").alias("return_known_on"))
    )


# By what a task calls its examples: a new task's labels are one line here.
LABELS_OF: Mapping[str, Callable[[DataFrame, Sequence[date], Shop], DataFrame]] = {CHURN: churn_labels}
