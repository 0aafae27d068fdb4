"""Stages, in a grocer's rhythm and in a gift shop's."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from tenure.contracts.shop import Shop
from tenure.lifecycle.rules import decide
from tenure.lifecycle.stages import stage

GROCER = Shop(
    name="grocer",
    currency="USD",
    calendar="UTC",
    windows_days=(7, 28, 84),
    activity_days=84,
    horizon_days=28,
    first_as_of=date(2017, 3, 26),
    as_of_every_days=14,
    buckets=8,
)
GIFT_SHOP = replace(GROCER, name="gifts", activity_days=180, horizon_days=90)


def stage_of(shop, *, last, first, visits, gap):
    row = {
        "days_since_last_visit": last,
        "days_since_first_visit": first,
        "lifetime_visits": visits,
        "mean_gap_days": gap,
    }
    return decide(stage(shop), row)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"last": None, "first": None, "visits": 0, "gap": None}, "acquisition"),
        ({"last": 3, "first": 3, "visits": 1, "gap": None}, "activation"),
        ({"last": 85, "first": 85, "visits": 1, "gap": None}, "lapsed"),
        ({"last": 3, "first": 40, "visits": 5, "gap": 9.0}, "conversion"),
        ({"last": 3, "first": 300, "visits": 60, "gap": 5.0}, "loyalty"),
        ({"last": 29, "first": 300, "visits": 60, "gap": 4.6}, "retention"),
        ({"last": 3, "first": 300, "visits": 20, "gap": 15.6}, "retention"),
        ({"last": 84, "first": 300, "visits": 20, "gap": 15.6}, "retention"),
        ({"last": 85, "first": 300, "visits": 20, "gap": 11.3}, "lapsed"),
    ],
)
def test_a_grocers_member_is_in_the_stage_that_the_shops_days_say(row, expected):
    assert stage_of(GROCER, **row) == expected


@pytest.mark.smoke
def test_the_same_member_is_lapsed_for_a_grocer_and_retained_for_a_gift_shop():
    member = {"last": 100, "first": 300, "visits": 6, "gap": 40.0}
    assert stage_of(GROCER, **member) == "lapsed"
    assert stage_of(GIFT_SHOP, **member) == "retention"


def test_three_weeks_between_visits_are_loyal_where_the_horizon_is_a_quarter():
    member = {"last": 20, "first": 300, "visits": 14, "gap": 21.5}
    assert stage_of(GIFT_SHOP, **member) == "loyalty"
    assert stage_of(GROCER, **member) == "retention"
