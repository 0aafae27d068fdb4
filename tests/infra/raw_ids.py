"""Which files below a folder hold a text, also where it lies compressed in a column."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq


def holding(folder: Path, pattern: str, but: Sequence[str] = ()) -> list[str]:
    """The files whose name or content matches, relative to ``folder``.

    Of Parquet and Arrow files every text is read, however deep it lies; other files are searched as bytes, unpacked
    where they end with .gz.

    Args:
        but: paths relative to ``folder``, below which nothing is looked at.
    """
    found = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        if any(name == left_out or name.startswith(f"{left_out}/") for left_out in but):
            continue
        if re.search(pattern, name) or _holds(path, pattern):
            found.append(name)
    return found


def _holds(path: Path, pattern: str) -> bool:
    if path.suffix in (".parquet", ".arrow"):
        return any(
            pc.any(pc.match_substring_regex(text, pattern)).as_py()
            for batch in _batches(path)
            for column in batch.columns
            for text in _texts(column)
        )
    content = path.read_bytes()
    return re.search(pattern.encode(), gzip.decompress(content) if path.suffix == ".gz" else content) is not None


def _batches(path: Path) -> Iterator[pa.RecordBatch]:
    if path.suffix == ".parquet":
        yield from pq.ParquetFile(path).iter_batches()
        return
    with pa.ipc.open_file(path) as file:
        yield from (file.get_batch(number) for number in range(file.num_record_batches))


def _texts(column: pa.Array) -> Iterator[pa.Array]:
    kind = column.type
    if pa.types.is_dictionary(kind):
        yield from _texts(column.dictionary)
    elif pa.types.is_struct(kind):
        for part in column.flatten():
            yield from _texts(part)
    elif pa.types.is_map(kind):
        yield from _texts(column.keys)
        yield from _texts(column.items)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        yield from _texts(column.flatten())
    elif kind in (pa.string(), pa.large_string(), pa.binary(), pa.large_binary()):
        yield column
