"""A request's contract, spelled for pydantic: what callers send is checked by it and described from it."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr, create_model

from tenure.contracts.requests import MEMBER_ID_LENGTH, Request
from tenure.contracts.table import Column, Kind

MemberId = Annotated[StrictStr, Field(min_length=1, max_length=MEMBER_ID_LENGTH)]


def request_model(request: Request) -> type[BaseModel]:
    """A frozen model of the request's fields; unknown fields, other types and numbers out of bounds are refused."""
    defaults = dict(request.defaults)
    fields: dict[str, Any] = {column.name: _field(column, defaults.get(column.name, ...)) for column in request.columns}
    return create_model(
        request.name, __doc__=request.says, __config__=ConfigDict(extra="forbid", frozen=True), **fields
    )


def _field(column: Column, default: Any) -> tuple[Any, Any]:
    low, high = (None if bound is None else int(bound) for bound in (column.low, column.high))
    match column.kind:
        case Kind.TEXTS:
            return list[MemberId], Field(default, min_length=low, max_length=high, description=column.says)
        case Kind.COUNT:
            return StrictInt, Field(default, ge=low, le=high, description=column.says)
        case Kind.FLAG:
            return StrictBool, Field(default, description=column.says)
    raise ValueError(f"a request has no field of kind {column.kind}")
