"""A row is in silver only where it can have been known when it is taken to have been."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T
from tests.jobs.market import SOURCE

from tenure.config.source import Source
from tenure.contracts.control import REPLACED
from tenure.contracts.landing import ENVELOPE, RAW_CAMPAIGNS, RAW_MEMBERS, RAW_ORDERS, RAW_PRODUCTS, RAW_TOUCHES
from tenure.contracts.rules import FIRST_SEEN
from tenure.contracts.silver import CAMPAIGN_TOUCHES, CAMPAIGNS, MEMBERS, ORDER_LINES, PRODUCTS
from tenure.contracts.table import Table
from tenure.spark import silver
from tenure.spark.kept import Kept
from tenure.spark.mapping import DECLARED_KNOWN_ON, IS_BROKEN, IS_UNREADABLE
from tenure.spark.schema import spark_type, struct

MARKET = Source.model_validate(
    SOURCE | {"lacks": ["discounts", "campaigns", "returns"], "gaps": [], "bounds": [], "rules": []}
)
ENTERED, DAY, ARRIVED, NEWEST = date(2026, 2, 20), date(2026, 3, 10), date(2026, 3, 11), date(2026, 3, 31)
FAR = date(2099, 1, 1)
LATE = "in_the_future"
ORDER = {
    "member_key": 1,
    "product_id": "apple",
    "occurred_at": datetime(2026, 3, 10, 10, tzinfo=UTC),
    "quantity": 1.0,
    "paid_minor": 100,
    "is_return": False,
}
TOUCH = {"member_key": 1, "campaign_id": "spring", "touch_kind": "targeted", "touched_on": DAY}
# What else a row of DAY says, and what becomes of it in a load of the past that was made on NEWEST.
FATES: dict[str, tuple[dict[str, Any], str | None]] = {
    "entered before it happened": ({DECLARED_KNOWN_ON: ENTERED}, LATE),
    "known on its day": ({DECLARED_KNOWN_ON: DAY}, None),
    "known later": ({DECLARED_KNOWN_ON: NEWEST}, None),
    "known after the load": ({DECLARED_KNOWN_ON: FAR}, LATE),
    "nothing declared": ({}, None),
    "arrived": ({DECLARED_KNOWN_ON: ENTERED, "arrived_on": ARRIVED}, None),
}


def mapped(spark, raw: Table, rows: list[dict[str, Any]]) -> DataFrame:
    """Rows as ``Batch.mapped`` makes them."""
    names = [DECLARED_KNOWN_ON if name == "known_on" else name for name in raw.names]
    kinds = [spark_type(column.kind) for column in (*raw.columns, *ENVELOPE)]
    fields = dict(zip([*names, *(column.name for column in ENVELOPE)], kinds, strict=True))
    fields |= {IS_BROKEN: T.BooleanType(), IS_UNREADABLE: T.BooleanType(), "member_key": T.LongType()}
    blank = dict.fromkeys(fields) | {"batch_id": "b1", "batch_no": 1, "member_id": "m", IS_BROKEN: False}
    told = [blank | {IS_UNREADABLE: False, "position": n} | row for n, row in enumerate(rows)]
    schema = T.StructType([T.StructField(name, kind) for name, kind in fields.items()])
    named = spark.createDataFrame([tuple(row[name] for name in fields) for row in told], schema)
    return named.withColumn("feed", F.lit("f"))


def empty(spark, table: Table) -> DataFrame:
    return spark.createDataFrame([], struct(table))


def fates(rows: list[dict[str, Any]], judged: Callable[[Kept, Column], DataFrame]) -> list[tuple[str | None, date]]:
    """The rule that took each row out, and the day from which on it is known."""
    with Kept() as kept:
        found = {row["position"]: row for row in judged(kept, F.lit(NEWEST)).collect()}
    return [(found[n]["rule"], found[n]["known_on"]) for n in range(len(rows))]


def rules(rows: list[dict[str, Any]], judged: Callable[[Kept, Column], DataFrame]) -> list[str | None]:
    return [rule for rule, _ in fates(rows, judged)]


def test_an_order_line_is_known_on_its_day_at_the_earliest(spark):
    rows = [ORDER | {"order_id": name} | said for name, (said, _) in FATES.items()]
    lines = mapped(spark, RAW_ORDERS, rows)
    catalogue, before, replaced = (empty(spark, table) for table in (PRODUCTS, ORDER_LINES, REPLACED))
    found = rules(rows, lambda kept, newest: silver.orders(lines, kept, MARKET, catalogue, before, replaced, newest))
    assert dict(zip(FATES, found, strict=True)) == {name: fate for name, (_, fate) in FATES.items()}


def test_a_line_of_whom_nobody_had_registered_is_set_aside_where_the_shop_asks(spark):
    """By the first registration that was known, of this batch or before; one without a day was always known, one whom
    we only saw never registered, and a line of nobody is no unknown member's."""
    asking = MARKET.model_copy(update={"rules": Source.model_validate({**SOURCE, "rules": ["member_unknown"]}).rules})
    registrations = [
        {"member_key": 1, "registered_on": DAY},
        {"member_key": 1, "registered_on": NEWEST},
        {"member_key": 2, "registered_on": ENTERED, DECLARED_KNOWN_ON: NEWEST},
        {"member_key": 3},
    ]
    seen = [(4, DAY, []), (5, DAY, [FIRST_SEEN]), (None, ENTERED, [])]
    before = spark.createDataFrame(seen, "member_key long, known_on date, flags array<string>")
    of = [1, 2, 3, 4, 5, 6, None]
    lines = mapped(spark, RAW_ORDERS, [ORDER | {"member_key": key, "order_id": str(key)} for key in of])
    lines = lines.withColumn("member_id", F.col("member_key").cast("string"))
    with Kept() as kept:
        registered = silver.registrations(mapped(spark, RAW_MEMBERS, registrations), before)
        nothing = (empty(spark, table) for table in (PRODUCTS, ORDER_LINES, REPLACED))
        judged = silver.orders(lines, kept, asking, *nothing, F.lit(NEWEST), registered)
        found = {row["member_key"]: row["rule"] for row in judged.collect()}
    assert found == dict.fromkeys((1, 3, 4, None)) | dict.fromkeys((2, 5, 6), "member_unknown")


def test_a_touch_is_known_on_its_day_at_the_earliest(spark):
    rows = [TOUCH | {"item": name} | said for name, (said, _) in FATES.items()]
    touched = mapped(spark, RAW_TOUCHES, rows)
    campaigns, before = empty(spark, CAMPAIGNS), empty(spark, CAMPAIGN_TOUCHES)
    found = rules(rows, lambda kept, newest: silver.touches(touched, kept, MARKET, campaigns, before, newest))
    assert dict(zip(FATES, found, strict=True)) == {name: fate for name, (_, fate) in FATES.items()}


def test_who_is_chosen_for_a_planned_campaign_is_known_to_be_from_when_that_is_told(spark):
    """And told once more when it has begun, it is the same touch."""
    rows = [
        TOUCH | {"member_key": n, "touched_on": None, "arrived_on": day}
        for n, day in ((1, ARRIVED), (1, FAR), (2, FAR), (3, None))
    ]
    touched = mapped(spark, RAW_TOUCHES, rows)
    begins = date(2026, 4, 5)
    told = "campaign_id string, starts_on date, known_on date, batch_no int"
    planned = spark.createDataFrame([("spring", begins, ARRIVED, 0)], told)
    with Kept() as kept:
        before = empty(spark, CAMPAIGN_TOUCHES)
        found = silver.touches(touched, kept, MARKET, planned, before, F.lit(NEWEST)).orderBy("position").collect()
    assert [(row["rule"], row["day"], row["known_on"]) for row in found] == [
        (None, ARRIVED, ARRIVED),
        ("exact_duplicate", begins, FAR),
        (None, begins, FAR),
        (None, NEWEST, NEWEST),
    ]


def test_a_member_is_known_on_the_day_of_registration_at_the_earliest(spark):
    rows = [{"member_key": n, "registered_on": DAY} | said for n, (said, _) in enumerate(FATES.values())]
    rows += [{"member_key": n, "registered_on": FAR, "arrived_on": day} for n, day in ((11, None), (12, ARRIVED))]
    registered, before = mapped(spark, RAW_MEMBERS, rows), empty(spark, MEMBERS)
    first_seen = spark.createDataFrame([], "member_key bigint, first_known_on date")
    found = rules(rows, lambda kept, newest: silver.members(registered, kept, MARKET, before, first_seen, newest))
    assert found == [*(fate for _, fate in FATES.values()), LATE, LATE]


def test_a_day_outside_of_its_bounds_is_quarantined(spark):
    since = {"table": "raw_members", "column": "registered_on", "outside": "quarantine", "rule": "before_us"}
    market = Source.model_validate(MARKET.model_dump() | {"bounds": [since | {"low": DAY, "high": ARRIVED}]})
    days = [ENTERED, DAY, ARRIVED, NEWEST, None]
    rows = [{"member_key": n, "registered_on": day} for n, day in enumerate(days)]
    registered, before = mapped(spark, RAW_MEMBERS, rows), empty(spark, MEMBERS)
    first_seen = spark.createDataFrame([], "member_key bigint, first_known_on date")
    found = rules(rows, lambda kept, newest: silver.members(registered, kept, market, before, first_seen, newest))
    assert found == ["before_us", None, None, "before_us", None]


def test_a_product_that_is_known_after_the_load_is_quarantined(spark):
    said = [{}, {DECLARED_KNOWN_ON: DAY}, {DECLARED_KNOWN_ON: FAR}, {DECLARED_KNOWN_ON: FAR, "arrived_on": ARRIVED}]
    rows = [{"product_id": f"p{n}", "is_recommendable": True} | more for n, more in enumerate(said)]
    products, before = mapped(spark, RAW_PRODUCTS, rows), empty(spark, PRODUCTS)
    found = rules(rows, lambda kept, newest: silver.products(products, kept, MARKET, before, newest))
    assert found == [None, None, LATE, None]


def test_a_campaign_that_is_only_planned_is_known_when_it_was_loaded(spark):
    said = [
        {"starts_on": DAY},
        {"starts_on": FAR},
        {"starts_on": FAR, DECLARED_KNOWN_ON: ENTERED},
        {"starts_on": FAR, "arrived_on": ARRIVED},
        {"starts_on": DAY, DECLARED_KNOWN_ON: FAR},
    ]
    rows = [{"campaign_id": f"c{n}", "ends_on": FAR} | more for n, more in enumerate(said)]
    campaigns, before = mapped(spark, RAW_CAMPAIGNS, rows), empty(spark, CAMPAIGNS)
    found = fates(rows, lambda kept, newest: silver.campaigns(campaigns, kept, MARKET, before, newest))
    assert found == [(None, DAY), (None, NEWEST), (None, ENTERED), (None, ARRIVED), (LATE, FAR)]
