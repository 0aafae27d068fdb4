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
from tenure.spark.events import member_events
from tenure.spark.from_lines import build_from_lines
from tenure.spark.lock import only_writer
from tenure.spark.night import night
from tenure.spark.runs import job_run
from tenure.spark.session import session


class BuildEvents(Settings):
    env: Env
    source: Source


def run(spark: SparkSession, config: BuildEvents) -> None:
    with only_writer(spark, config.env), job_run(spark, config.env.lake_root, "build_events") as job:
        build = night(spark, config.env, config.source)
        build_from_lines(build, contract(build.shop), member_events, job, called="visits")


if __name__ == "__main__":
    command(
        BuildEvents,
        lambda config: run(session("build_events", config.env), config),
        says=__doc__ or "",
        config="conf/jobs/build_events.yaml",
    )
