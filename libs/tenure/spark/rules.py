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
    """Null, which no case takes, where the column is null."""
    column = F.col(condition.column)
    if condition.comparison is Is.MISSING:
        return column.isNull() | F.isnan(column)
    # A whole number is compared as one: a column of counts is not made floats of, for every case anew.
    value = int(condition.value) if float(condition.value).is_integer() else condition.value
    match condition.comparison:
        case Is.AT_MOST:
            return column <= value
        case Is.LESS_THAN:
            return column < value
        case Is.AT_LEAST:
            return (column >= value) & ~F.isnan(column)  # to Spark NaN is more than any number
        case Is.MORE_THAN:
            return (column > value) & ~F.isnan(column)
