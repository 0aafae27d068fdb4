"""What became known since a table was last built, and which days that touches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from tenure.spark import delta

# Beyond so many days a range skips files as well as a list does, and reads better.
_DAYS_NAMED_ONE_BY_ONE = 400


@dataclass(frozen=True)
class News:
    """New rows by the day on which they happened: how many, and the earliest day on which any of them was known."""

    known_on: Mapping[date, date] = field(default_factory=dict)
    rows: int = 0

    def __bool__(self) -> bool:
        return bool(self.known_on)

    def within(self, column: str) -> str:
        """A SQL condition that holds for the days with news."""
        days = sorted(self.known_on)
        if len(days) > _DAYS_NAMED_ONE_BY_ONE:
            return f"{column} between date '{days[0]}' and date '{days[-1]}'"
        return delta.among(column, days)

    def seen_at(self, as_of: Sequence[date]) -> tuple[date, ...]:
        """Those ``as_of`` that could have known any of it: a load of the past changes what serving would have seen."""
        return tuple(at for at in as_of if any(day < at and known_on < at for day, known_on in self.known_on.items()))

    def fell_into(self, as_of: Sequence[date], horizon_days: int) -> tuple[date, ...]:
        """Those ``as_of`` in whose horizon anything of it happened."""
        return tuple(at for at in as_of if any(at <= day < at + timedelta(days=horizon_days) for day in self.known_on))


def news(tables: Iterable[DataFrame], after_batch: int) -> News:
    """What batches after ``after_batch`` brought; each table has ``day``, ``known_on`` and ``batch_no``."""
    rows = reduce(DataFrame.unionByName, (table.select("day", "known_on", "batch_no") for table in tables))
    found = (
        rows.where(F.col("batch_no") > after_batch)
        .groupBy("day")
        .agg(F.min("known_on").alias("known_on"), F.count(F.lit(1)).alias("rows"))
        .collect()
    )
    return News({row["day"]: row["known_on"] for row in found}, sum(row["rows"] for row in found))


def days_with_news(rows: DataFrame, after_batch: int) -> DataFrame:
    """The member-days of which batches after ``after_batch`` brought anything, each once."""
    is_new = (F.col("batch_no") > after_batch) & F.col("member_key").isNotNull()
    return rows.where(is_new).select("member_key", "day").distinct()


def members_with_news(tables: Iterable[DataFrame], after_batch: int) -> DataFrame:
    """The members of whom batches after ``after_batch`` brought anything, each once."""
    keys = [t.where(F.col("batch_no") > after_batch).select("member_key") for t in tables]
    return reduce(DataFrame.unionByName, keys).where(F.col("member_key").isNotNull()).distinct()


FEW = 0.1  # of all members: of more than so many, whole days are written sooner than members are looked up


def are_few(members: DataFrame, of: DataFrame) -> bool:
    """Whether ``members`` are few enough that their rows are replaced and not everybody's; ``of`` has all members."""
    return members.count() <= FEW * of.select("member_key").distinct().count()
