"""Every landed row has one fate, and each fate is counted where it is written."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable
from pyspark.sql import DataFrame
from tests.jobs import market

import build_events
import clean
from tenure.config.env import Env
from tenure.contracts.control import BATCHES, CONSERVATION, JOB_RUNS, QUARANTINE, REPLACED
from tenure.contracts.silver import MEMBER_IDENTITIES, MEMBERS, ORDER_LINES, PRODUCTS, SILVER_TABLES
from tenure.contracts.table import Table
from tenure.errors import Refused, WrongInput
from tenure.privacy.pseudonyms import member_key
from tenure.spark import delta

KEYS = {name: member_key(name, market.SECRET.encode()) for name in (market.ANNA, market.BERT, market.CARL)}


@pytest.fixture(scope="module", autouse=True)
def secret():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TENURE_MEMBER_KEY_SECRET", market.SECRET)
        yield


@pytest.fixture(scope="module")
def lake(spark, secret, tmp_path_factory):
    """One batch of everything, clean; what the jobs logged."""
    work = tmp_path_factory.mktemp("market")
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger().addHandler(handler)
    logging.getLogger("tenure.jobs").setLevel(logging.INFO)
    try:
        market.landed(spark, work, market.land_first(work / "landing"))
        assert market.cleaned(spark, work) == (1,)
    finally:
        logging.getLogger().removeHandler(handler)
    return work, "\n".join(said)


@pytest.fixture(scope="module")
def lines(spark, lake) -> dict[str, dict[str, Any]]:
    return {row["order_id"]: row for row in market.rows(spark, lake[0], ORDER_LINES)}


def test_each_row_meets_the_fate_that_stands_beside_it(spark, lake, lines):
    work, _ = lake
    decided = {row["position"]: "kept" for row in lines.values()}
    for table in (QUARANTINE, REPLACED):
        decided |= {r["position"]: r["rule"] for r in market.rows(spark, work, table) if r["table"] == "raw_orders"}
    assert decided == {position: fate for position, (_, fate) in enumerate(market.ORDERS)}


def test_landed_is_silver_and_duplicates_and_quarantined_and_netted(spark, lake):
    balances = {row["table"]: row for row in market.rows(spark, lake[0], CONSERVATION)}
    names = ("landed", "silver", "duplicates", "quarantined", "netted")
    assert {name: balances["raw_orders"][name] for name in names} == dict(zip(names, (25, 11, 2, 9, 3), strict=True))
    assert {name: balances["raw_members"][name] for name in names} == dict(zip(names, (3, 2, 0, 1, 0), strict=True))
    assert balances["raw_members"]["silver_by_rule"] == {}  # of who was only seen, no row landed
    assert balances["raw_touches"]["landed"] == 0


def test_visits_wait_for_the_tiles_in_which_their_sums_stand(spark, lake, tmp_path):
    work = shutil.copytree(lake[0], tmp_path / "work")
    config = build_events.BuildEvents(env=Env(work=str(work)), source=market.source(work))
    with pytest.raises(WrongInput, match="through batch 0 alone: run jobs/build_days"):
        build_events.run(spark, config)


def test_rules_are_counted_also_where_they_only_mark(spark, lake):
    balance = next(row for row in market.rows(spark, lake[0], CONSERVATION) if row["table"] == "raw_orders")
    marks = ("day_shifted", "product_unknown", "store_filled", "wholesale", "one_box", "return_without_member")
    assert {name: balance["silver_by_rule"].get(name) for name in marks} == dict.fromkeys(marks, 1)
    assert balance["netted_by_rule"] == {"taken_back_same_day": 2, "nothing_moved": 1}


@pytest.mark.long
def test_a_mark_is_counted_by_what_became_of_the_row(spark, secret, tmp_path):
    """Three lines without a store: one is kept, one comes twice, one has no quantity either."""
    line = f"o0,{market.ANNA},apple,2026-03-01 10:00:00,2,200,"
    lines = [line, line, line.replace("o0", "o1").replace(",2,200", ",many,200")]
    market.write_orders(tmp_path / "landing" / "orders.csv", lines)
    market.landed(spark, tmp_path, tmp_path / "landing")
    market.cleaned(spark, tmp_path, rules=[])
    balance = next(row for row in market.rows(spark, tmp_path, CONSERVATION) if row["table"] == "raw_orders")
    assert {name: balance[f"{name}_by_rule"] for name in ("silver", "duplicates", "quarantined", "netted")} == {
        "silver": {"store_filled": 1},
        "duplicates": {"exact_duplicate": 1, "store_filled": 1},
        "quarantined": {"missing_quantity": 1, "store_filled": 1},
        "netted": {},
    }


def test_a_line_lies_on_the_shops_local_day_and_hour(lines):
    assert (lines["o1"]["day"], lines["o1"]["hour"]) == (date(2026, 3, 2), 0)
    assert lines["o1"]["known_on"] == date(2026, 3, 2)
    assert lines["o18"]["hour"] == 9  # written in +02:00, eight in UTC


def test_a_return_points_to_its_sale_and_lies_on_its_day(lines):
    assert lines["r4"]["corrects"] == lines["o4"]["line_key"]
    assert (lines["r4"]["day"], lines["r4"]["known_on"]) == (date(2026, 3, 7), date(2026, 3, 10))
    assert lines["r6"]["corrects"] is None  # by nobody known


def test_rules_change_what_they_say_and_leave_their_name(lines):
    assert (lines["o14"]["quantity"], lines["o14"]["flags"]) == (100.0, ["wholesale"])
    assert (lines["o15"]["store_id"], lines["o15"]["flags"]) == ("online", ["store_filled"])
    assert (lines["o16"]["quantity"], lines["o16"]["flags"]) == (1.0, ["one_box"])
    assert (lines["o10"]["category"], lines["o0"]["category"]) == (None, "sweet")
    assert len(lines["o18"]["store_id"]) == 1_000_000


def test_what_was_netted_and_dropped_keeps_the_key_of_what_stands_for_it(spark, lake, lines):
    rows = {row["position"]: row for row in market.rows(spark, lake[0], REPLACED)}
    assert rows[1]["replaced_by"] == rows[2]["replaced_by"] == str(lines["o0"]["line_key"])
    assert rows[4]["replaced_by"] is None
    assert {rows[5]["replaced_by"], rows[6]["replaced_by"]} & {str(row["line_key"]) for row in lines.values()} == set()


def test_members_are_known_from_their_first_event(spark, lake):
    members = {row["member_key"]: row for row in market.rows(spark, lake[0], MEMBERS)}
    assert members[KEYS[market.ANNA]]["known_on"] == date(2026, 3, 1)
    assert (members[KEYS[market.ANNA]]["age_band"], members[KEYS[market.ANNA]]["flags"]) == ("30", [])
    assert members[KEYS[market.BERT]]["flags"] == ["first_seen"]
    assert members[KEYS[market.CARL]]["known_on"] == date(2026, 3, 31)  # never seen: the newest day


def tables_that_name(work: Path, members: Iterable[str]) -> list[str]:
    """The tables whose rows or log hold a raw id, of those that may not."""
    naming = []
    for table in (*SILVER_TABLES, BATCHES, QUARANTINE, REPLACED, CONSERVATION, JOB_RUNS):
        path = market.path_of(work, table)
        if table != MEMBER_IDENTITIES and path.is_dir():
            held = DeltaTable(path).to_pyarrow_dataset().to_table().to_pylist()
            log = "".join(file.read_text() for file in (path / "_delta_log").glob("*.json"))
            naming += [table.name] * any(name in str(held) + log for name in members)
    return naming


def test_a_raw_id_is_nowhere_but_in_bronze_and_member_identities(spark, lake):
    work, said = lake
    identities = {row["member_id"]: row["member_key"] for row in market.rows(spark, work, MEMBER_IDENTITIES)}
    assert identities == KEYS
    assert tables_that_name(work, KEYS) == []
    assert not any(name in said for name in KEYS)
    assert "11 rows of order_lines" in said


@pytest.mark.long
def test_a_feed_of_other_things_in_the_members_files_names_no_member(spark, secret, tmp_path):
    """The products are those of the order lines, which hold the member's id too."""
    products = {"product_id": "product_id", "category": "store", "is_recommendable": "member_id is not null"}
    feeds = {
        "products": {"table": "raw_products", "files": ["orders*.csv"], "columns": products},
        "orders": market.SOURCE["feeds"]["orders"],
    }
    settings = {"feeds": feeds, "lacks": [*market.SOURCE["lacks"], "demographics"]}
    lines = [f"o{n},{market.ANNA},{product},2026-03-01 10:00:00,1,100,s1" for n, product in enumerate(["fig", "fig"])]
    market.write_orders(tmp_path / "landing" / "orders.csv", [*lines, f"o2,{market.BERT},,2026-03-01 10:00:00,1,1,s1"])
    market.landed(spark, tmp_path, tmp_path / "landing", **settings)
    market.cleaned(spark, tmp_path, **settings)

    assert market.ANNA in str(market.bronze(spark, tmp_path, "products"))
    aside = [r for t in (QUARANTINE, REPLACED) for r in market.rows(spark, tmp_path, t) if r["table"] == "raw_products"]
    shown = {row["rule"]: json.loads(row["row"]) for row in aside}
    assert shown == {
        "exact_duplicate": {"product_id": "fig", "store": "s1"},
        "missing_product_id": {"store": "s1"},
    }
    assert tables_that_name(tmp_path, KEYS) == []


def test_a_row_that_was_taken_out_is_shown_with_the_pseudonym(spark, lake):
    rows = {
        row["position"]: json.loads(row["row"])
        for row in market.rows(spark, lake[0], QUARANTINE)
        if row["table"] == "raw_orders"
    }
    assert rows[16] | {"at": None} == {
        "order_id": "o11", "member_id": str(KEYS[market.ANNA]), "product_id": "apple", "at": None,
        "quantity": "many", "paid": "100", "store": "s1",
    }  # fmt: skip
    assert rows[18] == {}  # nobody can say where in an unreadable line the id stands
    (unreadable,) = [row["landed"] for row in market.bronze(spark, lake[0], "orders") if row["position"] == 18]
    assert unreadable["unreadable_line"] == market.ORDERS[18][0]


@pytest.fixture(scope="module")
def second(spark, lake, lines):
    """A night later: a line again, one with another quantity, a pair again that came to nothing, a return, a
    catalogue of which one product changed."""
    work, folder = lake[0], lake[0] / "second"
    market.write_orders(
        folder / "orders.csv",
        [
            f"o0,{market.ANNA},apple,2026-03-01 10:00:00,2,200,s1",
            f"o1,{market.ANNA},pear,2026-03-01 23:30:00,2,300,s1",
            f"o3,{market.BERT},apple,2026-03-06 10:00:00,2,200,s1",
            f"r3,{market.BERT},apple,2026-03-06 12:00:00,-2,-200,s1",
            f"r7,{market.BERT},pear,2026-04-01 10:00:00,-3,-300,s1",
            f"o20,{market.BERT},pear,2026-04-02 10:00:00,1,100,s1",
        ],
    )
    market.write_products(folder / "products.parquet", [("apple", "Apple", "sweet"), ("pear", "Pear", "sour")])
    (folder / "members.jsonl").write_text(f'{{"id":"{market.ANNA}","age":"30"}}\n{{"id":"{market.BERT}","age":"20"}}\n')
    market.landed(spark, work, folder, arrived_on=date(2026, 4, 2))
    assert market.cleaned(spark, work) == (2,)
    return work


def test_a_later_batch_adds_only_what_it_brings(spark, second, lines):
    found = {row["order_id"]: row for row in market.rows(spark, second, ORDER_LINES) if row["batch_no"] == 2}
    assert set(found) == {"r7", "o20"}
    assert (found["r7"]["corrects"], found["r7"]["day"]) == (lines["o4"]["line_key"], date(2026, 3, 7))
    assert (found["r7"]["known_on"], found["o20"]["category"]) == (date(2026, 4, 2), "sour")
    rules = {row["rule"] for row in market.rows(spark, second, REPLACED) if row["batch_no"] == 2}
    assert rules == {"landed_before", "restated", "unchanged"}


def test_a_line_that_a_later_batch_says_otherwise_is_counted_apart_and_the_first_stands(spark, second, lines):
    restated = [row for row in market.rows(spark, second, REPLACED) if row["rule"] == "restated"]
    assert [(row["position"], row["replaced_by"]) for row in restated] == [(1, str(lines["o1"]["line_key"]))]
    counts = {
        (row["table"], row["batch_no"]): row["duplicates_by_rule"] for row in market.rows(spark, second, CONSERVATION)
    }
    assert {name: counts["raw_orders", 2].get(name) for name in ("restated", "landed_before")} == {
        "restated": 1,
        "landed_before": 3,
    }


def test_a_pair_that_came_to_nothing_comes_to_nothing_again(spark, second):
    """Neither is the sale a sale when it is told once more, nor does the return look for another one."""
    again = {
        row["position"]: row["replaced_by"] for row in market.rows(spark, second, REPLACED) if row["batch_no"] == 2
    }
    pair = {row["position"]: row["replaced_by"] for row in market.rows(spark, second, REPLACED) if row["batch_no"] == 1}
    assert (again[2], again[3]) == (pair[6], pair[5])


def test_versions_are_added_where_something_changed(spark, second):
    pears = [row for row in market.rows(spark, second, PRODUCTS) if row["product_id"] == "pear"]
    assert sorted((row["known_on"], row["category"]) for row in pears) == [
        (date(2026, 1, 1), "sweet"),
        (date(2026, 4, 2), "sour"),
    ]
    versions = [(row["member_key"], row["batch_no"]) for row in market.rows(spark, second, MEMBERS)]
    assert sorted(versions) == sorted(
        [(KEYS[market.ANNA], 1), (KEYS[market.CARL], 1), (KEYS[market.BERT], 1), (KEYS[market.BERT], 2)]
    )


def test_nothing_new_is_nothing_done(spark, second):
    before = market.rows(spark, second, ORDER_LINES)
    assert market.cleaned(spark, second) == ()
    assert market.rows(spark, second, ORDER_LINES) == before


SMALL = [
    f"o0,{market.ANNA},apple,2026-03-01 10:00:00,2,200,s1",
    f"o0,{market.ANNA},apple,2026-03-01 10:00:00,2,200,s1",
    f"o1,{market.BERT},apple,2026-03-02 10:00:00,2,200,s1",
    f"o2,{market.BERT},apple,2026-03-02 10:00:00,x,200,s1",
]


@pytest.fixture(scope="module")
def small(spark, secret, tmp_path_factory):
    work = tmp_path_factory.mktemp("small")
    market.write_orders(work / "landing" / "orders.csv", SMALL)
    market.landed(spark, work, work / "landing")
    return work


def losing(rows: DataFrame) -> DataFrame:
    return rows.offset(1)


def doubling(rows: DataFrame) -> DataFrame:
    return rows.unionByName(rows.limit(1))


FAULTS = [(losing, ORDER_LINES), (doubling, REPLACED)]
MORE_FAULTS = [(doubling, ORDER_LINES), (losing, QUARANTINE)]  # the same ways once more: a clean each
EVERY_FAULT = [
    *(pytest.param(*one) for one in FAULTS),
    *(pytest.param(*one, marks=pytest.mark.long) for one in MORE_FAULTS),
]


@pytest.mark.parametrize(
    ("fault", "table"), EVERY_FAULT, ids=[f"{fault.__name__} {table.name}" for fault, table in (*FAULTS, *MORE_FAULTS)]
)
def test_a_writer_that_loses_or_doubles_a_row_breaks_the_equation(spark, small, monkeypatch, table: Table, fault):
    honest = delta.replace_where

    def faulty(rows, root, into, *where_and_counts):
        return honest(fault(rows) if into == table else rows, root, into, *where_and_counts)

    monkeypatch.setattr(clean.delta, "replace_where", faulty)
    with pytest.raises(Refused, match=r"raw_orders, batch 1: 4 rows landed, but .* lost or doubled"):
        market.cleaned(spark, small)
    assert market.number_of_rows(spark, small, CONSERVATION) == 0


def test_too_much_quarantine_is_refused_with_the_rule_that_took_it(spark, small):
    with pytest.raises(Refused, match=r"1 of 4 rows were quarantined, more than 10% \(missing_quantity 1\)"):
        market.cleaned(spark, small, quarantine_limit=0.1)
    assert market.number_of_rows(spark, small, CONSERVATION) == 0


@pytest.mark.long  # several cleans
def test_a_killed_run_is_finished_by_the_next(spark, small, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(clean, "_write_identities", lambda batch: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            market.cleaned(spark, small)
    assert market.cleaned(spark, small) == (1,)
    lines = market.rows(spark, small, ORDER_LINES)
    assert sorted(row["position"] for row in lines) == [0, 2]
    assert len(market.rows(spark, small, MEMBERS)) == 2


def test_one_pseudonym_for_two_members_is_refused(spark, secret, tmp_path, monkeypatch):
    from pyspark.sql import functions as F

    market.write_orders(tmp_path / "landing" / "orders.csv", SMALL)
    market.landed(spark, tmp_path, tmp_path / "landing")
    one = F.lit(1).cast("long")
    monkeypatch.setattr(clean, "with_member_key", lambda rows, secret: rows.withColumn("member_key", one))
    with pytest.raises(Refused, match="same member_key"):
        market.cleaned(spark, tmp_path)


@pytest.mark.long  # several cleans
def test_another_secret_than_the_lakes_is_refused_before_anything_is_written(spark, small, monkeypatch):
    market.cleaned(spark, small)
    market.write_orders(small / "second" / "orders.csv", [f"o9,{market.ANNA},apple,2026-03-03 10:00:00,1,100,s1"])
    market.landed(spark, small, small / "second")
    changed = [{"name": "new", "table": "raw_orders", "says": "settings may change too", "when": "quantity = 0"}]
    held = (*SILVER_TABLES, CONSERVATION)
    before = [market.rows(spark, small, table) for table in held if market.path_of(small, table).is_dir()]
    file = small / "secrets" / "member_key_secret"

    monkeypatch.delenv("TENURE_MEMBER_KEY_SECRET")
    with pytest.raises(Refused, match=r"is gone: set TENURE_MEMBER_KEY_SECRET .* or write it into .*member_key_secret"):
        market.cleaned(spark, small)
    assert not file.exists()
    monkeypatch.setenv("TENURE_MEMBER_KEY_SECRET", "another")
    for settings in ({}, {"rules": changed}):
        with pytest.raises(Refused, match=r"differs from the one .* set TENURE_MEMBER_KEY_SECRET to the one"):
            market.cleaned(spark, small, **settings)

    after = [market.rows(spark, small, table) for table in held if market.path_of(small, table).is_dir()]
    assert after == before
    monkeypatch.delenv("TENURE_MEMBER_KEY_SECRET")
    file.parent.mkdir(exist_ok=True)
    file.write_text(market.SECRET)
    assert market.cleaned(spark, small) == (2,)
    assert len(market.rows(spark, small, MEMBER_IDENTITIES)) == 2
