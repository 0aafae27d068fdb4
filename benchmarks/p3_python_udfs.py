"""P3: the feature transforms against the same in Python UDFs: what a row tells by itself, and member features whole.

    python -m benchmarks.p3_python_udfs --events 20000000
    make bench-data ONLY=P3 EVENTS=1000000

Two parts, both read from Parquet and written nowhere (``noop``), so that what is compared is the work and not the
writing.

- A row: ratios, categories seen and stage, ``tenure.spark.features.told_by_a_row``. The rows are features of a
  simulated shop at 12 as_of days, each so often that there are about as many as ``--events``: what a row costs does not
  depend on the others.
- Windows: ``tenure.spark.features.member_features`` at one ``as_of``, from members, tiles and totals. Its shop is the
  one that P1b has for as many ``--events``, though of no more than 4.52 M.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from benchmarks import engines, machine, rows_in_python, windows_in_python
from benchmarks.arguments import Arguments, benchmark
from benchmarks.engines import Started
from benchmarks.equality import fingerprint, hold_equal
from benchmarks.measure import Peer, Runner, at_least, compare
from benchmarks.results import Result
from benchmarks.simulated_lake import Unequal, kept, named
from benchmarks.tiled_days import Tiles, tiles
from tenure.contracts import gold
from tenure.spark.features import member_features, told_by_a_row

MOST_LINES = 800_000  # of the shop that the rows come from
MOST_LINES_OF_WINDOWS = 4_520_000
KEY = ("member_key", "as_of")
OURS = "tenure"
PACKAGES = ("pyspark", "pandas", "pyarrow", "numpy")
Way = Callable[[], DataFrame]


def run(given: Arguments) -> list[Result]:
    started = engines.spark(given.work, "P3")
    return [*_of_rows(started, given), *_of_windows(started, given)]


def _of_rows(started: Started[SparkSession], given: Arguments) -> list[Result]:
    spark = started.engine
    made = tiles(spark, given.work, min(4 * given.events, MOST_LINES))
    where = given.work / f"{made.folder.name}-rows-{given.events}-in-{machine.cores()}"
    folder = kept(named(where, ("benchmarks/p3_python_udfs.py",)), partial(_rows, spark, made, given.events))
    rows = spark.read.parquet(str(folder / "rows"))
    count, tasks = rows.count(), hold_busy(rows)
    by = {
        "pickled UDF": rows_in_python.pickled(made.shop),
        "pandas UDF": rows_in_python.pandas(made.shop),
        "Arrow UDF": rows_in_python.arrow(made.shop),
    }
    ways: dict[str, Way] = {
        OURS: lambda: told_by_a_row(rows, made.shop),
        **{name: partial(rows_in_python.by, udf, rows, made.shop) for name, udf in by.items()},
    }
    return compare(
        "P3",
        *_sides(ways, started.start_s),
        rounds=given.rounds,
        equal=lambda peer: hold_equal(*(_sums(ways[name]()) for name in (OURS, peer.name)), peer.name),
        noisy=given.noisy,
        events=count,
        packages=PACKAGES,
        facts=lambda peer: {"tasks": tasks},
    )


def _of_windows(started: Started[SparkSession], given: Arguments) -> list[Result]:
    spark = started.engine
    made = tiles(spark, given.work, min(given.events, MOST_LINES_OF_WINDOWS))
    as_of = made.as_of[0]
    read = made.read(spark)
    ways: dict[str, Way] = {
        OURS: lambda: member_features(*read, (as_of,), made.shop),
        "pickled UDF, windows": lambda: windows_in_python.by_pickled(read, as_of, made.shop),
        "pandas UDF, windows": lambda: windows_in_python.by_pandas(read, as_of, made.shop),
        "Arrow UDF, windows": lambda: windows_in_python.by_arrow(read, as_of, made.shop),
    }
    sums = partial(_fingerprint, made, given.work / "P3")
    counts = {name: rows.count() for name, rows in zip(("members", "tiles", "totals"), read, strict=True)}
    return compare(
        "P3",
        *_sides(ways, started.start_s),
        rounds=given.rounds,
        equal=lambda peer: hold_equal(*(sums(ways[name](), name) for name in (OURS, peer.name)), peer.name),
        noisy=given.noisy,
        events=made.lines,
        packages=PACKAGES,
        facts=lambda peer: {**counts, "as_of_days": 1},
    )


def _sides(ways: dict[str, Way], start_s: float) -> tuple[Runner, list[Peer]]:
    def nowhere(name: str) -> Callable[[], None]:
        return lambda: ways[name]().write.format("noop").mode("overwrite").save()

    settings = engines.spark_settings()
    ours = Runner(name=OURS, run=nowhere(OURS), settings=settings, start_s=start_s)
    return ours, [
        Peer(name=name, run=nowhere(name), ratio="peer/ours", goal=at_least(10), settings=settings, start_s=start_s)
        for name in ways
        if name != OURS
    ]


def _rows(spark: SparkSession, made: Tiles, wanted: int, to: Path) -> None:
    features = member_features(*made.read(spark), made.as_of, made.shop)
    features.select(*KEY, *rows_in_python.inputs(made.shop)).write.parquet(str(to / "once"))
    once = spark.read.parquet(str(to / "once"))
    times = max(1, round(wanted / once.count()))
    # All rows for each copy, not all copies of each row: side by side Parquet makes next to nothing of them.
    copies = spark.range(times).withColumnRenamed("id", "copy").crossJoin(F.broadcast(once))
    spread(copies, to / "rows", leave_out=("copy",))


def spread(rows: DataFrame, to: Path, leave_out: tuple[str, ...] = ()) -> None:
    """A file a core, so that no core is idle in ours where others have Python beside a single task. Dealt by hash:
    however many rows there are, none waits in memory and none is sorted."""
    rows.repartition(machine.cores(), *rows.columns).drop(*leave_out).write.parquet(str(to))


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


def _fingerprint(made: Tiles, work: Path, rows: DataFrame, name: str) -> dict[str, object]:
    """Of all columns of the features; numbers may differ by a billionth, for they were added up in another order."""
    to = work / name.replace(", ", " ").replace(" ", "-")
    rows.write.mode("overwrite").parquet(str(to))
    return fingerprint(to, KEY, gold.member_features(made.shop).names)


if __name__ == "__main__":
    benchmark(run, says=__doc__ or "")
