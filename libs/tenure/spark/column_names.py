"""Which landed column names a sentence may quote.

Of a CSV file without a header the first line of data stands where the names should be, and a member's id in it: no
terminal, log or table of ours may show it.
"""

from __future__ import annotations

import re
from collections.abc import Collection

LONGEST = 64
# A letter first, and no more digits in a row than `address_line_10` has: dates, amounts and most ids are none.
_NAME = re.compile(r"(?!.*(\d{3}|@))[^\W\d].*", re.DOTALL)


def looks_like_a_name(column: str) -> bool:
    return len(column) <= LONGEST and _NAME.fullmatch(column.strip()) is not None


def look_like_data(columns: Collection[str]) -> bool:
    """Whether so many names are none that they are a line of data: a quarter or more."""
    return 4 * sum(not looks_like_a_name(column) for column in columns) >= max(len(columns), 1)


def quoted(columns: Collection[str]) -> str:
    """The columns that look like names, and how many others there are."""
    names = [column for column in columns if looks_like_a_name(column)]
    others = len(columns) - len(names)
    return ", ".join([*names, *([f"{others} not shown for looking like data"] if others else [])])
