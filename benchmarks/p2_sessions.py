"""P2: sessions of members' events, with a gap of 24 hours, to Parquet.

    python -m benchmarks.p2_sessions --events 20000000
    make bench-data ONLY=P2 EVENTS=1000000

Ours is ``tenure.spark.sessions.member_sessions``. DuckDB does it twice: as SQL is usually written (``lag``, a running
sum, ``group by``), and by way of spans like ours, so that what the engine does and what the way does can be told apart.
"""

from __future__ import annotations

import shutil
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.sql import SparkSession

from benchmarks import engines
from benchmarks.arguments import Arguments, benchmark
from benchmarks.clicked_events import events
from benchmarks.equality import fingerprint, hold_equal
from benchmarks.measure import Peer, Runner, at_most, compare
from benchmarks.results import Result
from tenure.spark.sessions import member_sessions

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

GAP = timedelta(hours=24)
# The key is a hash of each engine's own; every other column is the same on all sides.
KEY, TOLD = ["member_key", "session_no"], ["member_key", "session_no", "started_at", "ended_at", "events"]

_NUMBERED = """
select member_key, session_no, cast(hash(member_key, min(first_us)) >> 1 as bigint) as session_key,
    make_timestamptz(min(first_us)) as started_at, make_timestamptz(max(last_us)) as ended_at,
    cast(sum(events) as bigint) as events
from (
    select *, cast(sum(begins) over (partition by member_key order by first_us rows unbounded preceding) as bigint)
        as session_no
    from (
        select *, case when first_us - lag(last_us) over (partition by member_key order by first_us) <= {gap_us}
            then 0 else 1 end as begins
        from ({spans})
    )
) group by member_key, session_no
"""
_EACH_EVENT = """
select member_key, epoch_us(occurred_at) as first_us, first_us as last_us, 1 as events
from read_parquet('{events}/*.parquet') where member_key is not null and occurred_at is not null
"""
_SPANS = """
select member_key, min(first_us) as first_us, max(last_us) as last_us, count(*) as events
from ({each}) group by member_key, first_us // {gap_us}
"""


def run(given: Arguments) -> list[Result]:
    spark, start_s = engines.spark(given.work, "P2")
    made = events(spark, given.work, given.events)
    print(f"P2: {made.rows:,} events; making them took {made.seconds:.0f} s", flush=True)
    asked = queries(made.folder)
    to = {name: given.work / "P2" / name.replace(", ", " ").replace(" ", "-") for name in ("tenure", *asked)}
    connected = {name: engines.duckdb_connection(given.work) for name in asked}
    ours = Runner(
        name="tenure",
        run=lambda: by_spark(spark, made.folder, to["tenure"]),
        settings=engines.spark_settings(),
        start_s=start_s,
    )
    peers = [
        Peer(
            name=name,
            run=partial(by_duckdb, connected[name].engine, query, to[name]),
            ratio="ours/peer",
            goal=at_most(2.0),
            settings=engines.duckdb_settings(),
            start_s=connected[name].start_s,
        )
        for name, query in asked.items()
    ]
    return compare(
        "P2",
        ours,
        peers,
        rounds=given.rounds,
        prepare=lambda runner: shutil.rmtree(to[runner.name], ignore_errors=True),
        equal=lambda peer: hold_equal(*(fingerprint(to[n], KEY, TOLD) for n in ("tenure", peer.name)), peer.name),
        noisy=given.noisy,
        events=made.rows,
        packages=("pyspark", "duckdb", "pyarrow"),
    )


def queries(events: Path) -> dict[str, str]:
    """DuckDB's, by the peer's name."""
    each, gap_us = _EACH_EVENT.format(events=events), GAP // timedelta(microseconds=1)
    return {
        "DuckDB": _NUMBERED.format(spans=each, gap_us=gap_us),
        "DuckDB, by spans": _NUMBERED.format(spans=_SPANS.format(each=each, gap_us=gap_us), gap_us=gap_us),
    }


def by_spark(spark: SparkSession, events: Path, to: Path) -> None:
    member_sessions(spark.read.parquet(str(events)), GAP).write.parquet(str(to))


def by_duckdb(connection: DuckDBPyConnection, query: str, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    connection.execute(f"copy ({query}) to '{to}' (format parquet, per_thread_output true)")


if __name__ == "__main__":
    benchmark(run, says=__doc__ or "")
