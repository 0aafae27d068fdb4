"""Which of two batches' rows of one key stands, and what the other one is called."""

from __future__ import annotations

from tenure.spark.cleaning import without_known
from tenure.spark.kept import Kept

ROW = "key bigint, quantity double, discount_minor bigint"
JUDGED = f"{ROW}, fate string, rule string, replaced_by string"
BEFORE = [(1, 2.0, None), (2, 2.0, None), (3, 2.0, None)]
NEW = [(1, 2.0, None), (2, 3.0, None), (3, 2.0, 0), (4, 2.0, None)]


def rules(spark, *said):
    """What becomes of each of ``NEW``, by key."""
    rows = spark.createDataFrame([(*row, None, None, None) for row in NEW], JUDGED)
    with Kept() as kept:
        found = without_known(rows, kept, spark.createDataFrame(BEFORE, ROW), "key", said).collect()
    assert [row["fate"] == "duplicate" for row in found] == [row["key"] != 4 for row in found]
    return {row["key"]: row["rule"] for row in found}


def test_a_row_that_says_something_else_is_told_from_one_that_came_again(spark):
    said = rules(spark, "quantity", "discount_minor")
    assert said == {1: "landed_before", 2: "restated", 3: "restated", 4: None}


def test_what_came_to_nothing_before_does_not_come_again(spark):
    rows = spark.createDataFrame([(*row, None, None, None) for row in NEW], JUDGED)
    none, undone = spark.createDataFrame([], ROW), spark.createDataFrame([(2,), (9,)], "key bigint")
    for known, expected in ((none, {2}), (spark.createDataFrame(BEFORE[:1], ROW), {1, 2})):
        with Kept() as kept:
            found = without_known(rows, kept, known, "key", ("quantity", "discount_minor"), undone).collect()
        assert {row["key"]: row["rule"] for row in found if row["fate"]} == dict.fromkeys(expected, "landed_before")
        assert all(row["replaced_by"] == str(row["key"]) for row in found if row["fate"])


def test_where_the_key_says_all_a_row_of_it_came_again(spark):
    assert rules(spark) == dict.fromkeys((1, 2, 3), "landed_before") | {4: None}
