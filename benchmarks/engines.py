"""The engines that sides run on, each with what its users would set on a machine of this size."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.sql import SparkSession

from benchmarks.machine import cores
from tenure.config.env import Env
from tenure.spark.session import session

if TYPE_CHECKING:
    import duckdb

MEMORY_GB = 8  # the same for all

# A session as pip's pyspark makes it; what both need to read the same rows alike (zone, casts) stays ours.
AS_SHIPPED_BY_SPARK = {"spark.sql.shuffle.partitions": "200"}


def spark(work: Path, name: str = "benchmark") -> SparkSession:
    """The session of the jobs (``conf/env/local.yaml`` and ``tenure.spark.session``), with the memory of all sides."""
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # for Python UDFs: what PATH finds may be another Python
    return session(name, Env(work=str(work), driver_memory=f"{MEMORY_GB}g", spark_conf=_scratch(work)))


def spark_settings() -> dict[str, object]:
    return {"master": "local[*]", "driver memory": f"{MEMORY_GB}g", "shuffle partitions": 4}


def plain_spark(running: SparkSession) -> SparkSession:
    """A session beside the running one, in the same warm JVM, with Spark's own settings for SQL."""
    beside = running.newSession()
    for key, value in AS_SHIPPED_BY_SPARK.items():
        beside.conf.set(key, value)
    return beside


def duckdb_connection(work: Path) -> duckdb.DuckDBPyConnection:
    import duckdb

    scratch = work / "duckdb"
    scratch.mkdir(parents=True, exist_ok=True)
    connection = duckdb.connect()
    for key, value in duckdb_settings().items():
        connection.execute(f"set {key} = '{value}'")
    connection.execute(f"set temp_directory = '{scratch}'")
    return connection


def duckdb_settings() -> dict[str, object]:
    return {
        "threads": cores(),
        "memory_limit": f"{MEMORY_GB}GB",
        "preserve_insertion_order": "false",
        "TimeZone": "UTC",
    }


def _scratch(work: Path) -> dict[str, str]:
    folder = work / "spark"
    folder.mkdir(parents=True, exist_ok=True)
    return {"spark.local.dir": str(folder)}
