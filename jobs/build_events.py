"""Writes the raw parts of sequence tokens: a member's visits, one a day.

    spark-submit --properties-file var/jars/spark.properties jobs/build_events.py
    python jobs/build_events.py --set env.work=var/demo

Only member-days of which something new is known are read again.
"""

from __future__ import annotations

from pyspark.sql import SparkSession

from tenure.config.command import command
from tenure.config.env import Env
from tenure.config.settings import Settings
from tenure.config.source import Source
from tenure.contracts.gold import member_events as contract
from tenure.contracts.silver import ORDER_LINES
from tenure.spark.events import member_events
from tenure.spark.kept import Kept
from tenure.spark.lock import only_writer
from tenure.spark.news import days_with_news, news
from tenure.spark.night import Night, night
from tenure.spark.parts import MEMBER_DAY
from tenure.spark.runs import JobRun, described, job_run
from tenure.spark.session import session


class BuildEvents(Settings):
    env: Env
    source: Source


def run(spark: SparkSession, config: BuildEvents) -> None:
    with only_writer(spark, config.env), job_run(spark, config.env.lake_root, "build_events") as job:
        _build(night(spark, config.env, config.source), job)


def _build(build: Night, job: JobRun) -> None:
    table = contract(build.shop)
    after = build.opened(table).through_batch
    lines = build.read(ORDER_LINES)
    with described(build.spark, f"build_events: look for lines after batch {after}"):
        fresh = news((lines,), after)
    job.read["order_lines"] = fresh.rows
    if not fresh:
        job.nothing_new("no lines that the table does not hold")
        return
    what = f"build_events: {len(fresh.known_on)} days with {fresh.rows:,} new lines"
    with described(build.spark, what), Kept() as kept:
        if after:
            lines = lines.where(fresh.within("day"))
            lines = lines.join(kept.at_hand(days_with_news(lines, after)), list(MEMBER_DAY), "left_semi")
        written = build.put(member_events(lines, build.shop), table, after, fresh)
    job.wrote["member_events"] = written
    job.says(f"{written:,} visits from {fresh.rows:,} new lines of {len(fresh.known_on)} days")


if __name__ == "__main__":
    command(
        BuildEvents,
        lambda config: run(session("build_events", config.env), config),
        says=__doc__ or "",
        config="conf/jobs/build_events.yaml",
    )
