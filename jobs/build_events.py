"""Writes the raw parts of sequence tokens: a member's visits, one a day.

    spark-submit --properties-file var/jars/spark.properties jobs/build_events.py
    python jobs/build_events.py --set env.work=var/demo

Only member-days of which something new is known are read again. What was bought and paid on them stands in the tiles,
so ``build_days.py`` comes first (exit code 2 where it did not).
"""

from __future__ import annotations

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from tenure.config.command import command
from tenure.config.env import Env
from tenure.config.settings import Settings
from tenure.config.source import Source
from tenure.contracts.gold import member_days
from tenure.contracts.gold import member_events as contract
from tenure.contracts.silver import ORDER_LINES
from tenure.errors import WrongInput
from tenure.spark.events import member_events
from tenure.spark.from_lines import build_from_lines
from tenure.spark.lock import only_writer
from tenure.spark.night import Night, night
from tenure.spark.runs import job_run
from tenure.spark.session import session


class BuildEvents(Settings):
    env: Env
    source: Source


def run(spark: SparkSession, config: BuildEvents) -> None:
    with only_writer(spark, config.env), job_run(spark, config.env.lake_root, "build_events") as job:
        build = night(spark, config.env, config.source)
        tiles = _tiles(build)
        build_from_lines(
            build,
            contract(build.shop),
            lambda lines, within: member_events(lines, tiles.where(within), build.shop),
            job,
            called="visits",
        )


def _tiles(build: Night) -> DataFrame:
    """The tiles, which hold all lines.

    Raises:
        WrongInput: if they do not.
    """
    table = member_days(build.shop)
    through = build.built(table).through_batch
    is_new = F.col("batch_no") > through
    if through < build.through_batch and not build.read(ORDER_LINES).where(is_new).isEmpty():
        raise WrongInput(f"{table.name} holds lines through batch {through} alone: run jobs/build_days.py first")
    return build.read(table)


if __name__ == "__main__":
    command(
        BuildEvents,
        lambda config: run(session("build_events", config.env), config),
        says=__doc__ or "",
        config="conf/jobs/build_events.yaml",
    )
