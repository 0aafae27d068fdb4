"""What a rule of a source means, in words."""

from __future__ import annotations

from datetime import date

from tests.jobs.market import SOURCE

from tenure.config.source import Source
from tenure.report.meanings import meanings


def test_a_bound_is_told_by_its_numbers_or_its_days() -> None:
    since = {"table": "raw_members", "column": "registered_on", "outside": "quarantine", "rule": "before_us"}
    bounds = [*SOURCE["bounds"], since | {"low": date(1990, 1, 1)}]
    says = meanings(Source.model_validate(SOURCE | {"bounds": bounds}))
    assert says("wholesale") == "quantity below -100 or above 100; set to the bound"
    assert says("absurd") == "paid_minor above 1e+06; quarantined"
    assert says("before_us") == "registered_on before 1990-01-01; quarantined"
