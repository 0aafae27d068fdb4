"""The processes of a training, each of which goes through the batches of its own buckets (P4d)."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from types import TracebackType
from typing import TypeAlias

Epochs: TypeAlias = Callable[[int], int]  # goes through so many epochs; how many rows they had


class Workers:
    """``with Workers(made, size) as workers``: ``size`` processes that are ready to go through epochs.

    Args:
        made: in a process, by its rank and ``size``, makes ready what goes through epochs; must be picklable.
    """

    def __init__(self, made: Callable[[int, int], Epochs], size: int) -> None:
        context = multiprocessing.get_context("spawn")
        ends = [context.Pipe() for _ in range(size)]
        self._pipes = [ours for ours, _ in ends]
        self._processes = [
            context.Process(target=_work, args=(made, rank, size, theirs), daemon=True)
            for rank, (_, theirs) in enumerate(ends)
        ]
        for process in self._processes:
            process.start()
        for _, theirs in ends:
            theirs.close()  # so that the end of a process is the end of what it says
        for pipe in self._pipes:
            pipe.recv()

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join()

    def epochs(self, count: int) -> int:
        """All processes go through so many epochs at once; how many rows they had together."""
        for pipe in self._pipes:
            pipe.send(count)
        return sum(int(pipe.recv()) for pipe in self._pipes)


def _work(made: Callable[[int, int], Epochs], rank: int, size: int, pipe: Connection) -> None:
    epochs = made(rank, size)
    pipe.send("ready")
    while True:
        try:
            count = pipe.recv()
        except EOFError:
            return
        pipe.send(epochs(count))
