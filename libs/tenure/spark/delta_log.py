"""What the log of a Delta table tells without a query: its newest commit, and the table's files while they are few.

What PySpark offers for that is a Spark job each time, a scan's search for its files and ``history`` alike, and a small
night spends more on such jobs than on its rows. Delta itself writes the list of files beside a commit, into its
checksum, while a table has no more than 50 (``spark.databricks.delta.allFilesInCrc``). Where a commit has no such list,
because there are more or another writer made it, ``rows`` and ``holds_none`` say so, and callers ask Delta.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import date
from functools import cached_property
from typing import Any

from pyspark.sql import DataFrame, SparkSession


class Snapshot:
    """A table as its newest commit left it."""

    def __init__(self, spark: SparkSession, path: str) -> None:
        jvm = spark._jvm
        assert jvm is not None
        self._spark = spark
        self._nothing = jvm.scala.Option.empty()
        self._names = jvm.org.apache.spark.sql.delta.util.FileNames
        self._log = jvm.org.apache.spark.sql.delta.DeltaLog.forTable(spark._jsparkSession, path)
        self._snapshot = self._log.update(False, self._nothing, self._nothing)

    @property
    def version(self) -> int:
        return int(self._snapshot.version())

    @property
    def is_known_empty(self) -> bool:
        return self._files is not None and self._files.isEmpty()

    def rows(self) -> DataFrame | None:
        """The rows of this very version, read by the list of its files; none where the log has no list.

        Files are then not skipped by Delta's statistics; Parquet's own let row groups be skipped.
        """
        if self._files is None:
            return None
        return DataFrame(self._log.createDataFrame(self._snapshot, self._files, False, self._nothing), self._spark)

    def holds_none(self, column: str, values: Collection[int | date]) -> bool:
        """Whether it is sure, by the statistics of all files, that no row has one of ``values`` in ``column``; of a
        path without a table it is."""
        if self.version < 0 or self.is_known_empty:
            return True
        if self._files is None:
            return False
        name = self._name_in_files(column)
        return all(_holds_none(self._files.apply(n).stats(), name, values) for n in range(self._files.size()))

    def user_metadata(self, version: int | None = None) -> str | None:
        """What the commit ``version``, or the newest, was made to say of itself; none where its log is gone."""
        path = self._names.unsafeDeltaFile(self._log.logPath(), self.version if version is None else version)
        settings = self._log.newDeltaHadoopConf()
        if not path.getFileSystem(settings).exists(path):
            return None
        actions = self._log.store().read(path, settings)
        for n in range(actions.size()):  # the first one, as Delta writes it
            told = json.loads(actions.apply(n)).get("commitInfo")
            if told is not None:
                text: str | None = told.get("userMetadata")
                return text
        return None

    @cached_property
    def _files(self) -> Any:
        # Whatever else a snapshot offers, numOfFilesIfKnown among it, works out the whole state of the table first.
        checksum = self._snapshot.checksumOpt()
        files = checksum.get().allFiles() if checksum.isDefined() else checksum
        return files.get() if files.isDefined() else None

    def _name_in_files(self, column: str) -> str:
        """Of a table whose columns are mapped by name, files and statistics have other names than readers."""
        told = self._snapshot.schema().apply(column).metadata()
        mapped = "delta.columnMapping.physicalName"
        return str(told.getString(mapped)) if told.contains(mapped) else column


def _holds_none(stats: str | None, column: str, values: Collection[int | date]) -> bool:
    told = json.loads(stats) if stats else {}
    least, most = (told.get(end, {}).get(column) for end in ("minValues", "maxValues"))
    if least is None or most is None:
        nulls = told.get("nullCount", {}).get(column)
        return nulls is not None and nulls == told.get("numRecords")
    return not any(_ordinal(least) <= _ordinal(value) <= _ordinal(most) for value in values)


def _ordinal(value: int | date | str) -> int:
    day = date.fromisoformat(value) if isinstance(value, str) else value
    return day.toordinal() if isinstance(day, date) else day
