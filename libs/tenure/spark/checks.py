"""What must hold before a night is released: each check gives a sentence for what does not."""

from __future__ import annotations

from collections.abc import Iterator

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from tenure.config.source import Source
from tenure.contracts import gold
from tenure.contracts.control import BATCHES, CONSERVATION, QUARANTINE, REPLACED
from tenure.contracts.silver import MEMBERS, ORDER_LINES, PRODUCTS, SILVER_TABLES
from tenure.contracts.table import Table
from tenure.errors import Refused
from tenure.lifecycle.calendar import as_of_days
from tenure.spark.night import Night
from tenure.spark.runs import described


def check(build: Night, source: Source) -> None:
    """Holds a night to account.

    Raises:
        Refused: naming everything that does not hold.
    """
    with described(build.spark, "refresh: checks before the release"):
        faults = [*lost_rows(build), *too_much_quarantined(build, source.quarantine_limit)]
        faults += [*doubled_keys(build), *knowledge_from_later(build), *categories_from_later(build)]
        faults += [*missing_members(build), *unripe_labels(build)]
    if faults:
        raise Refused(f"not released: {'; '.join(faults)}. Readers keep the release before it")


def lost_rows(build: Night) -> Iterator[str]:
    """Landed = silver + duplicates + quarantined + netted, for every raw table of every batch that landed; and the
    tables hold what was counted."""
    counted = F.col("silver") + F.col("duplicates") + F.col("quarantined") + F.col("netted")
    balances = build.read(CONSERVATION)
    for row in balances.where(F.col("landed") != counted).orderBy("batch_no", "table").collect():
        yield f"{row['table']} of batch {row['batch_no']}: {row['landed']:,} rows landed, but their fates do not add up"
    arrived = build.read(BATCHES).select("batch_id", F.explode("landed").alias("table", "arrived"))
    both = arrived.join(balances, ["batch_id", "table"], "left").where("arrived > 0 and not arrived <=> landed")
    for row in both.collect():
        cleaned = row["landed"] or 0
        yield f"{row['table']} of batch {row['batch_id']}: {row['arrived']:,} rows arrived, {cleaned:,} were cleaned"
    sums = balances.agg(F.sum("quarantined"), F.sum(F.col("duplicates") + F.col("netted"))).first()
    for table, expected in zip((QUARANTINE, REPLACED), sums or (0, 0), strict=True):
        held = build.read(table).count()
        if held != (expected or 0):
            yield f"{table.name} holds {held:,} rows, {expected or 0:,} were counted when they were written"


def too_much_quarantined(build: Night, limit: float) -> Iterator[str]:
    share = F.col("quarantined") / F.col("landed")
    over = build.read(CONSERVATION).where((F.col("landed") > 0) & (share > limit)).withColumn("share", share)
    for row in over.orderBy("batch_no").collect():
        yield (
            f"{row['table']} of batch {row['batch_no']}: {row['share']:.1%} of the rows are in quarantine, "
            f"{limit:.1%} is the limit (source.quarantine_limit)"
        )


def doubled_keys(build: Night) -> Iterator[str]:
    for table in (*SILVER_TABLES, *gold.gold_tables(build.shop)):
        doubled = count_doubled(build.read(table), table)
        if doubled:
            yield f"{table.name}: {doubled:,} keys ({', '.join(table.key)}) stand there more than once"


def count_doubled(rows: DataFrame, table: Table) -> int:
    return rows.groupBy(*table.key).count().where("count > 1").count()


def knowledge_from_later(build: Night) -> Iterator[str]:
    features = build.read(gold.member_features(build.shop))
    later = features.where(F.col("newest_known_on").isNull() | (F.col("newest_known_on") >= F.col("as_of"))).count()
    if later:
        yield f"member_features: {later:,} rows know something that was not known before their as_of"


def categories_from_later(build: Night) -> Iterator[str]:
    """A line's category is one that its product had by the line's own known_on: gold takes categories from lines only
    and dates them by the lines, so what the catalogue learnt later must not be in them.

    Any version known by then will do. Which of them stands is not asked again, as a version that a later batch dates
    back was not there when the line was cleaned; one of a historical load is always known.
    """
    versions = build.read(PRODUCTS).select("product_id", "category", F.col("known_on").alias("told_on"))
    lines = build.read(ORDER_LINES).where(F.col("category").isNotNull()).alias("lines")
    is_told = (
        (F.col("lines.product_id") == F.col("versions.product_id"))
        & (F.col("lines.category") == F.col("versions.category"))
        & (F.col("told_on") <= F.col("known_on"))
    )
    # A catalogue is small beside its sales: sending it to every task spares a shuffle of the lines.
    later = lines.join(F.broadcast(versions.alias("versions")), is_told, "left_anti").count()
    if later:
        yield f"order_lines: {later:,} rows are in a category that their product had not when they became known"


def missing_members(build: Night) -> Iterator[str]:
    """Every member known before an ``as_of`` has a row there, silent or not."""
    first = build.read(MEMBERS).groupBy("member_key").agg(F.min("known_on").alias("known_on"))
    known = {row["known_on"]: row["count"] for row in first.groupBy("known_on").count().collect()}
    rows = build.read(gold.member_features(build.shop)).groupBy("as_of").count().collect()
    have = {row["as_of"]: row["count"] for row in rows}
    for as_of in as_of_days(build.shop, build.last_complete_day):
        expected = sum(count for day, count in known.items() if day < as_of)
        if have.pop(as_of, 0) != expected:
            yield f"member_features: not one row for each of {expected:,} members known before {as_of}"
    if have:
        yield f"member_features: rows for {', '.join(map(str, sorted(have)))}, which are not the shop's as_of days"


def unripe_labels(build: Night) -> Iterator[str]:
    unripe = build.read(gold.LABELS).where(F.col("matured_at") > F.lit(build.last_complete_day)).count()
    if unripe:
        yield f"labels: {unripe:,} rows whose horizon has not passed on {build.last_complete_day}"
