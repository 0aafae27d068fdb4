"""P4c: what one new day costs, against a rebuild of all days.

    python -m benchmarks.p4c_new_day --events 1000000
    make bench-data ONLY=P4c

A lake holds a history that is released; a day has landed and is clean. Timed is the part of ``jobs/refresh.py`` that
builds gold: once as in any night, and once with gold empty. Both lakes must hold the same rows in every gold table.
"""

from __future__ import annotations

import shutil
from itertools import count
from pathlib import Path

from pyspark.sql import SparkSession

import refresh
from benchmarks import simulated_lake
from benchmarks.arguments import Arguments, benchmark
from benchmarks.measure import Peer, Runner, at_least, compare
from benchmarks.simulated_lake import Lake
from tenure.contracts.gold import gold_tables


class Build:
    """One side: gold of a lake's copy, from whatever of it is there."""

    def __init__(self, spark: SparkSession, base: Lake, folder: Path, *, from_nothing: bool) -> None:
        self._spark, self._base, self._folder, self._from_nothing = spark, base, folder, from_nothing
        self._number = count()
        self.lake = base

    def prepare(self) -> None:
        """A fresh copy, in a folder of its own: Delta remembers the logs of those it has seen."""
        if self.lake is not self._base:
            shutil.rmtree(self.lake.work)
        self.lake = self._base.copied(self._folder / str(next(self._number)))
        if self._from_nothing:
            shutil.rmtree(f"{self.lake.root}/gold")

    def run(self) -> None:
        refresh._build(self._spark, refresh.Refresh(env=self.lake.env, source=self.lake.source))


def run(arguments: Arguments) -> None:
    base, spark = landed(arguments)
    folder = arguments.work / "p4c"
    shutil.rmtree(folder, ignore_errors=True)
    sides = {"one new day": Build(spark, base, folder / "ours", from_nothing=False)}
    sides["rebuild of all days"] = Build(spark, base, folder / "peer", from_nothing=True)
    ours, theirs = sides.values()
    compare(
        "P4c",
        Runner(name="one new day", run=ours.run),
        [Peer(name="rebuild of all days", run=theirs.run, ratio="peer/ours", goal=at_least(15))],
        rounds=arguments.rounds,
        prepare=lambda runner: sides[runner.name].prepare(),
        equal=lambda peer: simulated_lake.refuse_unequal(spark, ours.lake, theirs.lake, gold_tables(base.source.shop)),
        noisy=arguments.noisy,
        events=arguments.events,
        packages=("pyspark", "delta-spark"),
        folder=arguments.results,
    )
    shutil.rmtree(folder)


def landed(arguments: Arguments) -> tuple[Lake, SparkSession]:
    """A lake whose history is released and whose newest day is clean but in no gold table."""
    landing = simulated_lake.shop(arguments.work, arguments.events)
    newest = simulated_lake.last_day(landing)
    history, night = simulated_lake.divided(landing, landing.parent / "divided", newest)
    lake = Lake(work=landing.parent / "new_day", landing=night)
    spark = simulated_lake.spark_of(lake)

    def make(folder: Path) -> None:
        refresh.run(spark, refresh.Refresh(env=lake.env, source=lake.source_of(history)))
        refresh._land_and_clean(spark, refresh.Refresh(env=lake.env, source=lake.source, arrived_on=newest))

    simulated_lake.kept(lake.work, make)
    return lake, spark


if __name__ == "__main__":
    benchmark(run, says=__doc__ or "")
