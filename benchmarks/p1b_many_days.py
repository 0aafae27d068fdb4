"""P1b: member features at 12 as_of days from tiles, running totals and members, to Parquet.

    python -m benchmarks.p1b_many_days --events 20000000
    make bench-data ONLY=P1b EVENTS=1000000

Ours is ``tenure.spark.features.member_features``, all days in one pass. DuckDB runs the same query; the loop calls the
same transform once a day.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.sql import DataFrame

from benchmarks import engines
from benchmarks.arguments import Arguments, benchmark
from benchmarks.equality import fingerprint, hold_equal
from benchmarks.features_in_sql import features_of_tiles
from benchmarks.measure import Peer, Runner, at_least, at_most, compare
from benchmarks.results import Result
from benchmarks.tiled_days import Tiles, tiles
from tenure.contracts import gold
from tenure.spark.features import member_features

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

KEY = ["member_key", "as_of"]
Read = tuple[DataFrame, DataFrame, DataFrame]  # members, tiles and totals


def run(given: Arguments) -> list[Result]:
    spark, start_s = engines.spark(given.work, "P1b")
    connected = engines.duckdb_connection(given.work)
    made = tiles(spark, given.work, given.events)
    count = spark.read.parquet(str(made.folder / "member_days")).count()
    print(f"P1b: {count:,} tiles of {made.lines:,} lines; making them took {made.seconds:.0f} s", flush=True)
    read = made.read(spark)  # before the passes: no job has Spark look for a schema in files
    to = {name: given.work / "P1b" / name for name in ("tenure", "DuckDB", "loop over days")}
    ours = Runner(
        name="tenure",
        run=lambda: in_one_pass(read, made, to["tenure"]),
        settings=engines.spark_settings(),
        start_s=start_s,
    )
    duckdb = Peer(
        name="DuckDB",
        run=_duckdb(connected.engine, made, to["DuckDB"]),
        ratio="ours/peer",
        goal=at_most(1.3),
        settings=engines.duckdb_settings(),
        start_s=connected.start_s,
    )
    loop = Peer(
        name="loop over days",
        run=lambda: day_by_day(read, made, to["loop over days"]),
        ratio="peer/ours",
        goal=at_least(3),
        settings=engines.spark_settings(),
        start_s=start_s,
    )
    columns = gold.member_features(made.shop).names
    return compare(
        "P1b",
        ours,
        [duckdb, loop],
        rounds=given.rounds,
        prepare=lambda runner: shutil.rmtree(to[runner.name], ignore_errors=True),
        equal=lambda peer: hold_equal(*(fingerprint(to[n], KEY, columns) for n in ("tenure", peer.name)), peer.name),
        noisy=given.noisy,
        events=made.lines,
        packages=("pyspark", "duckdb", "pyarrow"),
        facts=lambda peer: {"tiles": count, "as_of_days": len(made.as_of)},
    )


def in_one_pass(read: Read, made: Tiles, to: Path) -> None:
    _write(member_features(*read, made.as_of, made.shop), to)


def day_by_day(read: Read, made: Tiles, to: Path) -> None:
    for day in made.as_of:
        _write(member_features(*read, [day], made.shop), to)


def _write(rows: DataFrame, to: Path) -> None:
    rows.write.mode("append").parquet(str(to))


def _duckdb(connection: DuckDBPyConnection, made: Tiles, to: Path) -> Callable[[], None]:
    def run() -> None:
        to.parent.mkdir(parents=True, exist_ok=True)
        features_of_tiles(connection, made.folder, made.as_of, made.shop, to)

    return run


if __name__ == "__main__":
    benchmark(run, says=__doc__ or "")
