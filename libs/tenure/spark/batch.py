"""One batch on its way from bronze to silver: what it brought, and what silver holds besides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property, reduce
from zoneinfo import ZoneInfo

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from tenure.config.source import Feed, Source
from tenure.contracts.table import Table
from tenure.lake.job_run import JobRun
from tenure.lake.layout import bronze_path
from tenure.spark import delta
from tenure.spark.kept import Kept
from tenure.spark.mapping import mapped
from tenure.spark.pseudonyms import with_member_key
from tenure.spark.set_aside import member_columns


@dataclass(frozen=True, kw_only=True)
class Batch:
    """``kept`` holds its frames until it is clean; ``landed`` counts what it brought, by raw table."""

    spark: SparkSession
    root: str
    source: Source
    secret: bytes
    job: JobRun
    kept: Kept
    batch_id: str
    batch_no: int
    ingested_at: datetime
    landed: Mapping[str, int]

    @property
    def newest_day(self) -> Column:
        """The shop's day after which nothing in a batch without a day of arrival can have happened or become known."""
        at = self.ingested_at.replace(tzinfo=self.ingested_at.tzinfo or UTC)
        day: date = self.source.last_complete_day or at.astimezone(ZoneInfo(self.source.calendar)).date()
        return F.lit(day)

    def feeds(self, table: Table) -> dict[str, Feed]:
        there = {name: feed for name, feed in self.source.feeds.items() if feed.table == table.name}
        return {name: feed for name, feed in there.items() if self.landed.get(table.name) and self._has(name)}

    @cached_property
    def member_columns(self) -> frozenset[str]:
        """The landed columns from which any feed makes a member's id: feeds may read the same files."""
        telling = {name: feed for name, feed in self.source.feeds.items() if "member_id" in feed.columns}
        parts = [member_columns(self.bronze(name), feed) for name, feed in telling.items() if self._has(name)]
        return frozenset(name for part in parts for name in part)

    def _has(self, feed: str) -> bool:
        return delta.is_table(self.spark, bronze_path(self.root, feed))

    def bronze(self, feed: str) -> DataFrame:
        """What the batch brought; by its id too, as a killed ingest may have left rows under the next one's number."""
        is_mine = (F.col("batch_no") == self.batch_no) & (F.col("batch_id") == self.batch_id)
        return delta.load(self.spark, bronze_path(self.root, feed)).where(is_mine)

    def before(self, table: Table) -> DataFrame:
        """What silver holds of earlier batches."""
        return delta.standing(self.spark, self.root, table).where(F.col("batch_no") < self.batch_no)

    def mine(self, table: Table) -> DataFrame:
        return delta.standing(self.spark, self.root, table).where(F.col("batch_no") == self.batch_no)

    def mapped(self, table: Table) -> DataFrame | None:
        """The batch's rows of a raw table, with the member's pseudonym beside the id; none where none landed."""
        parts = [mapped(self.bronze(n), feed).withColumn("feed", F.lit(n)) for n, feed in self.feeds(table).items()]
        if not parts:
            return None
        rows = reduce(DataFrame.unionByName, parts)
        has_member = "member_id" in rows.columns
        return with_member_key(rows, self.secret) if has_member else rows
