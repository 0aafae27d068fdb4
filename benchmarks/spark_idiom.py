"""P1 as one writes it in PySpark on a first day: duplicates by ``row_number``, ``count(distinct)``, one ``groupBy`` a
window, joined; Spark's own settings. Judged lines are cached for the tables that are written of them, and features read
the lines that were written.

What only a shop's own rules can say (the order of rules, their conditions) and the pseudonym are the same expressions
as ours: nobody would write them slower on purpose.
"""

from __future__ import annotations

from functools import reduce
from pathlib import Path

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from benchmarks.landed_lines import SECRET, Lines
from tenure.contracts import gold
from tenure.contracts.shop import Shop
from tenure.lifecycle.stages import stage
from tenure.spark.pseudonyms import with_member_key
from tenure.spark.rules import decided

WHOLE = [
    *("member_key", "order_id", "product_id", "occurred_at", "quantity", "paid_minor", "discount_minor"),
    *("coupon_minor", "store_id", "is_return"),
]


def clean_and_features(spark: SparkSession, lines: Lines, to: Path) -> None:
    judged = _judged(spark, lines).cache()
    try:
        _write(_silver(judged.where("rule is null and place = 1"), lines.source.currency), to / "order_lines")
        bronze = spark.read.parquet(str(lines.orders)).select("position", "landed", "source_file")
        aside = judged.where("rule is not null or place > 1").join(bronze, "position")
        _write(_quarantine(aside.where("rule is not null")), to / "quarantine")
        _write(_replaced(aside.where("rule is null")), to / "replaced")
    finally:
        judged.unpersist()
    order_lines = spark.read.parquet(str(to / "order_lines"))
    _write(_features(order_lines, lines), to / "member_features")


def _write(rows: DataFrame, to: Path) -> None:
    rows.write.mode("overwrite").parquet(str(to))


def _judged(spark: SparkSession, lines: Lines) -> DataFrame:
    """Typed lines with the rule that takes each out, and its place among the lines of its key."""
    catalogue = spark.read.parquet(str(lines.products))
    versions = catalogue.select(
        "product_id",
        "category",
        F.col("known_on").alias("stands_from"),
        F.lead("known_on").over(Window.partitionBy("product_id").orderBy("known_on")).alias("stands_until"),
        F.lit(True).alias("in_catalogue"),
    )
    typed = _typed(spark.read.parquet(str(lines.orders)), lines)
    stands = (
        (typed["product_id"] == versions["product_id"])
        & (versions["stands_from"] <= typed["known_on"])
        & (versions["stands_until"].isNull() | (typed["known_on"] < versions["stands_until"]))
    )
    joined = typed.join(versions, stands, "left").drop(versions["product_id"])
    same = Window.partitionBy("member_id", "product_id", "quantity", "paid_minor", "is_return")
    before = same.orderBy("occurred_at", "order_id", "position")
    near = (
        ~F.col("is_return")
        & (F.lag("order_id").over(before) != F.col("order_id"))
        & (F.col("occurred_at") <= F.lag("occurred_at").over(before) + F.expr("interval 10 minutes"))
    )
    judged = joined.withColumn("near", near).withColumn("rule", _rule(lines))
    # Only lines that no rule took out count among the lines of a key.
    key = Window.partitionBy("order_id", "product_id", F.col("rule").isNull()).orderBy("position")
    first = F.first(F.struct(*WHOLE)).over(key)
    return judged.withColumn("place", F.row_number().over(key)).withColumn("same", first.eqNullSafe(F.struct(*WHOLE)))


def _typed(bronze: DataFrame, lines: Lines) -> DataFrame:
    landed = bronze.select("landed.*", "position", "batch_id", "batch_no")
    local = F.from_utc_timestamp("occurred_at", lines.source.calendar)

    def text(name: str) -> Column:
        return F.nullif(F.trim(F.col(name).cast("string")), F.lit(""))

    def money(name: str) -> Column:
        return F.round(F.col(name).cast("double") * 100).cast("bigint")

    typed = (
        landed.select(
            text("order_no").alias("order_id"),
            text("member").alias("member_id"),
            text("sku").alias("product_id"),
            F.col("sold_at").cast("timestamp").alias("occurred_at"),
            F.col("units").cast("double").alias("quantity"),
            money("amount").alias("paid_minor"),
            money("discount").alias("discount_minor"),
            money("coupon").alias("coupon_minor"),
            text("store").alias("store_id"),
            "is_return",
            "exported_on",
            "position",
            "batch_id",
            "batch_no",
        )
        .withColumn("day", F.to_date(local))
        .withColumn("hour", F.hour(local).cast("bigint"))
        .withColumn("known_on", F.coalesce("exported_on", "day"))
    )
    return with_member_key(typed, SECRET)


def _rule(lines: Lines) -> Column:
    names = ("order_id", "product_id", "occurred_at", "quantity", "paid_minor", "is_return")
    theirs = {rule.name: F.expr(rule.when) for rule in lines.source.rules if rule.fate == "quarantine"}
    theirs["product_unknown"] = F.col("in_catalogue").isNull() & F.col("product_id").isNotNull()
    rules = {
        **{f"missing_{name}": F.col(name).isNull() for name in names},
        **theirs,
        "in_the_future": (F.col("day") > F.col("known_on")) | (F.col("known_on") > F.lit(lines.newest_day)),
        "negative_price": ~F.col("is_return") & (F.col("paid_minor") < 0),
        "negative_quantity": ~F.col("is_return") & (F.col("quantity") < 0),
        "positive_return": F.col("is_return") & ((F.col("paid_minor") > 0) | (F.col("quantity") > 0)),
        "quantity_out_of_range": ~F.col("quantity").between(-1e6, 1e6),
        "discount_minor_out_of_range": F.col("discount_minor") < 0,
        "coupon_minor_out_of_range": F.col("coupon_minor") < 0,
    }
    return F.coalesce(*(F.when(holds, F.lit(name)) for name, holds in rules.items()))


def _silver(kept: DataFrame, currency: str) -> DataFrame:
    flags = {
        "quantity_beyond_reason": F.col("quantity") > 30,
        "near_duplicate": F.col("near"),
        "day_shifted": F.to_date("occurred_at") != F.col("day"),
        "return_without_member": F.col("is_return") & F.col("member_key").isNull(),
    }
    return kept.select(
        F.xxhash64("order_id", "product_id").alias("line_key"),
        *("order_id", "member_key", "product_id", "occurred_at", "day", "hour"),
        F.least(F.col("quantity"), F.lit(30.0)).alias("quantity"),
        F.lit(currency).alias("currency"),
        *("paid_minor", "discount_minor", "coupon_minor", "category", "store_id", "is_return"),
        F.lit(None).cast("bigint").alias("corrects"),
        "known_on",
        F.array_compact(F.array(*(F.when(holds, F.lit(name)) for name, holds in flags.items()))).alias("flags"),
        *("batch_id", "batch_no", "position"),
    )


def _quarantine(aside: DataFrame) -> DataFrame:
    return aside.select(
        F.lit("raw_orders").alias("table"), "rule", "batch_id", "batch_no", "position", "source_file", _row(aside)
    )


def _replaced(aside: DataFrame) -> DataFrame:
    return aside.select(
        F.lit("raw_orders").alias("table"),
        F.lit("duplicate").alias("fate"),
        F.when(F.col("same"), "exact_duplicate").otherwise("key_duplicate").alias("rule"),
        F.xxhash64("order_id", "product_id").cast("string").alias("replaced_by"),
        *("batch_id", "batch_no", "position", "source_file"),
        _row(aside),
    )


def _row(aside: DataFrame) -> Column:
    row = F.col("landed").dropFields("export_id").withField("member", F.col("member_key").cast("string"))
    return F.to_json(row).alias("row")


def _features(order_lines: DataFrame, lines: Lines) -> DataFrame:
    shop, as_of = lines.source.shop, F.lit(lines.as_of)
    mine = order_lines.where(F.col("member_key").isNotNull())
    known = mine.where((F.col("known_on") < as_of) & (F.col("day") < as_of))
    members = mine.groupBy("member_key").agg(F.min("known_on").alias("member_known_on"))
    parts = [
        members.where(F.col("member_known_on") < as_of),
        *(_window(known.where(F.col("day") >= F.date_sub(as_of, days)), days, shop) for days in shop.windows_days),
        _life(known),
    ]
    joined = reduce(lambda left, right: left.join(right, "member_key", "left"), parts)
    counted = [c for c in joined.columns if c.endswith("d") and c.split("_")[-1][:-1].isdigit()]
    filled = joined.fillna(0, [*counted, "lifetime_visits", "lifetime_spend_minor"])
    return _told(filled, shop, as_of)


def _window(known: DataFrame, days: int, shop: Shop) -> DataFrame:
    names = {
        "visits": F.countDistinct("day"),
        "baskets": F.countDistinct("day", "order_id"),
        "items": F.round(F.sum("quantity"), 6),
        "spend_minor": F.sum("paid_minor"),
    }
    if days == max(shop.windows_days):
        others = F.countDistinct(F.when(~F.col("category").isin(*shop.categories), F.lit(1)))
        names |= {
            "lines": F.count("*"),
            "discount_minor": F.sum("discount_minor"),
            "coupon_minor": F.sum("coupon_minor"),
            "categories_seen": F.countDistinct(F.when(F.col("category").isin(*shop.categories), F.col("category")))
            + others,
            **{
                gold.category_measure(i, category).name: F.sum(
                    F.when(F.col("category") == category, F.col("paid_minor"))
                )
                for i, category in enumerate(shop.categories)
            },
            **{f"has_{i}": F.max(F.col("category") == category) for i, category in enumerate(shop.categories)},
            "has_other": F.max(~F.col("category").isin(*shop.categories)),
            "known_on": F.max("known_on"),
        }
    return known.groupBy("member_key").agg(*(value.alias(f"{name}_{days}d") for name, value in names.items()))


def _life(known: DataFrame) -> DataFrame:
    visits = known.groupBy("member_key", "day").agg(
        F.sum("paid_minor").alias("paid_minor"), F.max("known_on").alias("known_on")
    )
    gap = F.datediff("day", F.lag("day").over(Window.partitionBy("member_key").orderBy("day")))
    return (
        visits.withColumn("gap", gap)
        .groupBy("member_key")
        .agg(
            F.min("day").alias("first_visit_on"),
            F.max("day").alias("last_visit_on"),
            F.countDistinct("day").alias("lifetime_visits"),
            F.sum("paid_minor").alias("lifetime_spend_minor"),
            F.avg("gap").alias("mean_gap_days"),
            F.stddev_samp("gap").alias("sd_gap_days"),
            F.max("known_on").alias("life_known_on"),
        )
    )


def _told(rows: DataFrame, shop: Shop, as_of: Column) -> DataFrame:
    long, middle = max(shop.windows_days), sorted(shop.windows_days)[-2]

    def over(part: Column, whole: Column) -> Column:
        return F.when(whole > 0, part / whole)

    def trend(name: str) -> Column:
        return over(F.col(f"{name}_{middle}d") / middle, F.col(f"{name}_{long}d") / long)

    spend, taken_off = F.col(f"spend_minor_{long}d"), F.col(f"discount_minor_{long}d") + F.col(f"coupon_minor_{long}d")
    bits = [
        *(F.when(F.col(f"has_{i}_{long}d"), F.lit(1 << i)).otherwise(0) for i in range(len(shop.categories))),
        F.when(F.col(f"has_other_{long}d"), F.lit(-(1 << 63))).otherwise(0),
    ]
    told = (
        rows.withColumn("as_of", as_of)
        .withColumn("days_since_known", F.datediff("as_of", "member_known_on"))
        .withColumn("days_since_first_visit", F.datediff("as_of", "first_visit_on"))
        .withColumn("days_since_last_visit", F.datediff("as_of", "last_visit_on"))
        .withColumn("overdue", over(F.col("days_since_last_visit"), F.col("mean_gap_days")))
        .withColumn("visits_trend", trend("visits"))
        .withColumn("spend_trend", trend("spend_minor"))
        .withColumn("mean_basket_minor", over(spend, F.col(f"baskets_{long}d")))
        .withColumn("discount_share", over(taken_off, spend + taken_off))
        .withColumn(f"category_bits_{long}d", reduce(Column.bitwiseOR, bits).cast("bigint"))
        .withColumn("categories_seen", F.coalesce(f"categories_seen_{long}d", F.lit(0)))
        .withColumn("newest_known_on", F.greatest("member_known_on", f"known_on_{long}d", "life_known_on"))
        .withColumn("bucket", F.pmod("member_key", F.lit(shop.buckets)))
        .withColumn("stage", decided(stage(shop)))
    )
    return told.select(*(_column(told, column, shop) for column in gold.member_features(shop).columns))


def _column(rows: DataFrame, column: gold.Column, shop: Shop) -> Column:
    if column.needs in shop.lacks or column.name not in rows.columns:
        return F.lit(None).cast("bigint").alias(column.name)
    return F.col(column.name)
