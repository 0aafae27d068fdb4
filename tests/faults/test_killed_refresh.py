"""A refresh killed with -9 right after a table's commit: readers see the release before, the next refresh finishes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from tests.jobs import kiosk

ROOT = Path(__file__).parents[2]
PATIENCE_S = 1500
EVERY_TABLE = (
    *("bronze/raw_members", "bronze/raw_campaigns", "bronze/raw_touches", "bronze/raw_products", "bronze/raw_orders"),
    "control/batches",
    *("silver/products", "silver/order_lines", "silver/campaigns", "silver/campaign_touches", "silver/members"),
    "silver/member_identities",
    *("control/quarantine", "control/replaced", "control/conservation"),
    *("gold/member_days", "gold/member_totals", "gold/member_features", "gold/member_events", "gold/interactions"),
    "gold/labels",
)

pytestmark = [pytest.mark.long, pytest.mark.timeout(4800)]  # every case is several nights of Spark jobs


@pytest.fixture
def folder(tmp_path_factory, monkeypatch) -> Path:
    monkeypatch.setenv("TENURE_MEMBER_KEY_SECRET", kiosk.SECRET)
    return tmp_path_factory.getbasetemp()


def commits(work: Path, table: str) -> int:
    return len(list((work / "lake" / table / "_delta_log").glob("*.json")))


def killed_after(
    tables: Collection[str], work: Path, folder: Path, settings: Path, night_of: kiosk.Night = kiosk.SECOND
) -> set[str]:
    """Runs a night in a process of its own and kills it, and its JVM, when one of ``tables`` has a new commit; which of
    them had one by then, as another may follow before the kill arrives."""
    wanted = kiosk.config(work, folder, night_of).model_dump(mode="json", exclude_unset=True)
    settings.write_text(yaml.safe_dump(wanted))
    before = {table: commits(work, table) for table in tables}
    command = [sys.executable, str(ROOT / "jobs/refresh.py"), "--config", str(settings)]
    night = subprocess.Popen(
        command, cwd=ROOT, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    patience = time.monotonic() + PATIENCE_S
    try:
        while all(commits(work, table) == before[table] for table in tables):
            assert night.poll() is None, f"the refresh ended first: {night.communicate()[0].decode()[-3000:]}"
            assert time.monotonic() < patience, f"no commit to any of {sorted(tables)} within {PATIENCE_S} s"
            time.sleep(0.02)
    finally:
        os.killpg(night.pid, signal.SIGKILL)
        night.communicate()
    return {table for table in tables if commits(work, table) > before[table]}


@pytest.mark.timeout(14400)
def test_a_night_killed_after_every_table_in_turn_is_finished_by_the_last_try(spark, folder, tmp_path):
    # One more line, of no quantity: a table that a night brings nothing to gets no commit of it.
    night = replace(kiosk.SECOND, orders=f"{kiosk.SECOND.orders}q1,bob,bread,2026-02-14 10:00:00,,300\n")
    first, landed = kiosk.lake_after(spark, 1, folder), kiosk.land(tmp_path / "landed", night)
    work, undisturbed = tmp_path / "work", tmp_path / "undisturbed"
    for copy in (work, undisturbed):
        shutil.copytree(first, copy)
    kiosk.refreshed(spark, undisturbed, landed, night)

    # What a table has new for the first time is the night's own: it goes back to the release only after a kill.
    left = set(EVERY_TABLE)
    while left:
        left -= killed_after(left, work, landed, tmp_path / "refresh.yaml", night)
        assert kiosk.release_id(work) == kiosk.release_id(first)
        assert kiosk.everything(work) == kiosk.everything(first)

    assert kiosk.refreshed(spark, work, landed, night) > kiosk.release_id(first)
    assert kiosk.everything(work) == kiosk.everything(undisturbed)


@pytest.mark.parametrize(
    "table", ["bronze/raw_orders", "control/batches", "silver/order_lines", "gold/member_features", "gold/labels"]
)
def test_readers_see_the_release_before_and_the_next_refresh_finishes(spark, folder, tmp_path, table):
    first, second = (kiosk.lake_after(spark, nights, folder) for nights in (1, 2))
    landed, work = kiosk.landed(1, folder), tmp_path / "work"
    shutil.copytree(first, work)

    killed_after([table], work, landed, tmp_path / "refresh.yaml")

    assert kiosk.release_id(work) == kiosk.release_id(first)
    assert kiosk.everything(work) == kiosk.everything(first)
    assert kiosk.refreshed(spark, work, landed, kiosk.SECOND) > kiosk.release_id(first)
    assert kiosk.everything(work) == kiosk.everything(second)


def test_killed_right_after_the_row_of_releases_the_night_stands_whole(spark, folder, tmp_path):
    first, second = (kiosk.lake_after(spark, nights, folder) for nights in (1, 2))
    landed, work = kiosk.landed(1, folder), tmp_path / "work"
    shutil.copytree(first, work)

    killed_after(["control/releases"], work, landed, tmp_path / "refresh.yaml")

    stands = kiosk.release_id(work)
    assert stands > kiosk.release_id(first)
    assert kiosk.everything(work) == kiosk.everything(second)
    assert kiosk.refreshed(spark, work, landed, kiosk.SECOND) == stands  # nothing is new
    assert kiosk.everything(work) == kiosk.everything(second)


@pytest.mark.parametrize("table", ["silver/order_lines", "gold/member_features"])
def test_a_first_refresh_that_was_killed_leaves_no_release_and_the_next_one_finishes(spark, folder, tmp_path, table):
    first, landed, work = kiosk.lake_after(spark, 1, folder), kiosk.landed(0, folder), tmp_path / "work"

    killed_after([table], work, landed, tmp_path / "refresh.yaml", kiosk.FIRST)

    assert not (work / "lake/control/releases").exists()
    kiosk.refreshed(spark, work, landed, kiosk.FIRST)
    assert kiosk.everything(work) == kiosk.everything(first)
