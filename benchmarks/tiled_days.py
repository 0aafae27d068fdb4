"""Tiles, running totals and members of a simulated shop, as Parquet: what features are made of (P1b, P3)."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from benchmarks.landed_lines import SECRET, Lines, empty, lines
from benchmarks.simulated_lake import kept, named
from tenure.contracts import gold
from tenure.contracts.control import REPLACED
from tenure.contracts.shop import Shop
from tenure.contracts.silver import CAMPAIGN_TOUCHES, MEMBERS, ORDER_LINES
from tenure.spark import silver
from tenure.spark.days import member_days
from tenure.spark.kept import Kept
from tenure.spark.mapping import mapped
from tenure.spark.pseudonyms import with_member_key
from tenure.spark.schema import conform
from tenure.spark.totals import member_totals

DAYS_APART, DAYS = 14, 12


@dataclass(frozen=True, kw_only=True)
class Tiles:
    """``folder`` holds ``members``, ``member_days`` and ``member_totals``."""

    folder: Path
    shop: Shop
    as_of: tuple[date, ...]
    lines: int
    seconds: float  # that making them took in this run; 0 where they were there

    def read(self, spark: SparkSession) -> tuple[DataFrame, DataFrame, DataFrame]:
        """Members, tiles and totals."""
        members, days, totals = (spark.read.parquet(str(self.folder / name)) for name in _NAMES)
        return members, days, totals


_NAMES = ("members", "member_days", "member_totals")


def tiles(spark: SparkSession, work: Path, events: int) -> Tiles:
    """Of about so many order lines; made on the first call for a size."""
    began = time.monotonic()
    landed = lines(spark, work, events)
    where = named(work / landed.orders.parent.name.replace("bronze", "tiles"), ("benchmarks/tiled_days.py",))
    folder = kept(where, lambda to: _build(spark, landed, to))
    return Tiles(
        folder=folder,
        shop=landed.source.shop,
        as_of=tuple(landed.last_day - timedelta(days=7 + DAYS_APART * number) for number in range(DAYS)),
        lines=landed.rows,
        seconds=time.monotonic() - began,
    )


def _build(spark: SparkSession, landed: Lines, to: Path) -> None:
    shop = landed.source.shop
    bronze, catalogue = (spark.read.parquet(str(folder)) for folder in (landed.orders, landed.products))
    with Kept() as held:
        rows = mapped(bronze, landed.source.feeds["orders"]).withColumn("feed", F.lit("orders"))
        keyed = with_member_key(rows, SECRET)
        before, replaced = (empty(spark, table) for table in (ORDER_LINES, REPLACED))
        judged = silver.orders(keyed, held, landed.source, catalogue, before, replaced, F.lit(landed.newest_day))
        order_lines = held(conform(judged.where("fate is null"), ORDER_LINES))
        touches = empty(spark, CAMPAIGN_TOUCHES)
        _write(member_days(order_lines, touches, shop), to / "member_days")
        unseen = silver.unregistered(silver.first_seen(order_lines, touches), empty(spark, MEMBERS))
        _write(conform(unseen, MEMBERS), to / "members")
    days = spark.read.parquet(str(to / "member_days"))
    with Kept() as held:
        standing = empty(spark, gold.MEMBER_TOTALS)
        _write(member_totals(days, held, standing, days, shop.buckets), to / "member_totals")


def _write(rows: DataFrame, to: Path) -> None:
    rows.write.parquet(str(to))
