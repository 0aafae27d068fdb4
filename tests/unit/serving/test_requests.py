"""A request's contract, spelled for pydantic."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from tenure.contracts.requests import RECOMMENDATIONS_REQUEST, REQUESTS
from tenure.contracts.table import Column, Kind
from tenure.serving.requests import request_model


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: request.name)
def test_a_model_has_the_contracts_fields_in_its_order(request_: object) -> None:
    model = request_model(request_)
    assert tuple(model.model_fields) == tuple(column.name for column in request_.columns)


@pytest.mark.smoke
def test_what_may_be_left_out_has_its_default() -> None:
    asked = request_model(RECOMMENDATIONS_REQUEST)(member_ids=["m1"])
    assert (asked.k, asked.include_bought) == (10, False)


def test_a_kind_that_no_request_has_is_refused() -> None:
    request = RECOMMENDATIONS_REQUEST.__class__(
        name="Odd", says="odd", columns=(Column(name="day", kind=Kind.DAY, says="a day"),)
    )
    with pytest.raises(ValueError, match="no field of kind day"):
        request_model(request)


def test_a_request_cannot_be_changed() -> None:
    asked = request_model(RECOMMENDATIONS_REQUEST)(member_ids=["m1"])
    with pytest.raises(ValidationError):
        asked.k = 3
