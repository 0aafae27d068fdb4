"""One look at every row before anything is learnt: leaks refused, rows counted, a bounded sample kept."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np

from tenure.models.rows import joined
from tenure.tasks.split import EPOCH, PARTS, Part
from tenure.training.data import ExampleReader, Examples, generator
from tenure.training.leaks import refuse_future, refuse_wide_windows


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What a training may know of its rows as a whole.

    Attributes:
        rows: examples by part.
        positive: those of them with a label above zero.
        train: the training rows, or a sample of them.
        validation: likewise.
        learnt_until: the last day that a label of training or validation looks at.
    """

    rows: dict[Part, int]
    positive: dict[Part, int]
    train: Examples
    validation: Examples
    learnt_until: date


def survey(reader: ExampleReader, sample_rows: int, seed: int) -> Survey:
    """Reads every part bucket by bucket; a bucket is forgotten when the next one is read.

    Raises:
        Refused: if a row knows the future, or a window looks beyond its ``as_of``.
    """
    counts, positive = dict.fromkeys(PARTS, 0), dict.fromkeys(PARTS, 0)
    kept: dict[Part, list[Examples]] = {part: [] for part in PARTS}
    matured = 0
    for part in PARTS:
        for bucket in reader.buckets:
            examples, undone = reader.read_all(bucket, part)
            refuse_future(examples, reader.release.last_complete_day)
            refuse_wide_windows(examples.rows, undone, reader.release.shop.windows_days)
            counts[part] += len(examples)
            positive[part] += int((examples.labels > 0).sum())
            if part != "test":
                kept[part].append(_sample(examples, sample_rows // len(reader.buckets), seed, bucket))
                matured = max(matured, int(examples.matured_at.max(initial=0)))
    return Survey(
        rows=counts,
        positive=positive,
        train=_joined(kept["train"]),
        validation=_joined(kept["validation"]),
        learnt_until=EPOCH + timedelta(days=matured),
    )


def _sample(examples: Examples, at_most: int, seed: int, bucket: int) -> Examples:
    """Some of the rows, and of what is held of visits no more than they see."""
    rows = np.arange(len(examples))
    if len(rows) > at_most:
        rows = np.sort(generator(seed, bucket, 3).choice(len(rows), at_most, replace=False))
    taken = examples.take(rows)
    return replace(taken, rows=taken.rows.compact())


def _joined(parts: list[Examples]) -> Examples:
    return Examples(
        joined([part.rows for part in parts]),
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.matured_at for part in parts]),
    )
