"""Every check finds what was planted for it, and nothing in a lake that is right."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from pyspark.sql import functions as F
from tests.visiting_shop import SOURCE

from tenure.contracts import gold
from tenure.contracts.control import BATCHES, CONSERVATION
from tenure.contracts.shop import Shop
from tenure.contracts.silver import MEMBERS, ORDER_LINES, PRODUCTS
from tenure.errors import Refused
from tenure.spark import checks, delta
from tenure.spark.knowledge import seen_from
from tenure.spark.night import Night
from tenure.spark.schema import struct
from tenure.spark.silver import in_categories

SHOP = Shop(
    name="shop",
    currency="EUR",
    calendar="UTC",
    windows_days=(7, 28),
    activity_days=28,
    horizon_days=7,
    first_as_of=date(2026, 3, 1),
    as_of_every_days=7,
    buckets=2,
)
AS_OF = date(2026, 3, 1)


@pytest.fixture
def night(spark, tmp_path):
    return Night(spark=spark, root=str(tmp_path), shop=SHOP, last_complete_day=date(2026, 2, 28), through_batch=1)


def put(night, table, *rows):
    filled = [tuple(_value(column, row) for column in table.columns) for row in rows]
    delta.append(night.spark.createDataFrame(filled, struct(table)), night.root, table)


def _value(column, row):
    if column.name in row or column.nullable:
        return row.get(column.name)
    blank = {"text": "", "texts": [], "number": 0.0, "numbers": [], "flag": False, "counts_by_name": {}}
    days = {"day": AS_OF, "moment": datetime(2026, 3, 1, tzinfo=UTC)}
    return (blank | days).get(str(column.kind), 0)


def balance(**counts):
    numbers = {"landed": 10, "silver": 7, "duplicates": 1, "quarantined": 0, "netted": 0} | counts
    return {"table": "raw_orders", "batch_id": "b", "batch_no": 1} | numbers


@pytest.mark.parametrize(
    ("silver", "what_happened"), [(9, "balanced"), (8, "a writer lost a row"), (10, "a writer wrote one twice")]
)
def test_a_lost_row_and_a_doubled_one_break_the_equation(night, silver, what_happened):
    put(night, BATCHES, {"batch_id": "b", "landed": {"raw_orders": 10}})
    put(night, CONSERVATION, balance(silver=silver, duplicates=1))
    faults = [fault for fault in checks.lost_rows(night) if "do not add up" in fault]
    assert bool(faults) == (what_happened != "balanced")


def test_rows_that_clean_leaves_in_bronze_are_asked_of_no_other_table(night):
    put(night, BATCHES, {"batch_id": "b", "landed": {"raw_orders": 8, "raw_events": 500}})
    put(night, CONSERVATION, balance(landed=8, silver=7, duplicates=1))
    assert not [fault for fault in checks.lost_rows(night) if "raw_events" in fault or "arrived" in fault]
    assert list(checks.lost_landings(night, {})) == [
        "bronze holds 0 rows of raw_events of batch 0, 500 landed",
        "bronze holds 0 rows of raw_orders of batch 0, 8 landed",
    ]


def test_a_batch_that_arrived_and_was_not_cleaned_is_found(night):
    put(night, BATCHES, {"batch_id": "b", "landed": {"raw_orders": 10}})
    assert list(checks.lost_rows(night)) == ["raw_orders of batch b: 10 rows arrived, 0 were cleaned"]


def test_too_much_in_quarantine_is_found(night):
    put(night, CONSERVATION, balance(silver=8, duplicates=0, quarantined=2))
    (fault,) = checks.too_much_quarantined(night, 0.19)
    assert "20.0% of the rows are in quarantine" in fault
    assert not list(checks.too_much_quarantined(night, 0.2))


def test_a_doubled_key_is_found(night):
    row = {"member_key": 5, "as_of": AS_OF, "task": "churn"}
    put(night, gold.LABELS, row, row, row | {"member_key": 6})
    assert checks.count_doubled({gold.LABELS: night.read(gold.LABELS)}) == {"labels": 1}


def test_where_a_key_is_null_belongs_to_the_key(spark):
    told = [("a", None), (None, "a"), (None, None), (None, None)]
    rows = spark.createDataFrame(told, "product_id string, category string")
    assert checks.count_doubled({replace(PRODUCTS, key=("product_id", "category")): rows}) == {"products": 1}


def test_features_that_know_their_own_day_are_found_and_so_is_a_member_without_a_row(night):
    put(
        night,
        MEMBERS,
        {"member_key": 5, "known_on": date(2026, 2, 1)},
        {"member_key": 6, "known_on": date(2026, 2, 28)},
    )
    table = gold.member_features(SHOP)
    put(night, table, {"member_key": 5, "as_of": AS_OF, "newest_known_on": AS_OF})
    assert list(checks.knowledge_from_later(night)) == [
        "member_features: 1 rows know something that was not known before their as_of"
    ]
    assert list(checks.missing_members(night)) == [
        "member_features: not one row for each of 2 members known before 2026-03-01"
    ]


def test_a_label_before_its_horizon_has_passed_is_found(night):
    put(night, gold.LABELS, {"member_key": 5, "as_of": AS_OF, "task": "churn", "matured_at": date(2026, 3, 7)})
    assert list(checks.unripe_labels(night)) == ["labels: 1 rows whose horizon has not passed on 2026-02-28"]


def test_a_night_answers_for_what_it_wrote_and_a_first_one_for_everything(night):
    row = {"member_key": 5, "task": "churn", "as_of": date(2026, 2, 1)}
    put(night, gold.LABELS, row, row)
    put(night, gold.LABELS, row | {"as_of": date(2026, 2, 8)}, row | {"as_of": date(2026, 2, 8)})
    tonight = checks.Written(where={gold.LABELS.name: "as_of in (date '2026-02-08')"})
    doubled = "labels: {} keys (member_key, as_of, task) stand there more than once"
    assert list(checks.doubled_keys(night, tonight)) == [doubled.format(1)]
    assert list(checks.doubled_keys(night)) == [doubled.format(2)]


def test_what_a_night_wrote_follows_from_its_batches_and_its_days(night):
    line = {"member_key": 5, "day": date(2026, 1, 30), "known_on": date(2026, 1, 30)}
    put(night, ORDER_LINES, line | {"line_key": 1, "batch_no": 1})
    put(night, ORDER_LINES, line | {"line_key": 2, "batch_no": 2, "day": date(2026, 2, 27), "known_on": AS_OF})
    later = replace(night, through_batch=2, last_complete_day=date(2026, 3, 14))
    tonight = checks.written(later, 1, date(2026, 3, 1))
    assert tonight.where["member_days"] == "day in (date '2026-02-27')"
    assert tonight.where["member_totals"] == "known_on >= date '2026-03-01'"
    assert tonight.where["order_lines"] == "batch_no > 1"
    assert tonight.where["labels"] == "as_of in (date '2026-03-01', date '2026-03-08')"
    # 2 March was the newest as_of of the night before, and is none of the grid; what came is known before 8 March.
    assert (tonight.as_of, tonight.gone) == ((date(2026, 3, 8), date(2026, 3, 15)), (date(2026, 3, 2),))


def test_windows_open_only_the_files_of_their_days(night):
    table = gold.member_days(SHOP)
    for day in (date(2026, 1, 1), date(2026, 2, 27)):
        put(night, table, {"member_key": 5, "bucket": 1, "day": day, "known_on": day})
    for checksum in Path(night.root).rglob("*.crc"):
        checksum.unlink()  # of more than 50 files Delta keeps no list: then a scan looks for those that it needs
    night.spark._jvm.org.apache.spark.sql.delta.DeltaLog.clearCache()
    tiles = night.read(table)
    assert len(tiles.inputFiles()) == 2
    seen = seen_from(tiles, [AS_OF], 28)
    assert len(seen.inputFiles()) == 1
    assert [row["day"] for row in seen.collect()] == [date(2026, 2, 27)]


def put_lines(night, catalogue, *lines):
    """Order lines in the categories of a catalogue, by the transform that cleaning uses."""
    blank = [{column.name: _value(column, line) for column in ORDER_LINES.columns} for line in lines]
    rows = night.spark.createDataFrame([tuple(line.values()) for line in blank], struct(ORDER_LINES))
    dated = rows.drop("category").transform(in_categories, catalogue)
    delta.append(dated.select(*ORDER_LINES.names), night.root, ORDER_LINES)


def test_a_category_that_the_catalogue_learnt_later_is_refused(night):
    always, later = date(1970, 1, 1), date(2026, 2, 20)
    put(
        night,
        PRODUCTS,
        {"product_id": "p", "category": "GROCERY", "known_on": always},
        {"product_id": "p", "category": "FUEL", "known_on": later},
    )
    catalogue = night.read(PRODUCTS)
    before, after = date(2026, 2, 10), date(2026, 2, 21)
    lines = [{"line_key": 1, "product_id": "p", "known_on": before}, {"line_key": 2, "product_id": "p"}]
    put_lines(night, catalogue, lines[0], lines[1] | {"known_on": after})
    assert not list(checks.categories_from_later(night))
    newest = catalogue.groupBy("product_id").agg(
        *(F.max_by(name, "known_on").alias(name) for name in ("category", "product_type")),
        F.lit(always).alias("known_on"),
        F.lit(1).cast("long").alias("batch_no"),
    )
    put_lines(night, newest, lines[0] | {"line_key": 3}, lines[1] | {"line_key": 4, "known_on": after})
    with pytest.raises(Refused, match="order_lines: 1 rows are in a category that their product had not when they"):
        checks.check(night, SOURCE)
