"""How Arrow reads a Delta table: through delta-rs and DataFusion, so that deletion vectors are applied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa
from deltalake import DeltaTable, QueryBuilder
from deltalake.exceptions import TableNotFoundError

from tenure.contracts.table import Table
from tenure.lake.layout import table_path
from tenure.lake.schema import arrow


def select(
    delta: DeltaTable,
    table: Table,
    columns: Sequence[str] | None = None,
    *,
    where: str = "true",
    order_by: Sequence[str] = (),
) -> pa.Table:
    """Rows of one version of a table; see ``Release.read`` for the arguments."""
    names = ", ".join(f'"{name}"' for name in columns or table.names)
    order = f" order by {', '.join(order_by)}" if order_by else ""
    query = f'select {names} from "{table.name}" where {where}{order}'  # noqa: S608  values are the product's own
    rows = QueryBuilder().register(table.name, delta).execute(query)
    return _plain(pa.table(rows.read_all()))


def read_current(
    root: str,
    table: Table,
    columns: Sequence[str] | None = None,
    *,
    where: str = "true",
    order_by: Sequence[str] = (),
    storage_options: Mapping[str, str] | None = None,
) -> pa.Table:
    """Rows of a table as it is now, none where it was never written: for what comes after a release, such as scores."""
    try:
        delta = DeltaTable(table_path(root, table), storage_options=dict(storage_options or {}) or None)
    except TableNotFoundError:
        schema = arrow(table)
        return pa.schema([schema.field(name) for name in columns or table.names]).empty_table()
    return select(delta, table, columns, where=where, order_by=order_by)


def _plain(rows: pa.Table) -> pa.Table:
    """DataFusion's string views as ordinary strings, which every reader knows."""

    def plain(kind: pa.DataType) -> pa.DataType:
        if pa.types.is_string_view(kind):
            return pa.string()
        if pa.types.is_list(kind) or pa.types.is_large_list(kind):
            return pa.list_(pa.field("element", plain(kind.value_type)))
        return kind

    schema = pa.schema([f.with_type(plain(f.type)) for f in rows.schema])
    return rows if schema.equals(rows.schema) else rows.cast(schema)
