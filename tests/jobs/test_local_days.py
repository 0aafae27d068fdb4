"""The shop's day and hour where clocks change: Europe/London goes back on 26 October 2025, forward on 29 March 2026."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from tests.jobs import market

from tenure.contracts.silver import ORDER_LINES

# When an order happened, as the file says it; the day, the hour and the time in UTC that silver holds.
ORDERS = {
    "before": ("2025-10-25T23:30:00Z", date(2025, 10, 26), 0, "2025-10-25 23:30"),  # summer time: it is past midnight
    "first_1_30": ("2025-10-26T00:30:00Z", date(2025, 10, 26), 1, "2025-10-26 00:30"),
    "again_1_30": ("2025-10-26T01:30:00Z", date(2025, 10, 26), 1, "2025-10-26 01:30"),
    "winter": ("2025-10-26T23:30:00Z", date(2025, 10, 26), 23, "2025-10-26 23:30"),
    "told_1_30": ("2025-10-26 01:30:00", date(2025, 10, 26), 1, "2025-10-26 00:30"),  # of the two, the first
    "told_2_30": ("2025-10-26 02:30:00", date(2025, 10, 26), 2, "2025-10-26 02:30"),
    "last_0_30": ("2026-03-29T00:30:00Z", date(2026, 3, 29), 0, "2026-03-29 00:30"),
    "then_2_30": ("2026-03-29T01:30:00Z", date(2026, 3, 29), 2, "2026-03-29 01:30"),
    "told_gap": ("2026-03-29 01:30:00", date(2026, 3, 29), 2, "2026-03-29 01:30"),  # no clock showed it: an hour on
    "summer": ("2026-03-29T23:30:00Z", date(2026, 3, 30), 0, "2026-03-29 23:30"),
}


@pytest.fixture(scope="module")
def lines(spark, tmp_path_factory):
    work = tmp_path_factory.mktemp("clocks")
    feeds = market.SOURCE["feeds"] | {"orders": market.SOURCE["feeds"]["orders"] | {"timezone": "Europe/London"}}
    london = {"calendar": "Europe/London", "feeds": feeds}
    landing = [f"{name},{market.ANNA},apple,{at},1,100,s1" for name, (at, *_) in ORDERS.items()]
    market.write_orders(work / "landing" / "orders.csv", landing)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TENURE_MEMBER_KEY_SECRET", market.SECRET)
        market.landed(spark, work, work / "landing", **london)
        market.cleaned(spark, work, **london)
    return {row["order_id"]: row for row in market.rows(spark, work, ORDER_LINES)}


@pytest.mark.parametrize("name", ORDERS)
def test_an_order_lies_on_the_local_day_and_hour(lines, name):
    _, day, hour, at = ORDERS[name]
    line = lines[name]
    assert (line["day"], line["hour"]) == (day, hour)
    assert line["occurred_at"].astimezone(UTC) == datetime.fromisoformat(f"{at}+00:00")


def test_an_hour_that_comes_twice_loses_no_order(lines):
    assert len(lines) == len(ORDERS)
