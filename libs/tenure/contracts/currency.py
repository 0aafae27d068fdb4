"""Currencies by their ISO 4217 codes, and how many decimals of each its minor unit is."""

from __future__ import annotations

import re

_DECIMALS = 2  # of all that are not named here
_OTHER_DECIMALS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
_BY_CODE = {code: decimals for decimals, codes in _OTHER_DECIMALS.items() for code in codes.split()}


def is_code(text: str) -> bool:
    """Whether it is written as a currency's code is; not whether a country pays with it."""
    return re.fullmatch(r"[A-Z]{3}", text) is not None


def minor_in_major(code: str) -> int:
    """How many minor units make one of the currency: 100 cents a euro, 1 yen a yen, 1,000 fils a Kuwaiti dinar."""
    return 10 ** _BY_CODE.get(code, _DECIMALS)
