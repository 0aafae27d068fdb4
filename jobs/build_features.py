"""Puts together what was known of every member before each ``as_of``.

    spark-submit --properties-file var/jars/spark.properties jobs/build_features.py
    python jobs/build_features.py --set env.work=var/demo

The ``as_of`` days are the shop's grid and the day after the last complete one. Those that are there stay, unless a load
of the past brought what could have been known before them.
"""

from __future__ import annotations

from datetime import date

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from tenure.config.command import command
from tenure.config.env import Env
from tenure.config.settings import Settings
from tenure.config.source import Source
from tenure.contracts import gold
from tenure.contracts.silver import CAMPAIGN_TOUCHES, MEMBERS, ORDER_LINES
from tenure.lifecycle.calendar import as_of_days
from tenure.spark.features import member_features
from tenure.spark.lock import only_writer
from tenure.spark.news import news
from tenure.spark.night import Night, night
from tenure.spark.runs import JobRun, described, job_run
from tenure.spark.session import session


class BuildFeatures(Settings):
    env: Env
    source: Source


def run(spark: SparkSession, config: BuildFeatures) -> None:
    with only_writer(spark, config.env), job_run(spark, config.env.lake_root, "build_features") as job:
        _build(night(spark, config.env, config.source), job)


def _build(build: Night, job: JobRun) -> None:
    table = gold.member_features(build.shop)
    wanted = as_of_days(build.shop, build.last_complete_day)
    with described(build.spark, "build_features: look for as_of days to build"):
        after, up_to = build.opened(table)
        present = set(as_of_days(build.shop, up_to)) if up_to else set()
        stale = _stale(build, after, tuple(sorted(present))) if up_to else ()
    due = tuple(day for day in wanted if day not in present or day in stale)
    dropped = tuple(sorted(present - set(wanted)))  # the newest as_of of an earlier night, off the grid
    if not due and not dropped:
        job.nothing_new(f"features of all {len(wanted)} as_of days are there")
        return
    with described(build.spark, f"build_features: {len(due)} as_of days, {dropped} dropped"):
        written = build.replace_as_of(_features(build, due), table, (*due, *dropped))
    job.wrote["member_features"] = written
    job.says(f"{written:,} rows for {len(due)} as_of days up to {wanted[-1]}, {len(dropped)} dropped")


def _stale(build: Night, after: int, present: tuple[date, ...]) -> tuple[date, ...]:
    """The ``as_of`` before which something could have been known that came only now."""
    members = build.read(MEMBERS).select(F.col("known_on").alias("day"), "known_on", "batch_no")
    return news((build.read(ORDER_LINES), build.read(CAMPAIGN_TOUCHES), members), after).seen_at(present)


def _features(build: Night, due: tuple[date, ...]) -> DataFrame:
    members, tiles, totals = (
        build.read(table) for table in (MEMBERS, gold.member_days(build.shop), gold.MEMBER_TOTALS)
    )
    return member_features(members, tiles, totals, due, build.shop)


if __name__ == "__main__":
    command(
        BuildFeatures,
        lambda config: run(session("build_features", config.env), config),
        says=__doc__ or "",
        config="conf/jobs/build_features.yaml",
    )
