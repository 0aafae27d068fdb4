"""Reading and writing Delta tables by their contracts.

Every write goes through ``append``, ``replace_where``, ``replace_members`` or ``merge``, and every one of them counts
the rows in the pass that writes them (``observe``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date

from delta.tables import DeltaTable
from pyspark.sql import Column as SparkColumn
from pyspark.sql import DataFrame, Observation, SparkSession
from pyspark.sql import functions as F

from tenure.contracts.table import Table
from tenure.lake.layout import RETENTION, table_path
from tenure.spark.delta_log import Snapshot
from tenure.spark.schema import conform, local_rows, struct

Counts = dict[str, int]

_FILTERED_ON = ("bucket", "batch_no", "as_of", "day", "known_on", "member_key", "matured_at", "release_id", "task")


def exists(spark: SparkSession, root: str, table: Table) -> bool:
    return is_table(spark, table_path(root, table))


def is_table(spark: SparkSession, path: str) -> bool:
    return DeltaTable.isDeltaTable(spark, path)


def folders(spark: SparkSession, path: str) -> list[str]:
    """The names of the folders below ``path``, which may be a URL; none where there is nothing."""
    jvm = spark._jvm  # PySpark itself lists no folder
    assert jvm is not None
    folder = jvm.org.apache.hadoop.fs.Path(path)
    files = folder.getFileSystem(spark._jsparkSession.sessionState().newHadoopConf())
    found = files.listStatus(folder) if files.exists(folder) else []
    return sorted(file.getPath().getName() for file in found if file.isDirectory())


def load(spark: SparkSession, path: str) -> DataFrame:
    """A table by its path, for those that no contract describes, as it stands now."""
    rows = Snapshot(spark, path).rows()
    return spark.read.format("delta").load(path) if rows is None else rows


def create(spark: SparkSession, root: str, table: Table, *, is_merged_into: bool = False) -> None:
    """An empty table as its contract says, where there is none yet.

    Args:
        is_merged_into: whether single rows of it will be changed: then deletion vectors save the rewriting of whole
            files. Other tables are without them, so that any reader of Parquet reads them right.
    """
    path = table_path(root, table)
    if DeltaTable.isDeltaTable(spark, path):
        return
    builder = DeltaTable.createIfNotExists(spark).location(path).comment(table.says).addColumns(struct(table))
    if table.partition_by:
        builder = builder.partitionedBy(*table.partition_by)
    for key, value in properties(table, is_merged_into).items():
        builder = builder.property(key, value)
    builder.execute()


def widen(spark: SparkSession, root: str, table: Table) -> None:
    """The table, made where there is none yet, with columns that its contract got since: null in the rows of before.

    For a table that cannot be made again from others.
    """
    create(spark, root, table)
    if not set(table.names) <= set(read(spark, root, table).columns):
        nothing = local_rows(spark, [], struct(table))
        nothing.write.format("delta").mode("append").option("mergeSchema", True).save(table_path(root, table))


def properties(table: Table, is_merged_into: bool = False) -> dict[str, str]:
    """Delta's table properties. Statistics are collected on the columns that are filtered on only: on all of them a
    write costs half as much again."""
    indexed = [c.name for c in table.columns if c.name in _FILTERED_ON and c.name not in table.partition_by]
    return {
        "delta.dataSkippingStatsColumns": ",".join(indexed),
        "delta.enableDeletionVectors": str(is_merged_into).lower(),
        **RETENTION,
    }


def read(spark: SparkSession, root: str, table: Table, version: int | None = None) -> DataFrame:
    """The table as it stands now, or as it stood at ``version``."""
    path = table_path(root, table)
    if version is None:
        return load(spark, path)
    return spark.read.format("delta").option("versionAsOf", version).load(path)


def standing(spark: SparkSession, root: str, table: Table) -> DataFrame:
    """The table as it stands, made where there is none; one without a file is no table to a query, which spares Spark
    the look into its log and all that would be joined to it."""
    create(spark, root, table)
    if Snapshot(spark, table_path(root, table)).is_known_empty:
        nothing = [F.lit(None).cast(field.dataType).alias(field.name) for field in struct(table)]
        return spark.range(1).where(F.lit(False)).select(*nothing)
    return read(spark, root, table)


def append(rows: DataFrame, root: str, table: Table, counts: Mapping[str, SparkColumn] | None = None) -> Counts:
    """Adds rows; returns ``rows`` (how many) and what ``counts`` names, counted in the writing pass.

    ``rows`` may have more columns than the table, for ``counts`` to count by.
    """
    create(rows.sparkSession, root, table)
    return _write(rows, root, table, counts, where=None)


def replace_where(
    rows: DataFrame,
    root: str,
    table: Table,
    column: str,
    values: Collection[int | date],
    counts: Mapping[str, SparkColumn] | None = None,
) -> Counts:
    """Puts ``rows`` in the place of those that have one of ``values`` in ``column``, as all of ``rows`` have, in one
    commit: a rerun is harmless."""
    spark = rows.sparkSession
    create(spark, root, table)
    return _write(rows, root, table, counts, where=replaced_where(spark, table_path(root, table), column, values))


def replaced_where(spark: SparkSession, path: str, column: str, values: Collection[int | date]) -> str | None:
    """The SQL condition on rows that have one of ``values`` in ``column``; none where the log tells that no row has:
    what replaces nothing is added, without a search for what it replaces."""
    if Snapshot(spark, path).holds_none(column, values):
        return None
    return among(column, values)


def among(column: str, values: Collection[int | date]) -> str:
    """The SQL condition on rows that have one of ``values`` in ``column``; no row has one of none."""
    named = (f"date '{value}'" if isinstance(value, date) else str(value) for value in sorted(values))
    return f"{column} in ({', '.join(named)})" if values else "false"


def _write(
    rows: DataFrame, root: str, table: Table, counts: Mapping[str, SparkColumn] | None, *, where: str | None
) -> Counts:
    seen, counted = observed(rows, counts)
    laid = conform(seen, table)
    if table.sort_by:
        laid = laid.sortWithinPartitions(*table.partition_by, *table.sort_by)
    writer = laid.write.format("delta").mode("append" if where is None else "overwrite")
    if where is not None:
        writer = writer.option("replaceWhere", where)
    writer.save(table_path(root, table))
    return counted()


class Observed:
    """What was counted while rows passed by; call it after they were written."""

    def __init__(self, observation: Observation) -> None:
        self._observation = observation

    def __call__(self) -> Counts:
        return {name: int(value or 0) for name, value in self._observation.get.items()}


def observed(rows: DataFrame, counts: Mapping[str, SparkColumn] | None = None) -> tuple[DataFrame, Observed]:
    """``rows`` that are counted as they pass: ``rows`` in all, and one aggregate for each name in ``counts``."""
    observation = Observation()
    named = [column.alias(name) for name, column in (counts or {}).items()]
    return rows.observe(observation, F.count(F.lit(1)).alias("rows"), *named), Observed(observation)


def may_hold(spark: SparkSession, root: str, table: Table, column: str, values: Collection[int | date]) -> bool:
    """Whether a row may have one of ``values`` in ``column``, as far as the log tells."""
    return not Snapshot(spark, table_path(root, table)).holds_none(column, values)


def merge(rows: DataFrame, root: str, table: Table, *, within: str | None = None) -> Counts:
    """Inserts rows whose key is new and replaces the others; null is equal to null.

    Args:
        within: a SQL condition on ``old`` that every matching row fulfils, so that files are skipped.
    """
    create(rows.sparkSession, root, table, is_merged_into=True)
    seen, counted = observed(conform(rows, table))
    same = [f"old.{name} <=> new.{name}" for name in dict.fromkeys((*table.partition_by, *table.key))]
    target = DeltaTable.forPath(rows.sparkSession, table_path(root, table)).alias("old")
    merging = target.merge(seen.alias("new"), " and ".join([*same, *([f"({within})"] if within else [])]))
    merging.whenMatchedUpdateAll().whenNotMatchedInsertAll().execute()
    return counted()


def replace_members(rows: DataFrame, root: str, table: Table, members: DataFrame, within: str) -> Counts:
    """Puts ``rows`` in the place of those that ``members`` have, in one commit; nobody else's row is rewritten.

    Args:
        members: has ``member_key``, each once; all ``rows`` are theirs.
        within: a SQL condition on ``old`` that says which of their rows are replaced; it holds for all ``rows``.
    """
    spark = rows.sparkSession
    create(spark, root, table, is_merged_into=True)
    seen, counted = observed(conform(rows, table))
    key = list(dict.fromkeys((*table.partition_by, *table.key)))
    held = read(spark, root, table).alias("old").where(within).join(members, "member_key", "left_semi").select(*key)
    # A row that is held and does not come again has nothing beside its key.
    new = seen.withColumn(_COMES, F.lit(True)).join(held, key, "full")
    same = [f"old.{name} = new.{name}" for name in key]
    values: dict[str, str | SparkColumn] = {name: f"new.{name}" for name in table.names}
    merging = DeltaTable.forPath(spark, table_path(root, table)).alias("old")
    (
        merging.merge(new.alias("new"), " and ".join([*same, f"({within})"]))
        .whenMatchedDelete(f"new.{_COMES} is null")
        .whenMatchedUpdate(set=values)
        .whenNotMatchedInsert(values=values)
        .execute()
    )
    return counted()


_COMES = "_comes"


def version(spark: SparkSession, root: str, table: Table) -> int:
    """The number of the table's newest commit."""
    return version_at(spark, table_path(root, table))


def version_at(spark: SparkSession, path: str) -> int:
    return Snapshot(spark, path).version


def restore(spark: SparkSession, root: str, table: Table, to_version: int) -> None:
    """The table as it stood at ``to_version``, as a new commit; nothing where it stands there already."""
    if version(spark, root, table) != to_version:
        DeltaTable.forPath(spark, table_path(root, table)).restoreToVersion(to_version)
