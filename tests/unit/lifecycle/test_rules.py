"""A rule says the same in Python and in Spark."""

from __future__ import annotations

import math
from datetime import date

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import types as T

from tenure.contracts.shop import Shop
from tenure.lifecycle.rules import Case, Condition, Is, Rule, decide
from tenure.lifecycle.stages import STAGES, stage
from tenure.spark.rules import decided

GROCER = Shop(
    name="grocer",
    currency="USD",
    calendar="America/New_York",
    windows_days=(7, 28, 84),
    activity_days=84,
    horizon_days=28,
    first_as_of=date(2017, 3, 26),
    as_of_every_days=14,
    buckets=8,
)
COLUMNS = ("days_since_last_visit", "days_since_first_visit", "lifetime_visits", "mean_gap_days")
VALUES = st.none() | st.sampled_from([0.0, 1.0, 2.0, 7.0, 7.5, 28.0, 29.0, 84.0, 85.0, math.nan, -1.0, math.inf])
ROWS = st.lists(st.tuples(*[VALUES] * len(COLUMNS)), min_size=20, max_size=60)
CONDITIONS = st.builds(
    Condition, st.sampled_from(COLUMNS), st.sampled_from(list(Is)), st.sampled_from([0.0, 1.0, 7.0, 28.0, 84.0])
)
CASES = st.builds(Case, st.sampled_from("abc"), st.lists(CONDITIONS, max_size=3).map(tuple))
RULES = st.builds(Rule, st.lists(CASES, min_size=1, max_size=4).map(tuple), st.just("otherwise"))
SCHEMA = T.StructType([T.StructField(name, T.DoubleType()) for name in COLUMNS])


def of_both(spark, rule, rows):
    frame = spark.createDataFrame(rows, SCHEMA).coalesce(1)
    by_spark = [row["outcome"] for row in frame.select(decided(rule).alias("outcome")).collect()]
    by_python = [decide(rule, dict(zip(COLUMNS, row, strict=True))) for row in rows]
    return by_spark, by_python


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rule=RULES, rows=ROWS)
def test_any_rule_decides_the_same_in_spark_and_in_python_gaps_too(spark, rule, rows):
    by_spark, by_python = of_both(spark, rule, rows)
    assert by_spark == by_python


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS)
def test_the_stage_is_the_same_in_spark_and_in_python(spark, rows):
    by_spark, by_python = of_both(spark, stage(GROCER), rows)
    assert by_spark == by_python
    assert set(by_spark) <= set(STAGES)


def test_whole_numbers_are_compared_with_columns_of_counts_and_others_too(spark):
    cases = (
        Condition("visits", Is.AT_MOST, 1.0),
        Condition("visits", Is.MORE_THAN, 2.5),
        Condition("visits", Is.MISSING),
    )
    rule = Rule(
        tuple(Case(outcome, (case,)) for outcome, case in zip(("few", "many", "none"), cases, strict=True)), "some"
    )
    visits = [0, 1, 2, 3, None]
    found = spark.createDataFrame([(each,) for each in visits], "visits long").select(decided(rule)).collect()
    assert [row[0] for row in found] == [decide(rule, {"visits": each}) for each in visits]
    assert [row[0] for row in found] == ["few", "few", "some", "many", "none"]


def test_the_first_case_that_holds_decides():
    rule = Rule(
        cases=(
            Case("young", (Condition("age", Is.LESS_THAN, 30),)),
            Case("grown", (Condition("age", Is.AT_LEAST, 18), Condition("age", Is.AT_MOST, 65))),
        ),
        otherwise="old",
    )
    assert [decide(rule, {"age": age}) for age in (20, 30, 65, 66, None)] == ["young", "grown", "grown", "old", "old"]


def test_a_rule_names_what_it_reads_and_what_it_may_say():
    assert stage(GROCER).columns == (*COLUMNS[:1], "lifetime_visits", "days_since_first_visit", "mean_gap_days")
    assert {*(case.outcome for case in stage(GROCER).cases), stage(GROCER).otherwise} == set(STAGES)
