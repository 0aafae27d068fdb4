"""Where a session ends: events typed here, sessions counted by hand."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from tenure.spark.sessions import member_sessions

ANN, BOB = 11, -22
NOON = datetime(2025, 3, 1, 12)
DAY = timedelta(hours=24)
TICK = timedelta(microseconds=1)


def sessions_of(spark, events, gap=DAY):
    rows = member_sessions(spark.createDataFrame(events, "member_key bigint, occurred_at timestamp"), gap).collect()
    return sorted((r["member_key"], r["session_no"], r["started_at"], r["ended_at"], r["events"]) for r in rows)


def test_a_gap_of_just_a_day_is_within_a_session_and_one_microsecond_more_begins_another(spark):
    events = [(ANN, NOON), (ANN, NOON + DAY), (ANN, NOON + 2 * DAY + TICK)]
    assert sessions_of(spark, events) == [
        (ANN, 1, NOON, NOON + DAY, 2),
        (ANN, 2, NOON + 2 * DAY + TICK, NOON + 2 * DAY + TICK, 1),
    ]


def test_a_session_may_be_longer_than_the_gap(spark):
    events = [(ANN, NOON + number * timedelta(hours=23)) for number in range(5)]
    assert sessions_of(spark, events) == [(ANN, 1, NOON, NOON + 4 * timedelta(hours=23), 5)]


def test_members_have_sessions_of_their_own_and_order_of_rows_is_no_matter(spark):
    events = [(BOB, NOON + DAY), (ANN, NOON + 3 * DAY), (BOB, NOON + DAY / 2), (ANN, NOON), (ANN, NOON)]
    assert sessions_of(spark, events) == [
        (BOB, 1, NOON + DAY / 2, NOON + DAY, 2),
        (ANN, 1, NOON, NOON, 2),
        (ANN, 2, NOON + 3 * DAY, NOON + 3 * DAY, 1),
    ]


def test_the_gap_is_an_argument(spark):
    events = [(ANN, NOON), (ANN, NOON + timedelta(minutes=31)), (ANN, NOON + timedelta(minutes=60))]
    half_an_hour = timedelta(minutes=30)
    assert [row[1:] for row in sessions_of(spark, events, half_an_hour)] == [
        (1, NOON, NOON, 1),
        (2, NOON + timedelta(minutes=31), NOON + timedelta(minutes=60), 2),
    ]


def test_events_without_member_or_moment_are_in_no_session(spark):
    assert sessions_of(spark, [(None, NOON), (ANN, None), (ANN, NOON)]) == [(ANN, 1, NOON, NOON, 1)]


def test_times_before_1970_are_cut_like_any(spark):
    early = datetime(1969, 12, 31, 23)
    events = [(ANN, early), (ANN, early + timedelta(hours=2)), (ANN, early + timedelta(hours=27))]
    assert [row[4] for row in sessions_of(spark, events)] == [2, 1]


def test_a_key_is_of_member_and_start_and_stays_when_an_earlier_session_comes_late(spark):
    def key_of_last(events):
        rows = member_sessions(spark.createDataFrame(events, "member_key bigint, occurred_at timestamp"), DAY).collect()
        return max((row["started_at"], row["session_key"], row["session_no"]) for row in rows)

    now, later = key_of_last([(ANN, NOON)]), key_of_last([(ANN, NOON), (ANN, NOON - 9 * DAY)])
    assert (now[1], now[2], later[2]) == (later[1], 1, 2)
    assert key_of_last([(BOB, NOON)])[1] != now[1]


def test_a_gap_of_nothing_is_refused(spark):
    with pytest.raises(ValueError, match="more than nothing"):
        sessions_of(spark, [(ANN, NOON)], timedelta(0))


def test_many_events_give_what_going_through_them_one_by_one_gives(spark):
    rng = random.Random(7)
    events = [(rng.choice([ANN, BOB, 3]), NOON + rng.random() * 200 * DAY) for _ in range(600)]
    expected = []
    for member in sorted({member for member, _ in events}):
        moments = sorted(at for of, at in events if of == member)
        runs = [[moments[0]]]
        for before, at in pairwise(moments):
            if at - before > DAY:
                runs.append([])
            runs[-1].append(at)
        expected += [(member, number, run[0], run[-1], len(run)) for number, run in enumerate(runs, 1)]
    assert sessions_of(spark, events) == expected
