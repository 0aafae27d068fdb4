"""What every run of a job says about itself: on the terminal while it runs, in ``job_runs`` when it ends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from pyspark.sql import SparkSession

from tenure.contracts.control import JOB_RUNS
from tenure.lake.job_run import JobRun, noted
from tenure.spark import delta
from tenure.spark.schema import struct


@contextmanager
def job_run(spark: SparkSession, root: str, job: str) -> Iterator[JobRun]:
    """Runs ``job`` and appends what it read, wrote and how it ended to ``job_runs``, also where it fails.

    Spark's UI names what the job does not describe otherwise by the job.
    """

    def append(row: Mapping[str, object]) -> None:
        with described(spark, f"{job}: note the run"):
            rows = spark.createDataFrame([tuple(row[name] for name in JOB_RUNS.names)], struct(JOB_RUNS))
            delta.append(rows, root, JOB_RUNS)

    with noted(job, append) as run, described(spark, job):
        yield run


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
