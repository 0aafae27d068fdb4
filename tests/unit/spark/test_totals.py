"""Running totals go on from where they stood, and equal totals summed anew over everything."""

from __future__ import annotations

import random
from datetime import date, timedelta

from pyspark.sql import functions as F

from tenure.contracts.gold import MEMBER_TOTALS
from tenure.spark.kept import Kept
from tenure.spark.knowledge import closed
from tenure.spark.schema import conform, struct
from tenure.spark.shop import bucketed
from tenure.spark.totals import member_totals, resummed

DAY_0 = date(2026, 1, 1)
TILE = "member_key bigint, day date, known_on date, superseded_on date, visits bigint, spend_minor bigint"
KEY = ("member_key", "known_on")


def lives(members, rng):
    """Tiles of members: some come in order, some late, some are corrected once or twice."""
    tiles = []
    for member in range(members):
        is_orderly = member % 3 == 0
        for on in sorted(rng.sample(range(60), rng.randint(1, 8))):
            known = on + (0 if is_orderly else rng.choice([0, 0, 0, 2, 9]))
            versions = sorted(
                {known, *(known + rng.randint(1, 20) for _ in range(0 if is_orderly else rng.randint(0, 2)))}
            )
            for known_on, after in zip(versions, [*versions[1:], None], strict=True):
                tiles.append((member, on, known_on, after, rng.choice([1, 1, 1, 0]), rng.randint(0, 900)))
    return tiles


def known_by(tiles, day):
    """The tiles as they stood on a day: what came later is not there and closes nothing."""
    return [(m, on, k, s if s is not None and s <= day else None, v, p) for m, on, k, s, v, p in tiles if k <= day]


def frame(spark, tiles):
    def at(number):
        return None if number is None else DAY_0 + timedelta(days=number)

    rows = [(member, at(on), at(known), at(after), visits, spend) for member, on, known, after, visits, spend in tiles]
    return spark.createDataFrame(rows, TILE)


def by_key(rows):
    return {tuple(row[name] for name in KEY): row.asDict() for row in rows}


def test_totals_that_go_on_equal_totals_summed_anew(spark):
    tiles = lives(60, random.Random(7))
    everything = frame(spark, tiles)
    anew = (
        everything.transform(resummed).transform(closed, of=("member_key",)).transform(bucketed, 4)
        .transform(conform, MEMBER_TOTALS)
    )  # fmt: skip
    nothing = spark.createDataFrame([], struct(MEMBER_TOTALS))

    expected = by_key(anew.collect())
    assert by_key(member_totals(everything, Kept(), nothing, everything, 4).collect()) == expected

    earlier = known_by(tiles, 30)
    held = by_key(member_totals(frame(spark, earlier), Kept(), nothing, frame(spark, earlier), 4).collect())
    standing = spark.createDataFrame(
        [tuple(row[name] for name in MEMBER_TOTALS.names) for row in held.values() if row["superseded_on"] is None],
        struct(MEMBER_TOTALS),
    )
    with_news = {(member, on) for member, on, known, *_ in tiles if known > 30}
    news = frame(spark, [tile for tile in tiles if tile[:2] in with_news])
    assert held | by_key(member_totals(news, Kept(), standing, everything, 4).collect()) == expected


def test_a_total_counts_the_gaps_between_visits_as_known_then(spark):
    tiles = [(1, 0, 0, None, 1, 100), (1, 4, 4, None, 1, 50), (1, 2, 9, None, 1, 7), (1, 10, 10, None, 0, 0)]
    nothing = spark.createDataFrame([], struct(MEMBER_TOTALS))
    rows = (
        member_totals(frame(spark, tiles), Kept(), nothing, frame(spark, tiles), 4).orderBy(F.col("known_on")).collect()
    )
    told = [
        ((row["known_on"] - DAY_0).days, row["visits"], row["spend_minor"], row["squared_gap_days"]) for row in rows
    ]
    assert told == [(0, 1, 100, 0), (4, 2, 150, 16), (9, 3, 157, 8), (10, 3, 157, 8)]
