"""What must hold before a night is released: each check gives a sentence for what does not.

A night answers for what it wrote; a first one, and one that began anew, for everything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import reduce
from typing import Any

from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F

from tenure.config.source import Feed, Source
from tenure.contracts import gold, rules
from tenure.contracts.control import BATCHES, CONSERVATION, QUARANTINE, REPLACED
from tenure.contracts.landing import RAW_CAMPAIGNS, RAW_MEMBERS, RAW_ORDERS, RAW_PRODUCTS, RAW_TABLES_AHEAD, RAW_TOUCHES
from tenure.contracts.silver import CAMPAIGN_TOUCHES, CAMPAIGNS, MEMBERS, ORDER_LINES, PRODUCTS, SILVER_TABLES
from tenure.contracts.table import Table
from tenure.errors import Refused
from tenure.lake.layout import bronze_path
from tenure.lifecycle.calendar import as_of_days, labelled_days
from tenure.spark import delta
from tenure.spark.conservation import quarantined_share
from tenure.spark.news import news
from tenure.spark.night import Night
from tenure.spark.runs import described

_SILVER_OF = (
    (RAW_MEMBERS, MEMBERS),
    (RAW_PRODUCTS, PRODUCTS),
    (RAW_ORDERS, ORDER_LINES),
    (RAW_CAMPAIGNS, CAMPAIGNS),
    (RAW_TOUCHES, CAMPAIGN_TOUCHES),
)
_RAW_OF = {table: raw.name for raw, table in _SILVER_OF}
_LEFT_IN_BRONZE = frozenset(table.name for table in RAW_TABLES_AHEAD)


@dataclass(frozen=True, kw_only=True)
class Written:
    """What a night wrote: batches after ``after_batch``, features at ``as_of`` and none any more at ``gone``.

    ``where`` are SQL conditions by table, by which the files of other nights are skipped; a table without one is held
    to account as a whole.
    """

    after_batch: int = 0
    where: Mapping[str, str] = field(default_factory=dict)
    as_of: tuple[date, ...] | None = None
    gone: tuple[date, ...] = ()

    def of(self, rows: DataFrame, table: Table) -> DataFrame:
        return rows.where(self.where[table.name]) if table.name in self.where else rows


EVERYTHING = Written()


def written(build: Night, after_batch: int, up_to: date) -> Written:
    """What was written since a release through ``after_batch``, whose last complete day was ``up_to``."""
    lines, touches = build.read(ORDER_LINES), build.read(CAMPAIGN_TOUCHES)
    members = build.read(MEMBERS).select(F.col("known_on").alias("day"), "known_on", "batch_no")
    of_lines, of_days = news((lines,), after_batch), news((lines, touches), after_batch)
    wanted, before = as_of_days(build.shop, build.last_complete_day), as_of_days(build.shop, up_to)
    seen = news((lines, touches, members), after_batch).seen_at(wanted)
    as_of = tuple(day for day in wanted if day not in before or day in seen)
    matured, labelled = (labelled_days(build.shop, day) for day in (build.last_complete_day, up_to))
    changed = {*of_days.seen_at(matured), *of_days.fell_into(matured, build.shop.horizon_days)}
    due = tuple(day for day in matured if day not in labelled or day in changed)
    gone = tuple(day for day in before if day not in wanted)
    since = min(of_days.known_on.values(), default=None)
    of_visits = of_lines.within("day") if of_lines else "false"
    return Written(
        after_batch=after_batch,
        where={
            **{table.name: f"batch_no > {after_batch}" for table in SILVER_TABLES},
            gold.member_days(build.shop).name: of_days.within("day") if of_days else "false",
            gold.MEMBER_TOTALS.name: f"known_on >= date '{since}'" if since else "false",
            gold.member_events(build.shop).name: of_visits,
            gold.interactions(build.shop).name: of_visits,
            gold.member_features(build.shop).name: delta.among("as_of", as_of + gone),
            gold.LABELS.name: delta.among("as_of", due),
        },
        as_of=as_of,
        gone=gone,
    )


def check(build: Night, source: Source, tonight: Written = EVERYTHING) -> None:
    """Holds a night to account.

    Raises:
        Refused: naming everything that does not hold.
    """
    after = tonight.after_batch
    with described(build.spark, "refresh: checks before the release"):
        faults = [*lost_landings(build, source.feeds, after), *lost_rows(build, after)]
        faults += [*too_much_quarantined(build, source.quarantine_limit, after), *doubled_keys(build, tonight)]
        faults += [*knowledge_from_later(build, tonight), *categories_from_later(build, tonight)]
        faults += [*missing_members(build, tonight), *unripe_labels(build)]
    if faults:
        raise Refused(f"not released: {'; '.join(faults)}. Readers keep the release before it")


def _since(rows: DataFrame, after_batch: int) -> DataFrame:
    return rows.where(F.col("batch_no") > after_batch) if after_batch else rows


def lost_landings(build: Night, feeds: Mapping[str, Feed], after_batch: int = 0) -> Iterator[str]:
    """Bronze holds, of every batch and raw table, as many rows as were counted when they landed."""
    held = _landed(build, feeds, after_batch)
    for batch in _batches(build, after_batch):
        for table, landed in sorted(batch["landed"].items()):
            found = held.get((batch["batch_no"], batch["batch_id"], table), 0)
            if found != landed:
                yield f"bronze holds {found:,} rows of {table} of batch {batch['batch_no']}, {landed:,} landed"


def _landed(build: Night, feeds: Mapping[str, Feed], after_batch: int) -> dict[tuple[Any, ...], int]:
    """Rows in bronze by batch and raw table."""
    paths = {bronze_path(build.root, name): feed.table for name, feed in feeds.items()}
    parts = [
        _since(delta.load(build.spark, path), after_batch).select("batch_no", "batch_id", F.lit(table).alias("raw"))
        for path, table in paths.items()
        if delta.is_table(build.spark, path)
    ]
    return _counted(parts, "batch_no", "batch_id", "raw")


def _batches(build: Night, after_batch: int) -> list[Row]:
    rows = _since(build.read(BATCHES), after_batch).collect()
    return sorted(rows, key=lambda row: row["batch_no"])  # here, as Spark sorts few rows in three jobs


def _balances(build: Night, after_batch: int) -> list[Row]:
    rows = _since(build.read(CONSERVATION), after_batch).collect()
    return sorted(rows, key=lambda row: (row["batch_no"], row["table"]))


def lost_rows(build: Night, after_batch: int = 0) -> Iterator[str]:
    """Landed = silver + duplicates + quarantined + netted, for every raw table that silver is made of and every batch
    that landed; and the tables hold, of each batch, what was counted when it was written."""
    balances = _balances(build, after_batch)
    for row in balances:
        if row["landed"] != row["silver"] + row["duplicates"] + row["quarantined"] + row["netted"]:
            of = f"{row['table']} of batch {row['batch_no']}"
            yield f"{of}: {row['landed']:,} rows landed, but their fates do not add up"
    cleaned = {(row["batch_id"], row["table"]): row["landed"] for row in balances}
    for batch in _batches(build, after_batch):
        for table, arrived in sorted(batch["landed"].items()):
            known = cleaned.get((batch["batch_id"], table), 0)
            if arrived != known and table not in _LEFT_IN_BRONZE:
                yield f"{table} of batch {batch['batch_id']}: {arrived:,} rows arrived, {known:,} were cleaned"
    yield from _not_as_counted(build, after_batch, balances)


def _not_as_counted(build: Night, after_batch: int, balances: Sequence[Row]) -> Iterator[str]:
    """Rows that a table lost, or holds twice, after they were counted."""
    held = _held(build, after_batch)
    counts = {QUARANTINE: ("quarantined",), REPLACED: ("duplicates", "netted")}
    for table in (QUARANTINE, REPLACED, *_RAW_OF):
        for row in (row for row in balances if table not in _RAW_OF or row["table"] == _RAW_OF[table]):
            expected = sum(row[name] for name in counts.get(table, ("silver",)))
            found = held.get((table.name, row["batch_no"], row["table"]), 0)
            if found != expected:
                yield (
                    f"{table.name} holds {found:,} rows of {row['table']} of batch {row['batch_no']}, "
                    f"{expected:,} were counted when they were written"
                )


def _held(build: Night, after_batch: int) -> dict[tuple[Any, ...], int]:
    """Rows by table, batch and raw table."""
    of_raw = {QUARANTINE: F.col("table"), REPLACED: F.col("table")}
    of_raw |= {table: F.lit(raw) for table, raw in _RAW_OF.items()}
    parts = []
    for table, raw in of_raw.items():
        if delta.exists(build.spark, build.root, table):
            rows = _since(build.read(table), after_batch)
            if table == MEMBERS:  # those who were only seen stand beside those who registered: they never landed
                rows = rows.where(~F.array_contains("flags", rules.FIRST_SEEN))
            parts.append(rows.select(F.lit(table.name).alias("held_by"), "batch_no", raw.alias("raw")))
    return _counted(parts, "held_by", "batch_no", "raw")


def _counted(parts: Sequence[DataFrame], *by: str) -> dict[tuple[Any, ...], int]:
    """Rows of all parts by ``by``, in one query: in a small night it is the number of queries that costs."""
    if not parts:
        return {}
    found = reduce(DataFrame.unionByName, parts).groupBy(*by).count().collect()
    return {tuple(row[name] for name in by): row["count"] for row in found}


def too_much_quarantined(build: Night, limit: float, after_batch: int = 0) -> Iterator[str]:
    for row in _balances(build, after_batch):
        share = quarantined_share(row["quarantined"], row["landed"])
        if share > limit:
            yield (
                f"{row['table']} of batch {row['batch_no']}: {share:.1%} of the rows are in quarantine, "
                f"{limit:.1%} is the limit (source.quarantine_limit)"
            )


def doubled_keys(build: Night, tonight: Written = EVERYTHING) -> Iterator[str]:
    """Keys that stand more than once among what was written. That an earlier batch brought one, ``clean`` has seen."""
    tables = (*SILVER_TABLES, *gold.gold_tables(build.shop))
    doubled = count_doubled({table: tonight.of(build.read(table), table) for table in tables})
    for table in tables:
        if table.name in doubled:
            keys = ", ".join(table.key)
            yield f"{table.name}: {doubled[table.name]:,} keys ({keys}) stand there more than once"


def count_doubled(rows: Mapping[Table, DataFrame]) -> dict[str, int]:
    """How many keys stand more than once, by table, in one pass over all of them; none where none does.

    Keys are compared by 128 bits of two hashes: two that differ are taken for one in no lake that anybody could fill.
    """
    keyed = [held.select(F.lit(table.name).alias("table"), *_key_hashes(table)) for table, held in rows.items()]
    counted = reduce(DataFrame.unionByName, keyed).groupBy("table", "first", "second").count()
    found = counted.where("count > 1").groupBy("table").count().collect()
    return {row["table"]: row["count"] for row in found}


def _key_hashes(table: Table) -> tuple[Column, Column]:
    # A hash passes over nulls, so where they stand is told beside them.
    parts = [part for name in table.key for part in (F.col(name), F.col(name).isNull())]
    return F.xxhash64(*parts).alias("first"), F.xxhash64(F.lit("second"), *parts).alias("second")


def knowledge_from_later(build: Night, tonight: Written = EVERYTHING) -> Iterator[str]:
    table = gold.member_features(build.shop)
    features = tonight.of(build.read(table), table)
    later = features.where(F.col("newest_known_on").isNull() | (F.col("newest_known_on") >= F.col("as_of"))).count()
    if later:
        yield f"member_features: {later:,} rows know something that was not known before their as_of"


def categories_from_later(build: Night, tonight: Written = EVERYTHING) -> Iterator[str]:
    """A line's category is one that its product had by the line's own known_on: gold takes categories from lines only
    and dates them by the lines, so what the catalogue learnt later must not be in them.

    Any version known by then will do. Which of them stands is not asked again, as a version that a later batch dates
    back was not there when the line was cleaned; one of a historical load is always known.
    """
    versions = build.read(PRODUCTS).select("product_id", "category", F.col("known_on").alias("told_on"))
    lines = tonight.of(build.read(ORDER_LINES), ORDER_LINES).where(F.col("category").isNotNull()).alias("lines")
    is_told = (
        (F.col("lines.product_id") == F.col("versions.product_id"))
        & (F.col("lines.category") == F.col("versions.category"))
        & (F.col("told_on") <= F.col("known_on"))
    )
    # A catalogue is small beside its sales: sending it to every task spares a shuffle of the lines.
    later = lines.join(F.broadcast(versions.alias("versions")), is_told, "left_anti").count()
    if later:
        yield f"order_lines: {later:,} rows are in a category that their product had not when they became known"


def missing_members(build: Night, tonight: Written = EVERYTHING) -> Iterator[str]:
    """Every member known before an ``as_of`` has a row there, silent or not."""
    table = gold.member_features(build.shop)
    wanted = as_of_days(build.shop, build.last_complete_day) if tonight.as_of is None else tonight.as_of
    first = build.read(MEMBERS).groupBy("member_key").agg(F.min("known_on").alias("known_on"))
    known = {row["known_on"]: row["count"] for row in first.groupBy("known_on").count().collect()}
    rows = tonight.of(build.read(table), table).groupBy("as_of").count().collect()
    have = {row["as_of"]: row["count"] for row in rows}
    for as_of in wanted:
        expected = sum(count for day, count in known.items() if day < as_of)
        if have.pop(as_of, 0) != expected:
            yield f"member_features: not one row for each of {expected:,} members known before {as_of}"
    if have:
        yield f"member_features: rows for {', '.join(map(str, sorted(have)))}, which are not the shop's as_of days"


def unripe_labels(build: Night) -> Iterator[str]:
    unripe = build.read(gold.LABELS).where(F.col("matured_at") > F.lit(build.last_complete_day)).count()
    if unripe:
        yield f"labels: {unripe:,} rows whose horizon has not passed on {build.last_complete_day}"
