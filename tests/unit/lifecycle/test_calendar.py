from __future__ import annotations

from datetime import date

from tenure.contracts.shop import Shop
from tenure.lifecycle.calendar import as_of_days, labelled_days, last_complete_day, matured_at

SHOP = Shop(
    name="s",
    currency="USD",
    calendar="UTC",
    windows_days=(7,),
    activity_days=84,
    horizon_days=28,
    first_as_of=date(2017, 3, 1),
    as_of_every_days=14,
    buckets=8,
)


def test_the_grid_runs_to_the_day_after_the_last_complete_one_and_that_day_is_always_there():
    assert as_of_days(SHOP, date(2017, 3, 20)) == (date(2017, 3, 1), date(2017, 3, 15), date(2017, 3, 21))
    assert as_of_days(SHOP, date(2017, 3, 14)) == (date(2017, 3, 1), date(2017, 3, 15))


def test_before_the_grid_begins_only_the_newest_day_is_there():
    assert as_of_days(SHOP, date(2017, 1, 31)) == (date(2017, 2, 1),)
    assert labelled_days(SHOP, date(2017, 1, 31)) == ()


def test_a_label_matures_with_the_last_day_of_its_horizon():
    assert matured_at(date(2017, 3, 1), 28) == date(2017, 3, 28)
    assert labelled_days(SHOP, date(2017, 3, 27)) == ()
    assert labelled_days(SHOP, date(2017, 3, 28)) == (date(2017, 3, 1),)


def test_the_day_on_which_a_live_batch_arrives_is_not_complete():
    monday, tuesday, friday = date(2026, 3, 2), date(2026, 3, 3), date(2026, 3, 6)
    assert last_complete_day([(tuesday, tuesday)]) == monday
    assert last_complete_day([(tuesday, monday), (friday, tuesday)]) == tuesday
    assert last_complete_day([(tuesday, None)]) is None


def test_a_load_of_the_past_holds_whole_days():
    monday, tuesday = date(2026, 3, 2), date(2026, 3, 3)
    assert last_complete_day([(None, tuesday)]) == tuesday
    assert last_complete_day([(None, monday), (tuesday, tuesday)]) == monday
    assert last_complete_day([(tuesday, tuesday), (None, date(2026, 1, 1))]) == monday
