"""P4c: what one new day costs, against a rebuild of all days.

    python -m benchmarks.p4c_new_day --events 1000000
    make bench-data ONLY=P4c

A lake holds a history that is released; a day has landed and is clean. Timed is the part of ``jobs/refresh.py`` that
builds gold: once as in any night, and once with gold empty. Both lakes must hold the same rows in every gold table.
"""

from __future__ import annotations

from pathlib import Path

from pyspark.sql import SparkSession

import refresh
from benchmarks import engines, results, simulated_lake
from benchmarks.arguments import Arguments, benchmark
from benchmarks.gold_build import against_rebuild
from benchmarks.measure import at_least
from benchmarks.simulated_lake import Lake
from tenure.contracts.gold import gold_tables


def build(spark: SparkSession, lake: Lake) -> None:
    refresh._build(spark, refresh.Refresh(env=lake.env, source=lake.source))


def run(arguments: Arguments) -> list[results.Result]:
    running = engines.spark(arguments.work)
    landing = simulated_lake.shop(arguments.work, arguments.events)
    base, lines = landed(running.engine, landing), simulated_lake.order_lines(landing)
    tables, names = gold_tables(base.source.shop), {"ours": "one new day", "peer": "rebuild of all days"}
    return against_rebuild("P4c", running, base, build, tables, arguments, **names, goal=at_least(15), lines=lines)


def landed(spark: SparkSession, landing: Path) -> Lake:
    """A lake whose history is released and whose newest day is clean but in no gold table."""
    newest = simulated_lake.last_day(landing)
    history, night = simulated_lake.divided(landing, landing.parent / "divided", newest)
    lake = Lake(work=simulated_lake.named(landing.parent / "new_day", simulated_lake.JOBS), landing=night)

    def make(folder: Path) -> None:
        refresh.run(spark, refresh.Refresh(env=lake.env, source=lake.source_of(history)))
        refresh._land_and_clean(spark, refresh.Refresh(env=lake.env, source=lake.source, arrived_on=newest))

    simulated_lake.kept(lake.work, make)
    return lake


if __name__ == "__main__":
    benchmark(run, says=__doc__ or "")
