"""What every run of a job says about itself: on the terminal while it runs, in ``job_runs`` when it ends."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from tenure.contracts.control import JOB_RUNS
from tenure.lake.job_run import JobRun, noted
from tenure.lake.layout import table_path
from tenure.spark import delta
from tenure.spark.schema import local_rows, struct

log = logging.getLogger(__name__)


@contextmanager
def job_run(spark: SparkSession, root: str, job: str) -> Iterator[JobRun]:
    """Runs ``job`` and appends what it read, wrote and how it ended to ``job_runs``, also where it fails.

    Spark's UI names what the job does not describe otherwise by the job.
    """

    def append(row: Mapping[str, object]) -> None:
        try:
            with described(spark, f"{job}: note the run"):
                rows = local_rows(spark, [tuple(row[name] for name in JOB_RUNS.names)], struct(JOB_RUNS))
                delta.append(rows, root, JOB_RUNS)
        except (PySparkException, Py4JError, OSError) as error:
            # What was done is done, and why it failed is being told: neither may be lost for a note about it.
            path, why = table_path(root, JOB_RUNS), _sentence(error)
            log.warning("%s ended (%s) but could not be noted in %s: %s", job, row["outcome"], path, why)

    with noted(job, append) as run, described(spark, job):
        yield run


def _sentence(error: Exception) -> str:
    """What the JVM says, without where in the JVM."""
    return " ".join(str(error).split("\n\tat ")[0].split())


@contextmanager
def described(spark: SparkSession, description: str) -> Iterator[None]:
    """Names the Spark jobs within, for people who look at Spark's UI; what surrounds it gets its name back after."""
    context = spark.sparkContext
    around = context.getLocalProperty("spark.job.description")
    context.setJobDescription(description)
    try:
        yield
    finally:
        context.setJobDescription(around)  # type: ignore[arg-type]  # None takes it away again
