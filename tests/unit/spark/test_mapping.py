"""What a feed's expressions make of landed rows."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from tests.entry_points import ROOT

from tenure.config.settings import load
from tenure.config.source import Feed, Source
from tenure.spark.landing_files import read_files
from tenure.spark.mapping import IS_BROKEN, mapped

HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
# Two lines of goods as UCI Online Retail writes them, the second without a letter that UTF-8 writes otherwise.
INVOICES = f"""{HEADER}536365,85123A,CAFÉ AU LAIT HOLDER,6,12/1/2010 8:26,2.55,17850,United Kingdom
536366,22633,HAND WARMER,6,12/1/2010 8:28,1.85,17850,United Kingdom
"""
NAN, INF = float("nan"), float("inf")


def bronze(spark, feed: Feed, path: Path) -> DataFrame:
    envelope = {"batch_id": "b", "batch_no": 1, "arrived_on": date(2011, 1, 1), "source_file": "f", "position": 0}
    return read_files(spark, feed, [path]).withColumns({name: F.lit(value) for name, value in envelope.items()})


def online_retail(feed: str) -> Feed:
    return load(Source, ROOT / "conf/sources/online_retail.yaml").feeds[feed]


@pytest.mark.parametrize(("feed", "broken"), [("orders", []), ("products", ["85123A"])])
def test_bytes_that_are_no_text_break_only_a_row_that_reads_them(spark, tmp_path: Path, feed: str, broken: list[str]):
    (tmp_path / "invoices.csv").write_text(INVOICES, encoding="ISO-8859-1")
    read = online_retail(feed)  # as UTF-8
    rows = mapped(bronze(spark, read, tmp_path / "invoices.csv"), read)
    assert [row["product_id"] for row in rows.where(IS_BROKEN).collect()] == broken


def test_a_number_that_is_not_finite_is_null_in_every_expression(spark, tmp_path: Path):
    held = {
        "buyer": [17850.0, NAN, None, INF, -INF],
        "basket": [7 * 10**17] * 5,  # beyond what a number may be, and an id all the same
    }
    pq.write_table(pa.table(held), tmp_path / "orders.parquet")
    feed = Feed(
        table="raw_orders",
        files=("*.parquet",),
        columns={
            "order_id": "cast(basket as string)",
            "member_id": "cast(cast(buyer as double) as bigint)",
            "product_id": "'tea'",
            "occurred_at": "TIMESTAMP'2026-03-01 10:00:00'",
            "quantity": "1",
            "paid_minor": "basket",
            "is_return": "buyer < 0",
        },
    )
    rows = mapped(bronze(spark, feed, tmp_path / "orders.parquet"), feed).collect()
    assert [row["member_id"] for row in rows] == ["17850", None, None, None, None]
    assert [row["is_return"] for row in rows] == [False, None, None, None, None]
    assert {(row["order_id"], row["paid_minor"]) for row in rows} == {("700000000000000000", None)}


def test_nobody_is_no_member_of_online_retail(spark, tmp_path: Path):
    buyers = {"17850": "17850", "17850.0": "17850", "": None, "NaN": None, "nan": None, "Infinity": None, "1e300": None}
    lines = [f"536365,22633,HAND WARMER,6,12/1/2010 8:26,1.85,{buyer},France\n" for buyer in buyers]
    (tmp_path / "invoices.csv").write_text(HEADER + "".join(lines))
    columns = dict(zip(HEADER.strip().split(","), ("536365", "22633", "", 6, "12/1/2010 8:26", 1.85), strict=False))
    held = {name: [value] * 4 for name, value in columns.items()} | {"CustomerID": [17850.0, NAN, None, INF]}
    pq.write_table(pa.table(held), tmp_path / "invoices.parquet")
    feed = online_retail("orders")
    expected = {"invoices.csv": list(buyers.values()), "invoices.parquet": ["17850", None, None, None]}
    for name, members in expected.items():
        rows = mapped(bronze(spark, feed, tmp_path / name), feed).collect()
        assert [row["member_id"] for row in rows] == members, name


def test_a_product_may_be_called_nan(spark, tmp_path: Path):
    names = ["NaN", "Infinity", "nan"]
    lines = [f"536365,22633,{name},6,12/1/2010 8:26,1.85,17850,France\n" for name in names]
    (tmp_path / "invoices.csv").write_text(HEADER + "".join(lines))
    feed = online_retail("products")
    rows = mapped(bronze(spark, feed, tmp_path / "invoices.csv"), feed).collect()
    assert [row["product_name"] for row in rows] == names


# Every one is half past ten in UTC, in the summer of New York.
MOMENTS = {
    "2026-07-01 06:30:00": "the feed's own",
    "2026-07-01T06:30": "the feed's own",
    "2026-07-01 06:30:00.250": "the feed's own",
    "2026-07-01T10:30:00Z": "in UTC",
    "2026-07-01 10:30:00 UTC": "in UTC",
    "2026-07-01 12:30:00+02:00": "hours apart",
    "2026-07-01 12:30:00.250 +2:00": "hours apart",
    "2026-07-01 12:30:00 Europe/Berlin": "a name",
    "2026-07-01 12:30:00 GMT+2": "hours apart from Greenwich",
}


def test_a_time_that_carries_a_zone_is_not_moved_again(spark, tmp_path: Path):
    (tmp_path / "orders.csv").write_text("at\n" + "".join(f"{moment}\n" for moment in MOMENTS))
    nothing = {"order_id": "'1'", "product_id": "'tea'", "quantity": "1", "paid_minor": "1", "is_return": "false"}
    columns = {**nothing, "member_id": "'m'", "occurred_at": "at"}
    feed = Feed(table="raw_orders", files=("*.csv",), timezone="America/New_York", columns=columns)
    rows = mapped(bronze(spark, feed, tmp_path / "orders.csv"), feed)
    found = rows.select(F.date_format("occurred_at", "yyyy-MM-dd HH:mm").alias("minute")).collect()
    assert dict(zip(MOMENTS, [row["minute"] for row in found], strict=True)) == dict.fromkeys(
        MOMENTS, "2026-07-01 10:30"
    )
