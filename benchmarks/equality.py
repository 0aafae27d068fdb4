"""Whether two outputs are the same rows, told by sums over each column instead of by sorting both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from pandas.util import hash_array

Fingerprint = dict[str, object]


class Differ(AssertionError):
    """The outputs are not the same: no time of either counts."""


def fingerprint(folder: Path, key: Sequence[str], columns: Sequence[str] | None = None) -> Fingerprint:
    """For each column of a folder of Parquet: how many rows have it, and what its values, and which rows have it, come
    to together with the key, so that values which changed their rows show, and 0 is not null. A list of texts is told
    by them in alphabetical order.

    Floats are added up as they are; of all else the remainder by a prime near a million is, so that of a million wrong
    values one may pass.

    Args:
        key: integer or day columns that tell rows apart. Their last 20 bits count: what changed places between rows
            that have these alike does not show.
    """
    files = sorted(map(str, folder.rglob("*.parquet")))
    dataset = ds.dataset(files, format="parquet")
    names = list(columns or dataset.schema.names)
    found: dict[str, int | float] = {"rows": 0}
    for batch in dataset.to_batches(columns=sorted({*names, *key})):
        found["rows"] += batch.num_rows
        weights = _weights(batch, key)
        for name in names:
            for what, value in _summed(batch.column(name), weights).items():
                found[f"{name} {what}"] = found.get(f"{name} {what}", 0) + value
    return dict(found)


def _weights(batch: pa.RecordBatch, key: Sequence[str]) -> pa.Array:
    """A number of 20 bits of each row's key, never 0."""
    total = pa.array([0] * batch.num_rows, pa.int64())
    for name in key:
        part = pc.bit_wise_and(_integers(batch.column(name)), _BITS)
        total = pc.bit_wise_and(pc.add(pc.multiply(total, 31), part), _BITS)
    return pc.add(total, 1)


_BITS = (1 << 20) - 1


def _integers(values: pa.Array) -> pa.Array:
    if pa.types.is_date32(values.type):
        return pc.cast(pc.cast(values, pa.int32()), pa.int64())
    if pa.types.is_timestamp(values.type):  # one engine writes nanoseconds, another microseconds
        return pc.cast(pc.cast(values, pa.timestamp("us", values.type.tz)), pa.int64())
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        each = values.dictionary_encode()
        texts = each.dictionary.to_numpy(zero_copy_only=False)
        hashes = hash_array(texts, categorize=False) >> np.uint64(1)
        return pa.array(hashes.astype(np.int64)).take(each.indices)
    if pa.types.is_list(values.type):
        return _integers(_in_order(values))
    return pc.cast(values, pa.int64())


def _in_order(lists: pa.Array) -> pa.Array:
    """(rows,) each row's texts as one, in alphabetical order; null where it has no list."""
    lists = lists.cast(pa.list_(pa.string()))  # Spark's say that no element is null, which the join does not take
    each = pc.binary_join(lists, "\n").dictionary_encode()
    texts = ["\n".join(sorted(text.split("\n"))) for text in each.dictionary.to_pylist()]
    return pa.array(texts, pa.string()).take(each.indices)


def _summed(values: pa.Array, weights: pa.Array) -> dict[str, int | float]:
    known_by_key = pc.sum(pc.if_else(pc.is_valid(values), weights, 0)).as_py() or 0
    known = {"known": len(values) - values.null_count, "known by key": known_by_key}
    if pa.types.is_floating(values.type):
        numbers = pc.fill_null(values, 0.0)
        return known | {"sum": pc.sum(pc.multiply(numbers, pc.cast(weights, pa.float64()))).as_py() or 0.0}
    # Modulo a prime, so that sums of large numbers stay within 64 bits.
    integers = pc.fill_null(_integers(values), 0)
    small = pc.subtract(integers, pc.multiply(pc.divide(integers, _PRIME), _PRIME))
    return known | {"sum": pc.sum(pc.multiply(small, weights)).as_py() or 0}


_PRIME = 1_000_003


def hold_equal(ours: Mapping[str, object], theirs: Mapping[str, object], peer: str) -> None:
    """Raises ``Differ`` naming the first few that differ.

    Floats are the same up to a billionth of the larger one, or up to a billionth where both are below 1, for they were
    added up in another order; all else must be equal. Of a column's sum over N rows this lets a single value pass that
    is off by N billionths of the column's mean.
    """
    names = [*ours, *(name for name in theirs if name not in ours)]
    wrong = [name for name in names if not _is_same(ours.get(name), theirs.get(name))]
    if wrong:
        shown = "; ".join(f"{name}: {ours.get(name)} is not {theirs.get(name)}" for name in wrong[:8])
        raise Differ(f"the output of {peer} is not ours in {len(wrong)} of {len(names)} sums: {shown}")


def _is_same(ours: object, theirs: object) -> bool:
    if isinstance(ours, float) and isinstance(theirs, float):
        return abs(ours - theirs) <= 1e-9 * max(abs(ours), abs(theirs), 1.0)
    return ours == theirs
