"""Frames that several passes read: computed once, given back at the end."""

from __future__ import annotations

from types import TracebackType

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

_SMALL = 1_000_000  # rows of a few numbers: some ten megabytes


class Kept:
    """``with Kept() as kept``: frames that are held in memory, or on disk, until the end of the block."""

    def __init__(self) -> None:
        self._frames: list[DataFrame] = []

    def __enter__(self) -> Kept:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for frame in self._frames:
            frame.unpersist()

    def __call__(self, rows: DataFrame) -> DataFrame:
        """``rows``, computed when they are first needed."""
        self._frames.append(rows.persist())
        return self._frames[-1]

    def at_hand(self, rows: DataFrame, few: int = _SMALL) -> DataFrame:
        """``rows``, computed now; where they are ``few``, a join sends them to every task and shuffles nothing.

        Spark cannot know that only few keys repeat: left to itself it shuffles the wide side too.
        """
        held = self(rows)
        return F.broadcast(held) if held.count() <= few else held
