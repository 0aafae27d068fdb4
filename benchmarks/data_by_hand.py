"""Landing files of the simulated shop to features, labels, visits and purchases, as one would write it in Polars.

One script for one shop: what our jobs derive from contracts and settings is spelled out here, in memory, without
increments, lineage, releases or checks between the tables. The order of the work is the same, and so are the rows that
come out.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import polars as pl

MEMBER_DAY = ["member_key", "day"]
VERSION = [*MEMBER_DAY, "known_on"]
FILE = "part-0.parquet"  # of each table's folder
OTHER = 63  # the bit of any category beyond the main ones


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What the shop's YAML says, as one would copy it into a script."""

    landing: Path
    to: Path
    secret: bytes
    categories: tuple[str, ...]
    windows: tuple[int, ...]  # ascending
    activity_days: int
    horizon_days: int
    as_of: tuple[date, ...]
    matured: tuple[date, ...]


def run(plan: Plan) -> None:
    lines, aside = cleaned(plan)
    put(lines, plan, "order_lines")
    put(aside, plan, "quarantine")
    touches = read_touches(plan)
    members = members_of(plan, lines, touches)
    parts = signed(lines)
    tiles = tiles_of(parts, touches, plan)
    put(features_of(members, tiles, plan), plan, "member_features")
    put(labels_of(tiles, plan), plan, "labels")
    put(events_of(parts, tiles), plan, "member_events")
    put(interactions_of(parts), plan, "interactions")


def put(rows: pl.DataFrame, plan: Plan, name: str) -> None:
    rows.write_parquet(plan.to / name / FILE, mkdir=True, compression="snappy")


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
    and product, of which enough is left. A sale taken back as a whole on the day of its own knowledge goes with it."""
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
        for sale in reversed(open_sales):
            if sale[0] >= -quantity and sale[1] <= known_on:
                if sale[0] == -quantity and sale[4] == -paid and sale[1] == known_on:
                    netted += [position, sale[2]]
                of_return.append(position)
                of_sale.append(sale[2])
                of_day.append(sale[3])
                sale[0], sale[4] = sale[0] + quantity, None
                break
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


def signed(lines: pl.DataFrame) -> pl.DataFrame:
    """One part a line, on the day of the sale; a return carries its sale's order, category and hour."""
    lines = lines.filter(pl.col("member_key").is_not_null())
    columns = ["order_id", "product_id", "category", "hour", "times", "quantity", "paid_minor", "returned_minor"]
    columns = [*VERSION, *columns, "discount_minor", "coupon_minor"]
    zero = pl.lit(0, pl.Int64)
    sales = lines.filter(~pl.col("is_return"))
    sold = sales.select(
        pl.col("position").alias("corrects"), "order_id", "category", "hour", pl.col("quantity").alias("sold")
    )
    back = (
        lines.filter("is_return")
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
    return pl.concat([sales.select(columns), back.select(columns)])


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
    orders = parts.group_by(*VERSION, "order_id").agg(sums)
    names = [name for name in orders.columns if name not in (*VERSION, "order_id")]
    versions = pl.concat([parts.select(VERSION), touches.select(VERSION)]).unique()
    several = versions.group_by(MEMBER_DAY).len().filter(pl.col("len") > 1)
    orders = pl.concat(
        [
            orders.join(several, MEMBER_DAY, "anti").with_columns(baskets=(pl.col("lines") > 0).cast(pl.Int64)),
            _kept_or_not(orders.join(several, MEMBER_DAY, "semi")),
        ]
    )
    names, kinds = [*names, "baskets"], ["targeted", "redeemed"]
    of_touches = touches.group_by(VERSION).agg(
        (pl.col("touch_kind") == kind).sum().cast(pl.Int64).alias(kind) for kind in kinds
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
    return tiles.with_columns(
        pl.col("items").round(6),
        (pl.col("baskets") > 0).cast(pl.Int64).alias("visits"),
        pl.sum_horizontal((pl.col(name) > 0).cast(pl.Int64) * _bit(i) for i, name in bits).alias("category_bits"),
    )


def _kept_or_not(orders: pl.DataFrame) -> pl.DataFrame:
    """``baskets`` is 1 when something of an order was first kept, -1 when the last of it was taken back."""
    order = [*MEMBER_DAY, "order_id"]
    is_kept = (pl.col("lines").cum_sum().over(order) > 0).cast(pl.Int64)
    orders = orders.sort("known_on").with_columns(baskets=is_kept)
    return orders.with_columns(baskets=pl.col("baskets") - pl.col("baskets").shift(1, fill_value=0).over(order))


def _bit(place: int) -> int:
    return -(1 << 63) if place == OTHER else 1 << place


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


def events_of(parts: pl.DataFrame, tiles: pl.DataFrame) -> pl.DataFrame:
    """Every version of every visit, with the categories of what was kept, most spent on first."""
    category = pl.col("category").fill_null("unknown")
    mix = parts.group_by(*VERSION, category).agg(
        lines=pl.col("times").sum(), paid=pl.col("paid_minor").sum(), hour=pl.col("hour").min()
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
    return mixes.join(tiles.select(*VERSION, *columns), VERSION).with_columns(kind=kind).sort(VERSION)


def interactions_of(parts: pl.DataFrame) -> pl.DataFrame:
    return parts.group_by("member_key", "product_id", "day", "known_on").agg(
        times=pl.col("times").sum(), quantity=pl.col("quantity").sum().round(6), spend_minor=pl.col("paid_minor").sum()
    )
