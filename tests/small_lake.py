"""A lake of a small shop, written without Spark: enough for what reads products and interactions through a release."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from deltalake import write_deltalake

from tenure.contracts.control import RELEASES
from tenure.contracts.gold import interactions
from tenure.contracts.shop import Shop
from tenure.contracts.silver import PRODUCTS
from tenure.contracts.table import Table
from tenure.lake.layout import table_path
from tenure.lake.release import Release, newest_release, shop_to_json
from tenure.lake.schema import arrow

NEWEST = date(2026, 5, 1)
SHOP = Shop(
    name="small_shop",
    currency="EUR",
    calendar="Europe/Berlin",
    windows_days=(7, 28, 84),
    activity_days=84,
    horizon_days=28,
    first_as_of=date(2026, 2, 1),
    as_of_every_days=14,
    buckets=4,
)


def write(root: Path, table: Table, rows: list[dict[str, Any]]) -> None:
    blank = dict.fromkeys(table.names)
    write_deltalake(table_path(str(root), table), pa.Table.from_pylist([blank | r for r in rows], schema=arrow(table)))


def product(product_id: str, *, known_on: date = date(2026, 1, 1), is_recommendable: bool = True) -> dict[str, Any]:
    lineage = {"flags": [], "batch_id": "b1", "batch_no": 1, "position": 0}
    return {"product_id": product_id, "known_on": known_on, "is_recommendable": is_recommendable, **lineage}


def purchase(
    member_key: int, product_id: str, day: date, times: int = 1, known_on: date | None = None
) -> dict[str, Any]:
    return {
        "bucket": member_key % SHOP.buckets,
        "member_key": member_key,
        "product_id": product_id,
        "day": day,
        "known_on": known_on or day,
        "times": times,
        "quantity": float(times),
        "spend_minor": 100 * times,
    }


def small_lake(root: Path, purchases: list[dict[str, Any]], products: list[dict[str, Any]]) -> Release:
    write(root, PRODUCTS, products)
    write(root, interactions(SHOP), purchases)
    row = {
        "release_id": "r1",
        "released_at": datetime(2026, 5, 1, tzinfo=UTC),
        "source": SHOP.name,
        "tables": [("products", 0), ("interactions", 0)],
        "fingerprint": "00ff",
        "shop": shop_to_json(SHOP),
        "code_version": "0.1.0",
        "last_complete_day": NEWEST - timedelta(1),
        "newest_as_of": NEWEST,
        "through_batch": 1,
    }
    write(root, RELEASES, [row])
    return newest_release(str(root))


def tastes(*, members: int = 240, products: int = 80, groups: int = 4, visits: int = 24, seed: int = 7) -> list[Any]:
    """Purchases of members who like one of several groups of products; with one group nobody has a taste."""
    rng = np.random.default_rng(seed)
    appeal = rng.dirichlet(np.full(products, 1.0))
    found: dict[tuple[int, str, date], dict[str, Any]] = {}
    for member in range(members):
        likes = np.where(np.arange(products) % groups == member % groups, appeal, appeal / 20)
        for item in rng.choice(products, visits * 2, p=likes / likes.sum()):
            day = NEWEST - timedelta(int(rng.integers(1, 120)))
            found[member, f"p{item}", day] = purchase(member, f"p{item}", day)
    return list(found.values())
