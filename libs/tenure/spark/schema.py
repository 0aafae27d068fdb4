"""A contract, spelled for Spark."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T
from pyspark.sql.pandas.types import to_arrow_schema

from tenure.contracts.table import Column, Kind, Table

_TYPES: dict[Kind, T.DataType] = {
    Kind.KEY: T.LongType(),
    Kind.TEXT: T.StringType(),
    Kind.TEXTS: T.ArrayType(T.StringType()),
    Kind.DAY: T.DateType(),
    Kind.MOMENT: T.TimestampType(),
    Kind.COUNT: T.LongType(),
    Kind.BITS: T.LongType(),
    Kind.MONEY: T.LongType(),
    Kind.NUMBER: T.DoubleType(),
    Kind.NUMBERS: T.ArrayType(T.DoubleType()),
    Kind.FLAG: T.BooleanType(),
    Kind.COUNTS_BY_NAME: T.MapType(T.StringType(), T.LongType()),
}


def spark_type(kind: Kind) -> T.DataType:
    return _TYPES[kind]


def spark_field(column: Column) -> T.StructField:
    return T.StructField(column.name, _TYPES[column.kind], column.nullable)


def struct(table: Table) -> T.StructType:
    """The table's columns as Spark's schema; what a column means travels as its comment."""
    return T.StructType([spark_field(column) for column in table.columns])


def local_rows(spark: SparkSession, rows: Sequence[tuple[Any, ...]], schema: T.StructType) -> DataFrame:
    """Rows that the driver holds. They go to the JVM by Arrow: of a list Spark would have Python workers read them, on
    executors that need no Python otherwise."""
    fields = to_arrow_schema(schema, timezone="UTC")
    columns = zip(*rows, strict=True) if rows else ([] for _ in fields)
    arrays = [pa.array(map(_as_arrow, values), field.type) for values, field in zip(columns, fields, strict=True)]
    return spark.createDataFrame(pa.Table.from_arrays(arrays, schema=fields), schema)


def unwritten_row(spark: SparkSession, values: Sequence[bytes], schema: T.StructType) -> DataFrame:
    """One row of bytes that is secret: it is handed to the JVM call by call, as the way of ``local_rows`` leads through
    a file in Spark's temporary folder."""
    jvm, gateway = spark._jvm, spark.sparkContext._gateway
    assert jvm is not None
    assert gateway is not None
    row = gateway.new_array(jvm.java.lang.Object, len(values))
    for place, value in enumerate(values):
        row[place] = bytearray(value)
    rows = [jvm.org.apache.spark.sql.RowFactory.create(row)]
    return DataFrame(
        spark._jsparkSession.createDataFrame(rows, spark._jsparkSession.parseDataType(schema.json())), spark
    )


def _as_arrow(value: Any) -> Any:
    return list(value.items()) if isinstance(value, dict) else value


def conform(rows: DataFrame, table: Table) -> DataFrame:
    """The table's columns, in its order and types; other columns are left out.

    Raises:
        ValueError: showing both sides, if a column is missing or has a type that is not the contract's.
    """
    have = {field.name: field.dataType for field in rows.schema}
    for column in table.columns:
        if column.name not in have:
            raise ValueError(f"{table.name}: no column {column.name!r}; there are {', '.join(have)}")
        _check_type(table, column, have[column.name])
    return rows.select(*(F.col(c.name).cast(_TYPES[c.kind]).alias(c.name) for c in table.columns))


# Spark counts in int and long and writes untyped nulls: these are the same kind, only narrower.
_WIDENS: dict[type[T.DataType], tuple[type[T.DataType], ...]] = {
    T.LongType: (T.ByteType, T.ShortType, T.IntegerType),
    T.DoubleType: (T.FloatType,),
}


def _check_type(table: Table, column: Column, found: T.DataType) -> None:
    wanted = _TYPES[column.kind]
    is_same = found.simpleString() == wanted.simpleString() or isinstance(found, T.NullType)
    if not is_same and not isinstance(found, _WIDENS.get(type(wanted), ())):
        raise ValueError(
            f"{table.name}: column {column.name!r} is {found.simpleString()}, the contract says {wanted.simpleString()}"
        )
