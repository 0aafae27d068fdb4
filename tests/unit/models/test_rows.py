from __future__ import annotations

from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from tenure.models.rows import cut, cut_events, joined

ANNA, BEN, CARL = 1, 2, 3


def day(number: int) -> date:
    return date(2026, 1, number)


def events(*rows: tuple[int, int, int, str]) -> pa.Table:
    """member, day, known_on, kind."""
    return pa.table(
        {
            "member_key": pa.array([r[0] for r in rows], pa.int64()),
            "day": pa.array([day(r[1]) for r in rows], pa.date32()),
            "known_on": pa.array([day(r[2]) for r in rows], pa.date32()),
            "kind": [r[3] for r in rows],
        }
    )


def features(*rows: tuple[int, int]) -> pa.Table:
    return pa.table(
        {
            "member_key": pa.array([r[0] for r in rows], pa.int64()),
            "as_of": pa.array([day(r[1]) for r in rows], pa.date32()),
        }
    )


def days_of(rows, member: int) -> list[int]:
    start, end = rows.offsets[member : member + 2]
    return [d.day for d in rows.events["day"].to_pylist()[start:end]]


VISITS = events(
    (ANNA, 2, 2, "visit"),
    (ANNA, 3, 3, "visit"),
    (ANNA, 3, 8, "none"),  # taken back on the 8th
    (ANNA, 5, 9, "visit"),  # came late
    (BEN, 4, 4, "visit"),
)


@pytest.mark.smoke
def test_a_row_sees_what_was_known_before_its_own_day():
    rows = cut(features((ANNA, 4), (ANNA, 8), (ANNA, 9), (ANNA, 10)), VISITS, max_events=9)
    assert [days_of(rows, i) for i in range(4)] == [[2, 3], [2, 3], [2], [2, 5]]


def test_what_became_known_on_the_day_itself_is_not_seen():
    rows = cut(features((BEN, 4), (BEN, 5)), VISITS, max_events=9)
    assert [days_of(rows, i) for i in range(2)] == [[], [4]]


def test_a_visit_that_was_known_ahead_is_seen_after_its_day_as_it_was_known_last():
    ahead = events((ANNA, 8, 2, "none"), (ANNA, 8, 4, "visit"), (BEN, 8, 2, "visit"))
    rows = cut(features((ANNA, 8), (ANNA, 9), (BEN, 8), (BEN, 9)), ahead, max_events=9)
    assert [days_of(rows, i) for i in range(4)] == [[], [8], [], [8]]


def test_the_last_visits_are_kept_oldest_first():
    rows = cut(features((ANNA, 10)), VISITS, max_events=1)
    assert days_of(rows, 0) == [5]


def test_a_member_without_visits_has_an_empty_row():
    rows = cut(features((CARL, 10), (BEN, 10)), VISITS, max_events=9)
    assert [days_of(rows, i) for i in range(2)] == [[], [4]]


def test_one_day_of_many_members_is_cut_like_each_row():
    found, offsets = cut_events(VISITS, np.array([ANNA, BEN, CARL]), day(10), max_events=9)
    assert offsets.tolist() == [0, 2, 3, 3]
    assert [d.day for d in found["day"].to_pylist()] == [2, 5, 4]


def test_no_rows_and_no_events_are_fine():
    assert cut(features(), VISITS, max_events=9).offsets.tolist() == [0]
    assert cut(features((ANNA, 3)), events(), max_events=9).offsets.tolist() == [0, 0]


def test_take_joined_and_last_keep_rows_and_visits_together():
    rows = cut(features((ANNA, 10), (BEN, 10)), VISITS, max_events=9)
    turned = rows.take(np.array([1, 0]))
    assert [days_of(turned, i) for i in range(2)] == [[4], [2, 5]]
    assert [days_of(joined([turned, rows]), i) for i in range(4)] == [[4], [2, 5], [2, 5], [4]]
    assert [days_of(turned.last(1), i) for i in range(2)] == [[4], [5]]


def test_compact_holds_each_seen_visit_once_and_no_other():
    rows = cut(features((ANNA, 10), (ANNA, 10), (CARL, 10)), VISITS, max_events=9)
    compact = rows.compact()
    assert (len(rows.held), len(compact.held), compact.event_count) == (5, 2, 4)
    assert [days_of(compact, i) for i in range(3)] == [[2, 5], [2, 5], []]
