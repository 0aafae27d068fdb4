"""Order lines as they landed, and what cleaning did with each: ids and numbers alone, a column at a time.

A landed row is known by its batch and its position in it, and by ``export_id``, its number in the shop's export; an
exact copy shares the number. Shapes: R landed rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable, QueryBuilder

from tenure.contracts.control import QUARANTINE, REPLACED
from tenure.contracts.landing import RAW_ORDERS
from tenure.contracts.silver import ORDER_LINES
from tenure.lake.layout import bronze_path
from tenure.lake.release import Release

FEED = "orders"  # of the simulation's landing files
_ROWS_A_BATCH = 1 << 40  # so that batch and position fit one number


def landed(release: Release, expressions: Mapping[str, str], *, where: str = "true") -> pa.Table:
    """Columns by name, each a SQL expression (DataFusion) over the ``landed`` struct of the release's order lines."""
    delta = DeltaTable(
        bronze_path(release.root, FEED),
        version=release.tables[f"raw_{FEED}"],
        storage_options=dict(release.storage_options) or None,
    )
    columns = ", ".join(f"{expression} as {name}" for name, expression in expressions.items())
    query = f"select {columns} from lines where batch_no <= {release.through_batch} and {where}"  # noqa: S608  our own
    return pa.table(QueryBuilder().register("lines", delta).execute(query).read_all())


@dataclass(frozen=True, kw_only=True)
class Lines:
    """``row`` (R,) ascends. By rule, ``taken`` holds the rows that are not in silver because it said so, and ``marked``
    those that it changed or marked there; ``kept`` are all that are there."""

    row: np.ndarray
    export_id: np.ndarray
    taken: dict[str, np.ndarray]
    marked: dict[str, np.ndarray]
    kept: np.ndarray

    def ids(self, rows: np.ndarray) -> np.ndarray:
        """The export ids of rows."""
        return self.export_id[np.searchsorted(self.row, rows)]

    def touched(self, rule: str) -> np.ndarray:
        """The rows that a rule took out, changed or marked."""
        return _together([by_rule[rule] for by_rule in (self.taken, self.marked) if rule in by_rule])

    @cached_property
    def lost(self) -> np.ndarray:
        """Rows that landed and are nowhere."""
        return np.setdiff1d(self.row, _together([*self.taken.values(), self.kept]), assume_unique=True)


def order_lines(release: Release) -> Lines:
    """Every landed order line of a release."""
    found = landed(release, {"batch_no": "batch_no", "position": "position", "export_id": "landed['export_id']"})
    row = _rows(found)
    order = np.argsort(row)
    return Lines(
        row=row[order],
        export_id=found["export_id"].to_numpy()[order],
        taken=_set_aside(release),
        marked=_marked(release),
        kept=_rows(release.read(ORDER_LINES, ["batch_no", "position"])),
    )


def _rows(table: pa.Table) -> np.ndarray:
    return table["batch_no"].to_numpy() * _ROWS_A_BATCH + table["position"].to_numpy()


def _together(parts: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.zeros(0, np.int64), *parts])


def _set_aside(release: Release) -> dict[str, np.ndarray]:
    where = f"\"table\" = '{RAW_ORDERS.name}'"
    columns = ["rule", "batch_no", "position"]
    return _by_rule(pa.concat_tables([release.read(table, columns, where=where) for table in (QUARANTINE, REPLACED)]))


def _marked(release: Release) -> dict[str, np.ndarray]:
    rows = release.read(ORDER_LINES, ["flags", "batch_no", "position"], where="array_length(flags) > 0")
    each = rows.select(["batch_no", "position"]).take(pc.list_parent_indices(rows["flags"]))
    return _by_rule(each.append_column("rule", pc.list_flatten(rows["flags"])))


def _by_rule(rows: pa.Table) -> dict[str, np.ndarray]:
    rule, numbers = rows["rule"].to_numpy(), _rows(rows)
    return {name: numbers[rule == name] for name in np.unique(rule).tolist()}
