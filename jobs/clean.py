"""Cleans every batch that bronze holds and silver does not, in the order in which they came.

    spark-submit --properties-file var/jars/spark.properties jobs/clean.py --config conf/jobs/clean.yaml
    python jobs/clean.py --set env.work=var/demo --set source.quarantine_limit=0.1

Each landed row of a table that silver is made of has one fate: it is in silver, a duplicate, quarantined, or netted.
All five numbers are counted where they are written, and a batch of which they do not add up, or of which too much is
quarantined, is refused (exit code 3). Rows of tables that silver has not got yet stay in bronze. A batch is clean when
it stands in ``conservation``, which is written last: a killed run leaves nothing that counts, and the next one puts its
rows in their place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from functools import reduce

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from tenure.config.command import command
from tenure.config.env import Env
from tenure.config.settings import Settings
from tenure.config.source import Source
from tenure.contracts.control import CONSERVATION, QUARANTINE, REPLACED
from tenure.contracts.landing import (
    CLEANED_TABLES,
    RAW_CAMPAIGNS,
    RAW_MEMBERS,
    RAW_ORDERS,
    RAW_PRODUCTS,
    RAW_TABLES_AHEAD,
    RAW_TOUCHES,
)
from tenure.contracts.silver import CAMPAIGN_TOUCHES, CAMPAIGNS, MEMBER_IDENTITIES, MEMBERS, ORDER_LINES, PRODUCTS
from tenure.contracts.table import Table
from tenure.errors import Refused
from tenure.spark import conservation, delta, silver
from tenure.spark.batch import Batch
from tenure.spark.cleaning import DUPLICATE, NETTED, QUARANTINED, flags_of
from tenure.spark.conservation import Balance
from tenure.spark.kept import Kept
from tenure.spark.lock import only_writer
from tenure.spark.mapping import check_rules
from tenure.spark.pseudonyms import with_member_key
from tenure.spark.runs import described, job_run
from tenure.spark.schema import local_rows, struct
from tenure.spark.session import session
from tenure.spark.set_aside import as_landed, taken
from tenure.spark.waiting import Waiting, check_feeds, waiting_batches


class Clean(Settings):
    """Which lake, and whose rules. ``anew``: every batch, also where the settings are those that cleaned it."""

    env: Env
    source: Source
    anew: bool = False


_MEMBERS_SENT = 5_000_000  # to every task: some 200 MB, where to shuffle what they bought costs more
ByRule = dict[tuple[str, str], dict[str, int]]  # rows by raw table and fate, then by rule


def run(spark: SparkSession, config: Clean) -> tuple[int, ...]:
    """Cleans what waits; the numbers of the batches that are clean now."""
    with only_writer(spark, config.env), job_run(spark, config.env.lake_root, "clean") as job:
        check_feeds(spark, config.env.lake_root, config.source)
        check_rules(spark, config.source)  # before anything that stands is given up for what they would make
        batches = waiting_batches(spark, config.env, config.source, job, anew=config.anew)
        if not batches:
            job.nothing_new("every batch that landed is clean; nothing is new")
        return tuple(_clean(batch) for batch in batches)


def _clean(waiting: Waiting) -> int:
    with Kept() as kept:
        batch = waiting(kept=kept)
        _clean_batch(batch)
        return batch.batch_no


def _clean_batch(batch: Batch) -> None:
    left = [f"{rows:,} rows of {table.name}" for table in RAW_TABLES_AHEAD if (rows := batch.landed.get(table.name))]
    if left:
        batch.job.says(
            f"batch {batch.batch_no}: {', '.join(left)} stay in bronze, as silver has no tables for them yet"
        )
    written = [_described(batch, raw, write) for raw, write in WRITERS]
    _described(batch, MEMBER_IDENTITIES, _write_identities)
    with described(batch.spark, f"clean: set aside rows of batch {batch.batch_no}"):
        balances = _balances(batch, [part for part in written if part is not None])
    conservation.check(balances, batch.source.quarantine_limit)
    rows = [tuple(asdict(balance)[name] for name in CONSERVATION.names) for balance in balances]
    with described(batch.spark, f"clean: batch {batch.batch_no} is clean"):
        delta.append(local_rows(batch.spark, rows, struct(CONSERVATION)), batch.root, CONSERVATION)


def _described(batch: Batch, table: Table, write: Callable[[Batch], Written | None]) -> Written | None:
    with described(batch.spark, f"clean: judge {table.name} of batch {batch.batch_no}"):
        return write(batch)


@dataclass(frozen=True, kw_only=True)
class Written:
    """A raw table's judged rows of which silver holds the kept ones; ``rules`` counts the flags of those."""

    raw: Table
    judged: DataFrame
    silver: int
    rules: dict[str, int]
    newest_day: date | None


def _write_campaigns(batch: Batch) -> Written | None:
    rows = batch.mapped(RAW_CAMPAIGNS)
    if rows is None:
        return None
    campaigns = silver.campaigns(rows, batch.kept, batch.source, batch.before(CAMPAIGNS), batch.newest_day)
    return _write(batch, RAW_CAMPAIGNS, CAMPAIGNS, campaigns)


def _write_products(batch: Batch) -> Written | None:
    rows = batch.mapped(RAW_PRODUCTS)
    if rows is None:
        return None
    products = silver.products(rows, batch.kept, batch.source, batch.before(PRODUCTS), batch.newest_day)
    return _write(batch, RAW_PRODUCTS, PRODUCTS, products)


def _write_orders(batch: Batch) -> Written | None:
    rows = batch.mapped(RAW_ORDERS)
    if rows is None:
        return None
    catalogue = batch.before(PRODUCTS).unionByName(batch.mine(PRODUCTS))
    before, replaced = batch.before(ORDER_LINES), batch.before(REPLACED)
    known = _registrations(batch) if batch.source.asks_who_registered else None
    lines = silver.orders(rows, batch.kept, batch.source, catalogue, before, replaced, batch.newest_day, known)
    return _write(batch, RAW_ORDERS, ORDER_LINES, lines)


def _registrations(batch: Batch) -> DataFrame:
    found = silver.registrations(batch.mapped(RAW_MEMBERS), batch.before(MEMBERS))
    return batch.kept.at_hand(found, few=_MEMBERS_SENT)


def _write_touches(batch: Batch) -> Written | None:
    rows = batch.mapped(RAW_TOUCHES)
    if rows is None:
        return None
    known = batch.before(CAMPAIGNS).unionByName(batch.mine(CAMPAIGNS))
    touched = silver.touches(rows, batch.kept, batch.source, known, batch.before(CAMPAIGN_TOUCHES), batch.newest_day)
    return _write(batch, RAW_TOUCHES, CAMPAIGN_TOUCHES, touched)


def _write_members(batch: Batch) -> Written | None:
    """Members who registered, and those of whom we know by what they ordered or were sent."""
    first = batch.kept(silver.first_seen(batch.mine(ORDER_LINES), batch.mine(CAMPAIGN_TOUCHES)))
    before, rows = batch.before(MEMBERS), batch.mapped(RAW_MEMBERS)
    known_since = first.select("member_key", "first_known_on")
    if rows is None:
        unseen = silver.unregistered(first, before.select("member_key", "known_on"))
        _put(batch, MEMBERS, unseen, {})
        return None
    registered = silver.members(rows, batch.kept, batch.source, before, known_since, batch.newest_day)
    kept = registered.where(F.col("fate").isNull())
    versions = before.select("member_key", "known_on").unionByName(kept.select("member_key", "known_on"))
    unseen = silver.unregistered(first, versions)
    return _write(batch, RAW_MEMBERS, MEMBERS, registered, beside=unseen)


# Lines find their products, touches their campaigns, and members are known by both.
WRITERS = (
    (RAW_CAMPAIGNS, _write_campaigns),
    (RAW_PRODUCTS, _write_products),
    (RAW_ORDERS, _write_orders),
    (RAW_TOUCHES, _write_touches),
    (RAW_MEMBERS, _write_members),
)


def _write(batch: Batch, raw: Table, table: Table, judged: DataFrame, beside: DataFrame | None = None) -> Written:
    """Writes the rows that are kept, and ``beside`` them rows of silver's own."""
    kept = judged.where(F.col("fate").isNull()).withColumn("has_landed", F.lit(True))
    if beside is not None:
        kept = kept.unionByName(beside.withColumn("has_landed", F.lit(False)), allowMissingColumns=True)
    flags = flags_of(batch.source, raw)
    counts = {f"flag_{n}": _count_flagged(flag) for n, flag in enumerate(flags)}
    counts["silver"] = F.count_if("has_landed")
    if table == ORDER_LINES:
        counts["newest_day"] = F.max(F.unix_date("day"))
    found = _put(batch, table, kept, counts)
    newest_day = date(1970, 1, 1) + timedelta(days=found["newest_day"]) if found.get("newest_day") else None
    held = {flag: found[f"flag_{n}"] for n, flag in enumerate(flags) if found[f"flag_{n}"]}
    return Written(raw=raw, judged=judged, silver=found["silver"], rules=held, newest_day=newest_day)


def _count_flagged(flag: str) -> Column:
    """How many rows have the flag. Most have none at all: to look that up first spares a source of many rules the
    search, which is interpreted, as all that is counted of rows that pass (docs/benchmarks.md, P4a)."""
    return F.count(F.when(F.size("flags") > 0, F.when(F.array_contains("flags", flag), F.lit(True))))


def _put(batch: Batch, table: Table, rows: DataFrame, counts: Mapping[str, Column]) -> delta.Counts:
    with described(batch.spark, f"clean: write {table.name} of batch {batch.batch_no}"):
        found = delta.replace_where(rows, batch.root, table, "batch_no", [batch.batch_no], counts)
    batch.job.wrote[table.name] = batch.job.wrote.get(table.name, 0) + found["rows"]
    batch.job.says(f"batch {batch.batch_no}: {found['rows']:,} rows of {table.name}")
    return found


def _write_identities(batch: Batch) -> None:
    """The way back from every pseudonym of the batch; one pseudonym for two ids is refused."""
    tables = (RAW_MEMBERS, RAW_ORDERS, RAW_TOUCHES)
    rows = [part for table in tables if (part := batch.mapped(table)) is not None]
    if not rows:
        return
    ids = reduce(DataFrame.unionByName, [part.select("member_id") for part in rows])
    ids = ids.where(F.col("member_id").isNotNull()).distinct()
    keyed = batch.kept(with_member_key(ids, batch.secret))
    before = batch.before(MEMBER_IDENTITIES)
    two = keyed.select("member_key", "member_id").unionByName(before.select("member_key", "member_id")).distinct()
    if two.groupBy("member_key").count().where("count > 1").limit(1).count():
        raise Refused("two member ids have the same member_key: set another secret and build the lake anew")
    new = keyed.join(before, "member_key", "left_anti").withColumn("batch_no", F.lit(batch.batch_no))
    _put(batch, MEMBER_IDENTITIES, new, {})


def _balances(batch: Batch, written: Iterable[Written]) -> list[Balance]:
    """Writes what silver does not hold, and counts it there."""
    parts = {part.raw.name: part for part in written}
    shown = [part for raw in parts.values() for part in _as_landed(batch, raw)]
    found: dict[tuple[str, str], int] = {}
    by_rule: ByRule = {}
    reasons: dict[str, dict[str, int]] = {name: {} for name in parts}
    if shown:
        rows = batch.kept(reduce(DataFrame.unionByName, shown))
        found = _write_set_aside(batch, rows, list(parts))
        by_rule = _by_rule(rows, reasons)
    return [_balance(batch, table.name, parts.get(table.name), found, by_rule, reasons) for table in CLEANED_TABLES]


def _as_landed(batch: Batch, part: Written) -> list[DataFrame]:
    verdicts = batch.kept.at_hand(taken(part.judged, part.raw.name))
    return [
        as_landed(verdicts.where(F.col("feed") == name), batch.bronze(name), feed, batch.member_columns)
        for name, feed in batch.feeds(part.raw).items()
    ]


def _write_set_aside(batch: Batch, rows: DataFrame, tables: list[str]) -> dict[tuple[str, str], int]:
    """Counts by raw table and fate, observed in the passes that write ``quarantine`` and ``replaced``."""
    found: dict[tuple[str, str], int] = {}
    for table, fates in ((QUARANTINE, (QUARANTINED,)), (REPLACED, (DUPLICATE, NETTED))):
        pairs = [(name, fate) for name in tables for fate in fates]
        counts = {
            f"{name}_{fate}": F.count_if((F.col("table") == name) & (F.col("fate") == fate)) for name, fate in pairs
        }
        wrote = _put(batch, table, rows.where(F.col("fate").isin(*fates)), counts)
        found |= {pair: wrote[f"{pair[0]}_{pair[1]}"] for pair in pairs}
    return found


def _by_rule(rows: DataFrame, reasons: dict[str, dict[str, int]]) -> ByRule:
    """The rows set aside, by every rule that took or marked them; adds to ``reasons`` those sent to quarantine."""
    names = F.explode(F.array_distinct(F.concat(F.array("rule"), "flags"))).alias("name")
    is_reason = (F.col("fate") == QUARANTINED) & (F.col("name") == F.col("rule"))
    found = rows.select("table", "fate", "rule", names).groupBy("table", "fate", "name")
    by_rule: ByRule = {}
    for row in found.agg(F.count("*").alias("rows"), F.count_if(is_reason).alias("sent")).collect():
        by_rule.setdefault((row["table"], row["fate"]), {})[row["name"]] = row["rows"]
        if row["sent"]:
            reasons[row["table"]][row["name"]] = row["sent"]
    return by_rule


def _balance(
    batch: Batch,
    table: str,
    part: Written | None,
    found: Mapping[tuple[str, str], int],
    by_rule: ByRule,
    reasons: Mapping[str, dict[str, int]],
) -> Balance:
    batch.job.read[table] = batch.job.read.get(table, 0) + batch.landed.get(table, 0)
    return Balance(
        table=table,
        batch_id=batch.batch_id,
        batch_no=batch.batch_no,
        landed=batch.landed.get(table, 0),
        silver=part.silver if part else 0,
        duplicates=found.get((table, DUPLICATE), 0),
        quarantined=found.get((table, QUARANTINED), 0),
        netted=found.get((table, NETTED), 0),
        silver_by_rule=part.rules if part else {},
        duplicates_by_rule=by_rule.get((table, DUPLICATE), {}),
        quarantined_by_rule=by_rule.get((table, QUARANTINED), {}),
        netted_by_rule=by_rule.get((table, NETTED), {}),
        reasons=reasons.get(table, {}),
        newest_day=part.newest_day if part else None,
        cleaning=batch.source.cleaning,
    )


if __name__ == "__main__":
    command(
        Clean,
        lambda config: run(session("clean", config.env), config),
        says=__doc__ or "",
        config="conf/jobs/clean.yaml",
    )
