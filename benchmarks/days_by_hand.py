"""Clean rows to what a member did on a day, in Polars: tiles, visits and purchases (P15)."""

from __future__ import annotations

import polars as pl

from benchmarks.plan_by_hand import MEMBER_DAY, VERSION, Plan

OTHER = 63  # the bit of any category beyond the main ones


def signed(lines: pl.DataFrame) -> pl.DataFrame:
    """One part a line, on the day of the sale; a return carries its sale's order, category and hour."""
    rows = lines.lazy().filter(pl.col("member_key").is_not_null())
    columns = ["order_id", "product_id", "category", "hour", "times", "quantity", "paid_minor", "returned_minor"]
    columns = [*VERSION, *columns, "discount_minor", "coupon_minor"]
    zero = pl.lit(0, pl.Int64)
    sales = rows.filter(~pl.col("is_return"))
    sold = sales.select(
        pl.col("position").alias("corrects"), "order_id", "category", "hour", pl.col("quantity").alias("sold")
    )
    back = (
        rows.filter("is_return")
        .drop("order_id", "category", "hour")
        .join(sold, "corrects")
        .sort("corrects", "known_on", "position")
        .with_columns(left=(pl.col("sold") + pl.col("quantity").cum_sum().over("corrects")).round(6))
        .with_columns(
            before=(pl.col("left") - pl.col("quantity")).round(6),
            is_first=pl.int_range(pl.len()).over("corrects") == 0,
        )
        .with_columns(
            times=-((pl.col("left") <= 0) & ((pl.col("before") > 0) | pl.col("is_first"))).cast(pl.Int64),
            returned_minor=-pl.col("paid_minor"),
        )
    )
    sales = sales.with_columns(times=pl.lit(1, pl.Int64), returned_minor=zero)
    return pl.concat([sales.select(columns), back.select(columns)]).collect()


def tiles_of(parts: pl.DataFrame, touches: pl.DataFrame, plan: Plan) -> pl.DataFrame:
    """What each member did on each day, as known from one day on; few days are known in more than one version."""

    def of(category: str) -> pl.Expr:
        return pl.col("category") == category

    sums = [
        pl.col("times").sum().alias("lines"),
        pl.col("quantity").sum().alias("items"),
        pl.col("paid_minor").sum().alias("spend_minor"),
        *(pl.col(name).sum() for name in ("discount_minor", "coupon_minor", "returned_minor")),
        *(pl.col("paid_minor").filter(of(name)).sum().alias(f"spend_{i}") for i, name in enumerate(plan.categories)),
        *(pl.col("times").filter(of(name)).sum().alias(f"lines_{i}") for i, name in enumerate(plan.categories)),
        pl.col("times").filter(~pl.col("category").is_in(plan.categories)).sum().alias(f"lines_{OTHER}"),
    ]
    orders = parts.lazy().group_by(*VERSION, "order_id").agg(sums)
    names = [name for name in orders.collect_schema().names() if name not in (*VERSION, "order_id")]
    versions = pl.concat([rows.lazy().select(VERSION) for rows in (parts, touches)]).unique()
    several = versions.group_by(MEMBER_DAY).len().filter(pl.col("len") > 1)
    orders = pl.concat(
        [
            orders.join(several, MEMBER_DAY, "anti").with_columns(baskets=(pl.col("lines") > 0).cast(pl.Int64)),
            _kept_or_not(orders.join(several, MEMBER_DAY, "semi")),
        ]
    )
    names, kinds = [*names, "baskets"], ["targeted", "redeemed"]
    of_touches = (
        touches.lazy()
        .group_by(VERSION)
        .agg((pl.col("touch_kind") == kind).sum().cast(pl.Int64).alias(kind) for kind in kinds)
    )
    tiles = orders.group_by(VERSION).agg(pl.col(names).sum()).join(of_touches, VERSION, "full", coalesce=True)
    tiles = tiles.with_columns(pl.col(*names, *kinds).fill_null(0), superseded_on=pl.lit(None, pl.Date))
    of_several = tiles.join(several, MEMBER_DAY, "semi").sort(VERSION)
    of_several = of_several.with_columns(
        pl.col(*names, *kinds).cum_sum().over(MEMBER_DAY),
        superseded_on=pl.col("known_on").shift(-1).over(MEMBER_DAY),
    )
    tiles = pl.concat([tiles.join(several, MEMBER_DAY, "anti"), of_several]).sort(VERSION)
    bits = [(i, f"lines_{i}") for i in (*range(len(plan.categories)), OTHER)]
    tiles = tiles.with_columns(
        pl.col("items").round(6),
        (pl.col("baskets") > 0).cast(pl.Int64).alias("visits"),
        pl.sum_horizontal((pl.col(name) > 0).cast(pl.Int64) * _bit(i) for i, name in bits).alias("category_bits"),
    )
    return tiles.collect()


def _kept_or_not(orders: pl.LazyFrame) -> pl.LazyFrame:
    """``baskets`` is 1 when something of an order was first kept, -1 when the last of it was taken back."""
    order = [*MEMBER_DAY, "order_id"]
    is_kept = (pl.col("lines").cum_sum().over(order) > 0).cast(pl.Int64)
    orders = orders.sort("known_on").with_columns(baskets=is_kept)
    return orders.with_columns(baskets=pl.col("baskets") - pl.col("baskets").shift(1, fill_value=0).over(order))


def _bit(place: int) -> int:
    return -(1 << 63) if place == OTHER else 1 << place


def events_of(parts: pl.DataFrame, tiles: pl.DataFrame) -> pl.LazyFrame:
    """Every version of every visit, with the categories of what was kept, most spent on first."""
    category = pl.col("category").fill_null("unknown")
    mix = (
        parts.lazy()
        .group_by(*VERSION, category)
        .agg(lines=pl.col("times").sum(), paid=pl.col("paid_minor").sum(), hour=pl.col("hour").min())
    )
    versions = mix.select(VERSION).unique()
    # A version holds what came with it and with those before it.
    known = versions.join(mix.rename({"known_on": "came_on"}), MEMBER_DAY).filter(
        pl.col("came_on") <= pl.col("known_on")
    )
    whole = known.group_by(*VERSION, "category").agg(pl.col("lines").sum(), pl.col("paid").sum(), pl.col("hour").min())
    whole = whole.with_columns(paid=pl.col("paid").clip(lower_bound=0)).sort(
        "paid", "category", descending=[True, False]
    )
    is_kept = pl.col("lines") > 0
    total, count = (pl.col(name).filter(is_kept).sum().over(VERSION) for name in ("paid", "lines"))
    share = pl.when(total > 0).then(pl.col("paid") / total).otherwise(pl.col("lines") / count)
    mixes = (
        whole.with_columns(share=share)
        .group_by(VERSION, maintain_order=True)
        .agg(
            hour=pl.col("hour").min(),
            categories=pl.col("category").filter(is_kept),
            category_shares=pl.col("share").filter(is_kept),
        )
    )
    columns = ["baskets", "lines", "spend_minor", "discount_minor", "coupon_minor"]
    kind = pl.when(pl.col("lines") > 0).then(pl.lit("visit")).otherwise(pl.lit("none"))
    return mixes.join(tiles.lazy().select(*VERSION, *columns), VERSION).with_columns(kind=kind).sort(VERSION)


def interactions_of(parts: pl.DataFrame) -> pl.LazyFrame:
    return (
        parts.lazy()
        .group_by("member_key", "product_id", "day", "known_on")
        .agg(
            times=pl.col("times").sum(),
            quantity=pl.col("quantity").sum().round(6),
            spend_minor=pl.col("paid_minor").sum(),
        )
    )
