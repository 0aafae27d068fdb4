"""A market with one row of every kind that a shop's files hold: tests of landing and cleaning."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

import clean
import ingest
from tenure.config.env import Env
from tenure.config.source import Source
from tenure.contracts.control import BATCHES
from tenure.contracts.table import Table
from tenure.errors import WrongInput
from tenure.lake.layout import table_path
from tenure.spark import delta

SECRET = "a secret of the market"
ANNA, BERT, CARL = "anna-4711", "bert-0815", "carl-1234"
HEADER = "order_id,member_id,product_id,at,quantity,paid,store\n"
LONG = "x" * 1_000_000

SOURCE: dict[str, Any] = {
    "name": "market",
    "says": "three members and two fruits",
    "currency": "EUR",
    "calendar": "Europe/Paris",
    "lacks": ["discounts", "campaigns"],
    "categories": ["sweet"],
    "windows_days": [7, 14, 28],
    "churn": {"activity_days": 28, "horizon_days": 7},
    "grid": {"first": "2026-03-08", "every_days": 7},
    "split": {"validation": 1, "test": 1},
    "historical": True,
    "last_complete_day": "2026-03-31",
    "quarantine_limit": 0.5,
    "feeds": {
        "members": {
            "table": "raw_members",
            "files": ["members*.jsonl"],
            "columns": {"member_id": "id", "age_band": "age"},
        },
        "products": {
            "table": "raw_products",
            "files": ["products*.parquet"],
            "columns": {
                "product_id": "id",
                "product_name": "name",
                "category": "kind",
                "is_recommendable": "true",
                "known_on": "cast(since as date)",
            },
        },
        "orders": {
            "table": "raw_orders",
            "files": ["orders*.csv"],
            "columns": {
                "order_id": "order_id",
                "member_id": "member_id",
                "product_id": "product_id",
                "occurred_at": "at",
                "quantity": "cast(quantity as double)",
                "paid_minor": "cast(paid as bigint)",
                "store_id": "store",
                "is_return": "order_id like 'r%'",
            },
        },
    },
    "gaps": [{"table": "raw_orders", "column": "store_id", "fill": "'online'", "rule": "store_filled"}],
    "bounds": [
        {
            "table": "raw_orders",
            "column": "quantity",
            "low": -100,
            "high": 100,
            "outside": "winsorise",
            "rule": "wholesale",
        },
        {"table": "raw_orders", "column": "paid_minor", "high": 10**6, "outside": "quarantine", "rule": "absurd"},
    ],
    "rules": [
        {
            "name": "nothing_moved",
            "table": "raw_orders",
            "says": "no goods and no money",
            "when": "quantity = 0 and paid_minor = 0",
            "fate": "net",
        },
        {"name": "product_unknown", "table": "raw_orders", "says": "not listed", "when": "not is_product_known"},
        {
            "name": "one_box",
            "table": "raw_orders",
            "says": "a box counts as one",
            "when": "store_id = 'boxes'",
            "set": {"quantity": "1D"},
        },
    ],
}
# What becomes of each line stands beside it; positions count from 0.
ORDERS: tuple[tuple[str, str], ...] = (
    (f"o0,{ANNA},apple,2026-03-01 10:00:00,2,200,s1", "kept"),
    (f"o0,{ANNA},apple,2026-03-01 10:00:00,2,200,s1", "exact_duplicate"),
    (f"o0,{ANNA},apple,2026-03-01 10:00:00,3,300,s1", "key_duplicate"),
    (f"o1,{ANNA},pear,2026-03-01 23:30:00,1,150,s1", "kept"),  # half past midnight in Paris
    (f"o2,{ANNA},pear,2026-03-05 10:00:00,0,0,s1", "nothing_moved"),
    (f"o3,{BERT},apple,2026-03-06 10:00:00,2,200,s1", "taken_back_same_day"),
    (f"r3,{BERT},apple,2026-03-06 12:00:00,-2,-200,s1", "taken_back_same_day"),
    (f"o4,{BERT},pear,2026-03-07 10:00:00,5,500,s1", "kept"),
    (f"r4,{BERT},pear,2026-03-10 10:00:00,-2,-200,s1", "kept"),
    (f"r5,{BERT},pear,2026-03-11 10:00:00,-4,-400,s1", "return_without_sale"),  # three are left
    ("o6,,apple,2026-03-07 10:00:00,1,100,s1", "kept"),
    ("r6,,apple,2026-03-08 10:00:00,-1,-100,s1", "kept"),
    (f"o7,{ANNA},apple,2031-01-01 10:00:00,1,100,s1", "in_the_future"),
    (f"o8,{ANNA},apple,2026-03-07 10:00:00,1,-100,s1", "negative_price"),
    (f"o9,{ANNA},apple,2026-03-07 10:00:00,-1,100,s1", "negative_quantity"),
    (f"o10,{ANNA},plum,2026-03-07 10:00:00,1,100,s1", "kept"),
    (f"o11,{ANNA},apple,2026-03-07 10:00:00,many,100,s1", "missing_quantity"),
    (f"o12,{ANNA},apple,2026-03-07 10:00:00,1,100,caf\udce9", "broken_encoding"),
    (f"o13,{ANNA},apple,2026-03-07 10:00:00,1,100,s1,{ANNA}", "unreadable_line"),
    (f"o14,{ANNA},apple,2026-03-07 10:00:00,5000,100,s1", "kept"),
    (f"o15,{ANNA},apple,2026-03-07 10:00:00,1,100,", "kept"),
    (f"o16,{ANNA},apple,2026-03-07 10:00:00,12,100,boxes", "kept"),
    (f"o17,{ANNA},apple,2026-03-07 10:00:00,1,99999999,s1", "absurd"),
    (f"o18,{ANNA},apple,2026-03-07T10:00:00+02:00,1,100,{LONG}", "kept"),
    (f"r19,{BERT},pear,2026-03-12 10:00:00,1,-100,s1", "positive_return"),
)
MEMBERS = f'{{"id":"{ANNA}","age":"30"}}\n{{"id":"{CARL}","age":"40"}}\n{{"id":null,"age":"50"}}\n'
PRODUCTS = [("apple", "Apple", "sweet"), ("pear", "Pear", "sweet")]


def write_orders(path: Path, lines: Iterable[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # A lone surrogate is one byte that is no UTF-8.
    path.write_text(HEADER + "".join(f"{line}\n" for line in lines), encoding="utf-8", errors="surrogateescape")


def write_products(path: Path, products: Iterable[tuple[str, str, str]], since: str = "2026-01-01") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    ids, names, kinds = zip(*products, strict=True)
    pq.write_table(pa.table({"id": ids, "name": names, "kind": kinds, "since": [since] * len(ids)}), path)


def land_first(folder: Path) -> Path:
    write_orders(folder / "orders.csv", (line for line, _ in ORDERS))
    write_products(folder / "products.parquet", PRODUCTS)
    (folder / "members.jsonl").write_text(MEMBERS)
    return folder


def source(folder: Path, **settings: Any) -> Source:
    return Source.model_validate({**SOURCE, "data": str(folder), **settings})


def landed(
    spark: SparkSession,
    work: Path,
    folder: Path,
    arrived_on: date | None = None,
    historical: bool | None = None,
    **settings: Any,
) -> bool:
    """``historical`` as the job is told, of old files that come today unless said otherwise; ``settings`` are the
    source's."""
    of_source = source(folder, **settings)
    if historical is None and arrived_on is None and path_of(work, BATCHES).exists():
        historical = False
    told = {"arrived_on": arrived_on, "historical": historical}
    return ingest.run(spark, ingest.Ingest(env=Env(work=str(work)), source=of_source, **told))


def assert_refused(spark, work: Path, match: str, **settings) -> None:
    """The landing is refused with that sentence; no batch arrived, and the landing files are as they were."""
    before = {path: path.read_bytes() for path in (work / "landing").rglob("*") if path.is_file()}
    batches = number_of_rows(spark, work, BATCHES)
    with pytest.raises(WrongInput, match=match):
        landed(spark, work, work / "landing", **settings)
    assert number_of_rows(spark, work, BATCHES) == batches
    assert {path: path.read_bytes() for path in before} == before


def cleaned(spark: SparkSession, work: Path, **settings: Any) -> tuple[int, ...]:
    return clean.run(spark, clean.Clean(env=Env(work=str(work)), source=source(work, **settings)))


def rows(spark: SparkSession, work: Path, table: Table) -> list[dict[str, Any]]:
    held = delta.read(spark, str(work / "lake"), table).collect()
    return sorted((row.asDict() for row in held), key=str)


def number_of_rows(spark: SparkSession, work: Path, table: Table) -> int:
    root = str(work / "lake")
    return delta.read(spark, root, table).count() if delta.exists(spark, root, table) else 0


def bronze(spark: SparkSession, work: Path, feed: str) -> list[dict[str, Any]]:
    path = f"{work}/lake/bronze/raw_{feed}"
    held = delta.load(spark, path).orderBy("batch_no", "position").collect()
    return [row.asDict(recursive=True) for row in held]


def path_of(work: Path, table: Table) -> Path:
    return Path(table_path(str(work / "lake"), table))
