"""What the shop's settings do to every gold table."""

from __future__ import annotations

from collections.abc import Iterable

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from tenure.contracts.table import Has, Table


def bucketed(rows: DataFrame, buckets: int) -> DataFrame:
    """With ``bucket``: the member's partition, ``member_key`` modulo ``buckets``."""
    return rows.withColumn("bucket", F.pmod("member_key", F.lit(buckets)).cast("long"))


def without(rows: DataFrame, table: Table, lacks: Iterable[Has]) -> DataFrame:
    """The rows with null in every column that needs what the shop lacks."""
    absent = set(lacks)
    return rows.withColumns({c.name: F.lit(None) for c in table.columns if c.needs in absent})
