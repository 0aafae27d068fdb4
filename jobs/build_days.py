"""Sums what members did on each day into tiles, and their whole lives into running totals.

    spark-submit --properties-file var/jars/spark.properties jobs/build_days.py
    python jobs/build_days.py --set env.work=var/demo

Only member-days of which something new is known are summed again, whatever the size of the lake.
"""

from __future__ import annotations

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from tenure.config.command import command
from tenure.config.env import Env
from tenure.config.settings import Settings
from tenure.config.source import Source
from tenure.contracts.gold import MEMBER_TOTALS
from tenure.contracts.gold import member_days as contract
from tenure.contracts.silver import CAMPAIGN_TOUCHES, ORDER_LINES
from tenure.lake.job_run import JobRun
from tenure.spark.days import member_days
from tenure.spark.kept import Kept
from tenure.spark.lock import only_writer
from tenure.spark.news import days_with_news, news
from tenure.spark.night import Night, night
from tenure.spark.parts import MEMBER_DAY
from tenure.spark.runs import described, job_run
from tenure.spark.session import session
from tenure.spark.totals import member_totals


class BuildDays(Settings):
    env: Env
    source: Source


def run(spark: SparkSession, config: BuildDays) -> None:
    with only_writer(spark, config.env), job_run(spark, config.env.lake_root, "build_days") as job:
        build = night(spark, config.env, config.source)
        _tiles(build, job)
        _totals(build, job)


def _tiles(build: Night, job: JobRun) -> None:
    table = contract(build.shop)
    after = build.opened(table).through_batch
    lines, touches = build.read(ORDER_LINES), build.read(CAMPAIGN_TOUCHES)
    with described(build.spark, f"build_days: look for lines and touches after batch {after}"):
        fresh = news((lines, touches), after)
    job.read["order_lines and campaign_touches"] = fresh.rows
    if not fresh:
        job.nothing_new("no lines or touches that the tiles do not hold")
        return
    what = f"build_days: tiles of {len(fresh.known_on)} days with {fresh.rows:,} new rows"
    with described(build.spark, what), Kept() as kept:
        if after:
            lines, touches = (rows.where(fresh.within("day")) for rows in (lines, touches))
            touched = _touched(lines, touches, kept, after)
            lines, touches = (rows.join(touched, list(MEMBER_DAY), "left_semi") for rows in (lines, touches))
        written = build.put(member_days(lines, touches, build.shop), table, after, fresh)
    job.wrote["member_days"] = written
    job.says(f"{written:,} tiles from {fresh.rows:,} new lines and touches of {len(fresh.known_on)} days")


def _totals(build: Night, job: JobRun) -> None:
    after = build.opened(MEMBER_TOTALS).through_batch
    tiles = build.read(contract(build.shop))
    standing = build.read(MEMBER_TOTALS).where(F.col("superseded_on").isNull())
    with described(build.spark, f"build_days: running totals after batch {after}"), Kept() as kept:
        changed = tiles
        if after:
            lines, touches = build.read(ORDER_LINES), build.read(CAMPAIGN_TOUCHES)
            fresh = news((lines, touches), after)
            if not fresh:
                return
            touched = _touched(lines, touches, kept, after)
            changed = kept(tiles.where(fresh.within("day")).join(touched, list(MEMBER_DAY), "left_semi"))
        rows = member_totals(changed, kept, standing, tiles, build.shop.buckets)
        written = build.merge(rows, MEMBER_TOTALS, None) if after else build.append(rows, MEMBER_TOTALS)
    job.wrote["member_totals"] = written
    job.says(f"{written:,} running totals written")


def _touched(lines: DataFrame, touches: DataFrame, kept: Kept, after: int) -> DataFrame:
    """The member-days of which batches after ``after`` brought anything, each once."""
    return kept.at_hand(days_with_news(lines, after).union(days_with_news(touches, after)).distinct())


if __name__ == "__main__":
    command(
        BuildDays,
        lambda config: run(session("build_days", config.env), config),
        says=__doc__ or "",
        config="conf/jobs/build_days.yaml",
    )
