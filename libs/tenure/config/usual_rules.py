"""Rules that most shops want and not all: a source switches one on by writing its name among its ``rules``."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

# UTF-8 that was read as Windows-1252 and written again: the lead byte of a letter from é to ß, then what that code page
# makes of a continuation byte. A Portuguese Ã, which a plain letter follows, is none.
MISREAD = (
    "\ufffd|[\u00c2\u00c3][\u0080-\u00bf\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192\u02c6\u02dc\u2013-\u2026"
    "\u2030\u2039\u203a\u20ac\u2122]"
)
_SAME_BUYING = (
    "partition by member_id, product_id, quantity, paid_minor, is_return order by occurred_at, order_id, position"
)

USUAL_RULES: Mapping[str, Mapping[str, Any]] = {
    "garbled_text": {
        "table": "raw_orders",
        "says": "a text was read in the wrong encoding and written again",
        "when": f"concat_ws(' ', order_id, product_id, store_id) rlike '{MISREAD}'",
        "fate": "quarantine",
    },
    "member_unknown": {
        "table": "raw_orders",
        "says": "nobody had registered under this member's number when the line became known",
        "when": "not is_member_known and member_id is not null",
        "fate": "quarantine",
    },
    "product_unknown": {
        "table": "raw_orders",
        "says": "the product was in no catalogue when it is said to have been sold",
        "when": "not is_product_known and product_id is not null",
        "fate": "quarantine",
    },
    "near_duplicate": {
        "table": "raw_orders",
        "says": "the same bought again for the same price under another order's number within ten minutes; kept, for "
        "some mean it",
        "when": f"not is_return and lag(order_id) over ({_SAME_BUYING}) <> order_id "
        f"and occurred_at <= interval 10 minutes + lag(occurred_at) over ({_SAME_BUYING})",
    },
}


def told_out(rules: object) -> object:
    """A list of rules with what each name in it stands for.

    Raises:
        ValueError: naming the nearest usual rule, where a name is none.
    """
    return [_of_name(rule) if isinstance(rule, str) else rule for rule in rules] if isinstance(rules, list) else rules


def _of_name(name: str) -> dict[str, Any]:
    if name not in USUAL_RULES:
        near = difflib.get_close_matches(name, USUAL_RULES, n=1)
        known = f"did you mean {near[0]!r}" if near else f"there are {', '.join(USUAL_RULES)}"
        raise ValueError(f"no usual rule {name!r}; {known}; one of your own needs a name, table, says and when")
    return {"name": name, **USUAL_RULES[name]}
