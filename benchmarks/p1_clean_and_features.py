"""P1: order lines cleaned (types, duplicates, bounds, quarantine) and member features at one as_of, to Parquet.

    python -m benchmarks.p1_clean_and_features --events 20000000
    make bench-data ONLY=P1 EVENTS=1000000

Ours is what ships: the mapping, ``silver.orders``, tiles, totals and features. DuckDB does the same in SQL; the plain
idiom does it in PySpark as one would write it on a first day, with Spark's own settings.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from zlib import crc32

import pyarrow.dataset as ds
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from benchmarks import engines, spark_idiom
from benchmarks.arguments import Arguments, benchmark
from benchmarks.clean_in_sql import clean_to_parquet
from benchmarks.equality import Fingerprint, fingerprint, hold_equal
from benchmarks.features_in_sql import features_of_lines
from benchmarks.landed_lines import SECRET, Lines, empty, lines
from benchmarks.measure import Peer, Runner, at_least, at_most, compare
from benchmarks.results import Result
from tenure.contracts import gold
from tenure.contracts.control import QUARANTINE, REPLACED
from tenure.contracts.landing import RAW_ORDERS
from tenure.contracts.silver import CAMPAIGN_TOUCHES, MEMBERS, ORDER_LINES
from tenure.spark import silver
from tenure.spark.cleaning import QUARANTINED
from tenure.spark.days import member_days
from tenure.spark.features import member_features
from tenure.spark.kept import Kept
from tenure.spark.mapping import mapped
from tenure.spark.pseudonyms import with_member_key
from tenure.spark.schema import conform
from tenure.spark.set_aside import as_landed, taken
from tenure.spark.totals import member_totals

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

OUTPUTS = ("order_lines", "quarantine", "replaced", "member_features")


@dataclass(frozen=True)
class Tenure:
    """The shipped transforms, one after the other, as jobs/clean.py, build_days.py and build_features.py call them."""

    spark: SparkSession
    lines: Lines
    to: Path

    def run(self) -> None:
        self.clean()
        self.build()

    def clean(self) -> None:
        source, feed = self.lines.source, self.lines.source.feeds["orders"]
        bronze = self.spark.read.parquet(str(self.lines.orders))
        catalogue = self.spark.read.parquet(str(self.lines.products))
        before, replaced = (empty(self.spark, table) for table in (ORDER_LINES, REPLACED))
        with Kept() as kept:
            rows = mapped(bronze, feed).withColumn("feed", F.lit("orders"))
            keyed = with_member_key(rows, SECRET)
            judged = silver.orders(keyed, kept, source, catalogue, before, replaced, F.lit(self.lines.newest_day))
            self._write(conform(judged.where("fate is null"), ORDER_LINES), "order_lines")
            aside = kept(as_landed(kept.at_hand(taken(judged, RAW_ORDERS.name)), bronze, feed))
            is_quarantined = F.col("fate") == QUARANTINED
            self._write(conform(aside.where(is_quarantined), QUARANTINE), "quarantine")
            self._write(conform(aside.where(~is_quarantined), REPLACED), "replaced")

    def build(self) -> None:
        shop, as_of = self.lines.source.shop, [self.lines.as_of]
        order_lines = self.spark.read.parquet(str(self.to / "order_lines"))
        touches = empty(self.spark, CAMPAIGN_TOUCHES)
        with Kept() as kept:
            tiles = kept(member_days(order_lines, touches, shop))
            totals = member_totals(tiles, kept, empty(self.spark, gold.MEMBER_TOTALS), tiles, shop.buckets)
            members = silver.unregistered(silver.first_seen(order_lines, touches), empty(self.spark, MEMBERS))
            self._write(member_features(members, tiles, totals, as_of, shop), "member_features")

    def _write(self, rows: DataFrame, name: str) -> None:
        rows.write.mode("overwrite").parquet(str(self.to / name))


def run(given: Arguments) -> list[Result]:
    running = engines.spark(given.work, "P1")
    spark, connected, plain = running.engine, engines.duckdb_connection(given.work), engines.plain_spark(running)
    landed = lines(spark, given.work, given.events)
    print(f"P1: {landed.rows:,} order lines landed; making them took {landed.seconds:.0f} s", flush=True)
    folders = {name: given.work / "P1" / name for name in ("tenure", "duckdb", "idiom")}
    ours = Runner(
        name="tenure",
        run=Tenure(spark, landed, folders["tenure"]).run,
        settings=engines.spark_settings(),
        start_s=running.start_s,
    )
    duckdb = Peer(
        name="DuckDB",
        run=_duckdb(connected.engine, landed, folders["duckdb"]),
        ratio="ours/peer",
        goal=at_most(2.5),
        settings=engines.duckdb_settings(),
        start_s=connected.start_s,
    )
    idiom = Peer(
        name="plain PySpark idiom",
        run=lambda: spark_idiom.clean_and_features(plain.engine, landed, folders["idiom"]),
        ratio="peer/ours",
        goal=at_least(4),
        settings=engines.AS_SHIPPED_BY_SPARK,
        start_s=plain.start_s,
    )
    of = {duckdb.name: folders["duckdb"], idiom.name: folders["idiom"]}

    def equal(peer: Peer) -> None:
        hold_equal(outputs(folders["tenure"], landed), outputs(of[peer.name], landed), peer.name)

    return compare(
        "P1",
        ours,
        [duckdb, idiom],
        rounds=given.rounds,
        prepare=lambda runner: _emptied(folders["tenure"] if runner is ours else of[runner.name]),
        equal=equal,
        noisy=given.noisy,
        events=landed.rows,
        packages=("pyspark", "duckdb", "pyarrow"),
        facts=lambda peer: {"fates": _fates(folders["tenure"])},
    )


def _duckdb(connection: DuckDBPyConnection, landed: Lines, to: Path) -> Callable[[], None]:
    def run() -> None:
        to.mkdir(parents=True, exist_ok=True)
        clean_to_parquet(connection, landed, to)
        features_of_lines(connection, landed, to)

    return run


def _emptied(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def outputs(folder: Path, landed: Lines) -> Fingerprint:
    """Of every column that means the same on all sides; ``line_key`` and ``replaced_by`` are hashes of each engine's
    own, and ``row`` is compared by its cells, as engines differ in whether they write one that is null."""
    found: Fingerprint = dict(_fates(folder))
    tables = {
        "order_lines": (ORDER_LINES.names, ["position"]),
        "quarantine": (QUARANTINE.names, ["position"]),
        "replaced": (REPLACED.names, ["position"]),
        "member_features": (gold.member_features(landed.source.shop).names, ["member_key"]),
    }
    for name, (names, key) in tables.items():
        told = [column for column in names if column not in ("line_key", "replaced_by", "row")]
        for what, value in fingerprint(folder / name, key, told).items():
            found[f"{name}: {what}"] = value
    for name in ("quarantine", "replaced"):
        found[f"{name}: row"] = _cells(folder / name)
    return found


def _fates(folder: Path) -> dict[str, object]:
    """How many rows were kept, with which flags, and how many each rule took out."""
    found: Counter[str] = Counter()
    for batch in _batches(folder / "order_lines", ["flags"]):
        found["kept"] += batch.num_rows
        found.update(f"flag {flag}" for flag in batch.column("flags").flatten().to_pylist())
    for name in ("quarantine", "replaced"):
        for batch in _batches(folder / name, ["rule"]):
            found.update(f"{name} {rule}" for rule in batch.column("rule").to_pylist())
    return dict(sorted(found.items()))


def _cells(folder: Path) -> int:
    """A sum over the rows as they landed, of a checksum of each row's position and its cells that are not null."""
    total = 0
    for batch in _batches(folder, ["position", "row"]):
        for position, row in zip(batch.column("position").to_pylist(), batch.column("row").to_pylist(), strict=True):
            cells = sorted((name, str(value)) for name, value in json.loads(row).items() if value is not None)
            total += crc32(repr((position, cells)).encode())
    return total


def _batches(folder: Path, columns: list[str]):  # type: ignore[no-untyped-def]
    files = sorted(map(str, folder.rglob("*.parquet")))
    return ds.dataset(files, format="parquet").to_batches(columns=columns)


if __name__ == "__main__":
    benchmark(run, says=__doc__ or "")
