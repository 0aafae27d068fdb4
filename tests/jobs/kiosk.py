"""A kiosk of seven members and its nights: landing files small enough to read, for tests of whole refreshes."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

import refresh
from tenure.config.env import Env
from tenure.config.source import Source
from tenure.contracts.gold import gold_tables
from tenure.contracts.silver import SILVER_TABLES
from tenure.contracts.table import Table
from tenure.lake.release import newest_release

SECRET = "a secret of the kiosk"
SOURCE: dict[str, Any] = {
    "name": "kiosk",
    "says": "seven members and four products",
    "currency": "EUR",
    "calendar": "Europe/Berlin",
    "lacks": ["discounts"],
    "categories": ["food", "fuel"],
    "windows_days": [3, 7, 21],
    "churn": {"activity_days": 21, "horizon_days": 7},
    "grid": {"first": "2026-01-22", "every_days": 7},
    "split": {"validation": 1, "test": 1},
    "buckets": 2,
    "quarantine_limit": 0.2,
    "feeds": {
        "members": {
            "table": "raw_members",
            "files": ["members.csv"],
            "columns": {"member_id": "member", "registered_on": "cast(since as date)", "age_band": "age"},
        },
        "campaigns": {
            "table": "raw_campaigns",
            "files": ["campaigns.csv"],
            "columns": {
                "campaign_id": "campaign",
                "starts_on": "cast(first as date)",
                "ends_on": "cast(last as date)",
            },
        },
        "touches": {
            "table": "raw_touches",
            "files": ["touches.csv"],
            "columns": {
                "member_id": "member",
                "campaign_id": "campaign",
                "touch_kind": "kind",
                "touched_on": "cast(at as date)",
            },
        },
        "products": {
            "table": "raw_products",
            "files": ["products.csv"],
            "columns": {
                "product_id": "product_id",
                "product_name": "name",
                "category": "category",
                "is_recommendable": "true",
                "known_on": "cast(since as date)",
            },
        },
        "orders": {
            "table": "raw_orders",
            "files": ["orders.csv"],
            "columns": {
                "order_id": "order_id",
                "member_id": "member_id",
                "product_id": "product_id",
                "occurred_at": "cast(at as timestamp)",
                "quantity": "cast(quantity as double)",
                "paid_minor": "cast(paid as bigint)",
                "is_return": "cast(quantity as double) < 0",
            },
        },
    },
}
PRODUCTS = (
    "product_id,name,category,since\nbread,Bread,food,2025-12-31\nmilk,Milk,food,2025-12-31\ngas,Gas,fuel,2025-12-31\n"
)


@dataclass(frozen=True)
class Night:
    """What landed; without a day of arrival it is a load of the past."""

    orders: str
    products: str | None = None
    arrived_on: date | None = None
    members: str | None = None
    campaigns: str | None = None
    touches: str | None = None


# order, member, product, time in UTC, quantity, cents
FIRST = Night(
    """\
a1,ann,bread,2026-01-02 09:00:00,1,300
a1,ann,milk,2026-01-02 09:00:00,2,240
a2,ann,bread,2026-01-20 09:00:00,1,300
a3,ann,gas,2026-02-03 09:00:00,30,4500
a4,ann,milk,2026-02-10 18:30:00,1,120
b1,bob,bread,2026-01-05 10:00:00,2,600
b2,bob,milk,2026-01-25 10:00:00,1,120
c1,cyd,gas,2026-01-10 11:00:00,20,3000
d1,dan,bread,2026-01-22 12:00:00,1,300
d2,dan,bread,2026-01-22 17:00:00,1,300
d3,dan,milk,2026-02-09 12:00:00,1,120
x1,,bread,2026-02-01 12:00:00,1,300
""",
    products=PRODUCTS,
    members="ann,2026-01-01,30\nbob,2026-01-03,40\ngus,2026-01-20,50\n",
    campaigns="spring,2026-01-30,2026-02-20\n",
    touches="ann,spring,targeted,\nbob,spring,targeted,\nann,spring,redeemed,2026-02-03\n",
)
# Eve, tea and a campaign of the summer are new, Eve registers on the day on which she is seen, Ann is a year older;
# Bob's line of 5 February comes late; Ann's gas and Dan's second bread are taken back.
SECOND = Night(
    """\
e1,eve,bread,2026-02-13 09:00:00,1,300
a5,ann,bread,2026-02-14 09:00:00,1,300
b3,bob,bread,2026-02-05 10:00:00,1,300
r1,ann,gas,2026-02-15 09:00:00,-30,-4500
r2,dan,bread,2026-02-15 12:00:00,-1,-300
""",
    products="product_id,name,category,since\ntea,Tea,food,2026-02-16\n",
    arrived_on=date(2026, 2, 16),
    members="eve,2026-02-12,20\nann,2026-01-01,31\n",
    campaigns="summer,2026-06-01,2026-06-30\n",
    touches="bob,spring,redeemed,2026-02-14\nann,spring,targeted,\n",
)
# Milk becomes fuel, which must not move what was sold before; Fay is new.
THIRD = Night(
    """\
f1,fay,milk,2026-02-17 09:00:00,1,120
e2,eve,milk,2026-02-20 09:00:00,3,360
c2,cyd,gas,2026-02-22 09:00:00,10,1500
r3,ann,bread,2026-02-21 09:00:00,-1,-300
""",
    products="product_id,name,category,since\nmilk,Milk,fuel,2026-02-18\n",
    arrived_on=date(2026, 2, 23),
    members="fay,2026-02-17,\nbob,2026-01-03,40\n",
    campaigns="spring,2026-01-30,2026-03-01\n",
    touches="eve,spring,targeted,2026-02-20\n",
)
# A forgotten file of January, which serving of that time is taken to have known.
FORGOTTEN = Night("c0,cyd,bread,2026-01-08 11:00:00,1,300\n")
NIGHTS = (FIRST, SECOND, THIRD, FORGOTTEN)


def land(folder: Path, night: Night) -> Path:
    folder.mkdir(parents=True)
    (folder / "orders.csv").write_text("order_id,member_id,product_id,at,quantity,paid\n" + night.orders)
    if night.products:
        (folder / "products.csv").write_text(night.products)
    headers = {"members": "member,since,age", "campaigns": "campaign,first,last", "touches": "member,campaign,kind,at"}
    for name, header in headers.items():
        if rows := getattr(night, name):
            (folder / f"{name}.csv").write_text(f"{header}\n{rows}")
    return folder


def config(work: Path, folder: Path, night: Night, **settings: Any) -> refresh.Refresh:
    return refresh.Refresh(
        env=Env(work=str(work), spark_master="local[2]", driver_memory="1g"),
        source=Source.model_validate({**SOURCE, "data": str(folder), **settings}),
        arrived_on=night.arrived_on,
        historical=night.arrived_on is None,
    )


def refreshed(
    spark: SparkSession, work: Path, folder: Path, night: Night, *, anew: bool = False, **settings: Any
) -> str:
    return refresh.run(spark, config(work, folder, night, **settings).model_copy(update={"anew": anew}))


_LAKES: dict[int, Path] = {}


def landed(number: int, folder: Path) -> Path:
    """The folder of a night's files; the same one in all tests."""
    at = folder / "kiosk" / str(number)
    return at if at.is_dir() else land(at, NIGHTS[number])


def lake_after(spark: SparkSession, nights: int, folder: Path) -> Path:
    """A lake after the first nights, to be read or copied only: made once for all tests, each from the one before."""
    if nights not in _LAKES:
        work = folder / "kiosk" / f"after_{nights}"
        if nights > 1:
            shutil.copytree(lake_after(spark, nights - 1, folder), work)
        refreshed(spark, work, landed(nights - 1, folder), NIGHTS[nights - 1])
        _LAKES[nights] = work
    return _LAKES[nights]


def tables() -> tuple[Table, ...]:
    return (*SILVER_TABLES, *gold_tables(Source.model_validate(SOURCE).shop))


def release_id(work: Path) -> str:
    return newest_release(str(work / "lake")).release_id


def rows(work: Path, table: Table) -> list[tuple[Any, ...]]:
    """What readers of the newest release see, in one order."""
    seen = newest_release(str(work / "lake")).read(table).to_pylist()
    return sorted(tuple(map(str, row.values())) for row in seen)


def everything(work: Path) -> dict[str, list[tuple[Any, ...]]]:
    return {table.name: rows(work, table) for table in tables()}
