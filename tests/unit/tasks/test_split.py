from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest

from tenure.errors import Refused
from tenure.tasks.split import PARTS, ByBoth, ByMember, ByTime, refuse_overlap

TIME = ByTime(train_until=date(2017, 8, 13), validation=(date(2017, 9, 10),), test=(date(2017, 10, 8),))
DAYS = [date(2017, 7, 30), date(2017, 8, 13), date(2017, 9, 10), date(2017, 10, 8)]
MEMBER = ByMember(salt="a secret")


@pytest.mark.smoke
def test_time_divides_days_and_leaves_out_those_between():
    days = [date(2017, 8, 13), date(2017, 8, 27), date(2017, 9, 10), date(2017, 10, 8)]
    assert [TIME.part(5, day) for day in days] == ["train", None, "validation", "test"]


def test_members_are_divided_seven_to_two_to_one():
    parts = MEMBER.parts(np.arange(-5000, 5000), np.zeros(10_000, np.int32))
    shares = np.bincount(parts) / len(parts)
    assert shares == pytest.approx([0.7, 0.2, 0.1], abs=0.02)


def test_another_salt_divides_members_otherwise():
    keys, days = np.arange(1000), np.zeros(1000, np.int32)
    assert (MEMBER.parts(keys, days) != ByMember(salt="another").parts(keys, days)).mean() > 0.3


def test_both_keep_a_row_only_where_day_and_member_agree():
    both = ByBoth(time=TIME, member=MEMBER)
    for key in range(50):
        for day in DAYS:
            agreed = TIME.part(key, day) if TIME.part(key, day) == MEMBER.part(key, day) else None
            assert both.part(key, day) == agreed


@pytest.mark.parametrize("split", [TIME, MEMBER, ByBoth(time=TIME, member=MEMBER)])
def test_parts_of_many_rows_are_the_parts_of_each(split):
    keys = np.repeat(np.arange(20), len(DAYS))
    days = np.tile([(day - date(1970, 1, 1)).days for day in DAYS], 20)
    one_by_one = [
        split.part(int(k), date(1970, 1, 1) + timedelta(days=int(d))) for k, d in zip(keys, days, strict=True)
    ]
    assert [None if p < 0 else PARTS[p] for p in split.parts(keys, days)] == one_by_one


def test_a_gap_of_the_horizon_is_enough():
    assert refuse_overlap(TIME, DAYS, horizon_days=28) is None


def test_labels_that_look_into_the_next_part_are_refused():
    with pytest.raises(Refused, match="train part look as far as 2017-09-10, into the validation part"):
        refuse_overlap(TIME, DAYS, horizon_days=29)


def test_a_part_without_days_is_refused():
    with pytest.raises(Refused, match="no labels for the test part"):
        refuse_overlap(TIME, DAYS[:3], horizon_days=28)


def test_the_salt_stays_out_of_the_manifest_and_of_whatever_shows_a_split():
    split = ByBoth(time=TIME, member=MEMBER)
    assert "a secret" not in str(split.says())
    assert "a secret" not in repr(split)


def test_one_draw_of_members_is_told_from_another():
    drawn = MEMBER.says()["drawn"]
    assert ByBoth(time=TIME, member=MEMBER).says()["drawn"] == drawn != ByMember(salt="another").says()["drawn"]
