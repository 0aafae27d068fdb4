"""Lakes of a simulated shop that benchmarks begin from: landed, cleaned and released by the shipped jobs, and kept.

The shop is the simulator's own (``conf/jobs/simulate_shop.yaml``): some 90 order lines a member in 280 days, and every
other setting as shipped. A lake is made once for a size and for the code and settings that make it, which its folder's
name tells, and copied for each pass. In a copy the data files are links to those of the original: Delta and Parquet
never change a file in place, only what lies in ``_delta_log`` is rewritten.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from benchmarks import machine
from tenure.config.env import Env
from tenure.config.settings import load, read_yaml
from tenure.config.source import Source
from tenure.contracts.landing import CLEANED_TABLES
from tenure.contracts.table import Table
from tenure.errors import TenureError
from tenure.simulation.settings import SimulateShop
from tenure.simulation.simulate import simulate
from tenure.spark import delta
from tenure.spark.cleaning import hashed

LINES_A_MEMBER = 97  # by which members are simulated for a size; they have 90 to 94 each, and results count those
DAYS = 280
SOURCE = "conf/sources/simulated.yaml"
# What clean reads; the others would only be copied.
FEEDS = tuple(table.name.removeprefix("raw_") for table in CLEANED_TABLES)
SIMULATOR = ("conf/jobs/simulate_shop.yaml", *(f"libs/tenure/{name}" for name in ("contracts", "lake", "simulation")))
_ROOMS = ("config", "contracts", "lake", "lifecycle", "privacy", "spark")
JOBS = (SOURCE, "jobs", *(f"libs/tenure/{name}" for name in _ROOMS))
_ROOT = Path(__file__).parents[1]
_DONE = "is_whole"


class Unequal(TenureError):
    """The two sides of a benchmark came to different outputs, so their times say nothing."""

    exit_code = 3


@dataclass(frozen=True, kw_only=True)
class Lake:
    """A folder with a shop's landing files and what jobs made of them."""

    work: Path
    landing: Path

    @property
    def env(self) -> Env:
        return Env(work=str(self.work), spark_master=f"local[{machine.cores()}]", driver_memory="8g")

    @property
    def root(self) -> str:
        return self.env.lake_root

    @property
    def source(self) -> Source:
        return self.source_of(self.landing)

    def source_of(self, landing: Path) -> Source:
        return Source.model_validate({**read_yaml(SOURCE), "data": str(landing)})

    def copied(self, to: Path) -> Lake:
        """The same lake elsewhere, in the place of what is there."""
        shutil.rmtree(to, ignore_errors=True)
        # Without the mark: what is made of the copy is not whole yet.
        shutil.copytree(self.work, to, copy_function=_linked, ignore=shutil.ignore_patterns(_DONE))
        return Lake(work=to, landing=self.landing)


def _linked(source: str, to: str) -> str:
    is_for_ever = Path(source).suffix in (".parquet", ".bin") and "_delta_log" not in Path(source).parts
    (os.link if is_for_ever else shutil.copy2)(source, to)
    return to


def kept(folder: Path, make: Callable[[Path], object]) -> Path:
    """``folder``, made where it is not there or was left half-made."""
    if not (folder / _DONE).exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        make(folder)
        (folder / _DONE).touch()
    return folder


def named(folder: Path, made_by: Sequence[str], said: Sequence[str] = ()) -> Path:
    """``folder`` with the ``digest`` of what decides its content in its name: after a change another one is made."""
    return folder.with_name(f"{folder.name}-{digest(made_by, said)}")


def digest(made_by: Sequence[str], said: Sequence[str] = ()) -> str:
    """Ten hex digits.

    Args:
        made_by: files, and folders of modules, whose text is read.
        said: settings.
    """
    found = hashlib.sha256("\0".join(said).encode())
    for path in (file for name in made_by for file in _texts(_ROOT / name)):
        found.update(path.relative_to(_ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    return found.hexdigest()[:10]


def _texts(path: Path) -> list[Path]:
    return sorted(path.rglob("*.py")) if path.is_dir() else [path]


def shop(work: Path, events: int, overrides: Sequence[str] = (), name: str = "shop") -> Path:
    """Landing files of a shop with nearly so many order lines."""
    members = max(1, round(events / LINES_A_MEMBER))
    return simulated(work / f"{name}-{members}", members, DAYS, overrides) / "landing"


def simulated(folder: Path, members: int, days: int, overrides: Sequence[str] = ()) -> Path:
    """A shop of those members, in the simulator's own words."""
    said = [f"members={members}", f"days={days}", f"feeds=[{','.join(FEEDS)}]", "truth.counterfactuals=false"]
    said.append("largest_partition=65536")  # few files a day, as a shop's own systems would drop them
    said.extend(overrides)
    return kept(named(folder, SIMULATOR, said), partial(_simulate, [*said, f"processes={machine.cores()}"]))


def _simulate(overrides: list[str], folder: Path) -> None:
    outcome = simulate(load(SimulateShop, "conf/jobs/simulate_shop.yaml", [*overrides, f"folder={folder}"]))
    shutil.rmtree(folder / "truth")
    print(f"{outcome.rows['orders']:,} order lines simulated in {outcome.seconds:.0f} s", flush=True)


def divided(landing: Path, folder: Path, first_night: date) -> tuple[Path, Path]:
    """The landing files before a day, and those of that day and later, as two folders of links."""

    def divide(folder: Path) -> None:
        for path in landing.glob("*/*/*"):
            part = "nights" if date.fromisoformat(path.parent.name) >= first_night else "history"
            to = folder / part / path.relative_to(landing)
            to.parent.mkdir(parents=True, exist_ok=True)
            os.link(path, to)

    kept(folder, divide)
    return folder / "history", folder / "nights"


def order_lines(landing: Path) -> int:
    """How many have landed."""
    return int(ds.dataset(landing / "orders", format="parquet").count_rows())


def last_day(landing: Path) -> date:
    """The newest day of which orders were exported."""
    return max(date.fromisoformat(folder.name) for folder in (landing / "orders").iterdir())


def fingerprint(rows: DataFrame) -> tuple[Any, ...]:
    """How many rows there are, and a sum over their hashes: the same for the same rows in any order."""
    # Two hashes with different seeds: what one misses by chance the other does not.
    first = hashed(*rows.columns)
    hashes = [first, F.xxhash64(F.lit("again"), *rows.columns, first)]
    sums = [F.sum(value.cast("decimal(20,0)")) for value in hashes]
    found = rows.agg(F.count(F.lit(1)), *sums).first()
    assert found is not None
    return tuple(found)


def refuse_unequal(spark: SparkSession, ours: Lake, theirs: Lake, tables: Sequence[Table]) -> None:
    """Raises where the two lakes' tables do not hold the same rows."""
    for table in tables:
        mine, other = (fingerprint(delta.read(spark, lake.root, table)) for lake in (ours, theirs))
        if mine != other:
            raise Unequal(f"{table.name}: ours has {mine[0]:,} rows, the other {other[0]:,}, or their values differ")
