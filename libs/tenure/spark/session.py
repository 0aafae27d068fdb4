"""The one Spark session of a job."""

from __future__ import annotations

import logging
import os

from pyspark import SparkConf
from pyspark.sql import SparkSession

from tenure.config.env import Env
from tenure.errors import WrongInput
from tenure.spark.jars import PROPERTIES, jars, jars_folder

EVERYWHERE = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.sql.session.timeZone": "UTC",
    # What cannot be read becomes null and meets the rule for gaps: one bad cell must not stop a night.
    "spark.sql.ansi.enabled": "false",
    # Spark has no nanosecond times: as integers they land unharmed, and tenure.spark.landing_files names them.
    "spark.sql.legacy.parquet.nanosAsLong": "true",
    # Rows that lie by member are joined by member and day as they lie, and not shuffled again for the day.
    "spark.sql.requireAllClusterKeysForCoPartition": "false",
    # Spark writes down every plan that a query passes through, whole: megabytes of it cost more than small jobs.
    "spark.sql.maxPlanStringLength": "20000",
    # PySpark looks up where in Python each column was made, by half a dozen calls to the JVM a column.
    "spark.python.sql.dataFrameDebugging.enabled": "false",
    # What is cached is read once or twice: to find out how it would be encoded best costs more than that saves.
    "spark.sql.inMemoryColumnarStorage.compressed": "false",
}
ON_ONE_MACHINE = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    # What the UI would show of a plan is drawn for every query, with or without a UI.
    "spark.sql.ui.explainMode": "simple",
    "spark.log.level": "ERROR",
    "spark.sql.shuffle.partitions": "4",
    # Of a stage with several inputs Spark gives each its share of two cores, rounded down: one task for all of it.
    "spark.sql.adaptive.coalescePartitions.minPartitionNum": "4",
    # A year of landing files is a thousand paths, and Spark would look at each in a task of its own.
    "spark.sql.sources.parallelPartitionDiscovery.parallelism": "4",
    # Reading the log of a small Delta table runs 50 tasks by default.
    "spark.databricks.delta.snapshotPartitions": "1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
}


def session(app_name: str, env: Env) -> SparkSession:
    """The running session, or a new one on ``env.spark_master``.

    Under ``spark-submit`` its master and its settings win over ours.

    Raises:
        WrongInput: if Delta Lake's jars are not there.
    """
    is_submitted = "PYSPARK_GATEWAY_PORT" in os.environ
    for chatty in ("py4j", "SQLQueryContextLogger"):  # what goes wrong is raised, and said once
        logging.getLogger(chatty).setLevel(logging.CRITICAL)
    given = SparkConf() if is_submitted else SparkConf(loadDefaults=False)
    builder = SparkSession.builder.appName(app_name)
    for key, value in _settings(env, given, is_submitted).items():
        builder = builder.config(key, value)
    spark = builder.getOrCreate()
    _check_delta(spark)
    return spark


def _settings(env: Env, given: SparkConf, is_submitted: bool) -> dict[str, str]:
    ours = {} if is_submitted else _launch(env)
    master = given.get("spark.master", None) or env.spark_master
    if master.startswith("local"):
        ours |= ON_ONE_MACHINE
    ours |= EVERYWHERE | env.spark_conf
    return {key: value for key, value in ours.items() if not given.contains(key)}


def _launch(env: Env) -> dict[str, str]:
    """What only counts before a JVM starts."""
    found = jars(jars_folder())
    if not found:
        raise WrongInput(f"{jars_folder()} holds no jars of Delta Lake: run python -m tenure.spark.jars, or make setup")
    if env.spark_master.startswith("local"):
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    return {
        "spark.master": env.spark_master,
        "spark.driver.memory": env.driver_memory,
        "spark.jars": ",".join(map(str, found)),
    }


def _check_delta(spark: SparkSession) -> None:
    jvm = spark.sparkContext._jvm
    if jvm is None or type(jvm.io.delta.tables.DeltaTable).__name__ != "JavaClass":
        raise WrongInput(
            "Spark was started without Delta Lake: add --properties-file "
            f"{os.path.relpath(jars_folder() / PROPERTIES)} to spark-submit, or its jars by --jars"
        )
