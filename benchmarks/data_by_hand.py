"""Landing files of the simulated shop to features, labels, visits and purchases, as one would write it in Polars.

One script for one shop: what our jobs derive from contracts and settings is spelled out here, in memory, without
increments, lineage, releases or checks between the tables. The order of the work is the same, and so are the rows that
come out.
"""

from __future__ import annotations

import polars as pl

from benchmarks.clean_by_hand import cleaned, members_of, read_touches
from benchmarks.days_by_hand import events_of, interactions_of, signed, tiles_of
from benchmarks.features_by_hand import features_of, labels_of
from benchmarks.plan_by_hand import Plan

FILE = "part-0.parquet"  # of each table's folder


def run(plan: Plan) -> None:
    lines, aside = cleaned(plan)
    put(lines, plan, "order_lines")
    put(aside, plan, "quarantine")
    touches = read_touches(plan)
    parts = signed(lines)
    tiles = tiles_of(parts, touches, plan)
    gold = {
        "member_features": features_of(members_of(plan, lines, touches), tiles, plan),
        "labels": labels_of(tiles, plan),
        "member_events": events_of(parts, tiles),
        "interactions": interactions_of(parts),
    }
    for name, rows in zip(gold, pl.collect_all(gold.values()), strict=True):
        put(rows, plan, name)


def put(rows: pl.DataFrame, plan: Plan, name: str) -> None:
    rows.write_parquet(plan.to / name / FILE, mkdir=True, compression="snappy")
