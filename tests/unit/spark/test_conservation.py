"""How much may be quarantined, and what a person is told to type where it is too much."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from tenure.errors import Refused
from tenure.spark.conservation import Balance, check, quarantined_share

BALANCE = Balance(
    table="raw_orders",
    batch_id="b",
    batch_no=1,
    landed=100,
    silver=100,
    duplicates=0,
    quarantined=0,
    netted=0,
    reasons={"absurd": 1},
)


@pytest.mark.parametrize("quarantined", range(1, 100))
def test_the_limit_that_is_told_lets_the_batch_pass(quarantined: int) -> None:
    batch = replace(BALANCE, silver=100 - quarantined, quarantined=quarantined)
    with pytest.raises(Refused, match=f"{quarantined} of 100 rows were quarantined") as refused:
        check([batch], quarantine_limit=0.001)
    (told,) = re.findall(r"quarantine_limit=([\d.]+)", str(refused.value))
    check([batch], quarantine_limit=float(told))
    assert quarantined_share(quarantined, 100) <= float(told)


def test_a_batch_of_nothing_has_nothing_quarantined() -> None:
    check([replace(BALANCE, landed=0, silver=0)], quarantine_limit=0)
    assert quarantined_share(0, 0) == 0
