"""P4a: the jobs' Delta write, with the table properties that ship, against plain Parquet of the same rows.

    python -m benchmarks.p4a_delta_write --events 20000000
    make bench-data ONLY=P4a

Two tables: ``order_lines`` as ``jobs/clean.py`` writes it (one batch put in the place of itself, flags counted as they
pass), and ``member_days`` as ``jobs/build_days.py`` does (partitioned by bucket, sorted by member). Plain Parquet gets
the same rows in the same layout; reading them is part of both, and its seconds are told apart.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from benchmarks import engines, results
from benchmarks.arguments import Arguments, benchmark
from benchmarks.engines import Started
from benchmarks.gold_build import Folders, released
from benchmarks.measure import Peer, Runner, at_most, compare, timed_pass
from benchmarks.simulated_lake import Lake, Unequal, fingerprint
from tenure.contracts.gold import member_days
from tenure.contracts.landing import RAW_ORDERS
from tenure.contracts.silver import ORDER_LINES
from tenure.contracts.table import Table
from tenure.spark import delta
from tenure.spark.cleaning import flags_of
from tenure.spark.schema import struct


@dataclass(frozen=True, kw_only=True)
class Write:
    """One table's rows, and how a job writes them."""

    table: Table
    rows: DataFrame
    by_job: Callable[[DataFrame, str], object]

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
    found = [each for write in writes(running.engine, lake) for each in measured(running, write, arguments)]
    shutil.rmtree(arguments.work / "p4a", ignore_errors=True)
    return found


def measured(running: Started[SparkSession], write: Write, arguments: Arguments) -> list[results.Result]:
    spark, start_s = running
    seconds, _ = timed_pass(write.read_alone)
    ours, theirs = Folders(arguments.work / "p4a" / "delta"), Folders(arguments.work / "p4a" / "parquet")
    peer = f"plain Parquet, {write.table.name}"
    sides = {"Delta": ours, peer: theirs}

    def equal(_: Peer) -> None:
        plain = spark.read.schema(struct(write.table)).parquet(str(theirs.newest))
        write.refuse_unequal(delta.read(spark, str(ours.newest), write.table), plain)

    rows = write.rows.count()
    return compare(
        "P4a",
        Runner(
            name="Delta",
            run=lambda: write.by_job(write.rows, str(ours.newest)),
            settings=delta.properties(write.table),
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
        events=arguments.events,
        packages=("pyspark", "delta-spark"),
        facts=lambda _: {"rows": rows, "reading_alone_s": round(seconds, 3)},
    )


def writes(spark: SparkSession, lake: Lake) -> list[Write]:
    tiles = member_days(lake.source.shop)
    return [
        Write(
            table=ORDER_LINES,
            rows=delta.read(spark, lake.root, ORDER_LINES),
            by_job=lambda rows, root: as_clean_does(rows, root, lake),
        ),
        Write(
            table=tiles,
            rows=delta.read(spark, lake.root, tiles),
            by_job=lambda rows, root: delta.append(rows, root, tiles),
        ),
    ]


def as_clean_does(rows: DataFrame, root: str, lake: Lake) -> None:
    flags = flags_of(lake.source, RAW_ORDERS)
    counts = {f"flag_{n}": F.count_if(F.array_contains("flags", flag)) for n, flag in enumerate(flags)}
    kept = rows.withColumn("has_landed", F.lit(True))
    delta.replace_where(kept, root, ORDER_LINES, "batch_no = 1", counts | {"silver": F.count_if("has_landed")})


if __name__ == "__main__":
    benchmark(run, says=__doc__ or "")
