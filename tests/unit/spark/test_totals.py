"""Running totals go on from where they stood, and equal the sums of what stood on each day."""

from __future__ import annotations

import random
from datetime import date, timedelta
from itertools import pairwise

from pyspark.sql import functions as F

from tenure.contracts.gold import MEMBER_TOTALS
from tenure.spark.kept import Kept
from tenure.spark.schema import struct
from tenure.spark.totals import member_totals

DAY_0 = date(2026, 1, 1)
TILE = "member_key bigint, day date, known_on date, superseded_on date, visits bigint, spend_minor bigint"
KEY = ("member_key", "known_on")


def lives(members, rng):
    """Tiles of members: some come in order, some late, some are corrected once or twice."""
    tiles = []
    for member in range(members):
        is_orderly = member % 3 == 0
        for on in sorted(rng.sample(range(60), rng.randint(1, 8))):
            known = on + (0 if is_orderly else rng.choice([0, 0, 0, 2, 9, -3]))
            versions = sorted(
                {known, *(known + rng.randint(1, 20) for _ in range(0 if is_orderly else rng.randint(0, 2)))}
            )
            for known_on, after in zip(versions, [*versions[1:], None], strict=True):
                tiles.append((member, on, known_on, after, rng.choice([1, 1, 1, 0]), rng.randint(0, 900)))
    return tiles


def known_by(tiles, day):
    """The tiles as they stood on a day: what came later is not there and closes nothing."""
    return [(m, on, k, s if s is not None and s <= day else None, v, p) for m, on, k, s, v, p in tiles if k <= day]


def at(number):
    return None if number is None else DAY_0 + timedelta(days=number)


def frame(spark, tiles):
    rows = [(member, at(on), at(known), at(after), visits, spend) for member, on, known, after, visits, spend in tiles]
    return spark.createDataFrame(rows, TILE)


def brute_force(tiles):
    """The totals at every day of knowledge of a member, from the tiles that stand then, one after the other."""
    found = {}
    for member in {tile[0] for tile in tiles}:
        mine = [
            (on, max(known, on), after, visits, spend) for m, on, known, after, visits, spend in tiles if m == member
        ]
        days = sorted({known for _, known, *_ in mine})
        for day, following in zip(days, [*days[1:], None], strict=True):
            stood = [tile for tile in mine if tile[1] <= day and (tile[2] is None or tile[2] > day)]
            visited = sorted(on for on, _, _, visits, _ in stood if visits)
            found[member, at(day)] = {
                "bucket": member % 4,
                "member_key": member,
                "known_on": at(day),
                "superseded_on": at(following),
                "first_visit_on": at(visited[0]) if visited else None,
                "last_visit_on": at(visited[-1]) if visited else None,
                "visits": sum(tile[3] for tile in stood),
                "spend_minor": sum(tile[4] for tile in stood),
                "squared_gap_days": sum((b - a) ** 2 for a, b in pairwise(visited)),
            }
    return found


def by_key(rows):
    return {tuple(row[name] for name in KEY): row.asDict() for row in rows}


def test_totals_equal_the_sums_of_what_stood_on_each_day(spark):
    tiles = lives(90, random.Random(7))
    everything = frame(spark, tiles)
    nothing = spark.createDataFrame([], struct(MEMBER_TOTALS))

    expected = brute_force(tiles)
    assert by_key(member_totals(everything, Kept(), nothing, everything, 4).collect()) == expected

    earlier = known_by(tiles, 30)
    with_news = {(member, on) for member, on, known, *_ in tiles if known > 30}
    assert gone_on(spark, earlier, tiles, with_news) == expected


def test_what_is_known_of_the_past_only_later_changes_the_totals_since(spark):
    """A load of the past: days of knowledge come in between those that are there."""
    tiles = lives(90, random.Random(11))
    days = sorted({tile[:2] for tile in tiles})
    forgotten = set(random.Random(12).sample(days, len(days) // 3))
    earlier = [tile for tile in tiles if tile[:2] not in forgotten]
    assert gone_on(spark, earlier, tiles, forgotten) == brute_force(tiles)


def gone_on(spark, earlier, tiles, with_news):
    """The totals of ``earlier``, merged with what the tiles of the member-days ``with_news`` change."""
    nothing = spark.createDataFrame([], struct(MEMBER_TOTALS))
    held = by_key(member_totals(frame(spark, earlier), Kept(), nothing, frame(spark, earlier), 4).collect())
    standing = spark.createDataFrame(
        [tuple(row[name] for name in MEMBER_TOTALS.names) for row in held.values() if row["superseded_on"] is None],
        struct(MEMBER_TOTALS),
    )
    news = frame(spark, [tile for tile in tiles if tile[:2] in with_news])
    return held | by_key(member_totals(news, Kept(), standing, frame(spark, tiles), 4).collect())


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
