"""Writes which member took which product on which day, for factorization to learn from.

    spark-submit --properties-file var/jars/spark.properties jobs/build_interactions.py
    python jobs/build_interactions.py --set env.work=var/demo

Only member-days of which something new is known are read again.
"""

from __future__ import annotations

from pyspark.sql import SparkSession

from tenure.config.command import command
from tenure.config.env import Env
from tenure.config.settings import Settings
from tenure.config.source import Source
from tenure.contracts.gold import interactions as contract
from tenure.spark.from_lines import build_from_lines
from tenure.spark.interactions import interactions
from tenure.spark.lock import only_writer
from tenure.spark.night import night
from tenure.spark.runs import job_run
from tenure.spark.session import session


class BuildInteractions(Settings):
    env: Env
    source: Source


def run(spark: SparkSession, config: BuildInteractions) -> None:
    with only_writer(spark, config.env), job_run(spark, config.env.lake_root, "build_interactions") as job:
        build = night(spark, config.env, config.source)
        build_from_lines(
            build, contract(build.shop), lambda lines, _: interactions(lines, build.shop), job, called="interactions"
        )


if __name__ == "__main__":
    command(
        BuildInteractions,
        lambda config: run(session("build_interactions", config.env), config),
        says=__doc__ or "",
        config="conf/jobs/build_interactions.yaml",
    )
