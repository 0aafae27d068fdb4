"""What a feed's expressions make of landed rows."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from pyspark.sql import functions as F
from tests.entry_points import ROOT

from tenure.config.settings import load
from tenure.config.source import Source
from tenure.spark.landing import read_files
from tenure.spark.mapping import IS_BROKEN, mapped

# Two lines of goods as UCI Online Retail writes them, the second without a letter that UTF-8 writes otherwise.
INVOICES = """InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country
536365,85123A,CAFÉ AU LAIT HOLDER,6,12/1/2010 8:26,2.55,17850,United Kingdom
536366,22633,HAND WARMER,6,12/1/2010 8:28,1.85,17850,United Kingdom
"""


@pytest.mark.parametrize(("feed", "broken"), [("orders", []), ("products", ["85123A"])])
def test_bytes_that_are_no_text_break_only_a_row_that_reads_them(spark, tmp_path: Path, feed: str, broken: list[str]):
    (tmp_path / "invoices.csv").write_text(INVOICES, encoding="ISO-8859-1")
    read = load(Source, ROOT / "conf/sources/online_retail.yaml").feeds[feed]  # as UTF-8
    envelope = {"batch_id": "b", "batch_no": 1, "arrived_on": date(2011, 1, 1), "source_file": "f", "position": 0}
    bronze = read_files(spark, read, [tmp_path / "invoices.csv"]).withColumns(
        {k: F.lit(v) for k, v in envelope.items()}
    )
    assert [row["product_id"] for row in mapped(bronze, read).where(IS_BROKEN).collect()] == broken
