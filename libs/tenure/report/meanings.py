"""What a rule means, whoever made it: the source's own rules, its bounds and gaps, or the product."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from tenure.config.source import Bound, Gap, Limit, Source
from tenure.contracts import rules


def meanings(source: Source) -> Callable[[str], str]:
    """From a rule's name to a sentence, empty for a rule that nobody declared."""
    declared = {rule.name: rule.says for rule in source.rules}
    declared |= {bound.rule: _bound(bound) for bound in source.bounds}
    declared |= {gap.rule: _gap(gap) for gap in source.gaps}
    return lambda rule: declared.get(rule) or rules.says(rule) or ""


def _bound(bound: Bound) -> str:
    ends = (_end("below", "before", bound.low), _end("above", "after", bound.high))
    outside = " or ".join(end for end in ends if end)
    became = "set to the bound" if bound.outside == "winsorise" else "quarantined"
    return f"{bound.column} {outside}; {became}"


def _end(of_numbers: str, of_days: str, limit: Limit) -> str:
    if limit is None:
        return ""
    return f"{of_days} {limit}" if isinstance(limit, date) else f"{of_numbers} {limit:,g}"


def _gap(gap: Gap) -> str:
    return f"{gap.column} is missing; {'quarantined' if gap.fill is None else f'filled with {gap.fill}'}"
