"""What counts when: tiles, totals, features, events, interactions and labels of rows typed here."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta

import pyarrow as pa
import pytest
from pyspark.sql import functions as F

from tenure.contracts import gold
from tenure.contracts.shop import Shop
from tenure.contracts.silver import CAMPAIGN_TOUCHES, MEMBERS, ORDER_LINES, PRODUCTS
from tenure.contracts.table import Has
from tenure.errors import Refused
from tenure.lake.schema import arrow
from tenure.models.rows import cut
from tenure.spark import features as features_module
from tenure.spark import knowledge
from tenure.spark.days import member_days
from tenure.spark.events import member_events
from tenure.spark.features import _combined, member_features
from tenure.spark.interactions import interactions
from tenure.spark.kept import Kept
from tenure.spark.labels import churn_labels
from tenure.spark.schema import struct
from tenure.spark.silver import in_categories
from tenure.spark.totals import member_totals
from tenure.training.leaks import refuse_wide_windows

SHOP = Shop(
    name="shop",
    currency="USD",
    calendar="UTC",
    windows_days=(7, 28, 84),
    activity_days=84,
    horizon_days=28,
    first_as_of=date(2017, 1, 1),
    as_of_every_days=10,
    buckets=4,
    categories=("GROCERY", "FUEL"),
)
DAY_0 = date(2017, 1, 1)
ANN, BOB = 11, -22


def day(number):
    return DAY_0 + timedelta(days=number)


def line(key, member, on, *, known=None, order=None, product="p", paid=100, quantity=1.0, category="GROCERY", hour=9,
         corrects=None):  # fmt: skip
    known_on = day(on if known is None else known)
    return {
        "line_key": key,
        "order_id": order or f"o{key}",
        "member_key": member,
        "product_id": product,
        "occurred_at": datetime(2017, 1, 1) + timedelta(days=on, hours=hour),
        "day": day(on),
        "hour": hour,
        "quantity": quantity,
        "currency": SHOP.currency,
        "paid_minor": paid,
        "discount_minor": 0,
        "coupon_minor": 0,
        "category": category,
        "store_id": None,
        "is_return": corrects is not None,
        "corrects": corrects,
        "known_on": known_on,
        "flags": [],
        "batch_id": "b",
        "batch_no": 1,
        "position": key,
    }


def frame(spark, table, rows):
    return spark.createDataFrame([tuple(row.get(name) for name in table.names) for row in rows], struct(table))


def member(key, known, **known_of):
    return {
        "member_key": key,
        "known_on": day(known),
        "flags": [],
        "batch_id": "b",
        "batch_no": 1,
        "position": 0,
    } | known_of


def product(product_id, category, known_on):
    return {
        "product_id": product_id, "category": category, "product_type": category, "is_recommendable": True,
        "known_on": known_on, "flags": [], "batch_id": "b", "batch_no": 1, "position": 0,
    }  # fmt: skip


def touch(member_key, on, kind, key=1):
    return {
        "touch_key": key, "member_key": member_key, "campaign_id": "c", "touch_kind": kind, "day": day(on),
        "item": None, "known_on": day(on), "flags": [], "batch_id": "b", "batch_no": 1, "position": 0,
    }  # fmt: skip


def tiles_of(spark, lines, touches=(), shop=SHOP):
    return member_days(frame(spark, ORDER_LINES, lines), frame(spark, CAMPAIGN_TOUCHES, touches), shop)


def events_of(spark, lines, touches=()):
    return member_events(frame(spark, ORDER_LINES, lines), tiles_of(spark, lines, touches), SHOP)


def totals_of(spark, tiles):
    none = spark.createDataFrame([], struct(gold.MEMBER_TOTALS))
    return member_totals(tiles, Kept(), none, tiles, SHOP.buckets)


def features_of(spark, lines, as_of, members=None, shop=SHOP):
    members = members or [member(key, 0) for key in {row["member_key"] for row in lines} - {None}]
    tiles = tiles_of(spark, lines, shop=shop).cache()
    rows = member_features(
        frame(spark, MEMBERS, members), tiles, totals_of(spark, tiles), [day(at) for at in as_of], shop
    )
    return {(row["member_key"], (row["as_of"] - DAY_0).days): row.asDict() for row in rows.collect()}


def test_a_tile_sums_what_a_member_did_on_a_day(spark):
    lines = [
        line(1, ANN, 3, order="a", paid=250, quantity=2.0, category="GROCERY"),
        line(2, ANN, 3, order="a", paid=50, category="BOOKS"),
        line(3, ANN, 3, order="b", paid=1000, category="FUEL", hour=17),
        line(4, None, 3, paid=999),
    ]
    (tile,) = tiles_of(spark, lines, [touch(ANN, 3, "redeemed")]).collect()
    expected = {
        "bucket": 3,  # 11 mod 4
        "visits": 1,
        "baskets": 2,
        "lines": 3,
        "items": 4.0,
        "spend_minor": 1300,
        "returned_minor": 0,
        "category_bits": 0b11 - (1 << 63),  # the two main ones, and bit 63 for any other
        "spend_category_0_minor": 250,
        "spend_category_1_minor": 1000,
        "targeted": 0,
        "redeemed": 1,
        "superseded_on": None,
    }
    assert {name: tile[name] for name in expected} == expected


def test_an_order_of_day_10_cancelled_on_day_40_counts_at_20_and_not_at_50(spark):
    lines = [
        line(1, ANN, 10, paid=500),
        line(2, ANN, 10, known=40, corrects=1, paid=-500, quantity=-1.0),
    ]
    rows = features_of(spark, lines, [20, 40, 41, 50])
    seen = {at: (row["visits_84d"], row["spend_minor_84d"], row["lifetime_visits"]) for (_, at), row in rows.items()}
    assert seen == {20: (1, 500, 1), 40: (1, 500, 1), 41: (0, 0, 0), 50: (0, 0, 0)}
    assert rows[ANN, 20]["newest_known_on"] == day(10)
    assert rows[ANN, 50]["newest_known_on"] == day(40)
    assert rows[ANN, 50]["returned_minor_84d"] == 500
    assert rows[ANN, 50]["days_since_last_visit"] is None
    assert rows[ANN, 50]["stage"] == "acquisition"


def test_a_correction_closes_the_tile_before_it_and_changes_nothing_in_it(spark):
    lines = [
        line(1, ANN, 10, order="a", paid=500),
        line(2, ANN, 10, order="a", paid=300),
        line(3, ANN, 10, known=40, corrects=1, paid=-500, quantity=-1.0),
    ]
    tiles = sorted(tiles_of(spark, lines).collect(), key=lambda tile: tile["known_on"])
    told = [(t["known_on"], t["superseded_on"], t["baskets"], t["lines"], t["spend_minor"]) for t in tiles]
    assert told == [(day(10), day(40), 1, 2, 800), (day(40), None, 1, 1, 300)]


def test_a_line_is_kept_until_the_last_unit_of_it_is_back(spark):
    lines = [
        line(1, ANN, 10, paid=300, quantity=3.0),
        line(2, ANN, 10, known=20, corrects=1, paid=-100, quantity=-1.0),
        line(3, ANN, 10, known=30, corrects=1, paid=-200, quantity=-2.0),
    ]
    tiles = sorted(tiles_of(spark, lines).collect(), key=lambda tile: tile["known_on"])
    assert [(t["lines"], t["visits"], t["items"], t["spend_minor"]) for t in tiles] == [
        (1, 1, 3.0, 300), (1, 1, 2.0, 200), (0, 0, 0.0, 0),
    ]  # fmt: skip


def test_a_late_line_counts_from_the_day_on_which_it_came(spark):
    lines = [line(1, ANN, 5), line(2, ANN, 3, known=15)]
    rows = features_of(spark, lines, [10, 15, 16])
    assert [rows[ANN, at]["visits_28d"] for at in (10, 15, 16)] == [1, 1, 2]
    assert [rows[ANN, at]["days_since_first_visit"] for at in (10, 15, 16)] == [5, 10, 13]


def test_a_window_holds_as_of_minus_days_and_leaves_as_of_out(spark):
    lines = [line(1, ANN, 12), line(2, ANN, 13), line(3, ANN, 19), line(4, ANN, 20)]
    rows = features_of(spark, lines, [20])
    assert rows[ANN, 20]["visits_7d"] == 2
    assert rows[ANN, 20]["visits_28d"] == 3


def test_a_member_silent_for_a_year_has_a_row_and_one_not_yet_known_has_none(spark):
    rows = features_of(spark, [line(1, ANN, 5), line(2, BOB, 380)], [380], [member(ANN, 5), member(BOB, 380)])
    assert list(rows) == [(ANN, 380)]
    assert rows[ANN, 380]["visits_84d"] == 0
    assert rows[ANN, 380]["days_since_last_visit"] == 375
    assert rows[ANN, 380]["stage"] == "lapsed"


@pytest.fixture
def many_small_tasks(spark):
    """Sales and their fewer returns are cut into tasks each by its own size."""
    settings = {"spark.sql.shuffle.partitions": "16", "spark.sql.adaptive.advisoryPartitionSizeInBytes": "2000",
                "spark.sql.adaptive.coalescePartitions.minPartitionSize": "1"}  # fmt: skip
    before = {name: spark.conf.get(name) for name in settings}
    for name, value in settings.items():
        spark.conf.set(name, value)
    yield
    for name, value in before.items():
        spark.conf.set(name, value)


def test_a_sale_and_its_return_meet_however_the_work_is_cut(spark, many_small_tasks):
    sales = [line(key, key, key % 20) for key in range(1, 301)]
    back = [line(1000 + key, key, key % 20, known=30, corrects=key, paid=-100, quantity=-1.0)
            for key in range(1, 301, 7)]  # fmt: skip
    tiles = tiles_of(spark, sales + back, [{"member_key": 1, "campaign_id": "c", "touch_kind": "targeted",
                                            "day": day(1), "known_on": day(30), "touch_key": 1, "flags": [],
                                            "batch_id": "b", "batch_no": 1, "position": 0}])  # fmt: skip
    held = {(row["member_key"], row["known_on"] == day(30)): row for row in tiles.collect()}
    expected = {(key, False): (1, 100, 0) for key in range(1, 301)}
    expected |= {(key, True): (0, 0, 100) for key in range(1, 301, 7)}
    told = {key: (row["baskets"], row["spend_minor"], row["returned_minor"]) for key, row in held.items()}
    assert told == expected
    assert held[1, True]["targeted"] == 1


def test_lines_are_shuffled_once_on_their_way_to_tiles(spark):
    orders_only = replace(SHOP, lacks=(Has.RETURNS,))
    with_lines = tiles_of(spark, [line(1, ANN, 10)], shop=orders_only)
    plan = with_lines._jdf.queryExecution().executedPlan().toString()
    assert plan.count("Exchange hashpartitioning") == 2  # of lines, and of touches


def test_a_life_is_told_by_gaps_between_visits(spark):
    lines = [line(n, ANN, on) for n, on in enumerate((0, 2, 8, 16))]
    row = features_of(spark, lines, [20])[ANN, 20]
    assert row["mean_gap_days"] == pytest.approx(16 / 3)
    assert row["sd_gap_days"] == pytest.approx(3.0550504633)  # of 2, 6, 8
    assert row["overdue"] == pytest.approx(4 / (16 / 3))
    assert row["stage"] == "conversion"


def test_demographics_change_from_the_day_on_which_we_knew(spark):
    members = [member(ANN, 0), member(ANN, 30, age_band="35-44")]
    rows = features_of(spark, [line(1, ANN, 5)], [30, 31], members)
    assert [rows[ANN, at]["age_band"] for at in (30, 31)] == [None, "35-44"]
    assert [rows[ANN, at]["has_demographics"] for at in (30, 31)] == [False, True]
    assert [rows[ANN, at]["days_since_known"] for at in (30, 31)] == [30, 31]


def test_a_products_new_category_does_not_move_what_was_sold_before(spark):
    # The product is groceries from the start of time, and fuel from day 30 on.
    catalogue = frame(spark, PRODUCTS, [product("p", "GROCERY", date(1970, 1, 1)), product("p", "FUEL", day(30))])
    raw = [
        line(1, ANN, 10, paid=500, quantity=2.0, category=None),
        line(2, ANN, 31, paid=70, category=None),
    ]
    dated = frame(spark, ORDER_LINES, raw).drop("category").transform(in_categories, catalogue)
    lines = [row.asDict() for row in dated.select(*ORDER_LINES.names).collect()]
    rows = features_of(spark, lines, [20, 30, 41])
    assert [rows[ANN, at]["spend_category_0_minor_84d"] for at in (20, 30, 41)] == [500, 500, 500]
    assert [rows[ANN, at]["spend_category_1_minor_84d"] for at in (20, 30, 41)] == [0, 0, 70]


def test_what_a_shop_lacks_is_null(spark):
    shop = replace(SHOP, lacks=(Has.DISCOUNTS, Has.CATEGORIES, Has.DEMOGRAPHICS, Has.RETURNS), categories=())
    row = features_of(spark, [line(1, ANN, 5)], [10], shop=shop)[ANN, 10]
    assert row["discount_share"] is None
    assert row["categories_seen"] is None
    assert row["has_demographics"] is None
    assert row["spend_minor_84d"] == 100


def test_events_tell_a_visit_and_a_later_row_that_nothing_is_left_of_it(spark):
    lines = [
        line(1, ANN, 10, order="a", paid=300, category="GROCERY", hour=9),
        line(2, ANN, 10, order="b", paid=700, category="FUEL", hour=18),
        line(3, ANN, 10, known=12, corrects=2, paid=-700, quantity=-1.0, category="FUEL"),
        line(4, ANN, 10, known=14, corrects=1, paid=-300, quantity=-1.0),
    ]
    events = sorted(events_of(spark, lines).collect(), key=lambda row: row["known_on"])
    assert [(e["known_on"], e["kind"], e["baskets"], e["spend_minor"], e["hour"]) for e in events] == [
        (day(10), "visit", 2, 1000, 9), (day(12), "visit", 1, 300, 9), (day(14), "none", 0, 0, 9),
    ]  # fmt: skip
    assert [e["categories"] for e in events] == [["FUEL", "GROCERY"], ["GROCERY"], []]
    assert events[0]["category_shares"] == pytest.approx([0.7, 0.3])


def test_what_campaigns_did_is_no_visit_and_no_version_of_one(spark):
    lines = [line(1, ANN, 10, paid=300), line(2, ANN, 10, known=14, corrects=1, paid=-100, quantity=-0.5)]
    touches = [touch(ANN, 10, "redeemed") | {"known_on": day(12)}, touch(ANN, 11, "targeted", key=2)]
    events = sorted(events_of(spark, lines, touches).collect(), key=lambda row: row["known_on"])
    assert [(e["day"], e["known_on"], e["spend_minor"]) for e in events] == [
        (day(10), day(10), 300), (day(10), day(14), 200),
    ]  # fmt: skip


def test_shares_of_a_visit_that_cost_nothing_are_shares_of_its_lines(spark):
    lines = [
        line(1, ANN, 10, order="a", paid=0, category="GROCERY"),
        line(2, ANN, 10, order="a", paid=0, category="GROCERY"),
        line(3, ANN, 10, order="a", paid=0, category=None),
    ]
    (event,) = events_of(spark, lines).collect()
    assert event["categories"] == ["GROCERY", "unknown"]
    assert event["category_shares"] == pytest.approx([2 / 3, 1 / 3])


def test_interactions_add_up_to_what_was_kept_as_known_then(spark):
    lines = [
        line(1, ANN, 10, quantity=2.0, paid=200),
        line(2, ANN, 10, known=20, corrects=1, quantity=-1.0, paid=-100),
        line(3, ANN, 10, known=30, corrects=1, quantity=-1.0, paid=-100),
        line(4, ANN, 11, product="q"),
    ]
    rows = interactions(frame(spark, ORDER_LINES, lines), SHOP).collect()
    told = sorted(
        (r["product_id"], (r["known_on"] - DAY_0).days, r["times"], r["quantity"], r["spend_minor"]) for r in rows
    )
    assert told == [("p", 10, 1, 2.0, 200), ("p", 20, 0, -1.0, -100), ("p", 30, -1, -1.0, -100), ("q", 11, 1, 1.0, 100)]


def labels_of(spark, lines, as_of, shop=SHOP):
    rows = churn_labels(tiles_of(spark, lines, shop=shop), [day(at) for at in as_of], shop).collect()
    return {(row["member_key"], (row["as_of"] - DAY_0).days): row["value"] for row in rows}


def test_a_label_is_1_without_a_visit_from_as_of_to_the_last_day_of_the_horizon(spark):
    lines = [
        line(1, ANN, 10), line(2, ANN, 20),  # comes on as_of itself
        line(3, BOB, 10), line(4, BOB, 48),  # the first day after the horizon
    ]  # fmt: skip
    assert labels_of(spark, lines, [20]) == {(ANN, 20): 0.0, (BOB, 20): 1.0}
    assert labels_of(spark, lines, [21]) == {(ANN, 21): 1.0, (BOB, 21): 0.0}


def test_who_is_at_risk_is_told_by_what_was_known_then_and_labels_by_what_is_known_now(spark):
    lines = [
        line(1, ANN, 10), line(2, ANN, 10, known=90, corrects=1, paid=-100, quantity=-1.0),  # taken back much later
        line(3, BOB, 10), line(4, BOB, 30), line(5, BOB, 30, known=90, corrects=4, paid=-100, quantity=-1.0),
        line(6, 33, 12, known=25),  # a late line: nobody knew of the member's visit on day 20
    ]  # fmt: skip
    assert labels_of(spark, lines, [20]) == {(ANN, 20): 1.0, (BOB, 20): 1.0}


def test_a_member_last_seen_before_the_activity_window_is_not_at_risk(spark):
    assert labels_of(spark, [line(1, ANN, 10)], [94, 95]) == {(ANN, 94): 1.0}


def held_against_each_other(spark, lines, as_of):
    """Features and visits of a member as training cuts them: with the visits of which something was left, and without
    anything left."""
    tiles = tiles_of(spark, lines)
    known = frame(spark, MEMBERS, [member(ANN, 0)])
    rows = member_features(known, tiles, totals_of(spark, tiles), [day(as_of)], SHOP)
    visits = events_of(spark, lines)
    features, events = (
        pa.Table.from_pylist([row.asDict() for row in held.sort(*table.key).collect()], arrow(table))
        for held, table in ((rows, gold.member_features(SHOP)), (visits, gold.member_events(SHOP)))
    )
    return [cut(features, events, 99, undone=undone) for undone in (False, True)]


ON_BOTH_EDGES = [
    line(1, ANN, 10, paid=500),  # 85 days before the day 95
    line(2, ANN, 11, paid=300),
    line(3, ANN, 40, paid=100), line(4, ANN, 40, known=45, corrects=3, paid=-60, quantity=-1.0),  # 40 of it is kept
    line(5, ANN, 95, paid=900),  # on the day itself
]  # fmt: skip


def test_windows_are_the_sums_of_visits_and_of_what_was_kept_of_undone_ones(spark):
    visits, undone = held_against_each_other(spark, ON_BOTH_EDGES, 95)
    assert visits.features["spend_minor_84d"].to_pylist() == [340]
    assert (len(visits.events), len(undone.events)) == (2, 1)
    refuse_wide_windows(visits, undone, SHOP.windows_days)


def with_the_day_itself(tiles, as_of, longest_days):
    def sees(at):
        return (F.col("day") <= at) & (F.col("day") >= F.date_sub(at, longest_days)) & (F.col("known_on") <= at)

    return tiles.withColumn("as_of", F.explode(F.filter(knowledge.days(as_of), sees)))


def with_a_day_more_of_money(measure, combine, window):
    days = window + 1 if measure == "spend_minor" else window
    return _combined(measure, combine, days).alias(f"{measure}_{window}d")


def test_windows_built_with_the_day_itself_are_refused(spark, monkeypatch):
    monkeypatch.setattr(features_module, "seen_from", with_the_day_itself)
    with pytest.raises(Refused, match="have another visits_7d than visits in those days"):
        refuse_wide_windows(*held_against_each_other(spark, ON_BOTH_EDGES, 95), SHOP.windows_days)


def test_windows_of_money_built_a_day_too_long_are_refused(spark, monkeypatch):
    seen_from = knowledge.seen_from
    monkeypatch.setattr(features_module, "seen_from", lambda tiles, as_of, days: seen_from(tiles, as_of, days + 1))
    monkeypatch.setattr(features_module, "_combined", with_a_day_more_of_money)
    with pytest.raises(Refused, match="have another spend_minor_84d than visits in those days"):
        refuse_wide_windows(*held_against_each_other(spark, ON_BOTH_EDGES, 95), SHOP.windows_days)
