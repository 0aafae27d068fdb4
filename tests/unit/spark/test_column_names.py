"""What stands where names of columns should be is quoted only where it looks like one."""

from __future__ import annotations

import pytest

from tenure.spark.column_names import look_like_data, looks_like_a_name, quoted


@pytest.mark.parametrize(
    "name", ["member_id", "Order No.", "_c0", "address_line_10", "Straße", "\u5ba2\u6237", "a" * 64]
)
def test_a_name_is_one(name: str) -> None:
    assert looks_like_a_name(name)


@pytest.mark.parametrize(
    "value",
    ["17850", "85123A", "M0000001234", "anna-4711", "anna@example.com", "2026-03-01", "-2", "2.55", "", "a" * 65],
)
def test_data_is_no_name(value: str) -> None:
    assert not looks_like_a_name(value)


def test_a_quarter_of_data_makes_a_line_one_of_data() -> None:
    assert look_like_data(["M0000001234", "female", "Berlin", "gold"])
    assert not look_like_data(["id", "sex", "town", "tier", "spent_2026"])
    assert not look_like_data([])


def test_what_looks_like_data_is_counted_and_not_quoted() -> None:
    assert quoted(["id", "town", "17850"]) == "id, town, 1 not shown for looking like data"
    assert quoted(["id", "town"]) == "id, town"
