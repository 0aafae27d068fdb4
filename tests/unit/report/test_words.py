"""Numbers as a person reads them."""

from __future__ import annotations

import pytest

from tenure.report.words import money


@pytest.mark.parametrize(
    ("minor", "currency", "read"),
    [
        (1_234_567, "EUR", "€12,346"),
        (1_234_567, "CHF", "12,346 CHF"),
        (1_234_567, "JPY", "1,234,567 JPY"),
        (1_234_567, "KRW", "1,234,567 KRW"),
        (1_234_567, "KWD", "1,235 KWD"),
        (-5_000, "GBP", "£-50"),
    ],
)
def test_money_is_told_by_its_currencys_own_minor_unit(minor: int, currency: str, read: str) -> None:
    assert money(minor, currency) == read
