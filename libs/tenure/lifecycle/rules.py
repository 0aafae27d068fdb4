"""Business logic that runs on millions of rows, as a value: ordered cases of conditions over contract columns.

A rule has two spellings that mean the same: ``decide`` here for one row, ``tenure.spark.rules.decided`` for a frame; a
property test holds them equal.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Is(StrEnum):
    """How a column is compared. Against a gap (null or not a number) only ``MISSING`` holds."""

    AT_LEAST = "at_least"
    MORE_THAN = "more_than"
    AT_MOST = "at_most"
    LESS_THAN = "less_than"
    MISSING = "missing"


@dataclass(frozen=True)
class Condition:
    """``column`` compared with ``value``, as in ``Condition("lifetime_visits", Is.AT_LEAST, 2)``."""

    column: str
    comparison: Is
    value: float = 0.0


@dataclass(frozen=True)
class Case:
    """``outcome`` where every condition of ``when`` holds."""

    outcome: str
    when: tuple[Condition, ...]


@dataclass(frozen=True)
class Rule:
    """The outcome of the first case that holds, or ``otherwise``."""

    cases: tuple[Case, ...]
    otherwise: str

    @property
    def columns(self) -> tuple[str, ...]:
        """The contract columns that the rule reads, each once, in order of use."""
        return tuple(dict.fromkeys(condition.column for case in self.cases for condition in case.when))


def decide(rule: Rule, row: Mapping[str, float | int | None]) -> str:
    """The rule's outcome for one row of contract columns."""
    for case in rule.cases:
        if all(holds(condition, row[condition.column]) for condition in case.when):
            return case.outcome
    return rule.otherwise


def holds(condition: Condition, value: float | int | None) -> bool:
    if value is None or math.isnan(value):
        return condition.comparison is Is.MISSING
    match condition.comparison:
        case Is.AT_LEAST:
            return value >= condition.value
        case Is.MORE_THAN:
            return value > condition.value
        case Is.AT_MOST:
            return value <= condition.value
        case Is.LESS_THAN:
            return value < condition.value
        case Is.MISSING:
            return False
