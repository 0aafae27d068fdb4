"""What every run of a job says about itself: on the terminal while it runs, in ``job_runs`` when it ends."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from pyspark.sql import SparkSession

from tenure.contracts.control import JOB_RUNS
from tenure.errors import TenureError
from tenure.spark import delta
from tenure.spark.schema import struct

log = logging.getLogger("tenure.jobs")


@dataclass
class JobRun:
    """A run in the making: fill ``read`` and ``wrote`` with rows by table."""

    job: str
    read: dict[str, int] = field(default_factory=dict)
    wrote: dict[str, int] = field(default_factory=dict)
    outcome: str = "done"
    message: str | None = None

    def says(self, sentence: str) -> None:
        """A line of progress."""
        log.info("%s: %s", self.job, sentence)

    def nothing_new(self, sentence: str) -> None:
        self.outcome, self.message = "nothing_new", sentence
        self.says(sentence)


@contextmanager
def job_run(spark: SparkSession, root: str, job: str) -> Iterator[JobRun]:
    """Runs ``job`` and appends what it read, wrote and how it ended to ``job_runs``, also where it fails."""
    run, started_at, started = JobRun(job), datetime.now(UTC), time.monotonic()
    try:
        yield run
    except BaseException as error:
        run.outcome = "refused" if isinstance(error, TenureError) else "failed"
        # Messages of other errors may quote rows, and rows may hold personal data.
        run.message = str(error) if isinstance(error, TenureError) else type(error).__name__
        raise
    finally:
        _append(spark, root, run, started_at, time.monotonic() - started)


def _append(spark: SparkSession, root: str, run: JobRun, started_at: datetime, seconds: float) -> None:
    row = (uuid.uuid4().hex, run.job, started_at, seconds, run.outcome, run.read, run.wrote, run.message)
    with described(spark, f"{run.job}: note the run"):
        delta.append(spark.createDataFrame([row], struct(JOB_RUNS)), root, JOB_RUNS)


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
