"""A night: lands what came, cleans it, builds gold, and releases it all at once, or not at all.

    spark-submit --properties-file var/jars/spark.properties jobs/refresh.py --config conf/jobs/refresh.yaml
    python jobs/refresh.py --set env.work=var/demo
    python jobs/refresh.py --set source=conf/sources/online_retail.yaml --set source.data=DIR --set env.work=var/retail
    python jobs/refresh.py --set source.data=landing/2026-11-23 --set arrived_on=2026-11-23
    python jobs/refresh.py --anew --set env.work=var/demo

Readers see the release before until the last row is written. A refresh that was killed is undone by the next one, which
begins where the last release stands. After an upgrade that changes how tables are computed say ``--anew``: silver and
gold are made again from bronze, where otherwise what is built already is not computed again. Exit codes: 0 done or
nothing new, 2 wrong input, 3 a check refused the release, 4 another job is writing to this lake.
"""

from __future__ import annotations

from datetime import UTC, date, datetime

from pyspark.sql import Row, SparkSession

import build_days
import build_events
import build_features
import build_interactions
import clean
import ingest
import label
from tenure.config.command import Flag, command
from tenure.config.env import Env
from tenure.config.settings import Settings
from tenure.config.source import Source
from tenure.contracts.gold import gold_tables
from tenure.contracts.shop import shop_from_json
from tenure.errors import WrongInput
from tenure.lake.job_run import JobRun
from tenure.spark import delta
from tenure.spark.checks import EVERYTHING, Written, check, written
from tenure.spark.lock import only_writer
from tenure.spark.night import Night, emptied, night
from tenure.spark.releases import last_release, rebuilt_tables, roll_back, write_release
from tenure.spark.runs import described, job_run
from tenure.spark.session import session
from tenure.spark.waiting import check_source, landed_sources

FLAGS = (
    Flag(
        "--anew",
        "anew",
        "make silver and gold again from bronze: after an upgrade that changes how tables are computed",
        "true",
    ),
)


class Refresh(Settings):
    """A night's landing files, in ``source.data``; ``anew``: silver and gold are made again from bronze; the rest as
    for ``jobs/ingest.py``."""

    env: Env
    source: Source
    batch_id: str | None = None
    arrived_on: date | None = None
    historical: bool | None = None
    anew: bool = False


def run(spark: SparkSession, config: Refresh) -> str:
    """The id of the release that stands afterwards."""
    root = config.env.lake_root
    with only_writer(spark, config.env), job_run(spark, root, "refresh") as job:
        before = last_release(spark, root)
        _check_shop(spark, root, config.source, before)
        _roll_back(spark, config, before, job)
        cleaned = _land_and_clean(spark, config)
        with described(spark, "refresh: look how far silver is"):
            build = night(spark, config.env, config.source)
        if before and not cleaned and _is_same(build, before):
            job.nothing_new(f"nothing new; release {before['release_id']} stands")
            return str(before["release_id"])
        if config.anew:
            _empty_gold(build, job)
        _build(spark, config)
        with described(spark, "refresh: look what is new tonight"):
            tonight = _written(build, cleaned, before)
        check(build, config.source, tonight)
        return _release(build, config.source, job, before)


def _written(build: Night, cleaned: tuple[int, ...], before: Row | None) -> Written:
    """What tonight wrote: everything, where it was asked for, or the contract or the settings for cleaning changed."""
    if before is None or build.fingerprint != before["fingerprint"]:
        return EVERYTHING
    if any(number <= before["through_batch"] for number in cleaned):
        return EVERYTHING
    return written(build, before["through_batch"], before["last_complete_day"])


def _check_shop(spark: SparkSession, root: str, source: Source, before: Row | None) -> None:
    """What is fixed when a lake is made.

    Raises:
        WrongInput: if the settings want something else.
    """
    with described(spark, "refresh: look whose lake this is"):
        check_source([before["source"]] if before else landed_sources(spark, root), source)
    if before is None:
        return
    buckets = shop_from_json(before["shop"]).buckets
    if buckets != source.buckets:
        raise WrongInput(
            f"this lake was made with {buckets} buckets, not {source.buckets}; set source.buckets={buckets}"
        )


def _roll_back(spark: SparkSession, config: Refresh, before: Row | None, job: JobRun) -> None:
    with described(spark, "refresh: back to the last release"):
        undone = roll_back(spark, config.env.lake_root, rebuilt_tables(config.source.shop), before)
    if undone:
        to = f"release {before['release_id']}" if before else "an empty lake"
        job.says(f"went back to {to}: what stood beyond it in {', '.join(undone)} was never released")


def _land_and_clean(spark: SparkSession, config: Refresh) -> tuple[int, ...]:
    """The numbers of the batches that were cleaned tonight."""
    arrival = {"batch_id": config.batch_id, "arrived_on": config.arrived_on, "historical": config.historical}
    ingest.run(spark, ingest.Ingest(env=config.env, source=config.source, **arrival))
    return clean.run(spark, clean.Clean(env=config.env, source=config.source, anew=config.anew))


def _is_same(build: Night, before: Row) -> bool:
    now = (build.through_batch, build.fingerprint, build.last_complete_day)
    return now == (before["through_batch"], before["fingerprint"], before["last_complete_day"])


def _empty_gold(build: Night, job: JobRun) -> None:
    """Readers go on to see the versions that the last release names."""
    where = (build.spark, build.root)
    with described(build.spark, "refresh: gold begins anew"):
        gone = [t.name for t in gold_tables(build.shop) if delta.exists(*where, t) and emptied(*where, t)]
    if gone:
        job.says(f"{', '.join(gone)} begin anew, as was asked")


def _build(spark: SparkSession, config: Refresh) -> None:
    where = {"env": config.env, "source": config.source}
    build_days.run(spark, build_days.BuildDays(**where))
    build_features.run(spark, build_features.BuildFeatures(**where))
    build_events.run(spark, build_events.BuildEvents(**where))
    build_interactions.run(spark, build_interactions.BuildInteractions(**where))
    label.run(spark, label.Label(**where))


def _release(build: Night, source: Source, job: JobRun, before: Row | None) -> str:
    with described(build.spark, "refresh: write the release"):
        release_id = write_release(build, source, datetime.now(UTC), after=before)
    job.says(f"release {release_id}: through batch {build.through_batch}, days up to {build.last_complete_day}")
    return release_id


if __name__ == "__main__":
    command(
        Refresh,
        lambda config: run(session("refresh", config.env), config),
        says=__doc__ or "",
        config="conf/jobs/refresh.yaml",
        flags=FLAGS,
    )
