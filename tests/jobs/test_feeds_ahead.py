"""Feeds that silver has no tables for yet land in bronze as all others do, are mapped as they are, and stay there."""

from __future__ import annotations

from pathlib import Path

import pyarrow.dataset as ds
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from tests.infra.raw_ids import holding
from tests.jobs import kiosk, market

import clean
import ingest
from tenure.config.env import Env
from tenure.config.settings import load
from tenure.config.source import Source
from tenure.contracts.control import BATCHES, CONSERVATION
from tenure.contracts.landing import CLEANED_TABLES, ENVELOPE, RAW_TABLES, RAW_TABLES_AHEAD
from tenure.contracts.silver import MEMBER_IDENTITIES
from tenure.contracts.table import Table
from tenure.lake.layout import bronze_path, table_path
from tenure.simulation.settings import SimulateShop
from tenure.simulation.simulate import simulate
from tenure.spark import checks, delta
from tenure.spark.mapping import DECLARED_KNOWN_ON, mapped
from tenure.spark.night import Night
from tenure.spark.schema import spark_type

SIZES = ("members=40", "days=12", "processes=1", "catalogue.products=120", "campaigns.first_day=2")
# So that chargebacks, reviews and answers are among a dozen days of some dozens of members.
OFTEN = ("fraud.takeover_a_day=0.2", "fraud.reported_after_days=1", "messages.question_share=0.5")
AHEAD = pytest.mark.parametrize("table", RAW_TABLES_AHEAD, ids=lambda table: table.name)


@pytest.fixture(scope="module")
def lake(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> clean.Clean:
    """A simulated shop that landed as its source says, and whose it is."""
    work = tmp_path_factory.mktemp("ahead") / "work"
    simulate(load(SimulateShop, "conf/jobs/simulate_shop.yaml", [f"folder={work}/simulated", *SIZES, *OFTEN]))
    source = load(Source, "conf/sources/simulated.yaml", [f"data={work}/simulated/landing"])
    env = Env(work=str(work))
    assert ingest.run(spark, ingest.Ingest(env=env, source=source))
    return clean.Clean(env=env, source=source)


@pytest.fixture(scope="module")
def cleaned(lake: clean.Clean, spark: SparkSession) -> clean.Clean:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TENURE_MEMBER_KEY_SECRET", kiosk.SECRET)
        assert clean.run(spark, lake) == (1,)
    return lake


def bronze(spark: SparkSession, lake: clean.Clean, table: Table) -> DataFrame:
    return delta.load(spark, bronze_path(lake.env.lake_root, _feed(table)))


def _feed(table: Table) -> str:
    return table.name.removeprefix("raw_")


def _landed(lake: clean.Clean, table: Table) -> int:
    return ds.dataset(lake.source.folder / _feed(table)).count_rows()


@AHEAD
def test_bronze_holds_every_row_that_landed_behind_its_envelope(
    spark: SparkSession, lake: clean.Clean, table: Table
) -> None:
    rows = bronze(spark, lake, table)
    assert rows.columns == ["landed", *(column.name for column in ENVELOPE)]
    positions = [row["position"] for row in rows.orderBy("position").select("position").collect()]
    assert positions == list(range(_landed(lake, table))) != []


@AHEAD
def test_its_expressions_make_the_contracts_columns(spark: SparkSession, lake: clean.Clean, table: Table) -> None:
    feed = lake.source.feeds[_feed(table)]
    rows = mapped(bronze(spark, lake, table), feed).withColumnRenamed(DECLARED_KNOWN_ON, "known_on")
    assert {name: rows.schema[name].dataType for name in table.names} == {
        column.name: spark_type(column.kind) for column in table.columns
    }
    told = rows.agg(*(F.count(name).alias(name) for name in table.names)).collect()[0].asDict()
    required = [column.name for column in table.columns if not column.nullable]
    assert {name: told[name] for name in [*required, "known_on"]} == dict.fromkeys(
        [*required, "known_on"], _landed(lake, table)
    )
    assert all(told[name] for name in feed.columns), told  # a cast that fits no row would leave nothing
    assert set(feed.columns) == set(table.names)


def test_a_message_is_known_when_the_answer_that_it_tells_of_is(spark: SparkSession, lake: clean.Clean) -> None:
    (table,) = (table for table in RAW_TABLES_AHEAD if table.name == "raw_messages")
    rows = mapped(bronze(spark, lake, table), lake.source.feeds["messages"])
    answered_on = F.to_date(F.from_utc_timestamp("answered_at", lake.source.calendar))
    assert rows.where(answered_on > F.col(DECLARED_KNOWN_ON)).isEmpty()


def test_the_same_files_again_are_nothing_new(spark: SparkSession, lake: clean.Clean) -> None:
    assert not ingest.run(spark, ingest.Ingest(env=lake.env, source=lake.source))


def test_clean_leaves_them_alone(spark: SparkSession, cleaned: clean.Clean) -> None:
    work = Path(cleaned.env.work)
    (batch,) = market.rows(spark, work, BATCHES)
    assert batch["landed"] == {table.name: _landed(cleaned, table) for table in RAW_TABLES}
    told = {row["table"]: row["landed"] for row in market.rows(spark, work, CONSERVATION)}
    assert told == {table.name: _landed(cleaned, table) for table in CLEANED_TABLES}


def test_a_night_answers_for_them_in_bronze_and_nowhere_else(spark: SparkSession, cleaned: clean.Clean) -> None:
    source = cleaned.source
    day = source.grid.first
    night = Night(spark=spark, root=cleaned.env.lake_root, shop=source.shop, last_complete_day=day, through_batch=1)
    assert [*checks.lost_rows(night), *checks.lost_landings(night, source.feeds)] == []
    without = {name: feed for name, feed in source.feeds.items() if name != "consents"}  # as if bronze had lost them
    (table,) = (table for table in RAW_TABLES_AHEAD if table.name == "raw_consents")
    lost = f"bronze holds 0 rows of raw_consents of batch 1, {_landed(cleaned, table):,} landed"
    assert list(checks.lost_landings(night, without)) == [lost]


def test_no_raw_id_leaves_bronze(cleaned: clean.Clean) -> None:
    root = Path(cleaned.env.lake_root)
    identities = Path(table_path(str(root), MEMBER_IDENTITIES)).relative_to(root).as_posix()
    known = holding(root, r"M\d{10}")
    assert {name.split("/")[1] for name in known if name.startswith("bronze/")} >= {"raw_events", "raw_messages"}
    assert holding(root, r"M\d{10}", but=("bronze", identities)) == []


VISITS = {
    "table": "raw_events",
    "files": ["events.csv"],
    "columns": {
        "event_id": "id",
        "member_id": "visitor",
        "occurred_at": "at",
        "event_kind": "step",
        "query": "serch",
    },
}


def test_a_misspelt_column_stops_the_batch_before_anything_is_written(spark: SparkSession, tmp_path: Path) -> None:
    market.land_first(tmp_path / "landing")
    (tmp_path / "landing" / "events.csv").write_text("id,visitor,at,step,search\ne1,anna,2026-03-01,search,figs\n")
    feeds = market.SOURCE["feeds"] | {"events": VISITS}
    market.assert_refused(
        spark, tmp_path, r"feed events: query cannot be made of 'serch' .*: id, .*search", feeds=feeds
    )
    assert not (tmp_path / "lake" / "bronze").exists()
