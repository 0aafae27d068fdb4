"""A shop that lands as Parquet, as CSV or as JSON lines comes to one silver: only ``batch_id``, a hash of the files,
tells the forms apart there.

What the forms cannot carry alike does not reach it. Parquet alone says that a number is one: text is cast. CSV writes
null as nothing, JSON as null: no text of a shop is empty, and an expression for a text would make null of one. In what
silver does not hold a row is shown as it landed, a number of Parquet as a number. And the sign that stands for bytes
that are no text (U+FFFD) is read out of CSV and JSON where bytes were broken, so ``broken_encoding`` takes such a row;
Parquet's text is whole by its own word, so ``garbled_text`` does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import Row, SparkSession
from tests.jobs import kiosk, market

import clean
import ingest
from tenure.config.env import Env
from tenure.config.settings import load, read_yaml
from tenure.config.source import Source
from tenure.contracts import rules
from tenure.contracts.control import QUARANTINE, REPLACED
from tenure.contracts.silver import SILVER_TABLES
from tenure.contracts.table import Table
from tenure.lake.layout import bronze_path
from tenure.simulation.settings import SimulateShop
from tenure.simulation.simulate import simulate
from tenure.spark import delta
from tenure.spark.landing_files import REPLACEMENT
from tenure.spark.mapping import IS_BROKEN, mapped

SOURCE = "conf/sources/simulated.yaml"
FORMS = ("parquet", "csv", "json")
FEEDS = tuple(read_yaml(SOURCE)["feeds"])
SIZES = ("members=40", "days=12", "processes=1", "catalogue.products=120", "campaigns.first_day=2")
THEFTS = ("fraud.takeover_a_day=0.2", "fraud.reported_after_days=1")  # so that chargebacks come in those days
FAULTS = ("faults.strength=3", "faults.broken_encoding=0.02", "faults.late_day=0.02")
OF_THE_FILES = ("batch_id", "source_file")
# With faults order lines land as text in Parquet too; without, as numbers.
SHOPS = [pytest.param(FAULTS, id="faulty"), pytest.param((), id="honest", marks=pytest.mark.long)]


@pytest.fixture(scope="module", params=SHOPS)
def landed(
    request: pytest.FixtureRequest, spark: SparkSession, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, clean.Clean]:
    """A lake of each form into which one shop landed, and whose it is."""
    folder = tmp_path_factory.mktemp("forms")
    lakes = {form: _of(folder / form, form, request.param) for form in FORMS}
    for lake in lakes.values():
        assert ingest.run(spark, ingest.Ingest(env=lake.env, source=lake.source))
    return lakes


@pytest.fixture(scope="module")
def cleaned(landed: dict[str, clean.Clean], spark: SparkSession) -> dict[str, clean.Clean]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TENURE_MEMBER_KEY_SECRET", kiosk.SECRET)
        for lake in landed.values():
            assert clean.run(spark, lake) == (1,)
    return landed


def _of(work: Path, form: str, faults: tuple[str, ...]) -> clean.Clean:
    told = (f"folder={work}/simulated", f"format={form}", f"feeds=[{', '.join(FEEDS)}]", *SIZES, *THEFTS, *faults)
    simulate(load(SimulateShop, "conf/jobs/simulate_shop.yaml", told))
    said = read_yaml(SOURCE)
    feeds = {name: said["feeds"][name] | {"files": [f"{name}/*/*.{form}"], "format": form} for name in FEEDS}
    of_form = said | {"data": f"{work}/simulated/landing", "feeds": feeds, "quarantine_limit": 0.3}
    return clean.Clean(env=Env(work=str(work)), source=Source.model_validate(of_form))


def _mapped(spark: SparkSession, lake: clean.Clean, feed: str) -> list[Row]:
    """What the feed's expressions make of bronze, in the order in which it landed."""
    bronze = delta.load(spark, bronze_path(lake.env.lake_root, feed))
    return mapped(bronze, lake.source.feeds[feed]).drop(*OF_THE_FILES).orderBy("position").collect()


@pytest.mark.parametrize("feed", FEEDS)
def test_rows_mean_the_same_whatever_form_they_landed_in(
    spark: SparkSession, landed: dict[str, clean.Clean], feed: str
) -> None:
    by_form = {form: _mapped(spark, lake, feed) for form, lake in landed.items()}
    in_parquet = [row.asDict() for row in by_form["parquet"]]
    assert in_parquet
    assert not any(row[IS_BROKEN] for row in in_parquet)
    for form in ("csv", "json"):
        looks_broken = {row["position"] for row in by_form[form] if row[IS_BROKEN]}
        assert looks_broken == {row["position"] for row in in_parquet if REPLACEMENT in str(row)}
        assert [row.asDict() | {IS_BROKEN: False} for row in by_form[form]] == in_parquet


def _held(spark: SparkSession, lake: clean.Clean, table: Table, *but: str) -> list[dict[str, Any]]:
    rows = market.rows(spark, Path(lake.env.work), table)
    return [{name: value for name, value in row.items() if name not in (*OF_THE_FILES, *but)} for row in rows]


@pytest.mark.long
@pytest.mark.parametrize("table", SILVER_TABLES, ids=lambda table: table.name)
def test_silver_is_the_same_whatever_form_landed(
    spark: SparkSession, cleaned: dict[str, clean.Clean], table: Table
) -> None:
    in_parquet, *in_text = (sorted(_held(spark, lake, table), key=str) for lake in cleaned.values())
    assert in_parquet
    assert in_text == [in_parquet, in_parquet]


@pytest.mark.long
def test_the_same_rows_are_set_aside_whatever_form_landed(spark: SparkSession, cleaned: dict[str, clean.Clean]) -> None:
    for table in (QUARANTINE, REPLACED):
        by_form = {form: _held(spark, lake, table, "row") for form, lake in cleaned.items()}
        read_as_broken = {rules.BROKEN_ENCODING: "garbled_text"}
        for rows in by_form.values():
            for row in rows:
                row["rule"] = read_as_broken.get(row["rule"], row["rule"])
            rows.sort(key=str)
        assert by_form["csv"] == by_form["json"] == by_form["parquet"], table.name
