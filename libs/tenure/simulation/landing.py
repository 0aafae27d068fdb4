"""Files as a shop's own systems would drop them: one folder a feed and day, one file a partition."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from tenure.contracts.table import Table
from tenure.lake.schema import arrow
from tenure.simulation.chance import Places
from tenure.simulation.numbering import printed

Columns: TypeAlias = dict[str, pa.Array]
LANDING, NIGHTS, TRUTH = "landing", "nights", "truth"


class Files:
    """Where one partition's rows go. Counts what it wrote, by feed. From ``first_night`` on, what lands on a day goes
    to a landing folder of that day's own."""

    def __init__(
        self, folder: str | Path, partition: int, format: str = "parquet", first_night: date = date.max
    ) -> None:
        self._folder, self._partition, self._format = Path(folder), partition, format
        self._first_night = first_night
        self.rows: dict[str, int] = {}

    def land(self, feed: str, day: date, columns: Mapping[str, pa.Array]) -> None:
        """Writes the day's rows of a feed; nothing where there are none."""
        landing = Path(NIGHTS, day.isoformat()) if day >= self._first_night else Path(LANDING)
        self._write(self._folder / landing / feed / day.isoformat(), feed, pa.table(printed(columns)), self._format)

    def tell(self, table: Table, day: date, columns: Mapping[str, pa.Array]) -> None:
        """Writes rows of a truth table, held to its contract; nothing where there are none."""
        if not len(next(iter(columns.values()))):
            return
        schema, told = arrow(table), printed(columns)
        rows = pa.table([pc.cast(told[field.name], field.type) for field in schema], schema=schema)
        self._write(self._folder / TRUTH / table.name / day.isoformat(), table.name, rows, "parquet")

    def _write(self, folder: Path, name: str, rows: pa.Table, format: str) -> None:
        if not rows.num_rows:
            return
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"part-{self._partition:05d}.{format}"
        if format == "parquet":
            pq.write_table(rows, path, compression="snappy", store_schema=False, write_statistics=False)
        elif format == "csv":
            pyarrow.csv.write_csv(_as_text(rows), path)
        else:
            lines = (json.dumps(row, ensure_ascii=False) for row in _as_text(rows).to_pylist())
            path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        self.rows[name] = self.rows.get(name, 0) + rows.num_rows


def _as_text(rows: pa.Table) -> pa.Table:
    return pa.table({name: pc.cast(rows[name], pa.string()) for name in rows.column_names})


class Words:
    """A short list of texts that many rows use, spelled once."""

    def __init__(self, words: list[str]) -> None:
        self._words = pa.array(words, pa.string())

    def at(self, places: Places) -> pa.Array:
        """The texts (N,) at these places; null where the place is negative."""
        if len(self._words) <= 1 << 7:
            return pa.DictionaryArray.from_arrays(_places(places, pa.int8()), self._words)
        return self._words.take(_places(places, pa.int32()))


def _places(places: Places, kind: pa.DataType) -> pa.Array:
    narrow = places.astype(kind.to_pandas_dtype())
    is_absent = narrow < 0
    return pa.array(narrow, mask=is_absent if is_absent.any() else None)


def same(value: object, rows: int, kind: pa.DataType) -> pa.Array:
    """One value for all rows."""
    return pa.repeat(pa.scalar(value, kind), rows)


def moments(microseconds: Places) -> pa.Array:
    return pa.array(microseconds.astype("datetime64[us]"), pa.timestamp("us", tz="UTC"))


def days(epoch_days: Places) -> pa.Array:
    return pa.array(epoch_days.astype(np.int32), pa.int32()).view(pa.date32())
