"""A clock in each worker of a training; workers import this module and nothing else of the benchmarks."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import wraps
from pathlib import Path
from types import ModuleType
from unittest.mock import patch

from tenure.training import factors
from tenure.training.group import Group

WHOLE, FITS = "whole", "fits"
OF_A_FIT = ("shard", "sweep")  # of a recommender: without its catalogue, without choosing, judging and saving


def clocked(work: Callable[[Group], None], notes: Path, group: Group) -> None:
    """Does the work, and leaves its seconds, and those of a recommender's fits, in a file of the worker's own."""
    began = time.perf_counter()
    with timed_calls(factors, OF_A_FIT) as fits_s:
        work(group)
    seconds = {WHOLE: time.perf_counter() - began, FITS: sum(fits_s)}
    (notes / str(group.rank)).write_text(json.dumps(seconds), encoding="utf-8")


@contextmanager
def timed_calls(module: ModuleType, names: Sequence[str]) -> Iterator[list[float]]:
    """The seconds of each call of these functions of a module, which do within what they always do."""
    seconds: list[float] = []

    def timed(function: Callable[..., object]) -> Callable[..., object]:
        @wraps(function)
        def call(*given: object) -> object:
            began = time.perf_counter()
            try:
                return function(*given)
            finally:
                seconds.append(time.perf_counter() - began)

        return call

    with ExitStack() as stack:
        for name in names:
            stack.enter_context(patch.object(module, name, timed(getattr(module, name))))
        yield seconds


def slowest(notes: Path, what: str = WHOLE) -> float:
    return max(float(json.loads(note.read_text(encoding="utf-8"))[what]) for note in notes.iterdir())
