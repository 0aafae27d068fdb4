"""Order lines of a simulated shop as they lie in bronze, with every kind of fault, for the benchmarks of cleaning.

Landed by ``jobs/ingest.py`` and laid down once more as plain Parquet, so that all sides read the same files: bronze is
a Delta table whose columns have names that only Delta knows. The shop is the simulator's own but for returns: what
pairs a return with its sale has no counterpart in the plain idiom.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from benchmarks.simulated_lake import JOBS, Lake, kept, last_day, named, shop
from ingest import Ingest
from ingest import run as ingest
from tenure.config.settings import read_yaml
from tenure.config.source import Source
from tenure.contracts.silver import PRODUCTS
from tenure.contracts.table import Has, Table
from tenure.lake.layout import bronze_path
from tenure.spark import delta, silver
from tenure.spark.kept import Kept
from tenure.spark.mapping import mapped
from tenure.spark.schema import conform, local_rows, struct

NO_RETURNS = (
    *("returns.share=0", "returns.share_when_bad=0", "fraud.abuse_share=0"),
    "faults.return_without_sale=0",
)
FAULTY = (*NO_RETURNS, "faults.strength=1")
LACKS = (Has.RETURNS, Has.CAMPAIGNS, Has.DEMOGRAPHICS)
# The shop without a feed of members tells who is none by the check digits of their numbers, a rule of its own.
CHECK_DIGITS = {
    "name": "member_unknown",
    "table": "raw_orders",
    "says": "the last two digits of a member's number are the rest of the others by 97; here they are not",
    "when": "not (member_id rlike '^M[0-9]{10}$') "
    "or cast(substr(member_id, 2, 8) as int) % 97 <> cast(substr(member_id, 10, 2) as int)",
    "fate": "quarantine",
}
SECRET = b"not a secret: the members are simulated"


@dataclass(frozen=True, kw_only=True)
class Lines:
    """``orders`` and ``products`` are folders of Parquet: bronze with its envelope, and silver's catalogue."""

    orders: Path
    products: Path
    source: Source
    rows: int
    last_day: date
    seconds: float  # that making them took in this run; 0 where they were there

    @property
    def as_of(self) -> date:
        """The day to answer for, in the middle of the data's last windows: what comes later is not known yet."""
        return self.last_day - timedelta(days=7)

    @property
    def newest_day(self) -> date:
        return self.last_day


def lines(spark: SparkSession, work: Path, events: int) -> Lines:
    """About so many order lines with faults; made on the first call for a size."""
    began = time.monotonic()
    landing = shop(work, events, FAULTY, "faulty-shop")
    source = source_of(landing)
    where = named(work / f"{landing.parent.name}-bronze", (*JOBS, "benchmarks/landed_lines.py"))
    folder = kept(where, lambda folder: _land(spark, source, landing, folder))
    rows = spark.read.parquet(str(folder / "orders")).count()
    return Lines(
        orders=folder / "orders",
        products=folder / "products",
        source=source,
        rows=rows,
        last_day=last_day(landing),
        seconds=time.monotonic() - began,
    )


def source_of(landing: Path) -> Source:
    """The simulator's own source, of a shop that knows orders and its catalogue alone."""
    said = read_yaml("conf/sources/simulated.yaml")
    feeds = {name: said["feeds"][name] for name in ("orders", "products")}
    rules = [CHECK_DIGITS if rule == CHECK_DIGITS["name"] else rule for rule in said["rules"]]
    return Source.model_validate({**said, "feeds": feeds, "rules": rules, "data": str(landing), "lacks": LACKS})


def _land(spark: SparkSession, source: Source, landing: Path, folder: Path) -> None:
    lake = Lake(work=folder / "lake", landing=landing)
    ingest(spark, Ingest(env=lake.env, source=source))
    landed = delta.load(spark, bronze_path(lake.root, "orders"))
    landed.write.parquet(str(folder / "orders"))
    with Kept() as held:
        feed = source.feeds["products"]
        rows = mapped(delta.load(spark, bronze_path(lake.root, "products")), feed)
        named = rows.withColumn("feed", F.lit("products"))
        catalogue = silver.products(named, held, source, empty(spark, PRODUCTS), F.lit(last_day(landing)))
        conform(catalogue.where("fate is null"), PRODUCTS).coalesce(1).write.parquet(str(folder / "products"))
    shutil.rmtree(folder / "lake")


def empty(spark: SparkSession, table: Table) -> DataFrame:
    """A table without a row, of which the optimiser sees that it has none, as the jobs' tables without a file are to it
    (``delta.standing``)."""
    return local_rows(spark, [], struct(table))
