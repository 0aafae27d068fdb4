"""Member features at one ``as_of`` in Python: of a member's list of tiles, of pandas' frames, of Arrow's tables (P3).

Each as its users would write it. Spark reads, filters and joins for all of them, by the same transforms as in ours:
which versions stand, who was known, and how many days ago a day was, since days are slow in Python. The Python in it
combines the windows and tells everything that follows from them and from the totals.

One call of ``applyInPandas`` or ``applyInArrow`` a member is slow whatever it does: for 4,300 members, calls that did
nothing took 26 s, and all of it in a few calls that group within, warm, at most 3.5 s. So both take a few groups of
members. As many as there are shuffle partitions were as fast as the shop's eight buckets, or faster.

They are of shops without demographics: no column of those passes through Python, as none is read by ours.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from functools import reduce
from operator import or_
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from benchmarks import rows_in_python
from tenure.contracts import gold
from tenure.contracts.shop import Shop
from tenure.contracts.table import Combine, Kind
from tenure.spark.features import known_before
from tenure.spark.knowledge import seen_from, standing_at
from tenure.spark.schema import conform, spark_type
from tenure.spark.shop import bucketed, without

GROUPS = 4  # of members; as many as the session has shuffle partitions
Windows = tuple[tuple[int, tuple[gold.Column, ...]], ...]
Tables = tuple[DataFrame, DataFrame, DataFrame]  # members, tiles and totals

BEFORE = ("days_since_first_visit", "days_since_last_visit", "days_since_known")
TOTALS = ("lifetime_visits", "lifetime_spend_minor", "squared_gap_days")
KNOWN = ("member_known_days", "totals_known_days")
LIFE = ("lifetime_visits", "lifetime_spend_minor", "mean_gap_days", "sd_gap_days")
NEWEST = "newest_known_days"


def by_pickled(tables: Tables, as_of: date, shop: Shop) -> DataFrame:
    """A list of tiles and one call a member."""
    members, tiles = _read(tables, as_of, shop)
    lists = tiles.groupBy("member_key").agg(F.collect_list(F.struct(*_of_a_tile(shop))).alias("tiles"))
    told = F.udf(_told_of_lists(shop), T.StructType(_told(shop)), useArrow=False)
    rows = members.join(lists, "member_key", "left").withColumn("told", told("tiles", *BEFORE[:2], *TOTALS, *KNOWN))
    return _finished(rows.select("member_key", *BEFORE, "told.*"), as_of, shop)


def by_pandas(tables: Tables, as_of: date, shop: Shop) -> DataFrame:
    """A frame of members and one of their tiles a call."""
    members, tiles = (rows.groupBy(F.pmod("member_key", F.lit(GROUPS))) for rows in _read(tables, as_of, shop))
    return _finished(members.cogroup(tiles).applyInPandas(_told_of_frames(shop), _row(shop)), as_of, shop)


def by_arrow(tables: Tables, as_of: date, shop: Shop) -> DataFrame:
    """A table of members and one of their tiles a call."""
    members, tiles = (rows.groupBy(F.pmod("member_key", F.lit(GROUPS))) for rows in _read(tables, as_of, shop))
    return _finished(members.cogroup(tiles).applyInArrow(_told_of_tables(shop), _row(shop)), as_of, shop)


def windows(shop: Shop) -> Windows:
    """What is combined over how many days, the longest window first, of what the shop has."""
    measured = [(measure, days) for measure, days in gold.windowed(shop) if measure.needs not in shop.lacks]
    return tuple(
        (days, tuple(measure for measure, of in measured if of == days))
        for days in sorted(shop.windows_days, reverse=True)
    )


def _of_a_tile(shop: Shop) -> tuple[str, ...]:
    return ("days_ago", "known_days", *(measure.name for measure in windows(shop)[0][1]))


def _told(shop: Shop) -> list[T.StructField]:
    """What Python tells of a member."""
    return [
        *(
            T.StructField(gold.over(measure, days).name, spark_type(measure.kind))
            for days, measures in windows(shop)
            for measure in measures
        ),
        *(T.StructField(name, spark_type(gold.member_features(shop).column(name).kind)) for name in LIFE),
        *rows_in_python.TOLD,
        T.StructField(NEWEST, T.LongType()),
    ]


def _row(shop: Shop) -> T.StructType:
    return T.StructType([*(T.StructField(name, T.LongType()) for name in ("member_key", *BEFORE)), *_told(shop)])


def _read(tables: Tables, as_of: date, shop: Shop) -> tuple[DataFrame, DataFrame]:
    """The members known before ``as_of`` with their totals, one row each, and the tiles that some window sees."""
    members, tiles, totals = tables

    def ago(name: str, day: str) -> Any:
        return F.datediff(F.lit(as_of), day).cast("long").alias(name)

    standing = totals.transform(standing_at, [as_of]).select(
        "member_key",
        ago("days_since_first_visit", "first_visit_on"),
        ago("days_since_last_visit", "last_visit_on"),
        F.col("visits").alias("lifetime_visits"),
        F.col("spend_minor").alias("lifetime_spend_minor"),
        "squared_gap_days",
        ago("totals_known_days", "known_on"),
    )
    known = members.transform(known_before, [as_of]).select(
        "member_key", F.col("days_since_known").cast("long"), ago("member_known_days", "member_known_on")
    )
    seen = tiles.transform(seen_from, [as_of], max(shop.windows_days))
    return known.join(standing, "member_key", "left"), seen.withColumns(
        {"days_ago": ago("days_ago", "day"), "known_days": ago("known_days", "known_on")}
    ).select("member_key", *_of_a_tile(shop))


def _finished(rows: DataFrame, as_of: date, shop: Shop) -> DataFrame:
    table = gold.member_features(shop)
    newest = F.date_sub(F.lit(as_of), F.col(NEWEST).cast("int"))
    return (
        rows.withColumns({"as_of": F.lit(as_of), "newest_known_on": newest})
        .transform(bucketed, shop.buckets)
        .transform(without, table, shop.lacks)
        .transform(conform, table)
    )


def _told_of_lists(shop: Shop) -> Callable[..., tuple[Any, ...]]:
    names = _of_a_tile(shop)
    of_a_row = rows_in_python.told_of_a_row(shop)
    inputs = rows_in_python.inputs(shop)
    wanted = [
        (days, [(gold.over(m, days).name, names.index(m.name), _combined_by_hand(m)) for m in measures])
        for days, measures in windows(shop)
    ]

    def told(tiles: Any, first: Any, last: Any, visits: Any, spend: Any, squared: Any, *known: Any) -> tuple[Any, ...]:
        row: dict[str, Any] = {}
        tiles, newest = tiles or (), [days for days in known if days is not None]
        newest.extend(tile[1] for tile in tiles)
        for days, measures in wanted:
            columns = list(zip(*[tile for tile in tiles if tile[0] <= days], strict=True))
            row |= {name: combined(columns[place] if columns else ()) for name, place, combined in measures}
        mean = sd = None
        if visits is not None and visits > 1:
            gaps, span = visits - 1, first - last
            mean = span / gaps
            sd = max((squared - span * span / gaps) / (gaps - 1), 0.0) ** 0.5 if gaps > 1 else None
        of_windows = tuple(row.values())
        life = (visits or 0, spend or 0, mean, sd)
        row |= {"days_since_first_visit": first, "days_since_last_visit": last, **dict(zip(LIFE, life, strict=True))}
        return (*of_windows, *life, *of_a_row(*[row[name] for name in inputs]), min(newest))

    return told


def _combined_by_hand(measure: gold.Column) -> Callable[[Any], Any]:
    if measure.combine is Combine.BITS:
        return lambda values: reduce(or_, values, 0)
    # Spark takes an integer in a column of floats for null.
    return (lambda values: float(sum(values))) if measure.kind is Kind.NUMBER else sum


def _told_of_frames(shop: Shop) -> Callable[[pd.DataFrame, pd.DataFrame], pd.DataFrame]:
    names, inputs, of_series = _row(shop).names, rows_in_python.inputs(shop), rows_in_python.told_of_series(shop)
    wanted = windows(shop)
    table = gold.member_features(shop)

    def told(members: pd.DataFrame, tiles: pd.DataFrame) -> pd.DataFrame:
        rows = members.set_index("member_key")
        near, parts = tiles, []
        for days, measures in wanted:
            near = near[near["days_ago"] <= days]
            summed = [m.name for m in measures if m.combine is Combine.SUM]
            parts.append(near.groupby("member_key")[summed].sum().add_suffix(f"_{days}d"))
        bits = f"category_bits_{wanted[0][0]}d"
        rows = rows.join(parts).assign(**{bits: _bits(rows.index.get_indexer(tiles["member_key"]), tiles, len(rows))})
        zero = [*(name for part in parts for name in part.columns), *LIFE[:2]]
        rows = rows.fillna(dict.fromkeys(zero, 0)).astype({name: _DTYPES[table.column(name).kind] for name in zero})
        gaps, span = rows["lifetime_visits"] - 1, rows["days_since_first_visit"] - rows["days_since_last_visit"]
        rows["mean_gap_days"] = (span / gaps).where(gaps >= 1)
        variance = ((rows["squared_gap_days"] - span * span / gaps) / (gaps - 1)).where(gaps >= 2)
        rows["sd_gap_days"] = np.sqrt(variance.clip(lower=0))
        by_tiles = tiles.groupby("member_key")["known_days"].min().reindex(rows.index)
        rows[NEWEST] = np.fmin(np.fmin(rows["member_known_days"], rows["totals_known_days"]), by_tiles).astype("int64")
        rows = rows.reset_index()
        return pd.concat([rows, of_series(*(rows[name] for name in inputs))], axis=1)[names]

    return told


_DTYPES = {Kind.NUMBER: "float64", Kind.COUNT: "int64", Kind.MONEY: "int64"}


def _bits(places: np.ndarray, tiles: pd.DataFrame | pa.Table, members: int) -> np.ndarray:
    """The categories of each member: neither pandas nor Arrow combines bits within groups."""
    bits = np.zeros(members, np.int64)
    is_known = places >= 0
    np.bitwise_or.at(bits, places[is_known], tiles["category_bits"].to_numpy()[is_known])
    return bits


def _told_of_tables(shop: Shop) -> Callable[[pa.Table, pa.Table], pa.Table]:
    names, inputs, of_arrays = _row(shop).names, rows_in_python.inputs(shop), rows_in_python.told_of_arrays(shop)
    wanted = windows(shop)

    def told(members: pa.Table, tiles: pa.Table) -> pa.Table:
        rows = {name: members[name].combine_chunks() for name in members.column_names}
        keys, near = rows["member_key"], tiles
        for days, measures in wanted:
            near = near.filter(pc.less_equal(near["days_ago"], days))
            summed = [m.name for m in measures if m.combine is Combine.SUM]
            sums = near.group_by("member_key", use_threads=False).aggregate([(name, "sum") for name in summed])
            places = pc.index_in(keys, value_set=sums["member_key"])
            for name in summed:
                rows[f"{name}_{days}d"] = _filled(sums[f"{name}_sum"].combine_chunks().take(places))
        places = pc.fill_null(pc.index_in(tiles["member_key"], value_set=keys), -1).to_numpy()
        rows[f"category_bits_{wanted[0][0]}d"] = pa.array(_bits(places, tiles, len(keys)))
        known = tiles.group_by("member_key", use_threads=False).aggregate([("known_days", "min")])
        by_tiles = known["known_days_min"].combine_chunks().take(pc.index_in(keys, value_set=known["member_key"]))
        rows[NEWEST] = pc.min_element_wise(rows["member_known_days"], rows["totals_known_days"], by_tiles)
        rows |= {name: _filled(rows[name]) for name in LIFE[:2]} | _gaps(rows)
        rows |= zip(rows_in_python.OUTPUTS, of_arrays(*(rows[name] for name in inputs)), strict=True)
        return pa.table({name: rows[name] for name in names})

    return told


def _filled(values: pa.Array) -> pa.Array:
    return pc.fill_null(values, pa.scalar(0, values.type))


def _gaps(rows: dict[str, pa.Array]) -> dict[str, pa.Array]:
    none = pa.scalar(None, pa.float64())
    numbers = {name: pc.cast(rows[name], pa.float64()) for name in (*TOTALS, *BEFORE[:2])}
    gaps = pc.subtract(numbers["lifetime_visits"], 1.0)
    span = pc.subtract(numbers["days_since_first_visit"], numbers["days_since_last_visit"])
    mean = pc.divide(span, gaps)
    variance = pc.divide(pc.subtract(numbers["squared_gap_days"], pc.multiply(span, mean)), pc.subtract(gaps, 1.0))
    sd = pc.sqrt(pc.max_element_wise(variance, 0.0, skip_nulls=False))
    return {
        "mean_gap_days": pc.if_else(pc.greater_equal(gaps, 1.0), mean, none),
        "sd_gap_days": pc.if_else(pc.greater_equal(gaps, 2.0), sd, none),
    }
