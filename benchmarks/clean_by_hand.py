"""Landing files to clean rows in Polars: order lines with the rules of one shop, touches, versions of members (P15)."""

from __future__ import annotations

import hmac

import polars as pl

from benchmarks.plan_by_hand import Plan


def keyed(rows: pl.DataFrame, plan: Plan) -> pl.DataFrame:
    """With the member's pseudonym in the place of the id; each id is hashed once."""
    ids = rows["member_id"].unique().drop_nulls()
    digests = [hmac.digest(plan.secret, one.encode(), "sha256")[:8] for one in ids.to_list()]
    keys = pl.Series("member_key", [int.from_bytes(d, "big", signed=True) for d in digests], pl.Int64)
    return rows.join(pl.DataFrame({"member_id": ids, "member_key": keys}), "member_id", "left").drop("member_id")


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
        .collect()
    )
    catalogue = (
        pl.scan_parquet(plan.landing / "products" / "*" / "*.parquet")
        .select(pl.col("sku").alias("product_id"), "category", pl.col("exported_on").alias("known_on"))
        .unique(["product_id", "known_on"], keep="first", maintain_order=True)
        .sort("known_on")
        .with_columns(is_known=pl.lit(True))
        .collect()
    )
    told = raw.sort("known_on").join_asof(catalogue, on="known_on", by="product_id", check_sortedness=False)
    told = told.sort("position")
    number = pl.col("member_id").str.slice(1, 8).cast(pl.Int64, strict=False)
    rest = pl.col("member_id").str.slice(9, 2).cast(pl.Int64, strict=False)
    is_member = pl.col("member_id").str.contains(r"^M[0-9]{10}$") & (number % 97 == rest)
    is_sale = ~pl.col("is_return")
    newest = raw["known_on"].max()
    rules = {
        "broken_encoding": pl.col("store_id").str.contains("[\ufffd\u00c3]"),
        "member_unknown": ~is_member,
        "product_unknown": pl.col("is_known").is_null() & pl.col("product_id").is_not_null(),
        "clock_wrong": (pl.col("day") > pl.col("known_on")) | (pl.col("hour") < 6),
        "missing": pl.any_horizontal(
            pl.col("order_id", "product_id", "occurred_at", "quantity", "paid_minor").is_null()
        ),
        "in_the_future": pl.col("day") > newest,
        "negative_price": is_sale & (pl.col("paid_minor") < 0),
        "negative_quantity": is_sale & (pl.col("quantity") < 0),
        "positive_return": pl.col("is_return") & ((pl.col("paid_minor") > 0) | (pl.col("quantity") > 0)),
        "out_of_range": (pl.col("quantity").abs() > 1e6)
        | (pl.col("discount_minor") < 0)
        | (pl.col("coupon_minor") < 0),
    }
    rule = pl.coalesce([pl.when(holds).then(pl.lit(name)) for name, holds in rules.items()])
    judged = told.with_columns(rule=rule, quantity=pl.min_horizontal("quantity", pl.lit(30.0)))
    is_repeat = pl.col("rule").is_null() & pl.struct("order_id", "product_id").is_duplicated()
    if judged.select(is_repeat.any()).item():
        first = pl.struct("order_id", "product_id").is_first_distinct()
        judged = judged.with_columns(rule=pl.when(is_repeat & ~first).then(pl.lit("duplicate")).otherwise("rule"))
    judged = keyed(judged, plan).drop("is_known")
    return paired(judged)


def paired(judged: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Returns with the sale that they take back, in ``corrects`` and ``day``: the newest one before, of the same member
    and product, of which just the goods and the money come back, or else enough is left. A sale taken back as a whole
    on the day of its own knowledge goes with it."""
    kept = judged.filter(pl.col("rule").is_null())
    returned = kept.filter("is_return").select("member_key", "product_id").unique()
    told = kept.join(returned, ["member_key", "product_id"], "semi")
    told = told.sort("member_key", "product_id", "occurred_at", "is_return", "position")
    names = ("member_key", "product_id", "is_return", "position", "day", "known_on", "quantity", "paid_minor")
    of_return, of_sale, of_day, netted = [], [], [], []
    now, open_sales = None, []
    for member, product, is_return, position, day, known_on, quantity, paid in told.select(names).iter_rows():
        if (member, product) != now:
            now, open_sales = (member, product), []
        if not is_return:
            open_sales.append([quantity, known_on, position, day, paid])
            continue
        enough = [sale for sale in reversed(open_sales) if sale[0] >= -quantity and sale[1] <= known_on]
        just = [sale for sale in enough if sale[0] == -quantity and sale[4] == -paid]
        if not enough:
            continue
        sale = (just or enough)[0]
        if just and sale[1] == known_on:
            netted += [position, sale[2]]
        of_return.append(position)
        of_sale.append(sale[2])
        of_day.append(sale[3])
        sale[0], sale[4] = sale[0] + quantity, None
    pairs = pl.DataFrame(
        {"position": of_return, "corrects": of_sale, "sale_day": of_day},
        schema={"position": judged.schema["position"], "corrects": judged.schema["position"], "sale_day": pl.Date},
    )
    gone = pl.Series(netted, dtype=judged.schema["position"])
    is_lonely = pl.col("rule").is_null() & pl.col("is_return") & pl.col("corrects").is_null()
    joined = judged.join(pairs, "position", "left").with_columns(
        rule=pl.when(pl.col("position").is_in(gone.implode()))
        .then(pl.lit("taken_back_same_day"))
        .when(is_lonely)
        .then(pl.lit("return_without_sale"))
        .otherwise("rule"),
        day=pl.coalesce("sale_day", "day"),
    )
    joined = joined.drop("sale_day")
    is_kept = pl.col("rule").is_null()
    return joined.filter(is_kept).drop("rule"), joined.filter(~is_kept)


def read_touches(plan: Plan) -> pl.DataFrame:
    rows = (
        pl.scan_parquet(plan.landing / "touches" / "*" / "*.parquet")
        .select(
            pl.col("member").alias("member_id"),
            pl.col("campaign").alias("campaign_id"),
            pl.col("kind").cast(pl.String).alias("touch_kind"),
            pl.col("on").alias("day"),
            pl.col("exported_on").alias("known_on"),
        )
        .collect()
    )
    return keyed(rows, plan).unique(
        ["member_key", "campaign_id", "touch_kind", "day"], keep="first", maintain_order=True
    )


def members_of(plan: Plan, lines: pl.DataFrame, touches: pl.DataFrame) -> pl.DataFrame:
    """Versions of members, those included of whom we know only by what they did."""
    told = ("age_band", "household_size", "region")
    versions = (
        pl.scan_parquet(plan.landing / "members" / "*" / "*.parquet")
        .select(
            pl.col("member").alias("member_id"),
            pl.col("age").cast(pl.String).alias("age_band"),
            pl.col("household").cast(pl.String).alias("household_size"),
            pl.col("region").cast(pl.String),
            pl.col("exported_on").alias("known_on"),
        )
        .collect()
    )
    versions = keyed(versions, plan).unique(["member_key", "known_on"], keep="first", maintain_order=True)
    seen = pl.concat([rows.select("member_key", "known_on") for rows in (lines, touches)])
    first = seen.group_by("member_key").agg(pl.col("known_on").min())
    since = versions.group_by("member_key").agg(since=pl.col("known_on").min())
    unseen = first.join(since, "member_key", "left").filter(
        pl.col("since").is_null() | (pl.col("since") > pl.col("known_on"))
    )
    unseen = unseen.select("member_key", *(pl.lit(None, pl.String).alias(name) for name in told), "known_on")
    return pl.concat([versions.select("member_key", *told, "known_on"), unseen]).sort("known_on")
