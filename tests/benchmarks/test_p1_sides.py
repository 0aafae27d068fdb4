"""All sides of P1 and of P1b make the same of a few hundred lines with every kind of fault."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import functions as F

pytest.importorskip("duckdb")

from benchmarks import engines, p1b_many_days, spark_idiom, tiled_days
from benchmarks.clean_in_sql import clean_to_parquet
from benchmarks.engines import Started
from benchmarks.equality import fingerprint, hold_equal
from benchmarks.features_in_sql import features_of_lines, features_of_tiles
from benchmarks.landed_lines import Lines, empty, source_of
from benchmarks.p1_clean_and_features import Tenure, outputs
from benchmarks.tiled_days import Tiles

from tenure.contracts import gold
from tenure.contracts.silver import ORDER_LINES, PRODUCTS
from tenure.lake.schema import arrow

LAST_DAY = date(2025, 6, 30)
MEMBERS = [f"M{number:08d}{number % 97:02d}" for number in (101, 202, 303, 404, 505, 606, 707, 808)]
CATEGORIES = {"P1": "groceries", "P2": "drinks", "P3": "clothing", "P4": "fuel"}  # the last one is none of the shop's


def line(number, rng):
    """A plain line of the last 120 days, a third of them exported late."""
    at = datetime(2025, 6, 29, 20, tzinfo=UTC) - timedelta(days=int(rng.integers(120)), minutes=int(rng.integers(600)))
    late = int(rng.integers(1, 30)) if rng.random() < 0.3 else 0
    return {
        "export_id": number,
        "order_no": 7000 + number // 2,
        "member": str(rng.choice(MEMBERS)),
        "sku": str(rng.choice(list(CATEGORIES))),
        "sold_at": f"{at:%Y-%m-%d %H:%M:%S.%f}Z",
        "units": str(int(rng.integers(1, 4))),
        "amount": f"{rng.integers(1, 9000) / 100:.2f}",
        "discount": f"{rng.integers(0, 300) / 100:.2f}",
        "coupon": str(rng.choice(["0", "0.5"])),
        "store": "web",
        "is_return": False,
        "exported_on": min(at.date() + timedelta(days=late), LAST_DAY),
    }


FAULTS = {
    "quarantine missing_product_id": {"sku": None},
    "quarantine missing_occurred_at": {"sold_at": "yesterday"},
    "quarantine missing_quantity": {"units": " "},
    "quarantine missing_paid_minor": {"amount": "n/a"},
    "quarantine garbled_text": {"store": "Caf\u00c3\u00a9"},
    "quarantine member_unknown": {"member": "M0000010199"},
    "quarantine product_unknown": {"sku": "P9"},
    "quarantine clock_wrong": {"sold_at": "2025-05-02 01:30:00Z", "exported_on": date(2025, 5, 3)},
    "quarantine in_the_future": {"exported_on": date(2025, 7, 1)},
    "quarantine negative_price": {"amount": "-3.20"},
    "quarantine negative_quantity": {"units": "-2"},
    "quarantine discount_minor_out_of_range": {"discount": "-0.10"},
    "flag quantity_beyond_reason": {"units": "400"},
}


def landed_lines():
    rng = np.random.default_rng(7)
    lines = [line(number, rng) for number in range(300)]
    for number, changed in enumerate([*FAULTS.values(), *FAULTS.values()]):
        lines[11 * number] |= changed
    lines[5] |= {"member": None}
    first = lines[1]
    again = datetime.strptime(first["sold_at"], "%Y-%m-%d %H:%M:%S.%fZ") + timedelta(minutes=3)
    lines += [first, lines[2] | {"units": "9"}, first | {"order_no": 1, "sold_at": f"{again:%Y-%m-%d %H:%M:%S.%f}Z"}]
    return lines


@pytest.fixture(scope="module")
def lines(tmp_path_factory):
    """As bronze and silver's catalogue hold them, as plain Parquet."""
    folder, landed = tmp_path_factory.mktemp("landed"), landed_lines()
    rows = {
        "landed": landed,
        "batch_id": ["b"] * len(landed),
        "batch_no": [1] * len(landed),
        "source_file": [f"orders/part-{number % 3}.parquet" for number in range(len(landed))],
        "position": list(range(len(landed))),
        "arrived_on": pa.nulls(len(landed), pa.date32()),
    }
    # P2 was in another category until June.
    versions = [(sku, category, date(2025, 6, 1) if sku == "P2" else date(2025, 1, 1))
                for sku, category in CATEGORIES.items()] + [("P2", "books", date(2025, 1, 1))]  # fmt: skip
    told = {"flags": [], "batch_id": "b", "batch_no": 1, "position": 0, "is_recommendable": True}
    names = ("product_id", "category", "known_on")
    products = [told | dict(zip(names, version, strict=True)) for version in versions]
    for name, table in (("orders", pa.table(rows)), ("products", pa.Table.from_pylist(products, arrow(PRODUCTS)))):
        (folder / name).mkdir()
        pq.write_table(table, folder / name / "part-0.parquet")
    return Lines(
        orders=folder / "orders",
        products=folder / "products",
        source=source_of(folder),
        rows=len(landed),
        last_day=LAST_DAY,
        seconds=0.0,
    )


@pytest.fixture
def duckdb(tmp_path):
    connection = engines.duckdb_connection(tmp_path).engine
    yield connection
    connection.close()


def test_all_sides_clean_the_lines_alike_and_come_to_the_same_features(spark, duckdb, lines, tmp_path):
    sides = {name: tmp_path / name for name in ("tenure", "DuckDB", "plain PySpark idiom")}
    Tenure(spark, lines, sides["tenure"]).run()
    sides["DuckDB"].mkdir()
    clean_to_parquet(duckdb, lines, sides["DuckDB"])
    features_of_lines(duckdb, lines, sides["DuckDB"])
    plain = engines.plain_spark(Started(spark, 0.0)).engine
    plain.conf.set("spark.sql.shuffle.partitions", 2)
    spark_idiom.clean_and_features(plain, lines, sides["plain PySpark idiom"])
    ours, *others = (outputs(folder, lines) for folder in sides.values())
    assert FAULTS.keys() | {"flag near_duplicate", "replaced exact_duplicate", "replaced key_duplicate"} <= ours.keys()
    assert ours["member_features: rows"] == len(MEMBERS)
    for name, theirs in zip(list(sides)[1:], others, strict=True):
        hold_equal(ours, theirs, name)


def test_all_sides_make_the_same_features_of_many_days_of_tiles(spark, duckdb, lines, tmp_path):
    tiled_days._build(spark, lines, tmp_path / "tiles")
    as_of = tuple(LAST_DAY - timedelta(days=days) for days in (7, 35, 63))
    made = Tiles(folder=tmp_path / "tiles", shop=lines.source.shop, as_of=as_of, lines=lines.rows, seconds=0.0)
    read = made.read(spark)
    p1b_many_days.in_one_pass(read, made, tmp_path / "tenure")
    p1b_many_days.day_by_day(read, made, tmp_path / "loop over days")
    features_of_tiles(duckdb, made.folder, made.as_of, made.shop, tmp_path / "DuckDB")
    names = gold.member_features(made.shop).names
    ours, *others = (
        fingerprint(tmp_path / name, p1b_many_days.KEY, names) for name in ("tenure", "loop over days", "DuckDB")
    )
    assert ours["rows"] > len(MEMBERS)
    for theirs in others:
        hold_equal(ours, theirs, "a peer")


def test_an_empty_table_is_none_to_the_optimiser(spark):
    joined = spark.range(3).join(empty(spark, ORDER_LINES), F.col("id") == F.col("position"), "left_anti")
    assert "Join" not in joined._jdf.queryExecution().optimizedPlan().toString()
