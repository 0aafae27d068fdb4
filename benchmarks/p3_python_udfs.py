"""P3: what a row of features tells by itself (ratios, categories seen, stage), against the same in Python UDFs.

    python -m benchmarks.p3_python_udfs --events 20000000
    make bench-data ONLY=P3 EVENTS=1000000

Ours is ``tenure.spark.features.told_by_a_row``. The rows are features of a simulated shop at 12 as_of days, repeated
until there are as many as wanted: what a row costs does not depend on the others. They are read from Parquet and go
nowhere (``noop``), so that what is compared is the work and not the writing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from benchmarks import engines, machine, rows_in_python
from benchmarks.arguments import Arguments, benchmark
from benchmarks.equality import hold_equal
from benchmarks.measure import Peer, Runner, at_least, compare
from benchmarks.results import Result
from benchmarks.simulated_lake import Unequal, kept, named
from benchmarks.tiled_days import Tiles, tiles
from tenure.contracts.shop import Shop
from tenure.spark.features import member_features, told_by_a_row

MOST_LINES = 800_000  # of the shop that the rows come from
KEY = ("member_key", "as_of")
Way = Callable[[DataFrame, Shop], DataFrame]


def run(given: Arguments) -> list[Result]:
    spark, start_s = engines.spark(given.work, "P3")
    made = tiles(spark, given.work, min(4 * given.events, MOST_LINES))
    where = given.work / f"{made.folder.name}-rows-{given.events}-in-{machine.cores()}"
    folder = kept(named(where, ("benchmarks/p3_python_udfs.py",)), partial(_rows, spark, made, given.events))
    rows = spark.read.parquet(str(folder / "rows"))
    count, tasks = rows.count(), hold_busy(rows)
    ways: dict[str, Way] = {
        "tenure": told_by_a_row,
        "pickled UDF": partial(rows_in_python.by, rows_in_python.pickled(made.shop)),
        "pandas UDF": partial(rows_in_python.by, rows_in_python.pandas(made.shop)),
        "Arrow UDF": partial(rows_in_python.by, rows_in_python.arrow(made.shop)),
    }

    def nowhere(name: str) -> Callable[[], None]:
        return lambda: ways[name](rows, made.shop).write.format("noop").mode("overwrite").save()

    settings = engines.spark_settings()
    peers = [
        Peer(name=name, run=nowhere(name), ratio="peer/ours", goal=at_least(10), settings=settings, start_s=start_s)
        for name in list(ways)[1:]
    ]
    return compare(
        "P3",
        Runner(name="tenure", run=nowhere("tenure"), settings=settings, start_s=start_s),
        peers,
        rounds=given.rounds,
        equal=lambda peer: hold_equal(*(_sums(ways[n](rows, made.shop)) for n in ("tenure", peer.name)), peer.name),
        noisy=given.noisy,
        events=count,
        packages=("pyspark", "pandas", "pyarrow", "numpy"),
        facts=lambda peer: {"tasks": tasks},
    )


def _rows(spark: SparkSession, made: Tiles, wanted: int, to: Path) -> None:
    features = member_features(*made.read(spark), made.as_of, made.shop)
    features.select(*KEY, *rows_in_python.inputs(made.shop)).write.parquet(str(to / "once"))
    once = spark.read.parquet(str(to / "once"))
    times = -(-wanted // once.count())
    spread(once.crossJoin(F.broadcast(spark.range(times))).drop("id").limit(wanted), to / "rows")


def spread(rows: DataFrame, to: Path) -> None:
    """A file a core: a limit leaves one partition, and so one task for ours, where others have Python beside theirs."""
    rows.repartition(machine.cores()).write.parquet(str(to))


def hold_busy(rows: DataFrame) -> int:
    """How many tasks read the rows; raises where some core would have none."""
    tasks = rows.rdd.getNumPartitions()
    if tasks < machine.cores():
        raise Unequal(f"the rows are read by {tasks} tasks, and there are {machine.cores()} cores")
    return tasks


def _sums(rows: DataFrame) -> dict[str, object]:
    """For each column a sum of hashes of its values together with the row's key."""
    # Spark counts bits in 32 bits and Python in 64: the same number, another hash.
    told = [F.col(field.name).cast(field.dataType) for field in rows_in_python.TOLD]
    sums = [
        F.sum(F.xxhash64(*KEY, value).cast("decimal(20,0)")).cast("string").alias(name)
        for name, value in zip(rows_in_python.OUTPUTS, told, strict=True)
    ]
    found = rows.agg(F.count(F.lit(1)).alias("rows"), *sums).first()
    assert found is not None
    return found.asDict()


if __name__ == "__main__":
    benchmark(run, says=__doc__ or "")
