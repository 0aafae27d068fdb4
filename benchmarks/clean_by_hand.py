"""Landing files to clean rows in Polars: order lines with the rules of one shop, touches, versions of members (P15)."""

from __future__ import annotations

import hmac

import polars as pl

from benchmarks.plan_by_hand import Plan


def key(member_id: pl.Expr, plan: Plan) -> pl.Expr:
    """The member's pseudonym; each id is hashed once."""

    def hashed(ids: pl.Series) -> pl.Series:
        each = ids.unique().drop_nulls()
        digests = [hmac.digest(plan.secret, one.encode(), "sha256")[:8] for one in each.to_list()]
        keys = pl.Series([int.from_bytes(d, "big", signed=True) for d in digests], dtype=pl.Int64)
        return ids.replace_strict(each, keys, default=None, return_dtype=pl.Int64)

    return member_id.map_batches(hashed, return_dtype=pl.Int64)


def cleaned(plan: Plan) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Order lines that are kept, and those that are not with the rule that took them out."""
    minor = {"amount": "paid_minor", "discount": "discount_minor", "coupon": "coupon_minor"}
    local = pl.col("sold_at").dt.convert_time_zone("Europe/Berlin")
    raw = (
        pl.scan_parquet(plan.landing / "orders" / "*" / "*.parquet")
        .select(
            pl.col("order_no").cast(pl.String).alias("order_id"),
            pl.col("member").alias("member_id"),
            pl.col("sku").alias("product_id"),
            pl.col("sold_at").alias("occurred_at"),
            local.dt.date().alias("day"),
            local.dt.hour().cast(pl.Int64).alias("hour"),
            pl.col("units").cast(pl.Float64).alias("quantity"),
            *((pl.col(theirs) * 100).round().cast(pl.Int64).alias(ours) for theirs, ours in minor.items()),
            pl.col("store").alias("store_id"),
            "is_return",
            pl.col("exported_on").alias("known_on"),
        )
        .with_row_index("position")
    )
    catalogue = (
        pl.scan_parquet(plan.landing / "products" / "*" / "*.parquet")
        .select(pl.col("sku").alias("product_id"), "category", pl.col("exported_on").alias("known_on"))
        .unique(["product_id", "known_on"], keep="first", maintain_order=True)
        .sort("known_on")
        .with_columns(is_known=pl.lit(True))
    )
    registered = (
        pl.scan_parquet(plan.landing / "members" / "*" / "*.parquet")
        .group_by(pl.col("member").alias("member_id"))
        .agg(pl.col("exported_on").min().alias("registered_from"))
    )
    told = (
        raw.sort("known_on")
        .join_asof(catalogue, on="known_on", by="product_id", check_sortedness=False)
        .join(registered, "member_id", "left")
    )
    rule = pl.coalesce([pl.when(holds).then(pl.lit(name)) for name, holds in _rules().items()])
    is_repeat = pl.col("rule").is_null() & ~pl.struct("order_id", "product_id").is_first_distinct()
    judged = (
        told.sort("position")
        .with_columns(
            rule=rule, quantity=pl.col("quantity").clip(-30.0, 30.0), member_key=key(pl.col("member_id"), plan)
        )
        .with_columns(rule=pl.when(is_repeat).then(pl.lit("duplicate")).otherwise("rule"))
        .drop("is_known", "registered_from", "member_id")
    )
    return paired(judged.collect())


def _rules() -> dict[str, pl.Expr]:
    """What takes a line out, the first of them that holds."""
    is_member = (pl.col("registered_from") <= pl.col("known_on")).fill_null(value=False)
    is_sale = ~pl.col("is_return")
    return {
        "missing": pl.any_horizontal(
            pl.col("order_id", "product_id", "occurred_at", "quantity", "paid_minor").is_null()
        ),
        "broken_encoding": pl.col("store_id").str.contains("[\ufffd\u00c3]"),
        "member_unknown": ~is_member & pl.col("member_id").is_not_null(),
        "product_unknown": pl.col("is_known").is_null() & pl.col("product_id").is_not_null(),
        "clock_wrong": (pl.col("day") > pl.col("known_on")) | (pl.col("hour") < 6),
        "in_the_future": pl.col("day") > pl.col("known_on"),
        "negative_price": is_sale & (pl.col("paid_minor") < 0),
        "negative_quantity": is_sale & (pl.col("quantity") < 0),
        "positive_return": pl.col("is_return") & ((pl.col("paid_minor") > 0) | (pl.col("quantity") > 0)),
        "out_of_range": (pl.col("quantity").abs() > 1e6)
        | (pl.col("discount_minor") < 0)
        | (pl.col("coupon_minor") < 0),
    }


def paired(judged: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Returns with the sale that they take back, in ``corrects`` and ``day``: the newest one before, of the same member
    and product, of which just the goods and the money come back, or else enough is left. A sale taken back as a whole
    on the day of its own knowledge goes with it."""
    pairs = _pairs(judged.lazy().filter(pl.col("rule").is_null())).lazy()
    netted = pairs.filter("is_netted")
    gone = pl.concat([netted.select("position"), netted.select(position="corrects")]).with_columns(is_gone=pl.lit(True))
    is_lonely = pl.col("rule").is_null() & pl.col("is_return") & pl.col("corrects").is_null()
    joined = (
        judged.lazy()
        .join(pairs.select("position", "corrects", "sale_day"), "position", "left")
        .join(gone, "position", "left")
        .with_columns(
            rule=pl.when("is_gone")
            .then(pl.lit("taken_back_same_day"))
            .when(is_lonely)
            .then(pl.lit("return_without_sale"))
            .otherwise("rule"),
            day=pl.coalesce("sale_day", "day"),
        )
        .drop("sale_day", "is_gone")
    )
    is_kept = pl.col("rule").is_null()
    lines, aside = pl.collect_all([joined.filter(is_kept).drop("rule"), joined.filter(~is_kept)])
    return lines, aside


def _pairs(kept: pl.LazyFrame) -> pl.DataFrame:
    """Returns and their sales. What a return leaves of a sale counts for the next return of the same member and
    product, so all first returns are paired at once, then all second ones, and so on."""
    bought = ["member_key", "product_id"]
    back = (
        kept.filter("is_return")
        .sort("occurred_at", "position")
        .select(
            "position",
            *bought,
            back_at="occurred_at",
            back_known_on="known_on",
            back=-pl.col("quantity"),
            back_minor=-pl.col("paid_minor"),
            turn=pl.int_range(pl.len()).over(bought),
        )
        .collect()
    )
    left = (
        kept.filter(~pl.col("is_return"))
        .join(back.lazy().select(bought).unique(), bought, "semi")
        .select(*bought, "occurred_at", "known_on", "quantity", "paid_minor", corrects="position", sale_day="day")
        .collect()
    )
    is_just = (pl.col("quantity") == pl.col("back")) & (pl.col("paid_minor") == pl.col("back_minor")).fill_null(False)
    found = []
    for _, turn in sorted(back.partition_by("turn", as_dict=True).items()):
        pairs = (
            turn.lazy()
            .join(left.lazy(), bought)
            .filter(
                pl.col("occurred_at") <= pl.col("back_at"),
                pl.col("quantity") >= pl.col("back"),
                pl.col("known_on") <= pl.col("back_known_on"),
            )
            .with_columns(is_just=is_just)
            .sort("is_just", "occurred_at", "corrects")
            .unique("position", keep="last", maintain_order=True)
            .with_columns(is_netted=pl.col("is_just") & (pl.col("known_on") == pl.col("back_known_on")))
            .select("position", "corrects", "sale_day", "is_netted", "back")
            .collect()
        )
        found.append(pairs)
        taken = pl.col("back")
        left = left.join(pairs.select("corrects", "back"), "corrects", "left").with_columns(
            quantity=pl.col("quantity") - taken.fill_null(0), paid_minor=pl.when(taken.is_null()).then("paid_minor")
        )
        left = left.drop("back")
    kinds = {"position": pl.UInt32, "corrects": pl.UInt32, "sale_day": pl.Date, "is_netted": pl.Boolean}
    return pl.concat([pl.DataFrame(schema=kinds), *(pairs.select(*kinds) for pairs in found)])


def read_touches(plan: Plan) -> pl.DataFrame:
    rows = pl.scan_parquet(plan.landing / "touches" / "*" / "*.parquet").select(
        key(pl.col("member"), plan).alias("member_key"),
        pl.col("campaign").alias("campaign_id"),
        pl.col("kind").cast(pl.String).alias("touch_kind"),
        pl.col("on").alias("day"),
        pl.col("exported_on").alias("known_on"),
    )
    names = ["member_key", "campaign_id", "touch_kind", "day"]
    return rows.unique(names, keep="first", maintain_order=True).collect()


def members_of(plan: Plan, lines: pl.DataFrame, touches: pl.DataFrame) -> pl.LazyFrame:
    """Versions of members, those included of whom we know only by what they did."""
    told = ("age_band", "household_size", "region")
    versions = (
        pl.scan_parquet(plan.landing / "members" / "*" / "*.parquet")
        .select(
            key(pl.col("member"), plan).alias("member_key"),
            pl.col("age").cast(pl.String).alias("age_band"),
            pl.col("household").cast(pl.String).alias("household_size"),
            pl.col("region").cast(pl.String),
            pl.col("exported_on").alias("known_on"),
        )
        .unique(["member_key", "known_on"], keep="first", maintain_order=True)
    )
    seen = pl.concat([rows.lazy().select("member_key", "known_on") for rows in (lines, touches)])
    first = seen.group_by("member_key").agg(pl.col("known_on").min())
    since = versions.group_by("member_key").agg(since=pl.col("known_on").min())
    unseen = first.join(since, "member_key", "left").filter(
        pl.col("since").is_null() | (pl.col("since") > pl.col("known_on"))
    )
    unseen = unseen.select("member_key", *(pl.lit(None, pl.String).alias(name) for name in told), "known_on")
    return pl.concat([versions, unseen])
