"""Which batches wait to be cleaned, and whether the lake and the source's YAML are fit for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from pyspark.sql import Row, SparkSession
from pyspark.sql import functions as F

from tenure.config.env import Env
from tenure.config.source import Source
from tenure.contracts.control import BATCHES, CONSERVATION, QUARANTINE, REPLACED
from tenure.contracts.silver import MEMBER_IDENTITIES, SILVER_TABLES
from tenure.errors import Refused, WrongInput
from tenure.lake.job_run import JobRun
from tenure.lake.layout import bronze_path
from tenure.privacy import secrets
from tenure.spark import delta
from tenure.spark.batch import Batch
from tenure.spark.landing import landed_feeds
from tenure.spark.night import emptied
from tenure.spark.pseudonyms import with_member_key
from tenure.spark.runs import described

Waiting = Callable[..., Batch]  # a batch of which only ``kept`` is missing


def check_source(held: Iterable[str | None], source: Source) -> None:
    """A lake holds batches of one source, as none can be taken back.

    Args:
        held: the sources that the lake's batches or releases name; None where that was not kept yet.

    Raises:
        WrongInput: naming both.
    """
    for name in held:
        if name not in (None, source.name):
            raise WrongInput(
                f"this lake holds {name}, not {source.name}: name its source, as in --set source=YAML, or another "
                "lake, as in --set env.work=DIR"
            )


def landed_sources(spark: SparkSession, root: str) -> set[str | None]:
    """Whose batches the lake holds."""
    if not delta.exists(spark, root, BATCHES):
        return set()
    delta.widen(spark, root, BATCHES)
    return {row["source"] for row in delta.read(spark, root, BATCHES).select("source").distinct().collect()}


def check_feeds(spark: SparkSession, root: str, source: Source) -> list[Row]:
    """Whether all that landed is the source's and has a feed that tells what it means; also what is clean, as other
    settings clean it anew.

    Returns:
        The lake's batches, in the order in which they came.

    Raises:
        WrongInput: naming the other source, or the feed that a batch landed under, or the raw table that it brought,
            and the batch.
    """
    delta.widen(spark, root, BATCHES)
    with described(spark, "look whether every feed that landed is still in the source's YAML"):
        batches = delta.read(spark, root, BATCHES)
        arrived = sorted(batches.collect(), key=lambda row: row["batch_no"])
        check_source((row["source"] for row in arrived), source)
        for feed in sorted(set(landed_feeds(spark, root)) - set(source.feeds)):
            rows = delta.load(spark, bronze_path(root, feed))
            first = batches.join(rows, ["batch_no", "batch_id"], "left_semi").orderBy("batch_no").first()
            if first:  # or a killed ingest left them, whose batch never arrived
                raise WrongInput(
                    f"feed {feed} landed in batch {first['batch_no']} and is no longer in the source's YAML: put it "
                    "back under its name, with the columns that its rows have"
                )
        told = {feed.table for feed in source.feeds.values()}
        for row in arrived:
            for table in sorted(table for table, rows in row["landed"].items() if rows and table not in told):
                raise WrongInput(
                    f"batch {row['batch_no']} landed rows of {table}, which no feed in the source's YAML brings any "
                    f"more: put table: {table} back into the feed that brought them"
                )
    return arrived


def waiting_batches(spark: SparkSession, env: Env, source: Source, job: JobRun, *, anew: bool) -> list[Waiting]:
    """The batches to clean, in the order in which they came; all of them where ``anew`` or other settings cleaned them.

    Raises:
        Refused: if the secret is not the one that made the lake's pseudonyms.
    """
    root = env.lake_root
    for table in (BATCHES, CONSERVATION):
        delta.create(spark, root, table)
    with described(spark, "clean: look whether the secret is the lake's"):
        secret = _secret(spark, env)  # before what it made is given up
    with described(spark, "clean: look whether the settings changed"):
        _begin_anew_where_due(spark, root, source, job, is_asked=anew)
    with described(spark, "clean: look up batches that wait"):
        done = delta.read(spark, root, CONSERVATION).select("batch_no")
        rows = delta.read(spark, root, BATCHES).join(done, "batch_no", "left_anti").collect()
    return [
        partial(
            Batch,
            spark=spark,
            root=root,
            source=source,
            secret=secret,
            job=job,
            batch_id=row["batch_id"],
            batch_no=row["batch_no"],
            ingested_at=row["ingested_at"],
            landed=row["landed"],
        )
        for row in sorted(rows, key=lambda row: row["batch_no"])
    ]


def _secret(spark: SparkSession, env: Env) -> bytes:
    """The secret of the lake's pseudonyms, made where the lake has none yet.

    Raises:
        Refused: if it is gone or another one, under which every member would become a second one.
    """
    held = delta.standing(spark, env.lake_root, MEMBER_IDENTITIES)
    name, folder = secrets.MEMBER_KEY, env.secrets_folder
    secret = secrets.make_secret(name, folder, is_in_use=not held.isEmpty()).encode()
    told = held.select("member_id", F.col("member_key").alias("held"))
    if not with_member_key(told, secret).where("member_key != held").isEmpty():
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
