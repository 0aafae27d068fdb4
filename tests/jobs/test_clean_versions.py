"""Which of several batches' words stands, and what no number can be."""

from __future__ import annotations

from datetime import date

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import functions as F
from tests.jobs import market

from tenure.config.env import Env
from tenure.contracts.control import CONSERVATION, QUARANTINE, REPLACED
from tenure.contracts.silver import MEMBERS, ORDER_LINES, PRODUCTS, SILVER_TABLES
from tenure.errors import WrongInput
from tenure.spark import checks, delta
from tenure.spark.features import known_before
from tenure.spark.night import night

ORDER = f"o0,{market.ANNA},apple,2026-03-01 10:00:00,2,200,s1"
ARRIVED = date(2026, 3, 2)
OTHER_FEEDS = {name: feed for name, feed in market.SOURCE["feeds"].items() if name != "orders"}


@pytest.fixture(autouse=True)
def secret(monkeypatch):
    monkeypatch.setenv("TENURE_MEMBER_KEY_SECRET", market.SECRET)


@pytest.mark.long
def test_rows_that_a_killed_ingest_left_are_in_no_other_batch(spark, tmp_path, monkeypatch):
    """Two feeds bring one raw table; the kill comes after the first, and only the second one's files land then."""
    market.write_orders(tmp_path / "landing" / "web.csv", [ORDER])
    market.write_orders(tmp_path / "landing" / "till.csv", [ORDER.replace("o0", "o7")])
    feed = market.SOURCE["feeds"]["orders"]
    feeds = OTHER_FEEDS | {"web": feed | {"files": ["web.csv"]}, "till": feed | {"files": ["till.csv"]}}
    with monkeypatch.context() as patch:
        patch.setattr("ingest.delta.append", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            market.landed(spark, tmp_path, tmp_path / "landing", feeds=feeds)
    (tmp_path / "landing" / "web.csv").unlink()

    assert market.landed(spark, tmp_path, tmp_path / "landing", feeds=feeds)
    assert market.cleaned(spark, tmp_path, feeds=feeds) == (1,)

    assert [row["order_id"] for row in market.rows(spark, tmp_path, ORDER_LINES)] == ["o7"]


@pytest.fixture(scope="module")
def corrected(spark, tmp_path_factory):
    """Four batches of one day: an order, its member's registration and a product, both corrected, and an order more."""
    work = tmp_path_factory.mktemp("corrected")
    market.write_orders(work / "1" / "orders.csv", [ORDER])
    for folder, age, kind in (("2", 30, "sweet"), ("3", 31, "sour")):
        market.write_products(work / folder / "products.parquet", [("apple", "Apple", kind)] * 2)
        (work / folder / "members.jsonl").write_text(f'{{"id":"{market.ANNA}","age":"{age}"}}\n')
    market.write_orders(work / "4" / "orders.csv", [ORDER.replace("o0", "o1")])
    (work / "4" / "members.jsonl").write_text(f'{{"id":"{market.ANNA}","age":"31"}}\n')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TENURE_MEMBER_KEY_SECRET", market.SECRET)
        for number in (1, 2, 3, 4):
            market.landed(spark, work, work / str(number), arrived_on=ARRIVED)
            assert market.cleaned(spark, work) == (number,)
    return work


@pytest.mark.long  # several cleans
def test_a_registration_on_the_day_of_the_first_order_is_no_repeat_of_having_been_seen(spark, corrected):
    versions = sorted((row["batch_no"], row["age_band"]) for row in market.rows(spark, corrected, MEMBERS))
    assert versions == [(1, None), (2, "30"), (3, "31")]


@pytest.mark.long  # several cleans
def test_of_two_versions_of_one_day_the_newer_batchs_stands(spark, corrected):
    members = known_before(delta.read(spark, str(corrected / "lake"), MEMBERS), [ARRIVED, date(2026, 3, 3)])
    assert [(row["as_of"].day, row["age_band"]) for row in members.collect()] == [(3, "31")]
    lines = {row["order_id"]: row["category"] for row in market.rows(spark, corrected, ORDER_LINES)}
    assert lines == {"o0": None, "o1": "sour"}


@pytest.mark.long  # several cleans
def test_a_version_that_came_twice_names_what_it_is_a_version_of(spark, corrected):
    rows = market.rows(spark, corrected, REPLACED)
    told = {(row["table"], row["rule"], row["replaced_by"]) for row in rows}
    anna = next(row["member_key"] for row in market.rows(spark, corrected, MEMBERS))
    assert told == {("raw_products", "exact_duplicate", "apple"), ("raw_members", "landed_before", str(anna))}


@pytest.mark.long  # several cleans
def test_a_correction_of_the_same_day_keeps_keys_and_the_equation(spark, corrected):
    for table in (MEMBERS, PRODUCTS):
        keys = [tuple(row[name] for name in table.key) for row in market.rows(spark, corrected, table)]
        assert len(set(keys)) == len(keys)
    again = [row["rule"] for row in market.rows(spark, corrected, REPLACED)]
    assert again.count("landed_before") == 1  # the registration that says in batch 4 what batch 3 said of that day
    for row in market.rows(spark, corrected, CONSERVATION):
        assert row["landed"] == row["silver"] + row["duplicates"] + row["quarantined"] + row["netted"]


def test_having_been_seen_takes_nothing_back_that_was_known_before(spark):
    rows = [
        (1, "30", date(2026, 3, 1), [], 2),  # a load of the past
        (1, None, date(2026, 3, 5), ["first_seen"], 1),
    ]
    members = spark.createDataFrame(
        rows, "member_key bigint, age_band string, known_on date, flags array<string>, batch_no bigint"
    )
    nothing = {c.name: F.lit(None).cast("string") for c in MEMBERS.columns if c.personal and c.name != "age_band"}
    (row,) = known_before(members.withColumns(nothing), [date(2026, 3, 10)]).collect()
    assert (row["age_band"], row["days_since_known"]) == ("30", 9)


@pytest.mark.long  # several cleans
def test_what_is_no_number_or_beyond_reason_never_becomes_money(spark, tmp_path):
    (tmp_path / "landing").mkdir()
    nan, inf = float("nan"), float("inf")
    paid = [nan, inf, -inf, 1e30, 1e14, 1.5]
    orders = pa.table(
        {
            "order_id": [f"o{n}" for n in range(len(paid))],
            "at": ["2026-03-01 10:00:00"] * len(paid),
            "quantity": [1.0] * (len(paid) - 1) + [nan],
            "paid": paid,
            "text": ["NaN", "Infinity", "1e30", "-inf", "1", "1"],
        }
    )
    pq.write_table(orders, tmp_path / "landing" / "orders.parquet")
    of_number, of_text = (
        OTHER_FEEDS
        | {
            "orders": market.SOURCE["feeds"]["orders"]
            | {
                "files": ["*.parquet"],
                "columns": {
                    "order_id": "order_id",
                    "product_id": "'apple'",
                    "occurred_at": "at",
                    "quantity": "quantity",
                    "paid_minor": f"cast(round(cast({column} as double) * 100) as bigint)",
                    "is_return": "false",
                },
            }
        }
        for column in ("paid", "text")
    )
    market.landed(spark, tmp_path, tmp_path / "landing", feeds=of_number)
    for feeds, fate in (
        (of_number, ["missing_paid_minor"] * 4 + ["paid_minor_out_of_range", "missing_quantity"]),
        (
            of_text,
            ["missing_paid_minor"] * 2 + ["paid_minor_out_of_range", "missing_paid_minor", "kept", "missing_quantity"],
        ),
    ):
        market.cleaned(spark, tmp_path, feeds=feeds, bounds=[], quarantine_limit=1)
        rules = {row["position"]: row["rule"] for row in market.rows(spark, tmp_path, QUARANTINE)}
        assert [rules.get(place, "kept") for place in range(len(paid))] == fate


@pytest.mark.long  # several cleans
def test_mended_settings_clean_anew_and_leave_what_the_right_ones_would_have_left(spark, tmp_path):
    orders = market.SOURCE["feeds"]["orders"]
    wrong = OTHER_FEEDS | {
        "orders": orders | {"columns": orders["columns"] | {"paid_minor": "cast(paid as bigint) * 100"}}
    }
    right = OTHER_FEEDS | {"orders": orders}
    market.write_orders(tmp_path / "landing" / "orders.csv", [ORDER, ORDER.replace("o0", "o1")])
    for work in (tmp_path / "mended", tmp_path / "right"):
        market.landed(spark, work, tmp_path / "landing", feeds=right)
    market.cleaned(spark, tmp_path / "mended", feeds=wrong)
    assert {row["rule"] for row in market.rows(spark, tmp_path / "mended", QUARANTINE)} == set()

    assert market.cleaned(spark, tmp_path / "mended", feeds=right) == (1,)
    assert market.cleaned(spark, tmp_path / "mended", feeds=right) == ()
    market.cleaned(spark, tmp_path / "right", feeds=right)

    for table in (*SILVER_TABLES, QUARANTINE, REPLACED, CONSERVATION):
        mended, expected = (
            market.rows(spark, tmp_path / name, table) if market.path_of(tmp_path / name, table).is_dir() else []
            for name in ("mended", "right")
        )
        assert mended == expected, table.name
    (spent,) = {row["paid_minor"] for row in market.rows(spark, tmp_path / "mended", ORDER_LINES)}
    assert spent == 200


@pytest.mark.long  # several cleans
def test_a_feed_that_landed_and_is_no_longer_named_is_asked_for_by_its_name(spark, tmp_path):
    market.write_orders(tmp_path / "landing" / "orders.csv", [ORDER])
    market.landed(spark, tmp_path, tmp_path / "landing")
    assert market.cleaned(spark, tmp_path) == (1,)
    orders = market.SOURCE["feeds"]["orders"]
    renamed = {"feeds": OTHER_FEEDS | {"till": orders}}
    with pytest.raises(WrongInput, match=r"^feed orders landed in batch 1 and is no longer in the source's YAML: put"):
        market.cleaned(spark, tmp_path, **renamed)
    other_table = OTHER_FEEDS["members"]["columns"]
    moved = {"orders": {"table": "raw_members", "files": orders["files"], "columns": other_table}}
    with pytest.raises(WrongInput, match=r"^batch 1 landed rows of raw_orders, which no feed .* put table: raw_orders"):
        market.cleaned(spark, tmp_path, feeds=OTHER_FEEDS | moved, gaps=[], bounds=[], rules=[])
    assert len(market.rows(spark, tmp_path, ORDER_LINES)) == 1  # nothing was given up
    assert market.cleaned(spark, tmp_path) == ()
    assert market.cleaned(spark, tmp_path, feeds=OTHER_FEEDS | {"orders": orders, "till": orders}) == (1,)


@pytest.mark.long  # several cleans
def test_what_a_writer_loses_or_doubles_after_the_count_breaks_the_equation(spark, tmp_path, monkeypatch):
    market.write_orders(tmp_path / "landing" / "orders.csv", [ORDER.replace("o0", f"o{n}") for n in range(4)])
    honest = delta.conform
    faults = {
        "losing": lambda rows: rows.where("order_id <> 'o1'"),
        "doubling": lambda rows: rows.unionByName(rows.where("order_id = 'o1'")),
    }
    for name, fault in faults.items():
        work = tmp_path / name
        market.landed(spark, work, tmp_path / "landing")
        with monkeypatch.context() as patch:
            patch.setattr(
                delta,
                "conform",
                lambda rows, table, fault=fault: (
                    fault(honest(rows, table)) if table == ORDER_LINES else honest(rows, table)
                ),
            )
            market.cleaned(spark, work)
        build = night(spark, Env(work=str(work)), market.source(work))
        held = {"losing": 3, "doubling": 5}[name]
        assert list(checks.lost_rows(build)) == [
            f"order_lines holds {held} rows of raw_orders of batch 1, 4 were counted when they were written"
        ]
        if name == "losing":
            assert not list(checks.lost_landings(build, market.source(work).feeds))
            delta.load(spark, f"{work}/lake/bronze/raw_orders").limit(1).write.format("delta").mode("append").save(
                f"{work}/lake/bronze/raw_orders"
            )
            assert list(checks.lost_landings(build, market.source(work).feeds)) == [
                "bronze holds 5 rows of raw_orders of batch 1, 4 landed"
            ]
