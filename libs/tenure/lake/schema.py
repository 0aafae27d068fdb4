"""A contract, spelled for Arrow."""

from __future__ import annotations

import pyarrow as pa

from tenure.contracts.table import Column, Kind, Table

_TYPES: dict[Kind, pa.DataType] = {
    Kind.KEY: pa.int64(),
    Kind.TEXT: pa.string(),
    # Spark names list elements "element" where Arrow says "item", so the field is spelled out.
    Kind.TEXTS: pa.list_(pa.field("element", pa.string())),
    Kind.DAY: pa.date32(),
    Kind.MOMENT: pa.timestamp("us", tz="UTC"),
    Kind.COUNT: pa.int64(),
    Kind.BITS: pa.int64(),
    Kind.MONEY: pa.int64(),
    Kind.NUMBER: pa.float64(),
    Kind.NUMBERS: pa.list_(pa.field("element", pa.float64())),
    Kind.FLAG: pa.bool_(),
    Kind.COUNTS_BY_NAME: pa.map_(pa.string(), pa.int64()),
}


def arrow_field(column: Column) -> pa.Field:
    return pa.field(column.name, _TYPES[column.kind], nullable=column.nullable)


def arrow(table: Table) -> pa.Schema:
    return pa.schema([arrow_field(column) for column in table.columns])
