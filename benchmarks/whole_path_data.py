"""P15's data: landing files to a release by ``jobs/refresh.py``, and to the same tables by hand in Polars."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import polars as pl
from deltalake import DeltaTable
from pyspark.sql import SparkSession

import refresh
from benchmarks import data_by_hand, engines, machine, results, simulated_lake
from benchmarks.arguments import Arguments
from benchmarks.equality import fingerprint, hold_equal
from benchmarks.gold_build import Folders
from benchmarks.measure import Peer, Runner, at_most, compare
from benchmarks.plan_by_hand import Plan
from benchmarks.simulated_lake import Lake, Unequal
from tenure.contracts.control import JOB_RUNS, QUARANTINE, REPLACED
from tenure.contracts.gold import LABELS, interactions, member_events, member_features
from tenure.contracts.landing import RAW_ORDERS
from tenure.contracts.rules import EXACT_DUPLICATE, KEY_DUPLICATE, missing, out_of_range
from tenure.contracts.shop import Shop
from tenure.contracts.silver import ORDER_LINES
from tenure.contracts.table import Table
from tenure.lake.layout import table_path
from tenure.lifecycle.calendar import as_of_days, labelled_days

SECRET = "not a secret: the members are simulated"  # noqa: S105  the same for both sides, so that keys are
# Of our tables, what those by hand do without: how ours are partitioned, what is one value in all rows, and what the
# simulated shop says of nobody.
LEFT_OUT = {
    "member_features": {"bucket", "income_band", "home_ownership", "marital_status", "kids_count"},
    "labels": {"bucket", "task", "horizon_days"},
    "member_events": {"bucket"},
    "interactions": {"bucket"},
}
MIXES = ("categories", "category_shares")  # lists, which are held equal by themselves
PACKAGES = ("pyspark", "delta-spark", "polars", "torch", "implicit", "fastapi", "ray")


class Data:
    """Landing files to a release, and to the same tables by hand."""

    def __init__(self, spark: SparkSession, landing: Path, folder: Path) -> None:
        self._spark, self._landing = spark, landing
        self.released, self.by_hand = Folders(folder / "tenure"), Folders(folder / "hand")

    @property
    def lake(self) -> Lake:
        return Lake(work=self.released.newest, landing=self._landing)

    def compared(self, arguments: Arguments, start_s: float) -> list[results.Result]:
        sides = {"refresh": self.released, "Polars": self.by_hand}
        polars = Peer(
            name="Polars",
            run=self._run_by_hand,
            ratio="ours/peer",
            goal=at_most(2.0),
            settings={"threads": machine.cores()},
        )
        return compare(
            "P15",
            Runner(name="refresh", run=self._run, settings=engines.spark_settings(), start_s=start_s),
            [polars],
            rounds=arguments.rounds,
            prepare=lambda runner: sides[runner.name].fresh(),
            equal=lambda _: self._hold_equal(),
            noisy=arguments.noisy,
            events=simulated_lake.order_lines(self._landing),
            packages=PACKAGES,
            facts=lambda _: {"jobs_s": jobs_s(self.lake)},
        )

    def _run(self) -> None:
        refresh.run(self._spark, refresh.Refresh(env=self.lake.env, source=self.lake.source))

    def _run_by_hand(self) -> None:
        data_by_hand.run(plan(self._landing, self.by_hand.newest, self.lake.source.shop))

    def _hold_equal(self) -> None:
        shop, theirs = self.lake.source.shop, self.by_hand.newest
        features, events = member_features(shop), member_events(shop)
        keys = {features: features.key, LABELS: ("member_key", "as_of"), events: events.key}
        keys[interactions(shop)] = ("member_key", "day", "known_on")
        for table, key in keys.items():
            ours, hand = Path(table_path(self.lake.root, table)), theirs / table.name
            names = [name for name in told_by_both(table, hand / data_by_hand.FILE) if name not in MIXES]
            hold_equal(fingerprint(ours, key, names), fingerprint(hand, key, names), f"Polars ({table.name})")
        ours, hand = (_mixes(folder) for folder in (Path(table_path(self.lake.root, events)), theirs / events.name))
        hold_equal(ours, hand, "Polars (categories of visits)")
        hold_equal(fates(self.lake.root), fates_by_hand(theirs), "Polars (order lines, kept and set aside)")


def told_by_both(table: Table, by_hand: Path) -> list[str]:
    """The columns of a table that its file by hand has too: all but those in ``LEFT_OUT``.

    Raises:
        Unequal: if it lacks others.
    """
    there = pl.read_parquet_schema(by_hand)
    lacking = {name for name in table.names if name not in there}
    if lacking != LEFT_OUT[table.name]:
        raise Unequal(f"{table.name} by hand lacks {sorted(lacking)}, and shall lack {sorted(LEFT_OUT[table.name])}")
    return [name for name in table.names if name in there]


def _mixes(folder: Path) -> dict[str, object]:
    """Of each category: on how many visits it was bought, in which places, and its shares added up."""
    rows = pl.scan_parquet(folder / "**" / "part-*.parquet").select("categories", "category_shares").with_row_index()
    rows = rows.explode("categories", "category_shares", empty_as_null=False)
    rows = rows.with_columns(place=pl.int_range(pl.len()).over("index"))
    summed = rows.group_by("categories").agg(pl.len(), pl.col("place").sum(), pl.col("category_shares").sum())
    return {
        f"{name} {place}": value for name, *values in summed.collect().iter_rows() for place, value in enumerate(values)
    }


def fates(root: str) -> dict[str, object]:
    """How many order lines were kept, and how many each rule took out."""
    read = [
        DeltaTable(table_path(root, table)).to_pyarrow_table(columns=["table", "rule"])
        for table in (QUARANTINE, REPLACED)
    ]
    mine = [row["rule"] for rows in read for row in rows.to_pylist() if row["table"] == RAW_ORDERS.name]
    return {"kept": DeltaTable(table_path(root, ORDER_LINES)).count(), **Counter(map(_named_by_hand, mine))}


def fates_by_hand(folder: Path) -> dict[str, object]:
    kept = pl.scan_parquet(folder / "order_lines" / data_by_hand.FILE).select(pl.len()).collect().item()
    return {"kept": kept, **Counter(pl.read_parquet(folder / "quarantine" / data_by_hand.FILE)["rule"].to_list())}


def _named_by_hand(rule: str) -> str:
    """What the rule is called by hand, where one name stands for several."""
    if rule.startswith(missing("")):
        return "missing"
    if rule.endswith(out_of_range("")):
        return "out_of_range"
    return _BY_HAND.get(rule, rule)


_BY_HAND = {"garbled_text": "broken_encoding", EXACT_DUPLICATE: "duplicate", KEY_DUPLICATE: "duplicate"}


def plan(landing: Path, to: Path, shop: Shop) -> Plan:
    last = simulated_lake.last_day(landing)
    return Plan(
        landing=landing,
        to=to,
        secret=SECRET.encode(),
        categories=shop.categories,
        windows=shop.windows_days,
        activity_days=shop.activity_days,
        horizon_days=shop.horizon_days,
        as_of=as_of_days(shop, last),
        matured=labelled_days(shop, last),
    )


def jobs_s(lake: Lake) -> dict[str, float]:
    runs = DeltaTable(table_path(lake.root, JOB_RUNS)).to_pyarrow_table(columns=["job", "seconds"]).to_pylist()
    return {run["job"]: round(run["seconds"], 2) for run in runs}
