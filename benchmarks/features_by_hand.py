"""Tiles to member features and churn labels, in Polars: all days in one pass (P15).

``at`` is the place of an ``as_of`` among the days that are asked for; a version of a tile is seen from ``first`` on and
before ``until``.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import polars as pl

from benchmarks.plan_by_hand import Plan

SEEN = ["member_key", "at"]


def after(days: Sequence[date], day: pl.Expr) -> pl.Expr:
    """The place of the first of the days that comes after a day; how many there are where none does."""
    return pl.sum_horizontal((day >= one).cast(pl.Int64) for one in days)


def standing(tiles: pl.DataFrame, days: Sequence[date]) -> pl.LazyFrame:
    """Versions with the days at which they are known, over and not superseded."""
    superseded = pl.col("superseded_on")
    until = pl.when(superseded.is_null()).then(len(days)).otherwise(after(days, superseded))
    known = tiles.lazy().with_columns(first=after(days, pl.max_horizontal("day", "known_on")), until=until)
    return known.filter(pl.col("first") < pl.col("until"))


def at_each(rows: pl.LazyFrame, first: str | pl.Expr, until: str | pl.Expr) -> pl.LazyFrame:
    """A row for each of the days at which it is seen."""
    many = rows.with_columns(at=pl.int_ranges(first, until))
    return many.filter(pl.col("at").list.len() > 0).explode("at")


def features_of(members: pl.LazyFrame, tiles: pl.DataFrame, plan: Plan) -> pl.LazyFrame:
    """For each day a row for every member who was known before it."""
    stand, longest, middle = standing(tiles, plan.as_of), plan.windows[-1], plan.windows[-2]
    seen = _windows(stand, plan)
    rows = _visited(_since(_people(members, plan.as_of), _money(stand, plan)).join(seen, SEEN, "left"), stand, plan)
    counted = [name for name in seen.collect_schema().names() if name not in (*SEEN, "tile_known_on")]
    rows = rows.with_columns(pl.col(*counted, "lifetime_visits", "lifetime_spend_minor").fill_null(0))
    gaps = (pl.col("lifetime_visits") - 1).cast(pl.Float64)
    span = (pl.col("last_visit_on") - pl.col("first_visit_on")).dt.total_days().cast(pl.Float64)
    spread = ((pl.col("squared") - span * span / gaps) / (gaps - 1)).clip(lower_bound=0.0)
    rows = rows.with_columns(
        days_since_known=(pl.col("as_of") - pl.col("first_known_on")).dt.total_days(),
        days_since_first_visit=(pl.col("as_of") - pl.col("first_visit_on")).dt.total_days(),
        days_since_last_visit=(pl.col("as_of") - pl.col("last_visit_on")).dt.total_days(),
        mean_gap_days=pl.when(gaps >= 1).then(span / gaps),
        sd_gap_days=pl.when(gaps >= 2).then(spread.sqrt()),
        has_demographics=pl.any_horizontal(pl.col("age_band", "household_size", "region").is_not_null()),
        newest_known_on=pl.max_horizontal("member_known_on", "tile_known_on", "totals_known_on"),
    )
    off = pl.col(f"discount_minor_{longest}d") + pl.col(f"coupon_minor_{longest}d")
    trend = {
        name: _over(pl.col(f"{of}_{middle}d") / middle, pl.col(f"{of}_{longest}d") / longest)
        for name, of in (("visits_trend", "visits"), ("spend_trend", "spend_minor"))
    }
    rows = rows.with_columns(
        overdue=_over(pl.col("days_since_last_visit"), pl.col("mean_gap_days")),
        **trend,
        mean_basket_minor=_over(pl.col(f"spend_minor_{longest}d"), pl.col(f"baskets_{longest}d")),
        discount_share=_over(off, pl.col(f"spend_minor_{longest}d") + off),
        categories_seen=pl.col(f"category_bits_{longest}d").bitwise_count_ones().cast(pl.Int64),
        stage=_stage(plan),
    )
    return rows.drop(
        "at",
        "first_known_on",
        "member_known_on",
        "tile_known_on",
        "totals_known_on",
        "squared",
        "first_visit_on",
        "last_visit_on",
    )


def _people(members: pl.LazyFrame, days: Sequence[date]) -> pl.LazyFrame:
    """The newest version of every member at each day, from the first on which there is one."""
    first = members.group_by("member_key").agg(first_known_on=pl.col("known_on").min())
    grid = at_each(first, after(days, pl.col("first_known_on")), pl.lit(len(days)))
    versions = members.rename({"known_on": "member_known_on"}).sort("member_known_on")
    people = _since(grid, versions.with_columns(at=after(days, pl.col("member_known_on"))))
    return people.with_columns(as_of=pl.col("at").replace_strict(range(len(days)), days, return_dtype=pl.Date))


def _since(rows: pl.LazyFrame, changes: pl.LazyFrame) -> pl.LazyFrame:
    """With what a member's newest change says, among those at the same day or before."""
    changes = changes.sort("at", maintain_order=True)
    return rows.sort("at").join_asof(changes, on="at", by="member_key", check_sortedness=False)


def _windows(stand: pl.LazyFrame, plan: Plan) -> pl.LazyFrame:
    """Sums over the last days; a tile is taken to each day that it is not too old for."""
    days, longest = plan.as_of, plan.windows[-1]
    recent = after(days, pl.col("day") + pl.duration(days=longest))
    rows = at_each(stand, "first", pl.min_horizontal("until", recent))
    as_of = pl.col("at").replace_strict(range(len(days)), days, return_dtype=pl.Date)
    rows = rows.with_columns(ago=(as_of - pl.col("day")).dt.total_days())
    many = [
        pl.col(name).filter(pl.col("ago") <= width).sum().alias(f"{name}_{width}d")
        for name in ("visits", "baskets", "items", "spend_minor")
        for width in plan.windows
    ]
    once = ("lines", "discount_minor", "coupon_minor", "returned_minor", "targeted", "redeemed")
    return rows.group_by(SEEN).agg(
        *many,
        *(pl.col(name).sum().alias(f"{name}_{longest}d") for name in once),
        *(
            pl.col(f"spend_{i}").sum().alias(f"spend_category_{i}_minor_{longest}d")
            for i in range(len(plan.categories))
        ),
        pl.col("category_bits").bitwise_or().alias(f"category_bits_{longest}d"),
        pl.col("known_on").max().alias("tile_known_on"),
    )


def _money(stand: pl.LazyFrame, plan: Plan) -> pl.LazyFrame:
    """Spend of a whole life: a version brings its own, and takes it back when the next one stands."""
    columns = ["member_key", "known_on"]
    comes = stand.select(*columns, "spend_minor", at="first")
    goes = stand.filter(pl.col("until") < len(plan.as_of)).select(*columns, -pl.col("spend_minor"), at="until")
    changes = pl.concat([comes, goes]).group_by(SEEN).agg(pl.col("spend_minor").sum(), pl.col("known_on").max())
    return changes.sort(SEEN).select(
        *SEEN,
        pl.col("spend_minor").cum_sum().over("member_key").alias("lifetime_spend_minor"),
        pl.col("known_on").cum_max().over("member_key").alias("totals_known_on"),
    )


def _visited(rows: pl.LazyFrame, stand: pl.LazyFrame, plan: Plan) -> pl.LazyFrame:
    """With the visits of a whole life. They add up from day to day; but of members who took a whole visit back, or one
    of whose visits was told after a later one, they are gone through at each day."""
    visits = stand.filter(pl.col("visits") > 0).select("member_key", "day", "first", "until")
    days = visits.group_by("member_key", "day").agg(
        pl.col("first").min(), pl.col("until").max(), seen=(pl.col("until") - pl.col("first")).sum()
    )
    days = days.sort("member_key", "day")
    stays = (pl.col("until") == len(plan.as_of)) & (pl.col("seen") == pl.col("until") - pl.col("first"))
    is_plain = (stays & (pl.col("first") == pl.col("first").cum_max())).all().over("member_key")
    days = days.with_columns(is_plain=is_plain)
    told = {
        "first_visit_on": pl.col("day").min(),
        "last_visit_on": pl.col("day").max(),
        "lifetime_visits": pl.len().cast(pl.Int64),
        "squared": (pl.col("gap") * pl.col("gap")).sum().cast(pl.Float64),
    }
    gap = pl.col("day").diff().dt.total_days()
    plain = days.filter("is_plain").with_columns(gap=gap.over("member_key"), at="first").group_by(SEEN).agg(**told)
    plain = plain.sort(SEEN).select(
        *SEEN,
        pl.col("first_visit_on").cum_min().over("member_key"),
        "last_visit_on",
        pl.col("lifetime_visits", "squared").cum_sum().over("member_key"),
    )
    others = visits.join(days.filter(~pl.col("is_plain")), "member_key", "semi")
    others = at_each(others, "first", "until").sort(*SEEN, "day").with_columns(gap=gap.over(SEEN))
    others = others.group_by(SEEN).agg(**told).rename({name: f"other_{name}" for name in told})
    both = _since(rows, plain).join(others, SEEN, "left")
    both = both.with_columns(pl.coalesce(name, f"other_{name}").alias(name) for name in told)
    return both.drop(f"other_{name}" for name in told)


def _over(part: pl.Expr, whole: pl.Expr) -> pl.Expr:
    return pl.when(whole > 0).then(part / whole)


def _stage(plan: Plan) -> pl.Expr:
    quiet = pl.col("days_since_last_visit")
    is_often = (pl.col("mean_gap_days") <= plan.horizon_days / 4) & (quiet <= plan.horizon_days)
    return (
        pl.when(quiet.is_null())
        .then(pl.lit("acquisition"))
        .when(quiet > plan.activity_days)
        .then(pl.lit("lapsed"))
        .when(pl.col("lifetime_visits") <= 1)
        .then(pl.lit("activation"))
        .when(pl.col("days_since_first_visit") <= plan.activity_days)
        .then(pl.lit("conversion"))
        .when(is_often)
        .then(pl.lit("loyalty"))
        .otherwise(pl.lit("retention"))
    )


def labels_of(tiles: pl.DataFrame, plan: Plan) -> pl.LazyFrame:
    """1 for a member at risk who did not come back within the horizon."""
    days, visits = plan.matured, pl.col("visits") > 0
    recent = after(days, pl.col("day") + pl.duration(days=plan.activity_days))
    risk = at_each(standing(tiles, days).filter(visits), "first", pl.min_horizontal("until", recent))
    begins = after(days, pl.col("day") - pl.duration(days=plan.horizon_days))
    today = tiles.lazy().filter(visits, pl.col("superseded_on").is_null())
    back = at_each(today, begins, after(days, pl.col("day")))
    risk = risk.group_by(SEEN).agg(risk_known_on=pl.col("known_on").max())
    back = back.group_by(SEEN).agg(back_known_on=pl.col("known_on").max())
    as_of = pl.col("at").replace_strict(range(len(days)), days, return_dtype=pl.Date)
    matured = as_of + pl.duration(days=plan.horizon_days - 1)
    return risk.join(back, SEEN, "left").select(
        "member_key",
        as_of.alias("as_of"),
        pl.col("back_known_on").is_null().cast(pl.Float64).alias("value"),
        matured.alias("matured_at"),
        pl.max_horizontal("risk_known_on", "back_known_on", matured).alias("newest_known_on"),
    )
