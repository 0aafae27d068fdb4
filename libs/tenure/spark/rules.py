"""A rule, spelled for Spark."""

from __future__ import annotations

from functools import reduce

from pyspark.sql import Column
from pyspark.sql import functions as F

from tenure.lifecycle.rules import Condition, Is, Rule


def decided(rule: Rule) -> Column:
    """The rule's outcome as one expression over its columns; equals ``tenure.lifecycle.rules.decide`` row by row."""
    first, *others = rule.cases
    cases = F.when(_all(first.when), first.outcome)
    for case in others:
        cases = cases.when(_all(case.when), case.outcome)
    return cases.otherwise(rule.otherwise)


def _all(conditions: tuple[Condition, ...]) -> Column:
    return reduce(lambda left, right: left & right, map(_holds, conditions), F.lit(True))


def _holds(condition: Condition) -> Column:
    value = F.col(condition.column).cast("double")
    is_gap = value.isNull() | F.isnan(value)
    if condition.comparison is Is.MISSING:
        return is_gap
    compared = {
        Is.AT_LEAST: value >= condition.value,
        Is.MORE_THAN: value > condition.value,
        Is.AT_MOST: value <= condition.value,
        Is.LESS_THAN: value < condition.value,
    }[condition.comparison]
    return ~is_gap & compared
