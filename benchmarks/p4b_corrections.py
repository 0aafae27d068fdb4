"""P4b: corrections to 1 % of the members at an existing release, against a rebuild of the same.

    python -m benchmarks.p4b_corrections --events 1000000
    make bench-data ONLY=P4b

A lake is released; then a batch lands that forgot or takes back lines of one member in a hundred, all over their past.
Timed are the shipped jobs that bring tiles, totals, features and labels up to date, and the same jobs with these tables
empty. It is done twice: with corrections that we know of from the day on which they came, and as a load of the past,
which serving is taken to have known all along and which therefore changes every row of those members.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

import build_days
import build_features
import label
import refresh
from benchmarks import engines, results, simulated_lake
from benchmarks.arguments import Arguments, benchmark
from benchmarks.engines import Started
from benchmarks.gold_build import against_rebuild, released
from benchmarks.measure import at_least
from benchmarks.simulated_lake import Lake
from tenure.contracts.gold import LABELS, MEMBER_TOTALS, member_days, member_features
from tenure.contracts.shop import Shop
from tenure.contracts.table import Table

ONE_IN = 100  # members who are corrected
CORRECTED_BY = "benchmarks/p4b_corrections.py"
EVERY = 8  # of their lines: one is taken back, the next one was forgotten

_NEW_LINE, _NEW_ORDER = 1 << 59, 1 << 45  # an order number that the simulator never prints


@dataclass(frozen=True, kw_only=True)
class Kind:
    """When the corrections are known: from ``arrived_on`` on, or all along where they are a load of the past."""

    name: str
    is_of_the_past: bool

    def arrived_on(self, newest: date) -> date | None:
        return None if self.is_of_the_past else newest


KINDS = (
    Kind(name="known from now on", is_of_the_past=False),
    Kind(name="a load of the past", is_of_the_past=True),
)


def built(shop: Shop) -> tuple[Table, ...]:
    return (member_days(shop), MEMBER_TOTALS, member_features(shop), LABELS)


def build(spark: SparkSession, lake: Lake) -> None:
    where = {"env": lake.env, "source": lake.source}
    build_days.run(spark, build_days.BuildDays(**where))
    build_features.run(spark, build_features.BuildFeatures(**where))
    label.run(spark, label.Label(**where))


def run(arguments: Arguments) -> list[results.Result]:
    running = engines.spark(arguments.work)
    return [each for kind in KINDS for each in measured(running, kind, arguments)]


def measured(running: Started[SparkSession], kind: Kind, arguments: Arguments) -> list[results.Result]:
    base, peer = landed(running.engine, kind, arguments), f"rebuild, {kind.name}"
    tables, lines = built(base.source.shop), simulated_lake.order_lines(base.landing)
    return against_rebuild(
        "P4b", running, base, build, tables, arguments, ours="corrections", peer=peer, goal=at_least(5), lines=lines
    )


def landed(spark: SparkSession, kind: Kind, arguments: Arguments) -> Lake:
    """A released lake in which a batch of corrections is clean, and in no gold table."""
    base = released(spark, arguments.work, arguments.events)
    landing = base.landing
    folder = simulated_lake.named(landing.parent / "corrections", [CORRECTED_BY])
    corrections = simulated_lake.kept(folder, lambda folder: correct(landing, folder))
    name = landing.parent / f"corrected_{kind.name.replace(' ', '_')}"
    corrected = Lake(work=simulated_lake.named(name, [*simulated_lake.JOBS, CORRECTED_BY]), landing=landing)

    def make(folder: Path) -> None:
        base.copied(folder)
        arrived_on = kind.arrived_on(simulated_lake.last_day(landing))
        night = refresh.Refresh(
            env=corrected.env,
            source=corrected.source_of(corrections),
            arrived_on=arrived_on,
            historical=kind.is_of_the_past,
        )
        refresh._land_and_clean(spark, night)

    simulated_lake.kept(corrected.work, make)
    return corrected


def correct(landing: Path, folder: Path) -> None:
    """Order files that correct one member in a hundred: of every eight lines one is taken back as a whole within the
    minute, and the next one's order is told once more under another number, as if it had been forgotten."""
    lines = ds.dataset(landing / "orders", format="parquet")
    mine = pa.Table.from_batches(map(_corrected_members, lines.to_batches()), lines.schema)
    mine = mine.sort_by([("member", "ascending"), ("sold_at", "ascending"), ("export_id", "ascending")])
    place = np.arange(len(mine)) % EVERY
    rows = pa.concat_tables([_taken_back(mine.filter(pa.array(place == 0))), mine.filter(pa.array(place == 1))])
    new = np.arange(len(rows), dtype=np.int64)
    rows = _set(rows, export_id=pa.array(new + _NEW_LINE), order_no=pa.array(new + _NEW_ORDER))
    to = folder / "orders" / simulated_lake.last_day(landing).isoformat()
    to.mkdir(parents=True)
    pq.write_table(rows, to / "part-00000.parquet")


def _corrected_members(lines: pa.RecordBatch) -> pa.RecordBatch:
    """The sales of one member in a hundred, by the number that the member's name carries."""
    number = pc.cast(pc.utf8_slice_codeunits(lines["member"], 1, 9), pa.int64()).to_numpy()
    is_sale = ~lines["is_return"].to_numpy(zero_copy_only=False)
    return lines.filter(pa.array((number % ONE_IN == 0) & is_sale))


def _taken_back(sales: pa.Table) -> pa.Table:
    return _set(
        sales,
        sold_at=pc.add(sales["sold_at"], pa.scalar(timedelta(minutes=1))),
        units=pc.cast(pc.negate(sales["units"]), sales.schema.field("units").type),
        amount=pc.negate(sales["amount"]),
        discount=pa.array(np.zeros(len(sales))),
        coupon=pa.array(np.zeros(len(sales))),
        is_return=pa.array(np.ones(len(sales), bool)),
    )


def _set(rows: pa.Table, **columns: pa.Array | pa.ChunkedArray) -> pa.Table:
    for name, values in columns.items():
        rows = rows.set_column(rows.schema.get_field_index(name), name, values)
    return rows


if __name__ == "__main__":
    benchmark(run, says=__doc__ or "")
