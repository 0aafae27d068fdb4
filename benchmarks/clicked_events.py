"""What members of a simulated shop did in its site and app, as Parquet of ``member_key`` and ``occurred_at`` (P2)."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from benchmarks import machine
from benchmarks.landed_lines import SECRET
from benchmarks.simulated_lake import DAYS, SIMULATOR, kept, named
from tenure.config.settings import load
from tenure.simulation.settings import SimulateShop
from tenure.simulation.simulate import simulate
from tenure.spark.pseudonyms import with_member_key

EVENTS_A_MEMBER = 637  # of the shipped shop in its 280 days


@dataclass(frozen=True, kw_only=True)
class Events:
    folder: Path
    rows: int
    seconds: float  # that making them took in this run; 0 where they were there


def events(spark: SparkSession, work: Path, wanted: int) -> Events:
    """About so many; made on the first call for a size."""
    began = time.monotonic()
    members = max(1, round(wanted / EVENTS_A_MEMBER))
    said = [f"members={members}", f"days={DAYS}", "feeds=[events]", "truth.counterfactuals=false"]
    landed = kept(named(work / f"clicks-{members}", SIMULATOR, said), partial(_simulate, said))
    keyed = named(work / f"{landed.name}-keyed", ("benchmarks/clicked_events.py", "libs/tenure/spark/pseudonyms.py"))
    folder = kept(keyed, lambda to: _key(spark, landed, to)) / "events"
    return Events(folder=folder, rows=spark.read.parquet(str(folder)).count(), seconds=time.monotonic() - began)


def _simulate(said: Sequence[str], folder: Path) -> None:
    where = [f"processes={machine.cores()}", f"folder={folder}"]
    simulate(load(SimulateShop, "conf/jobs/simulate_shop.yaml", [*said, *where]))
    shutil.rmtree(folder / "truth", ignore_errors=True)


def _key(spark: SparkSession, landed: Path, to: Path) -> None:
    """One file a core and day is a reader's worst case; a few files are what a table would hold."""
    rows = spark.read.parquet(str(landed / "landing" / "events" / "*"))
    keyed = with_member_key(rows.select(F.col("member").alias("member_id"), F.col("at").alias("occurred_at")), SECRET)
    keyed = keyed.drop("member_id")
    keyed.coalesce(8).write.option("compression", "snappy").parquet(str(to / "events"))
