"""Tables in plain Parquet to tensors, as one would write it in Polars, NumPy and torch (P15).

The network's blocks (``Batch`` and ``Visits`` are plain containers) and what was fitted on training rows, the bin edges
and words, are as the shipped inputs have them; what makes tensors of rows is spelled out here.

Shapes: N rows, E visits that they see, all together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import torch

from benchmarks.batches_by_hand import taken
from benchmarks.data_by_hand import FILE
from benchmarks.plan_by_hand import MEMBER_DAY
from benchmarks.simulated_lake import Unequal
from tenure.models.batch import Batch, Visits
from tenure.models.encoding import Number
from tenure.models.inputs import Inputs
from tenure.models.tokens import VisitInputs

NEVER = np.iinfo(np.int32).max  # days since 1970
OF_ROW = ("days_ago", "gap_days")  # parts that need to know from when a visit is looked at


def encoded(folder: Path, inputs: Inputs, as_of: Sequence[date]) -> Batch:
    """The labelled rows of some days as tensors."""
    labels = pl.scan_parquet(folder / "labels" / FILE).filter(pl.col("as_of").is_in(as_of))
    rows = labels.join(pl.scan_parquet(folder / "member_features" / FILE), ["member_key", "as_of"])
    found = rows.select(*_columns(inputs, rows.collect_schema().names()), "value").sort("as_of", "member_key").collect()
    return _batch(folder, inputs, found).with_labels(torch.from_numpy(found["value"].to_numpy().astype(np.float32)))


def everybody(folder: Path, inputs: Inputs, as_of: date) -> Batch:
    """Every member on one day; nobody knows their labels yet."""
    rows = pl.scan_parquet(folder / "member_features" / FILE).filter(pl.col("as_of") == as_of).sort("member_key")
    return _batch(folder, inputs, rows.select(_columns(inputs, rows.collect_schema().names())).collect())


def _columns(inputs: Inputs, there: Sequence[str]) -> list[pl.Expr]:
    """What the network reads; null where the shop has no such thing."""
    names = ("member_key", "as_of", *inputs.feature_columns)
    return [pl.col(name) if name in there else pl.lit(None).alias(name) for name in names]


def _batch(folder: Path, inputs: Inputs, rows: pl.DataFrame) -> Batch:
    assert inputs.visits is not None
    keys, as_of = rows["member_key"].to_numpy(), rows["as_of"].cast(pl.Int32).to_numpy()
    columns = [_place(number, _floats(rows[number.name])) for number in inputs.numbers]
    columns += [_ids(words.words, rows[words.name]).astype(np.float32) for words in inputs.words]
    return Batch(
        ids=torch.from_numpy(np.stack([keys, as_of.astype(np.int64)], axis=1)),
        features=torch.from_numpy(np.stack(columns, axis=1)),
        visits=_visits(folder, inputs.visits, keys, as_of),
    )


def _floats(values: pl.Series) -> np.ndarray:
    """float64, NaN where null."""
    return values.cast(pl.Float64).fill_null(float("nan")).to_numpy()


def _place(number: Number, x: np.ndarray) -> np.ndarray:
    """(N,) float32: where the value stands among the bin edges; NaN where it is missing."""
    return np.interp(x, number.edges, np.arange(len(number.edges))).astype(np.float32)


def _ids(words: Sequence[str], column: pl.Series) -> np.ndarray:
    """From 1; 0 for another word or none."""
    places = range(1, len(words) + 1)
    return column.cast(pl.String).replace_strict(words, places, default=0, return_dtype=pl.Int64).to_numpy()


def _visits(folder: Path, inputs: VisitInputs, keys: np.ndarray, as_of: np.ndarray) -> Visits:
    """Of each row the last visits as known before its day; a visit is encoded once and then taken for each row."""
    events = pl.scan_parquet(folder / "member_events" / FILE)  # sorted by member, day and knowledge
    spent, off = pl.col("spend_minor"), pl.col("discount_minor") + pl.col("coupon_minor")
    held = (
        events.with_columns(
            superseded_on=pl.col("known_on").shift(-1).over(MEMBER_DAY).cast(pl.Int32).fill_null(NEVER),
            known_on=pl.col("known_on").cast(pl.Int32),
            weekday=pl.col("day").dt.weekday() - 1,
            discount_share=pl.when(spent + off > 0).then(off / (spent + off)),
            day=pl.col("day").cast(pl.Int32),
        )
        .filter(pl.col("kind") != "none")
        .collect()
    )
    places, offsets = _seen(held, keys, as_of, inputs.max_events)
    lengths = np.diff(offsets)
    # Whole days are exact in 32 bits.
    days = held["day"].to_numpy().astype(np.float32)[places]
    gaps = np.diff(days, prepend=np.float32("nan"))
    gaps[offsets[:-1][lengths > 0]] = np.nan
    of_row = {"days_ago": np.repeat(as_of.astype(np.float32), lengths) - days, "gap_days": gaps}
    stands = []
    for part in inputs.parts:
        x = of_row[part.name] if part.name in OF_ROW else _floats(held[part.name])
        at = _place(part, x)
        stands.append(at if part.name in OF_ROW else at[places])
    of_category, mixed = _ragged(held["categories"].list.len().to_numpy(), places)
    flat = held.select("categories", "category_shares").explode("categories", "category_shares", empty_as_null=False)
    ids, shares = _ids(inputs.categories, flat["categories"]), flat["category_shares"].to_numpy()
    return Visits(
        offsets=torch.from_numpy(offsets),
        places=torch.from_numpy(np.stack(stands, axis=1)),
        category_offsets=torch.from_numpy(mixed),
        category_ids=torch.from_numpy(ids[of_category].astype(np.int32)),
        category_weights=torch.from_numpy(shares.astype(np.float32)[of_category]),
    )


def _seen(held: pl.DataFrame, keys: np.ndarray, as_of: np.ndarray, at_most: int) -> tuple[np.ndarray, np.ndarray]:
    """(E,) which visits the rows see, oldest first, and (N + 1,) where each row's begin; rows are sorted by day."""
    owner, known, until = (held[name].to_numpy() for name in ("member_key", "known_on", "superseded_on"))
    taken, lengths = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for day in np.unique(as_of):
        there = np.flatnonzero((known < day) & (until >= day))
        asked = keys[as_of == day]
        ends = np.searchsorted(owner[there], asked, side="right")
        count = np.minimum(ends - np.searchsorted(owner[there], asked, side="left"), at_most)
        taken.append(there[np.arange(count.sum()) + np.repeat(ends - count.cumsum(), count)])
        lengths.append(count)
    return np.concatenate(taken), np.concatenate([[0], np.cumsum(np.concatenate(lengths))])


def _ragged(lengths: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of runs of these lengths, one after the other: what lies in the runs at ``places``, and where each begins."""
    lengths = lengths.astype(np.int64)
    starts, count = (lengths.cumsum() - lengths)[places], lengths[places]
    offsets = np.concatenate([np.zeros(1, np.int64), count.cumsum()])
    return np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], count), offsets


def hold_same_tensors(ours: Iterable[Batch], theirs: Batch, part: str) -> None:
    """Raises where a row of ours has other tensors by hand, or none; floats may differ as other orders of sums do."""
    place = {tuple(one): number for number, one in enumerate(theirs.ids.tolist())}
    rows = 0
    for batch in ours:
        ids = [tuple(one) for one in batch.ids.tolist()]
        if missing := [one for one in ids if one not in place]:
            raise Unequal(f"{part}: by hand there is no row of member_key and as_of {missing[0]}")
        _hold_same(batch, taken(theirs, torch.tensor([place[one] for one in ids])), part)
        rows += len(ids)
    if rows != len(theirs):
        raise Unequal(f"{part}: {rows:,} rows, by hand {len(theirs):,}")


def _hold_same(ours: Batch, theirs: Batch, part: str) -> None:
    assert ours.visits is not None
    assert theirs.visits is not None
    blocks = {name: (getattr(ours, name), getattr(theirs, name)) for name in ("features", "labels")}
    blocks |= {name: (mine, getattr(theirs.visits, name)) for name, mine in vars(ours.visits).items()}
    for name, (mine, other) in blocks.items():
        if mine.shape != other.shape or not torch.allclose(mine, other, rtol=0, atol=1e-5, equal_nan=True):
            raise Unequal(f"{part}: {name} by hand is not ours")
