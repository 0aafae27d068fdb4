"""Numbers, days and names as a person reads them, safe to put into HTML."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from html import escape

from tenure.contracts.currency import minor_in_major

SYMBOLS = {"USD": "$", "GBP": "£", "EUR": "€"}


def count(value: float) -> str:
    return f"{value:,.0f}"


def share(value: float, digits: int = 0) -> str:
    return f"{100 * value:.{digits}f} %"


def rank(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def money(minor: float, currency: str) -> str:
    """Whole units of the currency, by its own minor unit: 1,234 cents are 12 EUR, 1,234 yen are 1,234 JPY."""
    amount = f"{minor / minor_in_major(currency):,.0f}"
    return f"{SYMBOLS[currency]}{amount}" if currency in SYMBOLS else f"{amount} {escape(currency)}"


def day(value: date) -> str:
    return f"{value.day} {value:%B %Y}"


def duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds // 60:.0f} min {seconds % 60:02.0f} s"


def name(text: str) -> str:
    """A product's or a column's name; what a till printed in capitals is set in small letters."""
    return escape(text.capitalize() if text.isupper() else text)


def title(identifier: str) -> str:
    """``raw_orders`` as ``raw orders``."""
    return escape(identifier.replace("_", " "))


def listed(parts: Iterable[str]) -> str:
    """``a, b and c``."""
    *most, last = list(parts) or [""]
    return f"{', '.join(most)} and {last}" if most else last
