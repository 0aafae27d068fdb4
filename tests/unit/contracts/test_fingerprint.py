"""The contract's fingerprint: equal for equal shops, another one for every setting that shapes a table."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.corner_shop import SHOP

from tenure.contracts.gold import contract_fingerprint
from tenure.contracts.shop import shop_from_json, shop_to_json
from tenure.contracts.table import Has


@pytest.mark.parametrize(
    "changed",
    [
        {"horizon_days": 56},
        {"windows_days": (7, 28, 91)},
        {"windows_days": (7, 84)},
        {"activity_days": 91},
        {"categories": ("bakery",)},
        {"lacks": (Has.DISCOUNTS,)},
        {"buckets": 8},
        {"calendar": "Europe/London"},
        {"currency": "GBP"},
    ],
    ids=str,
)
def test_it_changes_with_what_belongs_to_the_shop(changed: dict[str, Any]) -> None:
    assert contract_fingerprint(replace(SHOP, **changed)) != contract_fingerprint(SHOP)


@pytest.mark.smoke
def test_it_is_the_same_for_a_shop_that_was_written_and_read() -> None:
    assert contract_fingerprint(shop_from_json(shop_to_json(SHOP))) == contract_fingerprint(SHOP)
