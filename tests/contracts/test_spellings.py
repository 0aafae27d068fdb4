"""A contract is spelled once for each engine; the spellings say the same."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pytest
from pydantic import ValidationError
from pyspark.sql import types as T
from pyspark.sql.pandas.types import from_arrow_schema

from tenure.contracts.answers import ANSWER_TABLES
from tenure.contracts.control import CONTROL_TABLES
from tenure.contracts.dictionary import SHOP
from tenure.contracts.gold import gold_tables
from tenure.contracts.landing import RAW_TABLES
from tenure.contracts.requests import REQUESTS, Request
from tenure.contracts.silver import SILVER_TABLES
from tenure.contracts.store import store_tables
from tenure.contracts.table import Column, Has, Kind, Layer, Table
from tenure.lake.schema import arrow
from tenure.serving.requests import request_model
from tenure.spark.schema import struct

EVERY_SHOP = (SHOP, replace(SHOP, lacks=tuple(Has)))
TABLES = [
    *RAW_TABLES,
    *SILVER_TABLES,
    *(table for shop in EVERY_SHOP for table in (*gold_tables(shop), *store_tables(shop))),
    *ANSWER_TABLES,
    *CONTROL_TABLES,
]


def _name(table: Table) -> str:
    return f"{table.layer.value}.{table.name}"


@pytest.mark.smoke
@pytest.mark.parametrize("table", TABLES, ids=_name)
def test_spark_and_arrow_spell_a_table_alike(table: Table) -> None:
    from_arrow = from_arrow_schema(arrow(table), prefer_timestamp_ntz=False)
    assert _outer(from_arrow) == _outer(struct(table))


def _outer(schema: T.StructType) -> list[tuple[str, str, bool]]:
    return [(field.name, field.dataType.simpleString(), field.nullable) for field in schema]


def test_every_kind_is_spelled_for_spark_and_for_arrow() -> None:
    table = Table(
        name="kinds",
        layer=Layer.GOLD,
        says="one column of each kind",
        key=("key",),
        columns=tuple(Column(name=kind.value, kind=kind, says="x") for kind in Kind),
    )
    assert [field.name for field in struct(table)] == arrow(table).names == list(table.names)


def test_arrow_names_list_elements_as_spark_does() -> None:
    table = Table(
        name="texts",
        layer=Layer.GOLD,
        says="a list",
        key=("words",),
        columns=(Column(name="words", kind=Kind.TEXTS, says="x"),),
    )
    kind = arrow(table).field("words").type
    assert isinstance(kind, pa.ListType)
    assert kind.value_field.name == "element"


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: request.name)
def test_a_request_has_the_fields_of_its_contract_and_no_others(request_: Request) -> None:
    model = request_model(request_)
    assert list(model.model_fields) == [column.name for column in request_.columns]
    assert {n: f.default for n, f in model.model_fields.items() if not f.is_required()} == dict(request_.defaults)
    with pytest.raises(ValidationError, match="Extra inputs"):
        model.model_validate({"member_ids": ["1"], "colour": "blue"})
