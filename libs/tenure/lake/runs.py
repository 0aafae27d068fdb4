"""Rows of ``job_runs`` from runs that need no Spark; those with Spark: ``tenure.spark.runs``."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pyarrow as pa
from deltalake import write_deltalake
from deltalake.exceptions import DeltaError

from tenure.contracts.control import JOB_RUNS
from tenure.lake.job_run import JobRun, noted
from tenure.lake.layout import table_path
from tenure.lake.schema import arrow

log = logging.getLogger(__name__)


@contextmanager
def job_run(root: str, job: str, storage_options: Mapping[str, str] | None = None) -> Iterator[JobRun]:
    """Runs ``job`` and appends what it read, wrote and how it ended to ``job_runs``, also where it fails.

    No release holds ``job_runs``, so what is appended changes no release.
    """

    def append(row: Mapping[str, object]) -> None:
        path = table_path(root, JOB_RUNS)
        try:
            rows = pa.Table.from_pylist([dict(row)], arrow(JOB_RUNS))
            write_deltalake(path, rows, mode="append", storage_options=dict(storage_options or {}) or None)
        except (DeltaError, OSError) as error:
            # What was done is done, and why it failed is being told: neither may be lost for a note about it.
            log.warning("%s ended (%s) but could not be noted in %s: %s", job, row["outcome"], path, error)

    with noted(job, append) as run:
        yield run
