"""Lands a folder of files in bronze, as one batch; the same batch twice is one batch.

    spark-submit --properties-file var/jars/spark.properties jobs/ingest.py --config conf/jobs/ingest.yaml
    python jobs/ingest.py --set source.data=landing/2026-11-23 --set arrived_on=2026-11-23
    python jobs/ingest.py --set source=conf/sources/online_retail.yaml --set source.data=data --set historical=true

A batch is one call: its id is given, or made of what the files hold. It has arrived when it stands in ``batches``,
which is written last: a killed ingest leaves nothing that anyone reads, and the next one puts its rows in their place.

The first batch of a lake is a load of the past where the source says ``historical``; every other one came today, unless
``--set arrived_on=DATE`` or ``--set historical=true`` says otherwise. Where nobody says so and half of the orders are
older than the source's horizon, nothing lands, and the job asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from pyspark.sql import SparkSession

from tenure.config.command import command
from tenure.config.env import Env
from tenure.config.settings import Settings
from tenure.config.source import Source
from tenure.contracts.control import BATCHES
from tenure.contracts.landing import RAW_ORDERS
from tenure.errors import WrongInput
from tenure.lake.job_run import JobRun
from tenure.spark import delta
from tenure.spark.landing import Arrival, Landing, Opened, clear, land, landed_feeds, landing, open_feed
from tenure.spark.lock import only_writer
from tenure.spark.mapping import check_rules, middle_day
from tenure.spark.runs import described, job_run
from tenure.spark.schema import local_rows, struct
from tenure.spark.session import session
from tenure.spark.waiting import check_feeds


class Ingest(Settings):
    """``arrived_on``: the shop's day on which the batch came, by default today; a historical batch has none.
    ``historical``: by default what the source says of a lake's first batch, and false for later ones."""

    env: Env
    source: Source
    batch_id: str | None = None
    arrived_on: date | None = None
    historical: bool | None = None


def run(spark: SparkSession, config: Ingest) -> bool:
    """Lands the batch; whether there was anything new."""
    with only_writer(spark, config.env), job_run(spark, config.env.lake_root, "ingest") as job:
        brought = landing(config.source)
        check_rules(spark, config.source)  # clean would stumble over them, after all has been written
        arrival = _arrival(spark, config, brought, job)
        if arrival is None:
            job.nothing_new("this batch has landed before; nothing is new")
            return False
        _land(spark, config, brought, arrival, job)
        return True


def _arrival(spark: SparkSession, config: Ingest, brought: Landing, job: JobRun) -> Arrival | None:
    """The batch's id, number and day; none where it has landed before."""
    root, batch_id = config.env.lake_root, config.batch_id or brought.batch_id
    before = check_feeds(spark, root, config.source)  # clean would, after all has been written
    if batch_id in {row["batch_id"] for row in before}:
        return None
    batch_no = max((row["batch_no"] for row in before), default=0) + 1
    today = datetime.now(ZoneInfo(config.source.calendar)).date()
    day, why = day_of_arrival(config, today, is_first=not before)
    job.says(f"batch {batch_no} {why}")
    return Arrival(batch_id=batch_id, batch_no=batch_no, arrived_on=day)


def day_of_arrival(config: Ingest, today: date, *, is_first: bool) -> tuple[date | None, str]:
    """The shop's day on which a batch came, none for a load of the past, and how it was told.

    Args:
        is_first: whether the lake holds no batch yet.

    Raises:
        WrongInput: if the day has not come yet: until then nobody would see the batch, and none can be taken back.
    """
    if config.arrived_on is not None:
        if config.historical:
            raise WrongInput(
                f"arrived_on={config.arrived_on} and historical=true contradict each other: say arrived_on where the "
                "files are known from that day on, historical=true where each row was known when it happened"
            )
        if config.arrived_on > today:
            raise WrongInput(
                f"arrived_on={config.arrived_on} is after {today}, which is today in {config.source.calendar}: name "
                "the day on which the files came, or leave it out for today"
            )
        return config.arrived_on, f"arrived on {config.arrived_on}, as arrived_on says"
    if config.historical:
        return None, "is a load of the past, as historical=true says"
    if config.historical is None and is_first and config.source.historical:
        return None, (
            "is a load of the past, as the source says of a lake's first one; where it is none, end this and say "
            "--set historical=false or --set arrived_on=DATE"
        )
    return today, (
        f"arrived today, {today}, and is known from then on; where that is not so, end this and say "
        "--set arrived_on=DATE, or --set historical=true for a load of the past"
    )


def _land(spark: SparkSession, config: Ingest, brought: Landing, arrival: Arrival, job: JobRun) -> None:
    root, landed = config.env.lake_root, dict.fromkeys((feed.table for feed in config.source.feeds.values()), 0)
    for path in brought.unfinished:
        job.says(
            f"batch {arrival.batch_no}: {path} is passed over, as names that begin with _ or . are of files which are "
            "still being written; give it another name and land it with the next batch"
        )
    for name, path in brought.empty:
        job.says(f"batch {arrival.batch_no}: {path} is empty, so it brings no {name}; look whether it should")
    for name in sorted(brought.files.keys() - brought.filled):
        job.says(f"batch {arrival.batch_no}: no rows of {name} landed, as all of its files are empty")
    with described(spark, f"ingest: look at all files of batch {arrival.batch_no}"):
        feeds = [open_feed(spark, brought, name, root) for name in brought.filled]  # before any of them lands
        if config.arrived_on is None and config.historical is None and arrival.arrived_on:
            _check_age(
                [feed for feed in feeds if feed.feed.table == RAW_ORDERS.name], arrival.arrived_on, config.source
            )
    clear(spark, root, set(landed_feeds(spark, root)) - set(brought.filled), arrival)
    for feed in feeds:
        table = feed.feed.table
        with described(spark, f"ingest: land {feed.name} of batch {arrival.batch_no}"):
            rows = land(feed, brought.folder, arrival, root, from_position=landed[table])
        job.read[feed.name] = job.wrote[f"raw_{feed.name}"] = rows
        landed[table] += rows
        job.says(f"batch {arrival.batch_no}: {rows:,} rows of {feed.name} landed")
        for column in feed.silent:
            job.says(
                f"batch {arrival.batch_no}: no line of {feed.name} has what {column} is made of, so it is null in all "
                "of them; look whether a key was renamed"
            )
    row = (arrival.batch_id, arrival.batch_no, arrival.arrived_on, datetime.now(UTC), landed, config.source.name)
    with described(spark, f"ingest: batch {arrival.batch_no} has arrived"):
        delta.append(local_rows(spark, [row], struct(BATCHES)), root, BATCHES)


def _check_age(orders: Sequence[Opened], assumed_on: date, source: Source) -> None:
    """Whether orders so old may be taken to have arrived today when nobody said so.

    Raises:
        WrongInput: if not: what is known from too late a day on is missing from all features before it for good.
    """
    middle = middle_day([(feed.rows, feed.feed) for feed in orders]) if orders else None
    if middle and (assumed_on - middle).days > source.churn.horizon_days:
        raise WrongInput(
            f"feed {', '.join(feed.name for feed in orders)}: half of these orders are of {middle} or before, and "
            f"would be taken to be known from {assumed_on} on alone, which is today: say --set historical=true for a "
            "load of the past, --set arrived_on=DATE for files that came on an earlier day, or --set historical=false "
            "if it is today indeed"
        )


if __name__ == "__main__":
    command(
        Ingest,
        lambda config: run(session("ingest", config.env), config),
        says=__doc__ or "",
        config="conf/jobs/ingest.yaml",
    )
