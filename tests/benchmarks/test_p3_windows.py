"""Member features in Python UDFs are those of the shipped transform, and what holds them equal notices others."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
from benchmarks import windows_in_python
from benchmarks.landed_lines import LACKS
from tests import visiting_shop

from tenure.contracts import gold
from tenure.contracts.silver import MEMBERS
from tenure.spark.features import member_features
from tenure.spark.schema import struct

SHOP = replace(visiting_shop.SHOP, buckets=2, lacks=LACKS)
AS_OF = date(2025, 6, 1)
OFTEN, TWICE, SILENT, TAKEN_BACK, LATER = 11, -22, 33, 44, 55
WAYS = {
    "pickled": windows_in_python.by_pickled,
    "pandas": windows_in_python.by_pandas,
    "Arrow": windows_in_python.by_arrow,
}


def ago(days):
    return AS_OF - timedelta(days=days)


def member(key, known):
    return {"member_key": key, "known_on": ago(known), "flags": [], "batch_id": "b", "batch_no": 1, "position": 0}


def tile(key, day, *, known=None, superseded=None, visits=1, items=1.5, spend=100, coupon=0, bits=1, milk=0):
    return {
        "bucket": key % 2, "member_key": key, "day": ago(day), "known_on": ago(day if known is None else known),
        "superseded_on": None if superseded is None else ago(superseded), "visits": visits, "baskets": visits,
        "lines": visits, "items": items, "spend_minor": spend, "discount_minor": 0, "coupon_minor": coupon,
        "category_bits": bits, "spend_category_0_minor": spend - milk, "spend_category_1_minor": milk,
        "returned_minor": 0, "targeted": 0, "redeemed": 0,
    }  # fmt: skip


def total(key, known, first, last, visits, spend, squared, superseded=None):
    return {
        "bucket": key % 2, "member_key": key, "known_on": ago(known), "visits": visits, "spend_minor": spend,
        "superseded_on": None if superseded is None else ago(superseded), "squared_gap_days": squared,
        "first_visit_on": None if first is None else ago(first), "last_visit_on": None if last is None else ago(last),
    }  # fmt: skip


@pytest.fixture(scope="module")
def tables(spark):
    """Members, tiles and totals with all that a window has to leave out."""
    rows = {
        MEMBERS: [member(OFTEN, 200), member(TWICE, 90), member(SILENT, 30), member(TAKEN_BACK, 9), member(LATER, 0)],
        gold.member_days(SHOP): [
            tile(OFTEN, 85),
            tile(OFTEN, 84, spend=700, bits=1 - (1 << 63)),
            tile(OFTEN, 28, items=0.1, milk=40, bits=2),
            tile(OFTEN, 8, items=0.2, coupon=50),
            tile(OFTEN, 7, known=7, superseded=3, spend=999),
            tile(OFTEN, 7, known=3, spend=9, items=0.3),
            tile(OFTEN, 0),
            tile(TWICE, 40, spend=0),
            tile(TWICE, 80, known=0),
            tile(TAKEN_BACK, 5, visits=0, items=0.0, spend=0, bits=0),
            tile(LATER, 2),
        ],
        gold.MEMBER_TOTALS: [
            total(OFTEN, 7, 85, 7, 5, 1999, 3500, superseded=3),
            total(OFTEN, 3, 85, 7, 5, 1009, 3578),
            total(TWICE, 40, 80, 40, 2, 100, 1600),
            total(TAKEN_BACK, 5, None, None, 0, 0, 0),
        ],
    }
    return tuple(
        spark.createDataFrame([tuple(row.get(name) for name in table.names) for row in of], struct(table)).cache()
        for table, of in rows.items()
    )


def by_member(rows):
    return {row["member_key"]: row.asDict() for row in rows.collect()}


@pytest.fixture(scope="module")
def shipped(tables):
    return by_member(member_features(*tables, (AS_OF,), SHOP))


@pytest.mark.parametrize("way", WAYS)
def test_features_in_python_udfs_are_the_shipped_ones(way, tables, shipped):
    found = by_member(WAYS[way](tables, AS_OF, SHOP))
    assert found.keys() == shipped.keys() == {OFTEN, TWICE, SILENT, TAKEN_BACK}
    for key, row in shipped.items():
        assert found[key] == pytest.approx(row, nan_ok=True), key


@pytest.mark.parametrize("way", WAYS)
def test_windows_in_python_udfs_are_those_counted_by_hand(way, tables):
    often = by_member(WAYS[way](tables, AS_OF, SHOP))[OFTEN]
    expected = {
        "visits_7d": 1, "visits_28d": 3, "visits_84d": 4, "spend_minor_7d": 9, "spend_minor_84d": 909,
        "spend_category_1_minor_84d": 40, "coupon_minor_84d": 50, "category_bits_84d": 3 - (1 << 63),
        "categories_seen": 3, "mean_gap_days": 19.5, "returned_minor_84d": None, "stage": "retention",
        "newest_known_on": ago(3),
    }  # fmt: skip
    assert {name: often[name] for name in expected} == expected
    assert often["items_28d"] == pytest.approx(0.6)


def test_what_a_shop_lacks_is_no_window_of_the_udfs():
    names = {measure.name for _, measures in windows_in_python.windows(SHOP) for measure in measures}
    assert "coupon_minor" in names
    assert names.isdisjoint({"returned_minor", "targeted", "redeemed"})
