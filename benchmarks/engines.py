"""The engines that sides run on, each with what its users would set on a machine of this size."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from pyspark import SparkContext
from pyspark.sql import SparkSession

from benchmarks.machine import cores
from tenure.config.env import Env
from tenure.spark.session import session

if TYPE_CHECKING:
    import duckdb

MEMORY_GB = 8  # the same for all
PATIENCE_S = 60  # until a JVM has ended
Engine = TypeVar("Engine")

# A session as pip's pyspark makes it: whatever our session sets of SQL and both do not need. That PySpark does not look
# up where columns were made is of the whole process, so peers in Spark have it too.
AS_SHIPPED_BY_SPARK: dict[str, str | None] = {
    "spark.sql.shuffle.partitions": "200",
    "spark.sql.inMemoryColumnarStorage.compressed": "true",
    "spark.sql.requireAllClusterKeysForCoPartition": "true",
    "spark.sql.sources.parallelPartitionDiscovery.parallelism": "10000",
    "spark.sql.adaptive.coalescePartitions.minPartitionNum": None,
    "spark.sql.maxPlanStringLength": "2147483632b",
    "spark.sql.ui.explainMode": "FORMATTED",
}
# What both need to read the same rows alike.
ALIKE = ("spark.sql.session.timeZone", "spark.sql.ansi.enabled", "spark.sql.legacy.parquet.nanosAsLong")


class Started(NamedTuple, Generic[Engine]):
    """An engine, and the seconds until it was there; sides that share it each tell all of them."""

    engine: Engine
    start_s: float


def started(make: Callable[[], Engine]) -> Started[Engine]:
    began = time.perf_counter()
    engine = make()
    return Started(engine, time.perf_counter() - began)


def spark(work: Path, name: str = "benchmark") -> Started[SparkSession]:
    """The session of the jobs (``conf/env/local.yaml`` and ``tenure.spark.session``), with the memory of all sides."""
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # for Python UDFs: what PATH finds may be another Python
    env = Env(work=str(work), driver_memory=f"{MEMORY_GB}g", spark_conf=_scratch(work))
    return started(lambda: session(name, env))


def end_spark(session: SparkSession) -> None:
    """Ends the session and its JVM, which outlives ``stop`` and would hold memory that is no longer its own to hold."""
    gateway = session.sparkContext._gateway
    assert gateway is not None
    session.stop()
    gateway.shutdown()
    gateway.proc.terminate()
    gateway.proc.wait(timeout=PATIENCE_S)
    SparkContext._gateway = SparkContext._jvm = None  # or the next session would talk to the JVM that is gone


def spark_settings() -> dict[str, object]:
    return {"master": "local[*]", "driver memory": f"{MEMORY_GB}g", "shuffle partitions": 4}


def plain_spark(running: Started[SparkSession]) -> Started[SparkSession]:
    """A session beside the running one, in the same warm JVM, with Spark's own settings for SQL; the JVM's start is
    its start too."""
    beside, seconds = started(running.engine.newSession)
    for key in AS_SHIPPED_BY_SPARK:
        beside.conf.unset(key)
    return Started(beside, running.start_s + seconds)


def duckdb_connection(work: Path) -> Started[duckdb.DuckDBPyConnection]:
    return started(lambda: _connected(work))


def _connected(work: Path) -> duckdb.DuckDBPyConnection:
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
