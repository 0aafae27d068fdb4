"""Tiles to member features and churn labels, in Polars (P15)."""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl

from benchmarks.plan_by_hand import Plan


def standing(rows: pl.DataFrame, at: date) -> pl.DataFrame:
    """Versions known before a day and not superseded before it."""
    stood = pl.col("superseded_on").is_null() | (pl.col("superseded_on") >= at)
    return rows.filter((pl.col("known_on") < at) & (pl.col("day") < at) & stood)


def features_of(members: pl.DataFrame, tiles: pl.DataFrame, plan: Plan) -> pl.DataFrame:
    return pl.concat([features_at(at, members, tiles, plan) for at in plan.as_of])


def features_at(at: date, members: pl.DataFrame, tiles: pl.DataFrame, plan: Plan) -> pl.DataFrame:
    """One row a member known before the day."""
    stand, longest, middle = standing(tiles, at), plan.windows[-1], plan.windows[-2]
    seen = stand.filter(pl.col("day") >= at - timedelta(longest)).group_by("member_key").agg(_windows(at, plan))
    known = members.filter(pl.col("known_on") < at)
    people = known.group_by("member_key").agg(
        pl.col("age_band", "household_size", "region").last(),
        pl.col("known_on").last().alias("member_known_on"),
        first_known_on=pl.col("known_on").min(),
    )
    rows = people.join(seen, "member_key", "left").join(life(stand), "member_key", "left")
    counted = [name for name in seen.columns if name not in ("member_key", "tile_known_on")]
    rows = rows.with_columns(pl.col(*counted, "lifetime_visits", "lifetime_spend_minor").fill_null(0))
    gaps = (pl.col("lifetime_visits") - 1).cast(pl.Float64)
    span = (pl.col("last_visit_on") - pl.col("first_visit_on")).dt.total_days().cast(pl.Float64)
    spread = ((pl.col("squared") - span * span / gaps) / (gaps - 1)).clip(lower_bound=0.0)
    rows = rows.with_columns(
        as_of=pl.lit(at),
        days_since_known=(pl.lit(at) - pl.col("first_known_on")).dt.total_days(),
        days_since_first_visit=(pl.lit(at) - pl.col("first_visit_on")).dt.total_days(),
        days_since_last_visit=(pl.lit(at) - pl.col("last_visit_on")).dt.total_days(),
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
        "first_known_on",
        "member_known_on",
        "tile_known_on",
        "totals_known_on",
        "squared",
        "first_visit_on",
        "last_visit_on",
    )


def _windows(at: date, plan: Plan) -> list[pl.Expr]:
    longest = plan.windows[-1]
    many = [
        pl.col(name).filter(pl.col("day") >= at - timedelta(days)).sum().alias(f"{name}_{days}d")
        for name in ("visits", "baskets", "items", "spend_minor")
        for days in plan.windows
    ]
    once = ("lines", "discount_minor", "coupon_minor", "returned_minor", "targeted", "redeemed")
    return [
        *many,
        *(pl.col(name).sum().alias(f"{name}_{longest}d") for name in once),
        *(
            pl.col(f"spend_{i}").sum().alias(f"spend_category_{i}_minor_{longest}d")
            for i in range(len(plan.categories))
        ),
        pl.col("category_bits").bitwise_or().alias(f"category_bits_{longest}d"),
        pl.col("known_on").max().alias("tile_known_on"),
    ]


def life(stand: pl.DataFrame) -> pl.DataFrame:
    """A member's whole life so far; ``stand`` is sorted by member and day."""
    visits = stand.filter(pl.col("visits") > 0).select("member_key", "day")
    is_same = visits["member_key"] == visits["member_key"].shift(1)
    gap = pl.when(is_same).then(pl.col("day").diff().dt.total_days())
    of_visits = (
        visits.with_columns(gap=gap)
        .group_by("member_key")
        .agg(
            first_visit_on=pl.col("day").min(),
            last_visit_on=pl.col("day").max(),
            lifetime_visits=pl.len().cast(pl.Int64),
            squared=(pl.col("gap") * pl.col("gap")).sum().cast(pl.Float64),
        )
    )
    of_all = stand.group_by("member_key").agg(
        pl.col("spend_minor").sum().alias("lifetime_spend_minor"), pl.max("known_on").alias("totals_known_on")
    )
    return of_all.join(of_visits, "member_key", "left")


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


def labels_of(tiles: pl.DataFrame, plan: Plan) -> pl.DataFrame:
    """1 for a member at risk who did not come back within the horizon."""
    visits = tiles.filter(pl.col("visits") > 0)
    today = visits.filter(pl.col("superseded_on").is_null())
    return pl.concat([_labels_at(at, visits, today, plan) for at in plan.matured])


def _labels_at(at: date, visits: pl.DataFrame, today: pl.DataFrame, plan: Plan) -> pl.DataFrame:
    risk = standing(visits, at).filter(pl.col("day") >= at - timedelta(plan.activity_days))
    end = at + timedelta(plan.horizon_days)
    back = today.filter((pl.col("day") >= at) & (pl.col("day") < end))
    matured = end - timedelta(1)
    risk = risk.group_by("member_key").agg(risk_known_on=pl.col("known_on").max())
    back = back.group_by("member_key").agg(back_known_on=pl.col("known_on").max())
    return risk.join(back, "member_key", "left").select(
        "member_key",
        pl.lit(at).alias("as_of"),
        pl.col("back_known_on").is_null().cast(pl.Float64).alias("value"),
        pl.lit(matured).alias("matured_at"),
        pl.max_horizontal("risk_known_on", "back_known_on", pl.lit(matured)).alias("newest_known_on"),
    )
