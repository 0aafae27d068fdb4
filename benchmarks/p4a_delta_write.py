"""P4a: the jobs' Delta write, with the table properties that ship, against plain Parquet of the same rows.

    python -m benchmarks.p4a_delta_write --events 5000000
    make bench-data ONLY=P4a

Timed is what the jobs call into a lake that has neither table yet: ``_write`` of ``jobs/clean.py`` for ``order_lines``,
which counts rows and flags as they pass, and ``opened`` and ``append`` of ``tenure.spark.night`` for ``member_days``,
as ``jobs/build_days.py`` does on a first night (deletion vectors, partitioned by bucket, sorted by member). Plain
Parquet gets the same rows in the same layout. Both take them from a frame that is held in memory, so that reading files
is in neither; what reading that frame takes is told apart. Its size is what bounds the events.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

import clean
from benchmarks import engines, results, simulated_lake
from benchmarks.arguments import Arguments, benchmark
from benchmarks.engines import Started
from benchmarks.gold_build import Folders, released
from benchmarks.measure import Peer, Runner, at_most, compare, timed_pass
from benchmarks.simulated_lake import Lake, Unequal, fingerprint
from tenure.contracts.gold import member_days
from tenure.contracts.landing import RAW_ORDERS
from tenure.contracts.silver import ORDER_LINES
from tenure.contracts.table import Table
from tenure.errors import WrongInput
from tenure.lake.job_run import JobRun
from tenure.spark import delta
from tenure.spark.batch import Batch
from tenure.spark.kept import Kept
from tenure.spark.night import Night
from tenure.spark.schema import struct


@dataclass(frozen=True, kw_only=True)
class Write:
    """One table's rows, and how a job writes them into a lake; ``properties`` are Delta's."""

    table: Table
    rows: DataFrame
    by_job: Callable[[DataFrame, str], object]
    properties: Mapping[str, str]

    def as_parquet(self, to: str) -> None:
        rows = self.rows
        if self.table.sort_by:
            rows = rows.sortWithinPartitions(*self.table.partition_by, *self.table.sort_by)
        rows.write.partitionBy(*self.table.partition_by).parquet(to)

    def read_alone(self) -> None:
        self.rows.write.format("noop").mode("overwrite").save()

    def refuse_unequal(self, ours: DataFrame, theirs: DataFrame) -> None:
        names = list(self.table.names)
        if fingerprint(ours.select(names)) != fingerprint(theirs.select(names)):
            raise Unequal(f"{self.table.name}: Delta holds other rows than plain Parquet")


def run(arguments: Arguments) -> list[results.Result]:
    running = engines.spark(arguments.work)
    lake = released(running.engine, arguments.work, arguments.events)
    found = []
    for write in writes(running.engine, lake):
        with in_memory(running.engine, write.rows) as held:
            found += measured(running, write, held, lake, arguments)
    shutil.rmtree(arguments.work / "p4a", ignore_errors=True)
    return found


@dataclass(frozen=True)
class Held:
    """A frame that is kept in memory: how many rows it has, and what the session held before it."""

    spark: SparkSession
    rows: int
    others: frozenset[int]

    def refuse_on_disk(self) -> None:
        """Raises where the frame does not fit in memory: both sides would read it from files again."""
        ours = [frame for frame in _held(self.spark) if frame.id() not in self.others]
        if any(frame.diskSize() or frame.numCachedPartitions() < frame.numPartitions() for frame in ours):
            raise WrongInput(f"the rows do not fit in the {engines.MEMORY_GB} GB of the driver: give fewer --events")


@contextmanager
def in_memory(
    spark: SparkSession, rows: DataFrame, level: StorageLevel = StorageLevel.MEMORY_AND_DISK_DESER
) -> Iterator[Held]:
    """Holds the frame within, in memory as far as it fits."""
    others = frozenset(frame.id() for frame in _held(spark))
    rows.persist(level)
    try:
        yield Held(spark, rows.count(), others)
    finally:
        rows.unpersist()


def _held(spark: SparkSession) -> Any:
    return spark._jsc.sc().getRDDStorageInfo()  # type: ignore[union-attr]


def measured(
    running: Started[SparkSession], write: Write, held: Held, lake: Lake, arguments: Arguments
) -> list[results.Result]:
    spark, start_s = running
    seconds, _ = timed_pass(write.read_alone)
    ours, theirs = Folders(arguments.work / "p4a" / "delta"), Folders(arguments.work / "p4a" / "parquet")
    peer = f"plain Parquet, {write.table.name}"
    sides = {"Delta": ours, peer: theirs}

    def equal(_: Peer) -> None:
        held.refuse_on_disk()
        plain = spark.read.schema(struct(write.table)).parquet(str(theirs.newest))
        write.refuse_unequal(delta.read(spark, str(ours.newest), write.table), plain)

    return compare(
        "P4a",
        Runner(
            name="Delta",
            run=lambda: write.by_job(write.rows, str(ours.newest)),
            settings=write.properties,
            start_s=start_s,
        ),
        [
            Peer(
                name=peer,
                run=lambda: write.as_parquet(str(theirs.newest)),
                ratio="ours/peer",
                goal=at_most(1.15),
                settings={"compression": "snappy"},
                start_s=start_s,
            )
        ],
        rounds=arguments.rounds,
        prepare=lambda runner: sides[runner.name].fresh(),
        equal=equal,
        noisy=arguments.noisy,
        events=simulated_lake.order_lines(lake.landing),
        packages=("pyspark", "delta-spark"),
        facts=lambda _: {"rows": held.rows, "reading_alone_s": round(seconds, 3)},
    )


def writes(spark: SparkSession, lake: Lake) -> list[Write]:
    tiles = member_days(lake.source.shop)
    return [
        Write(
            table=ORDER_LINES,
            rows=delta.read(spark, lake.root, ORDER_LINES),
            by_job=lambda rows, root: by_clean(rows, root, lake),
            properties=delta.properties(ORDER_LINES),
        ),
        Write(
            table=tiles,
            rows=delta.read(spark, lake.root, tiles),
            by_job=lambda rows, root: by_build_days(rows, root, lake),
            properties=delta.properties(tiles, is_merged_into=True),
        ),
    ]


def by_clean(rows: DataFrame, root: str, lake: Lake) -> clean.Written:
    """The rows as those that a first batch keeps."""
    with Kept() as kept:
        batch = Batch(
            spark=rows.sparkSession,
            root=root,
            source=lake.source,
            secret=b"",
            job=JobRun("clean"),
            kept=kept,
            batch_id="",
            batch_no=1,
            ingested_at=datetime.now(UTC),
            landed={},
        )
        return clean._write(batch, RAW_ORDERS, ORDER_LINES, rows.withColumn("fate", F.lit(None)))


def by_build_days(rows: DataFrame, root: str, lake: Lake) -> int:
    """The rows as the tiles of a first night."""
    shop, last_day = lake.source.shop, simulated_lake.last_day(lake.landing)
    night = Night(spark=rows.sparkSession, root=root, shop=shop, last_complete_day=last_day, through_batch=1)
    night.opened(member_days(shop))
    return night.append(rows, member_days(shop))


if __name__ == "__main__":
    benchmark(run, says=__doc__ or "", events=5_000_000)
