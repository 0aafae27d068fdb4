"""A simulated shop that lands night by night, with all its faults, comes to the lake that it comes to at once."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from tests.jobs import kiosk

import ingest
import refresh
from tenure.config.env import Env
from tenure.config.settings import load
from tenure.config.source import Source
from tenure.contracts.control import QUARANTINE, REPLACED
from tenure.contracts.gold import gold_tables
from tenure.contracts.silver import SILVER_TABLES
from tenure.contracts.table import Table
from tenure.lake.release import newest_release
from tenure.simulation.settings import SimulateShop
from tenure.simulation.simulate import simulate

# A base and three nights of Spark jobs, and the base and the last of them once more.
pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]

SOURCE = Path("conf/sources/simulated.yaml")
MEMBERS, DAYS, NIGHTS = 150, 114, 3  # the first labels, of 26 March, mature in the nights
FAULTS = ("faults.strength=1", "faults.late_day=0.2", "faults.late_file=0.02", "faults.exact_duplicate=0.01")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Landing files of all days but the last, and of three nights."""
    folder = tmp_path_factory.mktemp("shop") / "simulated"
    feeds = f"feeds=[{', '.join(source().feeds)}]"
    sizes = (f"members={MEMBERS}", f"days={DAYS}", f"nights={NIGHTS}", "processes=1", "catalogue.products=300")
    simulate(load(SimulateShop, "conf/jobs/simulate_shop.yaml", [f"folder={folder}", feeds, *sizes, *FAULTS]))
    return folder


def source(data: Path | None = None) -> Source:
    return load(Source, SOURCE, [f"data={data}"] if data else [])


def landed(shop: Path) -> list[tuple[Path, date | None]]:
    """The folders in the order in which they land, each with its day of arrival; the first is a load of the past."""
    nights = sorted((shop / "nights").iterdir())
    assert len(nights) == NIGHTS
    return [(shop / "landing", None), *((night, date.fromisoformat(night.name)) for night in nights)]


@pytest.fixture(scope="module")
def lakes(spark: SparkSession, shop: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One refreshed after every landing, and one after the last."""
    works = {name: tmp_path_factory.mktemp(name) / "work" for name in ("by_nights", "at_once")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TENURE_MEMBER_KEY_SECRET", kiosk.SECRET)
        for name, work in works.items():
            env = Env(work=str(work), spark_master="local[2]", driver_memory="1g")
            for place, (folder, arrived_on) in enumerate(landed(shop)):
                told = {"env": env, "source": source(folder), "arrived_on": arrived_on}
                if name == "by_nights" or place == NIGHTS:
                    refresh.run(spark, refresh.Refresh(**told))
                else:
                    ingest.run(spark, ingest.Ingest(**told))
    return works


@pytest.mark.parametrize("table", [*SILVER_TABLES, *gold_tables(source().shop)], ids=lambda table: table.name)
def test_nights_come_to_the_lake_that_all_days_come_to_at_once(lakes: dict[str, Path], table: Table) -> None:
    by_nights, at_once = (kiosk.rows(lakes[name], table) for name in ("by_nights", "at_once"))
    assert by_nights
    assert by_nights == at_once


def test_so_does_what_silver_does_not_hold(lakes: dict[str, Path]) -> None:
    for table in (QUARANTINE, REPLACED):
        by_nights, at_once = (kiosk.rows(lakes[name], table) for name in ("by_nights", "at_once"))
        assert by_nights == at_once, table.name


def test_the_nights_brought_late_rows_faults_and_new_members(lakes: dict[str, Path], shop: Path) -> None:
    lake = newest_release(str(lakes["by_nights"] / "lake"))
    first = min(arrived_on for _, arrived_on in landed(shop) if arrived_on)
    lines = lake.read(next(table for table in SILVER_TABLES if table.name == "order_lines"), ["day", "known_on"])
    late = [row for row in lines.to_pylist() if row["known_on"] >= first > row["day"]]
    assert late
    quarantined = lake.read(QUARANTINE, ["batch_no"]).to_pylist()
    assert {row["batch_no"] for row in quarantined} >= {1, 2}
