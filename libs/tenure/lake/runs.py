"""What a run that needs no Spark says about itself in ``job_runs`` when it ends; those with Spark: ``tenure.spark``."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pyarrow as pa
from deltalake import write_deltalake
from deltalake.exceptions import DeltaError

from tenure.contracts.control import JOB_RUNS
from tenure.errors import TenureError
from tenure.lake.layout import table_path
from tenure.lake.schema import arrow

log = logging.getLogger(__name__)


@dataclass
class JobRun:
    """A run in the making: fill ``read`` and ``wrote`` with rows by table."""

    job: str
    read: dict[str, int] = field(default_factory=dict)
    wrote: dict[str, int] = field(default_factory=dict)
    outcome: str = "done"
    message: str | None = None


@contextmanager
def job_run(root: str, job: str, storage_options: Mapping[str, str] | None = None) -> Iterator[JobRun]:
    """Runs ``job`` and appends what it read, wrote and how it ended to ``job_runs``, also where it fails.

    No release holds ``job_runs``, so what is appended changes no release.
    """
    run, started_at, started = JobRun(job), datetime.now(UTC), time.monotonic()
    try:
        yield run
    except BaseException as error:
        run.outcome = "refused" if isinstance(error, TenureError) else "failed"
        # Messages of other errors may quote rows, and rows may hold personal data.
        run.message = str(error) if isinstance(error, TenureError) else type(error).__name__
        raise
    finally:
        _append(root, run, started_at, time.monotonic() - started, storage_options)


def _append(
    root: str, run: JobRun, started_at: datetime, seconds: float, storage_options: Mapping[str, str] | None
) -> None:
    row = {
        "run_id": uuid.uuid4().hex,
        "job": run.job,
        "started_at": started_at,
        "seconds": seconds,
        "outcome": run.outcome,
        "read": list(run.read.items()),
        "wrote": list(run.wrote.items()),
        "message": run.message,
    }
    rows = pa.Table.from_pylist([row], arrow(JOB_RUNS))
    path = table_path(root, JOB_RUNS)
    try:
        write_deltalake(path, rows, mode="append", storage_options=dict(storage_options or {}) or None)
    except (DeltaError, OSError) as error:
        # What was done is done, and why it failed is being told: neither may be lost for a note about it.
        log.warning("%s ended (%s) but could not be noted in %s: %s", run.job, run.outcome, path, error)
