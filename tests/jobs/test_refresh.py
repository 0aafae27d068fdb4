"""Nights of a kiosk: increments equal a full build, releases are whole, what cannot be released is not."""

from __future__ import annotations

import contextvars
import shutil
from datetime import date
from pathlib import Path

import pytest
from pyspark.sql import functions as F
from tests.jobs import kiosk

import ingest
import refresh
from tenure.config.env import Env
from tenure.contracts import gold
from tenure.contracts.control import JOB_RUNS
from tenure.contracts.silver import MEMBER_IDENTITIES, PRODUCTS
from tenure.errors import Busy, Refused, WrongInput
from tenure.lake.release import newest_release, release
from tenure.spark import delta
from tenure.spark.lock import only_writer

# Six nights of Spark jobs before the first claim: minutes.
pytestmark = [pytest.mark.long, pytest.mark.timeout(7200)]


@pytest.fixture(scope="module")
def secret():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TENURE_MEMBER_KEY_SECRET", kiosk.SECRET)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.getbasetemp()


# Of seven members hardly any are few: nights take the way that corrections of few take where all are, and the way that
# corrections of many take where none are.
FEW, MANY = 1.0, 0.0
NIGHTS = "nights"  # the group of their Spark jobs


@pytest.fixture(scope="module")
def by_nights(spark, secret, folder, tmp_path_factory) -> list[Path]:
    """The lake after each night, and after a replay of the second; the replay comes before the third night."""
    lakes = [kiosk.lake_after(spark, nights, folder) for nights in (1, 2)]
    spark.sparkContext.setLocalProperty("spark.jobGroup.id", NIGHTS)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("tenure.spark.news.FEW", FEW)
            return _nights_after(lakes, spark, folder, tmp_path_factory)
    finally:
        spark.sparkContext.setLocalProperty("spark.jobGroup.id", None)


@pytest.fixture(scope="module")
def by_nights_of_many(spark, secret, folder, by_nights, tmp_path_factory) -> list[Path]:
    """The same, where whole days are written again for what is late."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tenure.spark.news.FEW", MANY)
        return _nights_after(by_nights[:2], spark, folder, tmp_path_factory)


def _nights_after(lakes: list[Path], spark, folder: Path, tmp_path_factory) -> list[Path]:
    lakes = list(lakes)
    work = tmp_path_factory.mktemp("by_nights") / "work"
    shutil.copytree(lakes[-1], work)
    kiosk.refreshed(spark, work, kiosk.landed(1, folder), kiosk.SECOND)
    lakes.append(work)
    for number in (2, 3):
        work = tmp_path_factory.mktemp("by_nights") / "work"
        shutil.copytree(lakes[-1], work)
        kiosk.refreshed(spark, work, kiosk.landed(number, folder), kiosk.NIGHTS[number])
        lakes.append(work)
    return lakes


@pytest.fixture(scope="module")
def at_once(spark, secret, folder, tmp_path_factory) -> Path:
    """A lake into which everything landed before its first refresh."""
    work = tmp_path_factory.mktemp("at_once")
    for number, night in enumerate(kiosk.NIGHTS):
        wanted = kiosk.config(work, kiosk.landed(number, folder), night)
        told = {name: getattr(wanted, name) for name in ("env", "source", "batch_id", "arrived_on", "historical")}
        ingest.run(spark, ingest.Ingest(**told))
    kiosk.refreshed(spark, work, kiosk.landed(3, folder), kiosk.NIGHTS[3])
    return work


@pytest.mark.parametrize("table", kiosk.tables(), ids=lambda table: table.name)
def test_increments_with_a_late_a_replayed_and_a_forgotten_file_equal_one_full_build(by_nights, at_once, table):
    assert kiosk.rows(by_nights[-1], table) == kiosk.rows(at_once, table)


@pytest.mark.parametrize("table", kiosk.tables(), ids=lambda table: table.name)
def test_so_they_do_where_whole_days_are_written_again(by_nights_of_many, at_once, table):
    assert kiosk.rows(by_nights_of_many[-1], table) == kiosk.rows(at_once, table)


def test_every_job_of_a_night_is_described_and_says_what_it_read_and_wrote(spark, by_nights):
    found = spark.sparkContext._jsc.sc().statusStore().jobsList(None)
    jobs = [found.apply(n) for n in range(found.size())]
    of_nights = [job for job in jobs if job.jobGroup().isDefined() and job.jobGroup().get() == NIGHTS]
    assert of_nights
    assert all(job.description().isDefined() for job in of_nights)
    runs = delta.read(spark, str(by_nights[-1] / "lake"), JOB_RUNS).where("outcome = 'done'").collect()
    steps = {"ingest", "clean", "build_days", "build_features", "build_events", "build_interactions", "label"}
    assert {run["job"] for run in runs} == {*steps, "refresh"}
    assert all(run["read"] and run["wrote"] for run in runs)


def test_the_nights_left_something_to_compare(by_nights):
    held = kiosk.everything(by_nights[-1])
    assert all(held[table.name] for table in kiosk.tables())


def test_a_replayed_batch_makes_no_release(by_nights):
    releases = [kiosk.release_id(work) for work in by_nights]
    assert releases[1] == releases[2]
    assert releases == sorted(releases)
    assert len(set(releases)) == 4
    assert kiosk.everything(by_nights[1]) == kiosk.everything(by_nights[2])


def test_a_night_leaves_what_was_served_before_as_it_was(by_nights):
    """What came on 16 and 23 February changes no row of features of a day before."""
    table = gold.member_features(newest_release(str(by_nights[0] / "lake")).shop)
    place = table.names.index("as_of")
    first, second, third = (
        [row for row in kiosk.rows(by_nights[number], table) if row[place] <= "2026-02-05"] for number in (0, 1, 3)
    )
    assert first
    assert first == second == third


def test_a_load_of_the_past_changes_what_could_have_been_known(by_nights):
    work = by_nights[-1]
    release = newest_release(str(work / "lake"))
    key = {row["member_id"]: row["member_key"] for row in release.read(MEMBER_IDENTITIES).to_pylist()}
    features = release.read(gold.member_features(release.shop), where=f"member_key = {key['cyd']}").to_pylist()
    assert {row["as_of"]: row["lifetime_visits"] for row in features} == {
        date(2026, 1, 22): 2,
        date(2026, 1, 29): 2,
        date(2026, 2, 5): 2,
        date(2026, 2, 12): 2,
        date(2026, 2, 19): 2,
        date(2026, 2, 23): 2,
    }


def test_a_visit_taken_back_later_is_seen_before_and_not_after(by_nights):
    work = by_nights[-1]
    release = newest_release(str(work / "lake"))
    key = {row["member_id"]: row["member_key"] for row in release.read(MEMBER_IDENTITIES).to_pylist()}
    features = release.read(gold.member_features(release.shop), where=f"member_key = {key['ann']}").to_pylist()
    spent = {row["as_of"]: row["lifetime_spend_minor"] for row in features}
    assert spent[date(2026, 2, 12)] == 540 + 300 + 4500 + 120
    assert spent[date(2026, 2, 19)] == 540 + 300 + 120 + 300


def test_a_table_with_deletion_vectors_is_read_right_through_a_release(spark, by_nights):
    work = by_nights[-1]
    log = work / "lake" / "gold" / "member_days" / "_delta_log"
    assert any('"deletionVector"' in commit.read_text() for commit in log.glob("*.json"))
    release = newest_release(str(work / "lake"))
    table = gold.member_days(release.shop)
    tiles = release.read(table).to_pylist()
    assert len({tuple(tile[name] for name in table.key) for tile in tiles}) == len(tiles)
    sparks = delta.read(spark, str(work / "lake"), table, release.tables[table.name]).collect()
    told = sorted((tile["member_key"], str(tile["day"]), str(tile["known_on"]), tile["spend_minor"]) for tile in tiles)
    assert told == sorted((t["member_key"], str(t["day"]), str(t["known_on"]), t["spend_minor"]) for t in sparks)
    closed = [tile for tile in tiles if tile["superseded_on"] is not None]
    assert {tile["superseded_on"] for tile in closed} == {date(2026, 2, 16), date(2026, 2, 23)}


def test_what_a_check_refuses_is_not_released_and_the_next_night_is(spark, secret, by_nights, tmp_path):
    work = tmp_path / "work"
    bad = kiosk.Night(
        "z1,zoe,bread,2026-02-11 09:00:00,1,300\nz2,zoe,bread,no time,1,300\n", arrived_on=date(2026, 2, 16)
    )
    shutil.copytree(by_nights[0], work)
    before = kiosk.everything(work)
    folder = kiosk.land(tmp_path / "bad", bad)
    with pytest.raises(Refused):
        kiosk.refreshed(spark, work, folder, bad)
    assert kiosk.everything(work) == before
    kiosk.refreshed(spark, work, folder, bad, quarantine_limit=0.6)
    assert len(kiosk.rows(work, MEMBER_IDENTITIES)) == len(before["member_identities"]) + 1


def test_a_second_refresh_is_told_to_wait(spark, folder, tmp_path):
    another = contextvars.Context()  # nothing of what this run holds
    with only_writer(spark, Env(work=str(tmp_path))), pytest.raises(Busy, match="another job is writing to this lake"):
        another.run(kiosk.refreshed, spark, tmp_path, kiosk.landed(0, folder), kiosk.FIRST)


def test_a_lake_keeps_its_buckets_and_its_shop(spark, by_nights, folder):
    work = by_nights[-1]
    with pytest.raises(WrongInput, match=r"made with 2 buckets.*source\.buckets=2"):
        refresh.run(spark, kiosk.config(work, kiosk.landed(3, folder), kiosk.FORGOTTEN, buckets=4))
    with pytest.raises(WrongInput, match="this lake holds kiosk"):
        refresh.run(spark, kiosk.config(work, kiosk.landed(3, folder), kiosk.FORGOTTEN, name="another"))


def test_another_sources_refresh_leaves_a_lake_without_a_release_as_it_was(spark, secret, folder, tmp_path):
    wanted = kiosk.config(tmp_path, kiosk.landed(0, folder), kiosk.FIRST)
    ingest.run(spark, ingest.Ingest(env=wanted.env, source=wanted.source, historical=True))
    refresh.clean.run(spark, refresh.clean.Clean(env=wanted.env, source=wanted.source))
    root = str(tmp_path / "lake")
    before = delta.version(spark, root, PRODUCTS)
    with pytest.raises(WrongInput, match="this lake holds kiosk, not another"):
        refresh.run(spark, kiosk.config(tmp_path, kiosk.landed(0, folder), kiosk.FIRST, name="another"))
    assert delta.version(spark, root, PRODUCTS) == before


def test_a_mended_expression_leaves_the_lake_of_the_right_one(spark, secret, folder, tmp_path):
    """Silver and gold, which begins anew; and the night after it has nothing to do."""
    feeds = kiosk.SOURCE["feeds"]
    orders = feeds["orders"] | {"columns": feeds["orders"]["columns"] | {"paid_minor": "cast(paid as bigint) * 100"}}
    work, first = tmp_path / "work", kiosk.landed(0, folder)
    kiosk.refreshed(spark, work, first, kiosk.FIRST, feeds=feeds | {"orders": orders})
    wrong = kiosk.release_id(work)
    kiosk.refreshed(spark, work, first, kiosk.FIRST)
    mended = kiosk.release_id(work)
    kiosk.refreshed(spark, work, first, kiosk.FIRST)
    assert kiosk.release_id(work) == mended > wrong
    assert kiosk.everything(work) == kiosk.everything(kiosk.lake_after(spark, 1, folder))


def test_what_other_code_computes_comes_with_a_refresh_that_begins_anew(spark, secret, folder, tmp_path, monkeypatch):
    """Silver and gold of the new code; the release of the old code is read as it was, and anew is once."""
    work, first = tmp_path / "work", kiosk.landed(0, folder)
    shutil.copytree(kiosk.lake_after(spark, 1, folder), work)
    old, before = kiosk.release_id(work), kiosk.everything(work)
    products_of, interactions_of = refresh.clean.silver.products, refresh.build_interactions.interactions
    monkeypatch.setattr(
        "clean.silver.products", lambda *told: products_of(*told).withColumn("product_name", F.upper("product_name"))
    )
    monkeypatch.setattr(
        "build_interactions.interactions", lambda *told: interactions_of(*told).withColumn("times", F.lit(70))
    )

    assert kiosk.refreshed(spark, work, first, kiosk.FIRST) == old
    new = kiosk.refreshed(spark, work, first, kiosk.FIRST, anew=True)

    root = str(work / "lake")
    names = {row["product_name"] for row in release(root, new).read(PRODUCTS).to_pylist()}
    assert names == {row["product_name"].upper() for row in release(root, old).read(PRODUCTS).to_pylist()}
    table = gold.interactions(newest_release(root).shop)
    assert {row["times"] for row in release(root, new).read(table).to_pylist()} == {70}
    assert 70 not in {row["times"] for row in release(root, old).read(table).to_pylist()}
    after = kiosk.everything(work)
    assert {name: after[name] for name in after if name not in ("products", "interactions")} == {
        name: before[name] for name in before if name not in ("products", "interactions")
    }
    assert kiosk.refreshed(spark, work, first, kiosk.FIRST) == new
