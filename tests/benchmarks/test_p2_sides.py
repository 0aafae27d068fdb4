"""All sides of P2 find the same sessions, at the gap's very edge too."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytest.importorskip("duckdb")

from benchmarks import engines
from benchmarks.equality import fingerprint, hold_equal
from benchmarks.p2_sessions import GAP, KEY, TOLD, by_duckdb, by_spark, queries

START = datetime(2025, 3, 1, 7, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
# By member, each event's distance from the one before.
EVENTS = {
    11: [timedelta(0), GAP, GAP + MICROSECOND, timedelta(0), GAP - MICROSECOND],
    -22: [timedelta(hours=5)],
    33: [timedelta(hours=17), *[timedelta(hours=20)] * 6, timedelta(days=9)],
    None: [timedelta(0), GAP],
}


@pytest.fixture
def events(tmp_path):
    rows = [(44, None)]
    for member, gaps in EVENTS.items():
        rows += [(member, START + sum(gaps[: place + 1], timedelta())) for place in range(len(gaps))]
    keys, moments = zip(*reversed(rows), strict=True)
    (tmp_path / "events").mkdir()
    table = {"member_key": pa.array(keys, pa.int64()), "occurred_at": pa.array(moments, pa.timestamp("us", "UTC"))}
    pq.write_table(pa.table(table), tmp_path / "events" / "part-0.parquet")
    return tmp_path / "events"


def test_all_sides_find_the_same_sessions(spark, events, tmp_path):
    by_spark(spark, events, tmp_path / "tenure")
    ours = fingerprint(tmp_path / "tenure", KEY, TOLD)
    assert ours["rows"] == 2 + 1 + 2
    connection = engines.duckdb_connection(tmp_path).engine
    for name, query in queries(events).items():
        by_duckdb(connection, query, tmp_path / name)
        hold_equal(ours, fingerprint(tmp_path / name, KEY, TOLD), name)
