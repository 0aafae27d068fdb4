"""A shop of a few hundred members on disk for tests of training: visits drawn from rates, some members stop coming.

What is drawn is only the visits; features and labels follow from them as the contract says.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from deltalake import write_deltalake

from tenure.config.env import Env
from tenure.config.source import Churn, Feed, Grid, Source, SplitByTime
from tenure.contracts.control import RELEASES
from tenure.contracts.gold import LABELS, member_events, member_features
from tenure.contracts.shop import Shop, shop_to_json
from tenure.contracts.table import Column, Has, Kind, Table
from tenure.lake.layout import table_path
from tenure.lake.release import Release, newest_release
from tenure.lake.schema import arrow
from tenure.training.settings import FitTask

FIRST_DAY = date(2025, 1, 1)
DAYS = 330
SHOP = Shop(
    name="visiting_shop",
    currency="EUR",
    calendar="Europe/Berlin",
    windows_days=(7, 28, 84),
    activity_days=84,
    horizon_days=28,
    first_as_of=FIRST_DAY + timedelta(days=84),
    as_of_every_days=14,
    buckets=4,
    categories=("bakery", "drinks"),
    lacks=(Has.CAMPAIGNS, Has.DEMOGRAPHICS, Has.DISCOUNTS, Has.RETURNS),
)
GRID = tuple(SHOP.first_as_of + timedelta(days=days) for days in range(0, DAYS - 84 - 27, 14))
SOURCE = Source(
    name=SHOP.name,
    says="for tests",
    currency=SHOP.currency,
    calendar=SHOP.calendar,
    lacks=SHOP.lacks,
    categories=SHOP.categories,
    windows_days=SHOP.windows_days,
    churn=Churn(activity_days=84, horizon_days=28),
    grid=Grid(first=SHOP.first_as_of, every_days=14),
    split=SplitByTime(train_until=GRID[8], validation=(GRID[10], GRID[11]), test=(GRID[13], GRID[14])),
    buckets=SHOP.buckets,
    feeds=dict[str, Feed](),
)

Row = dict[str, Any]
Change = Callable[[Row], Row]


@dataclass(frozen=True)
class VisitingShop:
    """Where it lies."""

    work: Path

    @property
    def env(self) -> Env:
        return Env(work=str(self.work))

    @property
    def release(self) -> Release:
        return newest_release(self.env.lake_root)

    def settings(self, **changes: Any) -> FitTask:
        """A training small enough for a test; ``changes`` replace whole groups of settings."""
        small: dict[str, Any] = {
            "env": self.env,
            "source": SOURCE,
            "task": "churn",
            "architecture": {"width": 16, "layers": 1, "heads": 2, "intermediate": 16, "rank": 2},
            "reading": {"bins": 4, "max_events": 12},
            "loop": {
                "batch_rows": 64,
                "pretraining_epochs": 1,
                "epochs": 2,
                "evaluations_per_epoch": 1,
                "checkpoint_steps": 10,
            },
            "baselines": {"trials": 2, "threads": 1, "rounds": 60},
            "evaluation": {"resamples": 50},
        }
        return FitTask.model_validate({**small, **changes})


def open_shop(work: Path, members: int = 200, seed: int = 0, change: Change = lambda row: row) -> VisitingShop:
    """Draws, derives and releases; ``change`` may spoil rows of features, which carry their label under ``label``."""
    rng = np.random.default_rng(seed)
    visits = {key: _visits(rng) for key in _keys(members)}
    events = {key: _events(key, days, rng) for key, days in visits.items()}
    rows = [row for key, days in visits.items() for as_of in GRID for row in _rows(key, days, events[key], as_of)]
    labels = [_label(row) for row in rows if row["visits_84d"] > 0]
    features = [change(row) for row in rows]
    shop = VisitingShop(work)
    tables = [
        (member_events(SHOP), [event for of_member in events.values() for event in of_member]),
        (member_features(SHOP), features),
        (LABELS, labels),
    ]
    for table, filled in tables:
        _write(shop, table, filled)
    _write(shop, RELEASES, [_release({table.name: 0 for table, _ in tables})])
    return shop


def _keys(members: int) -> list[int]:
    rng = np.random.default_rng(7)
    return sorted(int(key) for key in rng.integers(-(2**62), 2**62, members))


def _visits(rng: np.random.Generator) -> np.ndarray:
    """Days since the first one on which a member came; a third of them stops at some point."""
    rate = float(np.clip(rng.gamma(1.5, 0.12), 0.02, 0.8))
    until = int(rng.integers(60, DAYS)) if rng.random() < 0.35 else DAYS
    came = np.flatnonzero(rng.random(DAYS) < rate)
    return came[came < until]


def _events(key: int, days: np.ndarray, rng: np.random.Generator) -> list[Row]:
    return [
        {
            "member_key": key,
            "day": FIRST_DAY + timedelta(days=int(day)),
            "known_on": FIRST_DAY + timedelta(days=int(day)),
            "kind": "visit",
            "baskets": 1,
            "lines": int(rng.integers(1, 9)),
            "spend_minor": int(rng.integers(100, 5000)),
            "hour": int(rng.integers(8, 20)),
            "categories": ["bakery", "drinks"][: int(rng.integers(1, 3))],
            "category_shares": None,
        }
        for day in days
    ]


def _rows(key: int, days: np.ndarray, events: list[Row], as_of: date) -> list[Row]:
    """The member's row of features at a day, with its label; none for a member not known yet."""
    today = (as_of - FIRST_DAY).days
    known = days[days < today]
    if not len(known):
        return []
    row: Row = {"member_key": key, "as_of": as_of, "stage": "retention"}
    for window in SHOP.windows_days:
        row[f"visits_{window}d"] = int((known >= today - window).sum())
        within = [event for event in events if as_of - timedelta(days=window) <= event["day"] < as_of]
        for measure in ("baskets", "lines", "spend_minor"):
            row[f"{measure}_{window}d"] = sum(event[measure] for event in within)
    row |= {
        "days_since_known": today - int(known[0]),
        "days_since_first_visit": today - int(known[0]),
        "days_since_last_visit": today - int(known[-1]),
        "lifetime_visits": len(known),
        "mean_gap_days": float(np.diff(known).mean()) if len(known) > 1 else None,
        "newest_known_on": FIRST_DAY + timedelta(days=int(known[-1])),
        "label": float(not ((days >= today) & (days < today + SHOP.horizon_days)).any()),
    }
    return [row]


def _label(row: Row) -> Row:
    return {
        "member_key": row["member_key"],
        "as_of": row["as_of"],
        "task": "churn",
        "value": row["label"],
        "horizon_days": SHOP.horizon_days,
        "matured_at": row["as_of"] + timedelta(days=SHOP.horizon_days - 1),
        "newest_known_on": row["as_of"] + timedelta(days=SHOP.horizon_days - 1),
    }


def _release(tables: dict[str, int]) -> Row:
    return {
        "release_id": "20251127T000000Z-1",
        "released_at": datetime(2025, 11, 27, tzinfo=UTC),
        "source": SHOP.name,
        "tables": list(tables.items()),
        "fingerprint": "0123456789abcdef",
        "shop": shop_to_json(SHOP),
        "code_version": "test",
        "last_complete_day": FIRST_DAY + timedelta(days=DAYS - 1),
        "newest_as_of": GRID[-1],
        "through_batch": 1,
    }


def _write(shop: VisitingShop, table: Table, rows: list[Row]) -> None:
    names = {c.name for c in table.columns}
    filled = [
        {**{c.name: _empty(c) for c in table.columns}, **{k: v for k, v in row.items() if k in names}} for row in rows
    ]
    for row in filled:
        if "bucket" in names:
            row["bucket"] = row["member_key"] % SHOP.buckets
        if "category_shares" in names:
            row["category_shares"] = [1 / len(row["categories"])] * len(row["categories"])
    arrived = pa.Table.from_pylist(filled, arrow(table))
    write_deltalake(table_path(shop.env.lake_root, table), arrived, partition_by=list(table.partition_by) or None)


def _empty(column: Column) -> Any:
    if column.nullable:
        return None
    return {Kind.TEXT: "", Kind.TEXTS: [], Kind.NUMBERS: [], Kind.FLAG: False}.get(column.kind, 0)
