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

from delta.tables import DeltaTable
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from tenure.config.env import Env
from tenure.config.source import Source
from tenure.contracts.control import CONSERVATION
from tenure.contracts.gold import contract_fingerprint
from tenure.contracts.shop import Shop
from tenure.contracts.silver import ORDER_LINES
from tenure.contracts.table import Table
from tenure.errors import WrongInput
from tenure.lake.layout import table_path
from tenure.spark import delta
from tenure.spark.news import News
from tenure.spark.schema import struct

_USER_METADATA = "spark.databricks.delta.commitInfo.userMetadata"


@dataclass(frozen=True, kw_only=True)
class Night:
    """``through_batch``: the newest batch that silver holds; ``last_complete_day``: the newest day of which everything
    expected is in."""

    spark: SparkSession
    root: str
    shop: Shop
    last_complete_day: date
    through_batch: int

    @property
    def fingerprint(self) -> str:
        return contract_fingerprint(self.shop)

    def read(self, table: Table) -> DataFrame:
        """The table as it stands; empty where nothing ever came."""
        delta.create(self.spark, self.root, table)
        return delta.read(self.spark, self.root, table)

    def opened(self, table: Table) -> int:
        """The batch through which the table is built: 0 for a new one, and for one of another contract, which is begun
        anew. Releases go on to read the versions that they name."""
        delta.create(self.spark, self.root, table, is_merged_into=True)
        mark = newest_mark(self.spark, self.root, table)
        if mark.get("fingerprint") == self.fingerprint:
            return int(mark["through_batch"])
        if delta.version(self.spark, self.root, table) > 0:
            begin_anew(self.spark, self.root, table)
        return 0

    def append(self, rows: DataFrame, table: Table) -> int:
        with self._marked():
            return delta.append(rows, self.root, table)["rows"]

    def merge(self, rows: DataFrame, table: Table, within: str | None) -> int:
        """Rows by the table's key; ``within`` is a SQL condition on ``old`` that lets Delta skip files."""
        with self._marked():
            return delta.merge(rows, self.root, table, within=within)["rows"]

    def put(self, rows: DataFrame, table: Table, after: int, news: News) -> int:
        """Versions of member-days into a table built through the batch ``after``."""
        return self.merge(rows, table, news.within("old.day")) if after else self.append(rows, table)

    def replace_as_of(self, rows: DataFrame, table: Table, as_of: Sequence[date]) -> int:
        """All rows of those ``as_of``, in one commit."""
        with self._marked():
            return delta.replace_where(rows, self.root, table, f"as_of in ({_listed(as_of)})")["rows"]

    def replace_members(self, rows: DataFrame, table: Table, members: DataFrame, as_of: Sequence[date]) -> int:
        """All rows of those members at those ``as_of``, in one commit; the others' are not written again."""
        with self._marked():
            return delta.replace_members(rows, self.root, table, members, f"old.as_of in ({_listed(as_of)})")["rows"]

    @contextmanager
    def _marked(self) -> Iterator[None]:
        with marked(self.spark, json.dumps({"through_batch": self.through_batch, "fingerprint": self.fingerprint})):
            yield


def _listed(days: Sequence[date]) -> str:
    return ", ".join(f"date '{day}'" for day in days)


def night(spark: SparkSession, env: Env, source: Source) -> Night:
    """The facts of a build, from what ``clean`` left.

    Raises:
        WrongInput: if silver holds no order line yet.
    """
    root = env.lake_root
    if not (delta.exists(spark, root, CONSERVATION) and delta.exists(spark, root, ORDER_LINES)):
        raise WrongInput(f"{root} holds no clean rows yet; run jobs/ingest.py and jobs/clean.py first")
    through = delta.read(spark, root, CONSERVATION).agg(F.max("batch_no")).first()
    newest = delta.read(spark, root, ORDER_LINES).agg(F.max("day")).first()
    last = source.last_complete_day or (newest and newest[0])
    if not last or not through or not through[0]:
        raise WrongInput(f"{root} holds no order line; look into {root}/control/quarantine for what became of them")
    return Night(spark=spark, root=root, shop=source.shop, last_complete_day=last, through_batch=int(through[0]))


def begin_anew(spark: SparkSession, root: str, table: Table) -> None:
    """The table without a row, as its contract says now."""
    empty = spark.createDataFrame([], struct(table))
    writer = empty.write.format("delta").mode("overwrite").option("overwriteSchema", "true")
    if table.partition_by:
        writer = writer.partitionBy(*table.partition_by)
    writer.save(table_path(root, table))


def newest_mark(spark: SparkSession, root: str, table: Table) -> dict[str, str]:
    """What the newest commit says of itself; nothing where it says nothing."""
    text = user_metadata(spark, root, table)
    return json.loads(text) if text else {}


def user_metadata(spark: SparkSession, root: str, table: Table, version: int | None = None) -> str | None:
    """What the commit ``version``, or the newest, says of itself."""
    delta_table = DeltaTable.forPath(spark, table_path(root, table))
    if version is None:
        row = delta_table.history(1).select("userMetadata").first()
    else:
        row = delta_table.history().where(F.col("version") == version).select("userMetadata").first()
    return row["userMetadata"] if row else None


@contextmanager
def marked(spark: SparkSession, text: str) -> Iterator[None]:
    """Commits within carry ``text`` as their ``userMetadata``."""
    spark.conf.set(_USER_METADATA, text)
    try:
        yield
    finally:
        spark.conf.unset(_USER_METADATA)
