"""A small shop to simulate in tests: the shipped settings with fewer products, and how to read what it wrote."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds

from tenure.config.settings import load
from tenure.simulation.settings import SimulateShop

SETTINGS = Path(__file__).parents[3] / "conf" / "jobs" / "simulate_shop.yaml"


def small_shop(folder: Path, *overrides: str) -> SimulateShop:
    sizes = ("members=40", "days=50", "processes=1", "catalogue.products=300", "truth.first_as_of=28")
    return load(SimulateShop, SETTINGS, [f"folder={folder}", *sizes, *overrides])


def rows(folder: Path, name: str, *, before: str = "9999") -> list[str]:
    """The rows of a feed or truth table, each with its day's folder, in an order of their own."""
    found = []
    for day in sorted((folder / name).iterdir()) if (folder / name).is_dir() else []:
        if day.name < before:
            found += [f"{day.name} {row}" for row in ds.dataset(day).to_table().to_pylist()]
    return sorted(found)


def table(folder: Path, name: str) -> pa.Table:
    return ds.dataset(sorted((folder / name).rglob("*.parquet"))).to_table()
