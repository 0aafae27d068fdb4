"""Cleans every batch that bronze holds and silver does not, in the order in which they came.

    spark-submit --properties-file var/jars/spark.properties jobs/clean.py --config conf/jobs/clean.yaml
    python jobs/clean.py --set env.work=var/demo --set source.quarantine_limit=0.1

Each landed row has one fate: it is in silver, a duplicate, quarantined, or netted. All five numbers are counted where
they are written, and a batch of which they do not add up, or of which too much is quarantined, is refused (exit code
3). A batch is clean when it stands in ``conservation``, which is written last: a killed run leaves nothing that counts,
and the next one puts its rows in their place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property, partial, reduce
from zoneinfo import ZoneInfo

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from tenure.config.command import command
from tenure.config.env import Env
from tenure.config.settings import Settings
from tenure.config.source import Feed, Source
from tenure.contracts import rules
from tenure.contracts.control import BATCHES, CONSERVATION, QUARANTINE, REPLACED
from tenure.contracts.landing import RAW_CAMPAIGNS, RAW_MEMBERS, RAW_ORDERS, RAW_PRODUCTS, RAW_TABLES, RAW_TOUCHES
from tenure.contracts.silver import (
    CAMPAIGN_TOUCHES,
    CAMPAIGNS,
    MEMBER_IDENTITIES,
    MEMBERS,
    ORDER_LINES,
    PRODUCTS,
    SILVER_TABLES,
)
from tenure.contracts.table import Table
from tenure.errors import Refused, WrongInput
from tenure.lake.job_run import JobRun
from tenure.lake.layout import bronze_path
from tenure.privacy import secrets
from tenure.spark import conservation, delta, silver
from tenure.spark.cleaning import DUPLICATE, NETTED, QUARANTINED
from tenure.spark.conservation import Balance
from tenure.spark.kept import Kept
from tenure.spark.landing import landed_feeds
from tenure.spark.lock import only_writer
from tenure.spark.mapping import check_rules, mapped
from tenure.spark.night import emptied
from tenure.spark.pseudonyms import member_key
from tenure.spark.runs import described, job_run
from tenure.spark.schema import struct
from tenure.spark.session import session
from tenure.spark.set_aside import as_landed, member_columns, taken


class Clean(Settings):
    """Which lake, and whose rules. ``anew``: every batch, also where the settings are those that cleaned it."""

    env: Env
    source: Source
    anew: bool = False


@dataclass(frozen=True, kw_only=True)
class Batch:
    """One batch on its way from bronze to silver."""

    spark: SparkSession
    root: str
    source: Source
    secret: bytes
    job: JobRun
    kept: Kept
    batch_id: str
    batch_no: int
    ingested_at: datetime
    landed: Mapping[str, int]

    @property
    def newest_day(self) -> Column:
        """The shop's day after which nothing in a batch without a day of arrival can have happened."""
        at = self.ingested_at.replace(tzinfo=self.ingested_at.tzinfo or UTC)
        day: date = self.source.last_complete_day or at.astimezone(ZoneInfo(self.source.calendar)).date()
        return F.lit(day)

    def feeds(self, table: Table) -> dict[str, Feed]:
        there = {name: feed for name, feed in self.source.feeds.items() if feed.table == table.name}
        return {name: feed for name, feed in there.items() if self.landed.get(table.name) and self._has(name)}

    @cached_property
    def member_columns(self) -> frozenset[str]:
        """The landed columns from which any feed makes a member's id: feeds may read the same files."""
        telling = {name: feed for name, feed in self.source.feeds.items() if "member_id" in feed.columns}
        parts = [member_columns(self.bronze(name), feed) for name, feed in telling.items() if self._has(name)]
        return frozenset(name for part in parts for name in part)

    def _has(self, feed: str) -> bool:
        return delta.is_table(self.spark, bronze_path(self.root, feed))

    def bronze(self, feed: str) -> DataFrame:
        """What the batch brought; by its id too, as a killed ingest may have left rows under the next one's number."""
        is_mine = (F.col("batch_no") == self.batch_no) & (F.col("batch_id") == self.batch_id)
        return delta.load(self.spark, bronze_path(self.root, feed)).where(is_mine)

    def before(self, table: Table) -> DataFrame:
        """What silver holds of earlier batches."""
        delta.create(self.spark, self.root, table)
        return delta.read(self.spark, self.root, table).where(F.col("batch_no") < self.batch_no)

    def mine(self, table: Table) -> DataFrame:
        delta.create(self.spark, self.root, table)
        return delta.read(self.spark, self.root, table).where(F.col("batch_no") == self.batch_no)

    def mapped(self, table: Table) -> DataFrame | None:
        """The batch's rows of a raw table, with the member's pseudonym beside the id; none where none landed."""
        parts = [mapped(self.bronze(n), feed).withColumn("feed", F.lit(n)) for n, feed in self.feeds(table).items()]
        if not parts:
            return None
        rows = reduce(DataFrame.unionByName, parts)
        has_member = "member_id" in rows.columns
        return rows.withColumn("member_key", member_key(F.col("member_id"), self.secret)) if has_member else rows


ByRule = dict[tuple[str, str], dict[str, int]]  # rows by raw table and fate, then by rule
Waiting = Callable[..., Batch]  # a batch of which only ``kept`` is missing


def run(spark: SparkSession, config: Clean) -> tuple[int, ...]:
    """Cleans what waits; the numbers of the batches that are clean now."""
    with only_writer(spark, config.env), job_run(spark, config.env.lake_root, "clean") as job:
        _check_feeds(spark, config.env.lake_root, config.source)
        check_rules(spark, config.source)  # before anything that stands is given up for what they would make
        batches = _waiting(spark, config, job)
        if not batches:
            job.nothing_new("every batch that landed is clean; nothing is new")
        return tuple(_clean(batch) for batch in batches)


def _check_feeds(spark: SparkSession, root: str, source: Source) -> None:
    """All that landed has a feed that tells what it means, also what is clean: other settings clean it anew.

    Raises:
        WrongInput: naming the feed that a batch landed under, or the raw table that it brought, and the batch.
    """
    delta.create(spark, root, BATCHES)
    with described(spark, "clean: look whether every feed that landed is still in the source's YAML"):
        batches = delta.read(spark, root, BATCHES).orderBy("batch_no").select("batch_no", "batch_id", "landed")
        for feed in sorted(set(landed_feeds(spark, root)) - set(source.feeds)):
            rows = delta.load(spark, bronze_path(root, feed))
            first = batches.join(rows, ["batch_no", "batch_id"], "left_semi").first()
            if first:  # or a killed ingest left them, whose batch never arrived
                raise WrongInput(
                    f"feed {feed} landed in batch {first['batch_no']} and is no longer in the source's YAML: put it "
                    "back under its name, with the columns that its rows have"
                )
        told = {feed.table for feed in source.feeds.values()}
        for row in batches.collect():
            for table in sorted(table for table, rows in row["landed"].items() if rows and table not in told):
                raise WrongInput(
                    f"batch {row['batch_no']} landed rows of {table}, which no feed in the source's YAML brings any "
                    f"more: put table: {table} back into the feed that brought them"
                )


def _waiting(spark: SparkSession, config: Clean, job: JobRun) -> list[Waiting]:
    root, source = config.env.lake_root, config.source
    for table in (BATCHES, CONSERVATION):
        delta.create(spark, root, table)
    with described(spark, "clean: look whether the secret is the lake's"):
        secret = _secret(spark, config.env)  # before what it made is given up
    with described(spark, "clean: look whether the settings changed"):
        _begin_anew_where_due(spark, root, source, job, is_asked=config.anew)
    with described(spark, "clean: look up batches that wait"):
        done = delta.read(spark, root, CONSERVATION).select("batch_no").distinct()
        rows = delta.read(spark, root, BATCHES).join(done, "batch_no", "left_anti").orderBy("batch_no").collect()
    shared = {"spark": spark, "root": root, "source": source, "secret": secret, "job": job}
    told = ("batch_id", "batch_no", "ingested_at", "landed")
    return [partial(Batch, **shared, **{name: row[name] for name in told}) for row in rows]


def _secret(spark: SparkSession, env: Env) -> bytes:
    """The secret of the lake's pseudonyms, made where the lake has none yet.

    Raises:
        Refused: if it is gone or another one, under which every member would become a second one.
    """
    delta.create(spark, env.lake_root, MEMBER_IDENTITIES)
    held = delta.read(spark, env.lake_root, MEMBER_IDENTITIES)
    name, folder = secrets.MEMBER_KEY, env.secrets_folder
    secret = secrets.make_secret(name, folder, is_in_use=not held.isEmpty()).encode()
    if not held.where(F.col("member_key") != member_key(F.col("member_id"), secret)).isEmpty():
        raise Refused(
            f"the secret {name} differs from the one that the lake's pseudonyms were made with, so its members would "
            f"become others: {secrets.how_to_put_back(name, folder)}"
        )
    return secret


def _begin_anew_where_due(spark: SparkSession, root: str, source: Source, job: JobRun, *, is_asked: bool) -> None:
    """Empties what other settings cleaned, ``conservation`` first: what it does not name waits to be cleaned."""
    held = delta.read(spark, root, CONSERVATION)
    of_old = held.columns != list(CONSERVATION.names)
    by = {None} if of_old else {row["cleaning"] for row in held.select("cleaning").distinct().collect()}
    if by == {source.cleaning} and not is_asked:
        return
    tables = (CONSERVATION, *SILVER_TABLES, QUARANTINE, REPLACED)
    gone = [table.name for table in tables if delta.exists(spark, root, table) and emptied(spark, root, table)]
    if gone:
        why = "as was asked" if is_asked else "as other settings cleaned them, or they were not cleaned to the end"
        job.says(f"{', '.join(gone)} begin anew, {why}: every batch is cleaned again")


def _clean(waiting: Waiting) -> int:
    with Kept() as kept:
        batch = waiting(kept=kept)
        _clean_batch(batch)
        return batch.batch_no


def _clean_batch(batch: Batch) -> None:
    written = [_write_campaigns(batch), _write_products(batch), _write_orders(batch), _write_touches(batch)]
    written.append(_write_members(batch))
    _write_identities(batch)
    balances = _balances(batch, [part for part in written if part is not None])
    conservation.check(balances, batch.source.quarantine_limit)
    rows = [tuple(asdict(balance)[name] for name in CONSERVATION.names) for balance in balances]
    with described(batch.spark, f"clean: batch {batch.batch_no} is clean"):
        delta.append(batch.spark.createDataFrame(rows, struct(CONSERVATION)), batch.root, CONSERVATION)


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
    return _write(
        batch, RAW_CAMPAIGNS, CAMPAIGNS, silver.campaigns(rows, batch.kept, batch.source, batch.before(CAMPAIGNS))
    )


def _write_products(batch: Batch) -> Written | None:
    rows = batch.mapped(RAW_PRODUCTS)
    if rows is None:
        return None
    return _write(
        batch, RAW_PRODUCTS, PRODUCTS, silver.products(rows, batch.kept, batch.source, batch.before(PRODUCTS))
    )


def _write_orders(batch: Batch) -> Written | None:
    rows = batch.mapped(RAW_ORDERS)
    if rows is None:
        return None
    catalogue = batch.before(PRODUCTS).unionByName(batch.mine(PRODUCTS))
    lines = silver.orders(rows, batch.kept, batch.source, catalogue, batch.before(ORDER_LINES), batch.newest_day)
    return _write(batch, RAW_ORDERS, ORDER_LINES, lines)


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


def _write(batch: Batch, raw: Table, table: Table, judged: DataFrame, beside: DataFrame | None = None) -> Written:
    """Writes the rows that are kept, and ``beside`` them rows of silver's own."""
    kept = judged.where(F.col("fate").isNull()).withColumn("has_landed", F.lit(True))
    if beside is not None:
        kept = kept.unionByName(beside.withColumn("has_landed", F.lit(False)), allowMissingColumns=True)
    flags = _flags(batch.source, raw)
    counts = {f"flag_{n}": F.count_if(F.array_contains("flags", flag)) for n, flag in enumerate(flags)}
    counts["silver"] = F.count_if("has_landed")
    if table == ORDER_LINES:
        counts["newest_day"] = F.max(F.unix_date("day"))
    found = _put(batch, table, kept, counts)
    newest_day = date(1970, 1, 1) + timedelta(days=found["newest_day"]) if found.get("newest_day") else None
    held = {flag: found[f"flag_{n}"] for n, flag in enumerate(flags) if found[f"flag_{n}"]}
    return Written(raw=raw, judged=judged, silver=found["silver"], rules=held, newest_day=newest_day)


def _put(batch: Batch, table: Table, rows: DataFrame, counts: Mapping[str, Column]) -> delta.Counts:
    with described(batch.spark, f"clean: write {table.name} of batch {batch.batch_no}"):
        found = delta.replace_where(rows, batch.root, table, f"batch_no = {batch.batch_no}", counts)
    batch.job.wrote[table.name] = batch.job.wrote.get(table.name, 0) + found["rows"]
    batch.job.says(f"batch {batch.batch_no}: {found['rows']:,} rows of {table.name}")
    return found


def _flags(source: Source, raw: Table) -> list[str]:
    """Every rule that marks or changes rows of a raw table."""
    built_in = {
        RAW_ORDERS.name: [rules.DAY_SHIFTED, rules.RETURN_WITHOUT_MEMBER],
        RAW_TOUCHES.name: [rules.CAMPAIGN_UNKNOWN],
        RAW_MEMBERS.name: [rules.FIRST_SEEN],
    }
    gaps = [gap.rule for gap in source.gaps if gap.table == raw.name and gap.fill is not None]
    bounds = [bound.rule for bound in source.bounds if bound.table == raw.name and bound.outside == "winsorise"]
    own = [rule.name for rule in source.rules if rule.table == raw.name and rule.fate == "keep"]
    return [*built_in.get(raw.name, []), *gaps, *bounds, *own]


def _write_identities(batch: Batch) -> None:
    """The way back from every pseudonym of the batch; one pseudonym for two ids is refused."""
    tables = (RAW_MEMBERS, RAW_ORDERS, RAW_TOUCHES)
    rows = [part for table in tables if (part := batch.mapped(table)) is not None]
    if not rows:
        return
    ids = reduce(DataFrame.unionByName, [part.select("member_id") for part in rows])
    ids = ids.where(F.col("member_id").isNotNull()).distinct()
    keyed = batch.kept(ids.withColumn("member_key", member_key(F.col("member_id"), batch.secret)))
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
    return [_balance(batch, table.name, parts.get(table.name), found, by_rule, reasons) for table in RAW_TABLES]


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
