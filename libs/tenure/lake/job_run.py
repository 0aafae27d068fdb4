"""What a run of a job says about itself when it ends, whoever writes it down."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime

from tenure.errors import TenureError

log = logging.getLogger("tenure.jobs")
_around: ContextVar[JobRun | None] = ContextVar("around", default=None)


@dataclass
class JobRun:
    """A run in the making: fill ``read`` and ``wrote`` with rows by table; those of runs within it are added."""

    job: str
    read: dict[str, int] = field(default_factory=dict)
    wrote: dict[str, int] = field(default_factory=dict)
    outcome: str = "done"
    message: str | None = None

    def add(self, other: JobRun) -> None:
        """Counts what another run read and wrote as this one's."""
        for mine, theirs in ((self.read, other.read), (self.wrote, other.wrote)):
            for table, rows in theirs.items():
                mine[table] = mine.get(table, 0) + rows

    def says(self, sentence: str) -> None:
        """A line of progress."""
        log.info("%s: %s", self.job, sentence)

    def nothing_new(self, sentence: str) -> None:
        self.outcome, self.message = "nothing_new", sentence
        self.says(sentence)


@contextmanager
def noted(job: str, append: Callable[[Mapping[str, object]], object]) -> Iterator[JobRun]:
    """Runs ``job`` and has the row of ``job_runs`` that tells of it appended, also where it fails."""
    run, started_at, started = JobRun(job), datetime.now(UTC), time.monotonic()
    around = _around.get()
    mine = _around.set(run)
    try:
        yield run
    except BaseException as error:
        run.outcome = "refused" if isinstance(error, TenureError) else "failed"
        # Messages of other errors may quote rows, and rows may hold personal data.
        run.message = str(error) if isinstance(error, TenureError) else type(error).__name__
        raise
    finally:
        _around.reset(mine)
        if around is not None:
            around.add(run)
        seconds = time.monotonic() - started
        append({"run_id": uuid.uuid4().hex, "started_at": started_at, "seconds": seconds, **vars(run)})
