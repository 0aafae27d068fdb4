"""A worker that is killed once, in the middle of a training."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tenure.training.group import Group, Write


@dataclass
class DiesOnce:
    """A worker's group in which rank 1 is killed when the others save for the ``at_save``-th time, once."""

    group: Group
    marker: Path
    at_save: int
    saves: int = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.group, name)

    @contextmanager
    def latest(self) -> Iterator[Path | None]:
        """Notes in the marker where the second life begins."""
        with self.group.latest() as folder:
            if self.group.rank == 1 and self.marker.exists():
                self.marker.write_text("from a checkpoint" if folder else "from the beginning")
            yield folder

    def save(self, metrics: dict[str, Any], write: Write | None) -> None:
        self.saves += 1
        if self.group.rank == 1 and self.saves == self.at_save and not self.marker.exists():
            self.marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        self.group.save(metrics, write)
