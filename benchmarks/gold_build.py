"""One side of a benchmark that builds gold: copies of a lake, and the jobs that run on each."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path

from deltalake import DeltaTable
from pyspark.sql import SparkSession

import refresh
from benchmarks import engines, results, simulated_lake
from benchmarks.arguments import Arguments
from benchmarks.engines import Started
from benchmarks.measure import Goal, Peer, Runner, compare
from benchmarks.simulated_lake import Lake, Unequal
from tenure.contracts.table import Table
from tenure.lake.layout import table_path

Jobs = Callable[[SparkSession, Lake], object]


class Build:
    """Jobs on a fresh copy of a lake, from whatever gold tables of it are there: all, or all but ``without``."""

    def __init__(self, base: Lake, folder: Path, jobs: Jobs, *, without: Sequence[Table] = ()) -> None:
        self._base, self._jobs, self._without = base, jobs, without
        self._folders = Folders(folder)
        self.lake = base

    def prepare(self) -> None:
        self.lake = self._base.copied(self._folders.fresh())
        for table in self._without:
            shutil.rmtree(table_path(self.lake.root, table))

    def run(self, spark: SparkSession) -> None:
        self._jobs(spark, self.lake)

    def refuse_idle(self, tables: Sequence[Table]) -> None:
        """Raises where the jobs left all ``tables`` as they were: there was nothing to build."""
        if all(_version(self.lake, table) == _version(self._base, table) for table in tables):
            names = ", ".join(table.name for table in tables)
            raise Unequal(f"nothing was new to {names} of {self._base.work}: delete that folder, it is made again")


def _version(lake: Lake, table: Table) -> int:
    return DeltaTable(table_path(lake.root, table)).version()


def against_rebuild(
    id: str,
    running: Started[SparkSession],
    base: Lake,
    jobs: Jobs,
    tables: Sequence[Table],
    arguments: Arguments,
    *,
    ours: str,
    peer: str,
    goal: Goal,
    lines: int,
) -> list[results.Result]:
    """The jobs on a lake where ``tables`` lack only what is new, against the same jobs with these tables empty.

    Args:
        lines: how many order lines the lake holds.
    """
    (spark, start_s), folder = running, arguments.work / id.lower()
    new, all_of_it = Build(base, folder / "ours", jobs), Build(base, folder / "peer", jobs, without=tables)
    sides = {ours: new, peer: all_of_it}

    def hold_equal(_: Peer) -> None:
        new.refuse_idle(tables)
        simulated_lake.refuse_unequal(spark, new.lake, all_of_it.lake, tables)

    found = compare(
        id,
        Runner(name=ours, run=lambda: new.run(spark), settings=engines.spark_settings(), start_s=start_s),
        [
            Peer(
                name=peer,
                run=lambda: all_of_it.run(spark),
                ratio="peer/ours",
                goal=goal,
                settings=engines.spark_settings(),
                start_s=start_s,
            )
        ],
        rounds=arguments.rounds,
        prepare=lambda runner: sides[runner.name].prepare(),
        equal=hold_equal,
        noisy=arguments.noisy,
        events=lines,
        packages=("pyspark", "delta-spark"),
    )
    shutil.rmtree(folder)
    return found


class Folders:
    """A folder of its own for each pass, for Delta remembers the logs of those it has seen; only the newest stays."""

    def __init__(self, above: Path) -> None:
        self._above, self._number = above, count()
        shutil.rmtree(above, ignore_errors=True)
        self.newest = above

    def fresh(self) -> Path:
        """The next one's path; nothing is there yet."""
        shutil.rmtree(self._above, ignore_errors=True)
        self.newest = self._above / str(next(self._number))
        return self.newest


def released(spark: SparkSession, work: Path, events: int) -> Lake:
    """A whole shop with about so many order lines, released."""
    landing = simulated_lake.shop(work, events)
    lake = Lake(work=simulated_lake.named(landing.parent / "released", simulated_lake.JOBS), landing=landing)
    simulated_lake.kept(lake.work, lambda _: refresh.run(spark, refresh.Refresh(env=lake.env, source=lake.source)))
    return lake
