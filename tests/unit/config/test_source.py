"""A source that cannot work is refused when it is loaded, in a sentence that says what to write."""

from __future__ import annotations

import re
from copy import deepcopy
from datetime import date
from typing import Any

import pytest
from tests.entry_points import ROOT
from tests.jobs.market import SOURCE

from tenure.config.settings import checked
from tenure.config.source import Source
from tenure.config.usual_rules import MISREAD, USUAL_RULES
from tenure.errors import WrongInput


def refusal(**settings: Any) -> str:
    with pytest.raises(WrongInput) as refused:
        checked(Source, {**deepcopy(SOURCE), **settings}, "market.yaml")
    return str(refused.value).removeprefix("market.yaml: ")


def rule(**settings: Any) -> list[dict[str, Any]]:
    return [{"name": "odd", "table": "raw_orders", "says": "odd", "when": "quantity = 3", **settings}]


@pytest.mark.parametrize("figure", [{"rule": "odd"}, {"why": "not counted"}])
def test_what_a_known_figure_comes_to_here_needs_a_count_and_a_reason(figure: dict[str, str]) -> None:
    known = [{"says": "odd lines", "rows": 3, "here": 2, **figure}]
    assert refusal(known=known).endswith("known: here is of a rule or an sql, and needs a why")


def test_the_market_itself_loads() -> None:
    assert checked(Source, deepcopy(SOURCE), "market.yaml").name == "market"


def test_a_usual_rule_is_switched_on_by_its_name_and_stands_in_the_documents() -> None:
    source = checked(Source, {**deepcopy(SOURCE), "rules": ["garbled_text", *rule()]}, "market.yaml")
    assert [(one.name, one.fate) for one in source.rules] == [("garbled_text", "quarantine"), ("odd", "keep")]
    told = (ROOT / "docs/sources.md").read_text()
    for name, said in USUAL_RULES.items():
        assert f"| `{name}` | {said.get('fate', 'keep')} | {said['says']} |" in told


def test_a_usual_rule_that_is_none_is_answered_with_the_nearest() -> None:
    assert "no usual rule 'garbled_txt'; did you mean 'garbled_text'; " in refusal(rules=["garbled_txt"])


def test_who_registered_is_not_asked_of_a_shop_that_tells_of_no_registration() -> None:
    feeds = {name: feed for name, feed in SOURCE["feeds"].items() if feed["table"] != "raw_members"}
    said = refusal(rules=["member_unknown"], feeds=feeds, lacks=[*SOURCE["lacks"], "demographics"])
    assert said.startswith("a rule asks for is_member_known, which no line would be, as no feed brings raw_members: ")
    for asking in (["member_unknown"], rule(when="IS_MEMBER_KNOWN"), rule(set={"quantity": "int(is_member_known)"})):
        assert checked(Source, {**deepcopy(SOURCE), "rules": asking}, "market.yaml").asks_who_registered
    assert not checked(Source, {**deepcopy(SOURCE), "rules": rule()}, "market.yaml").asks_who_registered


@pytest.mark.parametrize(
    ("text", "is_misread"),
    [("Café", False), ("SÃO PAULO", False), ("ÂME", False), ("CafÃ©", True), ("fÃ¼r", True), ("Caf\ufffd", True)],
)
def test_misread_text_is_told_from_the_letters_that_it_looks_like(text: str, is_misread: bool) -> None:
    assert bool(re.search(MISREAD, text)) == is_misread


UNKNOWN_TABLE = "table 'raw_ordrs' is no raw table; did you mean 'raw_orders'?"
NO_COLUMN = "raw_orders: no column 'quantty'; there are order_id, "


@pytest.mark.parametrize("wrong", [{"table": "raw_ordrs"}, {"set": {"quantty": "1"}}], ids=str)
def test_a_rule_of_a_table_or_column_that_is_not_there(wrong: dict[str, Any]) -> None:
    assert refusal(rules=rule(**wrong)).startswith(f"rules.0: {UNKNOWN_TABLE if 'table' in wrong else NO_COLUMN}")


@pytest.mark.parametrize("group", ["gaps", "bounds"])
@pytest.mark.parametrize("wrong", [{"table": "raw_ordrs"}, {"column": "quantty"}], ids=str)
def test_a_gap_or_bound_of_a_table_or_column_that_is_not_there(group: str, wrong: dict[str, Any]) -> None:
    mark = {"table": "raw_orders", "column": "quantity", "rule": "odd", **wrong}
    mark |= {"outside": "winsorise"} if group == "bounds" else {}
    said = refusal(**{group: [mark]})
    assert said.startswith(f"{group}.0: {UNKNOWN_TABLE if 'table' in wrong else NO_COLUMN}")


VISITS = {
    "table": "raw_events",
    "files": ["visits.csv"],
    "columns": {"event_id": "id", "member_id": "visitor", "occurred_at": "at", "event_kind": "step"},
}


@pytest.mark.parametrize("group", ["gaps", "bounds", "rules"])
def test_what_is_not_cleaned_yet_is_mapped_and_has_no_rules(group: str) -> None:
    feeds = SOURCE["feeds"] | {"visits": VISITS}
    assert checked(Source, {**deepcopy(SOURCE), "feeds": feeds}, "market.yaml").feeds["visits"].table == "raw_events"
    marks: dict[str, Any] = {
        "gaps": [{"table": "raw_events", "column": "device", "rule": "odd"}],
        "bounds": bound("stars", "raw_events", high=5),
        "rules": rule(table="raw_events", when="stars = 3"),
    }
    assert refusal(feeds=feeds, **{group: marks[group]}) == (
        f"{group}.0: raw_events lands in bronze and is not cleaned yet, so nothing would be judged by this: take it "
        "out until it is, or write it for one of raw_members, raw_products, raw_orders, raw_campaigns, raw_touches"
    )


def test_what_is_not_cleaned_yet_leaves_what_is_clean_as_it_is() -> None:
    def cleaning(**columns: str) -> str:
        visits = VISITS | {"columns": {**VISITS["columns"], **columns}}
        return checked(Source, {**deepcopy(SOURCE), "feeds": SOURCE["feeds"] | {"visits": visits}}, "").cleaning

    assert cleaning() == cleaning(stars="cast(stars as bigint)")
    assert cleaning() != cleaning(member_id="member")  # which rows set aside no longer show


def bound(column: str, table: str = "raw_orders", **settings: Any) -> list[dict[str, Any]]:
    return [{"table": table, "column": column, "rule": "odd", "outside": "quarantine", **settings}]


@pytest.mark.parametrize(("column", "kind"), [("is_return", "flag"), ("occurred_at", "moment"), ("store_id", "text")])
def test_what_is_neither_number_nor_day_has_no_bound(column: str, kind: str) -> None:
    assert refusal(bounds=bound(column, low=1)) == (
        f"bounds.0: {column} is a {kind}, and only numbers and days have bounds: write a rule instead"
    )


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (bound("quantity", low="2026-01-01"), "the bounds of quantity are numbers: write them as 100"),
        (
            bound("registered_on", "raw_members", high=5),
            "the bounds of registered_on are days: write them as 2026-01-31",
        ),
        (
            bound("registered_on", "raw_members", low="2026-01-01", outside="winsorise"),
            "registered_on is a day, and to move it would make one up: write outside: quarantine",
        ),
    ],
)
def test_a_bound_is_of_its_columns_kind(wrong: list[dict[str, Any]], sentence: str) -> None:
    assert refusal(bounds=wrong) == f"bounds.0: {sentence}"


def test_a_bound_that_is_neither_number_nor_day() -> None:
    said = refusal(bounds=bound("quantity", low="few"))
    assert said == "bounds.0.low: 'few' is neither a number nor a day; write it as 100, or as 2026-01-31"


def test_bounds_are_numbers_or_days_also_when_they_are_read_again() -> None:
    bounds = [
        *bound("quantity", low=-1440, high="1e3"),
        *bound("registered_on", "raw_members", low=date(1990, 1, 1), high="2026-12-31", rule="even"),
    ]
    source = checked(Source, {**deepcopy(SOURCE), "bounds": bounds}, "market.yaml")
    assert [(b.low, b.high) for b in source.bounds] == [(-1440.0, 1000.0), (date(1990, 1, 1), date(2026, 12, 31))]
    assert checked(Source, source.model_dump(mode="json"), "") == source


def test_a_rule_does_not_set_when_a_row_was_known() -> None:
    sentence = "rules.0: known_on cannot be set, as nothing would hold it against the day: map it in the feed"
    assert refusal(rules=rule(set={"known_on": "DATE'2020-01-01'"})) == sentence


def test_a_column_that_only_order_lines_have_cannot_be_set() -> None:
    assert "raw_orders: no column 'category'" in refusal(rules=rule(set={"category": "'sweet'"}))


def test_a_calendar_that_nobody_keeps() -> None:
    assert (
        refusal(calendar="Europe/Pariss")
        == "calendar: 'Europe/Pariss' is no IANA time zone; did you mean 'Europe/Paris'?"
    )


def test_a_feeds_time_zone_is_a_name_or_an_offset() -> None:
    feeds = deepcopy(SOURCE["feeds"])
    feeds["orders"]["timezone"] = "Mars"
    assert refusal(feeds=feeds).startswith("feeds.orders.timezone: 'Mars' is no IANA time zone")
    feeds["orders"]["timezone"] = "+01:00"
    assert checked(Source, {**SOURCE, "feeds": feeds}, "").feeds["orders"].timezone == "+01:00"


@pytest.mark.parametrize(
    ("windows", "sentence"),
    [
        ([], "windows_days: Tuple should have at least 2 items"),
        ([28], "windows_days: Tuple should have at least 2 items"),
        ([28, 7], "windows_days must ascend: write [7, 28]"),
        ([7, 7, 28], "windows_days must ascend: write [7, 28]"),
        ([0, 7], "windows_days.0: Input should be greater than 0"),
    ],
)
def test_windows_are_two_at_least_and_ascend(windows: list[int], sentence: str) -> None:
    assert refusal(windows_days=windows).startswith(sentence)


def test_there_is_a_bucket_and_a_bit_for_every_category() -> None:
    assert refusal(buckets=0).startswith("buckets: Input should be greater than or equal to 1")
    assert refusal(categories=[f"c{n}" for n in range(64)]).startswith("categories: Tuple should have at most 63 items")


@pytest.mark.parametrize(
    ("name", "owner"),
    [
        ("broken_encoding", "is the product's own rule"),
        ("missing_quantity", "is the product's own rule"),
        ("quantity_out_of_range", "is the product's own rule"),
        ("wholesale", "names two rules"),  # the market's bound of quantities
    ],
)
def test_a_rules_name_is_its_own(name: str, owner: str) -> None:
    assert refusal(rules=rule(name=name)).startswith(f"the rule name {name!r} {owner}")


@pytest.mark.parametrize("currency", ["eur", "EURO", "€", "", " EUR", "EUR\n"])
def test_a_currency_is_named_by_its_code(currency: str) -> None:
    assert refusal(currency=currency).startswith(
        f"currency: {currency!r} is no currency's code; write the three capital"
    )


@pytest.mark.parametrize("glob", ["/etc/*.csv", "../orders.csv", "a/../../b.csv"])
def test_a_glob_stays_in_the_folder(glob: str) -> None:
    feeds = deepcopy(SOURCE["feeds"])
    feeds["orders"]["files"] = [glob]
    assert refusal(feeds=feeds).startswith(f"feeds.orders.files.0: '{glob}' leads out of the source's folder")


def test_what_no_feed_tells_of_is_lacked() -> None:
    without = deepcopy(SOURCE["feeds"])
    del without["products"]["columns"]["category"]
    assert refusal(feeds=without) == (
        "no feed tells of categories: map category in a feed of raw_products, "
        "or write lacks: [campaigns, categories, discounts]"
    )
    del without["members"]
    assert refusal(feeds=without, lacks=["discounts", "campaigns", "categories"]).startswith(
        "no feed tells of demographics: map age_band or income_band or "
    )
    assert refusal(lacks=["campaigns"]).startswith(
        "no feed tells of discounts: map discount_minor or coupon_minor in a feed of raw_orders, or write lacks: "
    )
    assert refusal(lacks=["discounts"]).startswith("no feed tells of campaigns: ")
