"""One night's build of gold: where, for which shop, through which batch and up to which day.

Every commit to a gold table says in its ``userMetadata`` through which batch the table is built and under which
contract, so that a job knows what is new to its table without asking another one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import reduce
from typing import Any, NamedTuple

from pyspark.sql import DataFrame, SparkSession

from tenure.config.env import Env
from tenure.config.source import Source
from tenure.contracts.control import BATCHES, CONSERVATION
from tenure.contracts.gold import contract_fingerprint
from tenure.contracts.shop import Shop
from tenure.contracts.silver import ORDER_LINES
from tenure.contracts.table import Table
from tenure.errors import WrongInput
from tenure.lake.layout import table_path
from tenure.lifecycle.calendar import last_complete_day
from tenure.spark import delta
from tenure.spark.delta_log import Snapshot
from tenure.spark.news import News
from tenure.spark.schema import local_rows, struct

RESTORED = "restored"  # in a commit's mark: the version that it brought back
_USER_METADATA = "spark.databricks.delta.commitInfo.userMetadata"


class Built(NamedTuple):
    """How far a table is built: through which batch, 0 for a new one, and up to which day."""

    through_batch: int = 0
    last_complete_day: date | None = None


@dataclass(frozen=True, kw_only=True)
class Night:
    """``through_batch``: the newest batch that silver holds; ``last_complete_day``: the newest day of which everything
    expected is in; ``cleaning``: the fingerprint of the settings that silver was cleaned by."""

    spark: SparkSession
    root: str
    shop: Shop
    last_complete_day: date
    through_batch: int
    cleaning: str = ""

    @property
    def fingerprint(self) -> str:
        return contract_fingerprint(self.shop)

    def read(self, table: Table) -> DataFrame:
        """The table as it stands; empty where nothing ever came."""
        return delta.standing(self.spark, self.root, table)

    def rows_of(self, *tables: Table) -> dict[str, int]:
        """How many rows stand in each. Bare counts, which Delta can answer from its log alone."""
        counts = [self.read(table).groupBy().count() for table in tables]
        rows = [row["count"] for row in reduce(DataFrame.union, counts).collect()]
        return {table.name: count for table, count in zip(tables, rows, strict=True)}

    def opened(self, table: Table) -> Built:
        """How far the table is built. One of another contract, or made of rows that were cleaned by other settings, is
        begun anew. Releases go on to read the versions that they name."""
        delta.create(self.spark, self.root, table, is_merged_into=True)
        built = self.built(table)
        if not built.through_batch and delta.version(self.spark, self.root, table) > 0:
            begin_anew(self.spark, self.root, table)
        return built

    def built(self, table: Table) -> Built:
        """How far the table is built under this contract and these settings; nothing is changed."""
        if not delta.exists(self.spark, self.root, table):
            return Built()
        mark = newest_mark(self.spark, self.root, table)
        if (mark.get("fingerprint"), mark.get("cleaning")) != (self.fingerprint, self.cleaning):
            return Built()
        return Built(int(mark["through_batch"]), date.fromisoformat(mark["last_complete_day"]))

    def append(self, rows: DataFrame, table: Table) -> int:
        with self._marked():
            return delta.append(rows, self.root, table)["rows"]

    def merge(self, rows: DataFrame, table: Table, within: str | None) -> int:
        """Rows by the table's key; ``within`` is a SQL condition on ``old`` that lets Delta skip files."""
        with self._marked():
            return delta.merge(rows, self.root, table, within=within)["rows"]

    def put(self, rows: DataFrame, table: Table, after: int, news: News) -> int:
        """Versions of member-days into a table built through the batch ``after``."""
        if after and delta.may_hold(self.spark, self.root, table, "day", news.known_on):
            return self.merge(rows, table, news.within("old.day"))
        return self.append(rows, table)

    def replace_as_of(self, rows: DataFrame, table: Table, as_of: Sequence[date]) -> int:
        """All rows of those ``as_of``, in one commit."""
        with self._marked():
            return delta.replace_where(rows, self.root, table, "as_of", as_of)["rows"]

    def replace_members(
        self, rows: DataFrame, table: Table, members: DataFrame, as_of: Sequence[date], *, is_last: bool
    ) -> int:
        """All rows of those members at those ``as_of``, in one commit; the others' are not written again.

        Args:
            is_last: whether the table is built with it. Before another commit it keeps the mark that stands, so that a
                run that is killed in between is made again whole.
        """
        standing = newest_mark(self.spark, self.root, table)
        standing.pop(RESTORED, None)  # the table changes now, so it is not what was brought back
        with marked(self.spark, self._mark if is_last else json.dumps(standing)):
            return delta.replace_members(rows, self.root, table, members, delta.among("old.as_of", as_of))["rows"]

    @property
    def _mark(self) -> str:
        return json.dumps(
            {
                "through_batch": self.through_batch,
                "last_complete_day": self.last_complete_day.isoformat(),
                "fingerprint": self.fingerprint,
                "cleaning": self.cleaning,
            }
        )

    @contextmanager
    def _marked(self) -> Iterator[None]:
        with marked(self.spark, self._mark):
            yield


def night(spark: SparkSession, env: Env, source: Source) -> Night:
    """The facts of a build, from what ``clean`` left.

    Raises:
        WrongInput: if silver holds no order line yet.
    """
    root = env.lake_root
    if not (delta.exists(spark, root, CONSERVATION) and delta.exists(spark, root, ORDER_LINES)):
        raise WrongInput(f"{root} holds no clean rows yet; run jobs/ingest.py and jobs/clean.py first")
    arrivals = delta.read(spark, root, BATCHES).select("batch_id", "arrived_on")
    told = delta.read(spark, root, CONSERVATION).select("batch_id", "batch_no", "newest_day", "cleaning")
    rows = told.join(arrivals, "batch_id").collect()  # one row each a batch and raw table
    last = source.last_complete_day or last_complete_day((row["arrived_on"], row["newest_day"]) for row in rows)
    if not last or not rows:
        raise WrongInput(f"{root} holds no order line; look into {root}/control/quarantine for what became of them")
    newest = max(rows, key=lambda row: row["batch_no"])
    return Night(
        spark=spark,
        root=root,
        shop=source.shop,
        last_complete_day=last,
        through_batch=int(newest["batch_no"]),
        cleaning=newest["cleaning"],
    )


def emptied(spark: SparkSession, root: str, table: Table) -> bool:
    """Begins a table anew, unless it is empty and as its contract says; whether it did."""
    held = delta.read(spark, root, table)
    if held.columns == list(table.names) and held.isEmpty():
        return False
    begin_anew(spark, root, table)
    return True


def begin_anew(spark: SparkSession, root: str, table: Table) -> None:
    """The table without a row, as its contract says now."""
    empty = local_rows(spark, [], struct(table))
    writer = empty.write.format("delta").mode("overwrite").option("overwriteSchema", "true")
    if table.partition_by:
        writer = writer.partitionBy(*table.partition_by)
    writer.save(table_path(root, table))


def newest_mark(spark: SparkSession, root: str, table: Table) -> dict[str, Any]:
    """What the newest commit says of itself; nothing where it says nothing."""
    text = user_metadata(spark, root, table)
    return json.loads(text) if text else {}


def user_metadata(spark: SparkSession, root: str, table: Table, version: int | None = None) -> str | None:
    """What the commit ``version``, or the newest, says of itself."""
    return Snapshot(spark, table_path(root, table)).user_metadata(version)


@contextmanager
def marked(spark: SparkSession, text: str) -> Iterator[None]:
    """Commits within carry ``text`` as their ``userMetadata``."""
    spark.conf.set(_USER_METADATA, text)
    try:
        yield
    finally:
        spark.conf.unset(_USER_METADATA)
