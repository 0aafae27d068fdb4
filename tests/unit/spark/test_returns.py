"""Which sale a return takes back."""

from __future__ import annotations

from datetime import date, datetime

from tenure.spark.kept import Kept
from tenure.spark.returns import corrected

LINE = (
    "line_key bigint, member_key bigint, product_id string, occurred_at timestamp, day date, known_on date, "
    "quantity double, paid_minor bigint, is_return boolean, position bigint, fate string, rule string, "
    "replaced_by string, corrects bigint"
)


def line(key, day, units, paid):
    """A line of one member and product on a day of June, known that day; a return where units are below 0."""
    on = date(2026, 6, day)
    at = datetime(2026, 6, day, 10)
    return (key, 1, "p1", at, on, on, float(units), paid, units < 0, key, None, None, None, None)


def judged(spark, *lines, earlier=()):
    """``corrects`` and ``rule`` by line."""
    rows = spark.createDataFrame(list(lines), LINE)
    with Kept() as kept:
        found = corrected(rows, kept, spark.createDataFrame(list(earlier), LINE)).collect()
    return {row["line_key"]: (row["corrects"], row["rule"]) for row in found}


def test_a_return_takes_back_the_sale_of_just_what_comes_back(spark):
    found = judged(spark, line(1, 1, 1, 700), line(2, 2, 2, 1400), line(3, 10, -1, -700), line(4, 11, -2, -1400))
    assert found[3] == (1, None)
    assert found[4] == (2, None)  # which nothing was taken from, though it is newer than the other


def test_of_two_sales_alike_the_newest_is_taken_back(spark):
    found = judged(spark, line(1, 1, 1, 700), line(2, 2, 1, 700), line(3, 10, -1, -700))
    assert found[3] == (2, None)


def test_a_part_is_taken_from_the_newest_sale_of_which_enough_is_left(spark):
    found = judged(spark, line(1, 1, 5, 3500), line(2, 2, 3, 2100), line(3, 10, -2, -1400), line(4, 11, -2, -1400))
    assert found[3] == (2, None)
    assert found[4] == (1, None)


def test_what_is_weighed_comes_back_in_parts(spark):
    """.3 - .1 is a little less than .2, and 1.2 - .4 less than .8, in binary fractions."""
    for sold, first, rest in ((0.3, 0.1, 0.2), (1.2, 0.4, 0.8)):
        found = judged(spark, line(1, 1, sold, 300), line(2, 10, -first, -100), line(3, 11, -rest, -200))
        assert found[2] == found[3] == (1, None)
        earlier = [line(1, 1, sold, 300), (*line(2, 10, -first, -100)[:-1], 1)]
        assert judged(spark, line(3, 11, -rest, -200), earlier=earlier)[3] == (1, None)


def test_a_return_of_more_than_was_bought_has_no_sale(spark):
    found = judged(spark, line(1, 1, 1, 700), line(2, 10, -2, -1400))
    assert found[2] == (None, "return_without_sale")
