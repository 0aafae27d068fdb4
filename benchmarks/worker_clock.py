"""A clock in each worker of a training; workers import this module and nothing else of the benchmarks."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from tenure.training.group import Group


def clocked(work: Callable[[Group], None], notes: Path, group: Group) -> None:
    """Does the work, and leaves its seconds in a file of the worker's own."""
    began = time.perf_counter()
    work(group)
    (notes / str(group.rank)).write_text(str(time.perf_counter() - began), encoding="utf-8")


def slowest(notes: Path) -> float:
    return max(float(note.read_text(encoding="utf-8")) for note in notes.iterdir())
