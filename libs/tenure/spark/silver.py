"""From mapped rows to judged ones, a raw table at a time: all of silver's columns, and each row's fate.

Nothing is written here. A judged row has ``fate`` and ``rule`` (null where it is kept), ``replaced_by``, ``flags``.
"""

from __future__ import annotations

from datetime import date

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from tenure.config.source import Source
from tenure.contracts import rules
from tenure.contracts.landing import RAW_CAMPAIGNS, RAW_MEMBERS, RAW_ORDERS, RAW_PRODUCTS, RAW_TOUCHES
from tenure.contracts.silver import CAMPAIGNS, MEMBERS, ORDER_LINES, PRODUCTS
from tenure.contracts.table import Has, Table
from tenure.spark.cleaning import (
    Judgement,
    filled,
    hashed,
    judged,
    of_contract,
    of_reading,
    of_source,
    without_known,
    without_repeats,
    without_unchanged,
)
from tenure.spark.kept import Kept
from tenure.spark.mapping import DECLARED_KNOWN_ON
from tenure.spark.returns import corrected, netted

_ALWAYS_KNOWN = date(1970, 1, 1)
_AMOUNTS = ("quantity", "paid_minor", "discount_minor", "coupon_minor")
_VERDICT = ("fate", "rule", "replaced_by", "feed", "whole")
# When what a row tells of happened. A campaign may be told of before its first day; a product has no day.
_HAPPENED_ON = {RAW_ORDERS.name: "day", RAW_TOUCHES.name: "day", RAW_MEMBERS.name: "registered_on"}


def campaigns(rows: DataFrame, kept: Kept, source: Source, before: DataFrame, newest_day: Column) -> DataFrame:
    """Versions of campaigns; of a historical load that declares no day, known from their first day on, and those that
    are only planned from ``newest_day`` on: that they stand in the load says that they were known by then."""
    default = F.least("starts_on", newest_day)
    known = rows.withColumn("known_on", F.coalesce("arrived_on", DECLARED_KNOWN_ON, default))
    return _versions(known, kept, source, RAW_CAMPAIGNS, CAMPAIGNS, before, newest_day)


def products(rows: DataFrame, kept: Kept, source: Source, before: DataFrame, newest_day: Column) -> DataFrame:
    """Versions of the catalogue; of a historical load that declares no day, always known."""
    known = rows.withColumn("known_on", F.coalesce("arrived_on", DECLARED_KNOWN_ON, F.lit(_ALWAYS_KNOWN)))
    return _versions(known, kept, source, RAW_PRODUCTS, PRODUCTS, before, newest_day)


def members(
    rows: DataFrame, kept: Kept, source: Source, before: DataFrame, first_seen: DataFrame, newest_day: Column
) -> DataFrame:
    """Versions of members.

    Args:
        first_seen: ``member_key, first_known_on``: since when the member is known by what was ordered. A historical
            row without a day is taken as known from then on; where the member never ordered, from ``newest_day`` on.
    """
    default = F.coalesce("arrived_on", DECLARED_KNOWN_ON, "registered_on", "first_known_on", newest_day)
    known = rows.join(first_seen, "member_key", "left").withColumn("known_on", default)  # at most one first a member
    return _versions(known, kept, source, RAW_MEMBERS, MEMBERS, before, newest_day)


def _versions(
    rows: DataFrame, kept: Kept, source: Source, raw: Table, table: Table, before: DataFrame, newest_day: Column
) -> DataFrame:
    of = table.key[0]
    said = [name for name in raw.names if name in table.names and name not in ("known_on", of)]
    judgement = (
        of_reading(raw, source)
        .and_then(of_source(raw, source))
        .and_then(_of_time(raw, newest_day))
        .and_then(of_contract(raw))
    )
    whole = kept(
        judged(filled(rows, source, raw), judgement).withColumns(
            {"version": hashed(of, "known_on"), "whole": hashed(*said)}
        )
    )
    # Of a member who was only seen we know nothing that a row of registration could repeat.
    said_before = before.where(~F.array_contains("flags", rules.FIRST_SEEN)).withColumn("whole", hashed(*said))
    return whole.transform(without_repeats, kept, "version", "whole", named_by=of).transform(
        without_unchanged, said_before, of, "whole"
    )


def _of_time(raw: Table, newest_day: Column) -> Judgement:
    """Whether a row can have been known when it is taken to have been."""
    is_late = F.col("known_on") > F.coalesce("arrived_on", newest_day)
    happened_on = _HAPPENED_ON.get(raw.name)
    if happened_on is not None:
        is_late |= F.col(happened_on) > F.coalesce("arrived_on", DECLARED_KNOWN_ON, newest_day)
    return Judgement(quarantine=((rules.IN_THE_FUTURE, is_late),))


def orders(
    rows: DataFrame,
    kept: Kept,
    source: Source,
    catalogue: DataFrame,
    before: DataFrame,
    replaced: DataFrame,
    newest_day: Column,
    known_members: DataFrame | None = None,
) -> DataFrame:
    """Order lines: on the shop's local day, in the product's category, each once, returns beside their sales.

    Args:
        catalogue: silver's ``products``.
        before: silver's ``order_lines`` of earlier batches.
        replaced: ``control/replaced`` of earlier batches, where the sales and returns are that came to nothing.
        newest_day: the day after which nothing of a load of the past can have happened, nor have become known.
        known_members: ``member_key, registered_from``, a row a member; needed where ``source.asks_who_registered``.
    """
    dated = rows.transform(_on_local_days, source.calendar)
    lines = kept(
        (dated if known_members is None else dated.transform(of_members, known_members))
        .transform(in_categories, catalogue)
        .transform(filled, source, RAW_ORDERS)
        .transform(_identified, source)
        .transform(judged, _of_orders(source, newest_day))
        .withColumns({"corrects": F.lit(None).cast("long"), "currency": F.lit(source.currency)})
        .select(*ORDER_LINES.names, *_VERDICT)
    )
    undone = None if Has.RETURNS in source.lacks else netted(replaced)
    once = lines.transform(without_repeats, kept, "line_key", "whole").transform(
        without_known, kept, before, "line_key", _AMOUNTS, undone
    )
    return once if undone is None else once.transform(corrected, kept, before)


def _on_local_days(rows: DataFrame, calendar: str) -> DataFrame:
    local = F.from_utc_timestamp("occurred_at", calendar)
    day = F.to_date(local)
    return rows.withColumns(
        {"day": day, "hour": F.hour(local).cast("long"), "known_on": F.coalesce("arrived_on", DECLARED_KNOWN_ON, day)}
    )


def registrations(rows: DataFrame | None, before: DataFrame) -> DataFrame:
    """``member_key, registered_from``: since when each member's registration is known.

    Args:
        rows: the batch's mapped ``raw_members``, if it brought any. One that says no day is taken as always known: the
            member may have ordered on any day since, and when that was first is not known before lines are judged.
        before: silver's ``members`` of earlier batches.
    """
    told = before.where(~F.array_contains("flags", rules.FIRST_SEEN)).select("member_key", "known_on")
    if rows is not None:
        by_then = F.coalesce("arrived_on", DECLARED_KNOWN_ON, "registered_on", F.lit(_ALWAYS_KNOWN))
        told = told.unionByName(rows.select("member_key", by_then.alias("known_on")))
    said = told.where(F.col("member_key").isNotNull())
    return said.groupBy("member_key").agg(F.min("known_on").alias("registered_from"))


def of_members(lines: DataFrame, known_members: DataFrame) -> DataFrame:
    """Lines with whether their member had registered when the line became known."""
    joined = lines.join(known_members, "member_key", "left")  # at most one row a member
    is_known = F.coalesce(F.col("registered_from") <= F.col("known_on"), F.lit(False))
    return joined.withColumn("is_member_known", is_known).drop("registered_from")


def in_categories(lines: DataFrame, catalogue: DataFrame) -> DataFrame:
    """Lines with the product as known when the line was: at most one version each."""
    # Of two versions of one day the newer batch's stands; the other one stands for no day.
    following = F.lead("known_on").over(Window.partitionBy("product_id").orderBy("known_on", "batch_no"))
    versions = catalogue.select(
        F.col("product_id").alias("of_product"),
        "category",
        "product_type",
        F.col("known_on").alias("stands_from"),
        following.alias("stands_until"),
        F.lit(True).alias("is_in_catalogue"),
    )
    stands = (F.col("stands_from") <= F.col("known_on")) & (
        F.col("stands_until").isNull() | (F.col("known_on") < F.col("stands_until"))
    )
    is_of = (F.col("product_id") == F.col("of_product")) & stands
    # A catalogue is small beside its sales: sending it to every task spares a shuffle of the lines.
    joined = lines.join(F.broadcast(versions), is_of, "left")
    known = F.coalesce("is_in_catalogue", F.lit(False))
    return joined.withColumn("is_product_known", known).drop(
        "of_product", "stands_from", "stands_until", "is_in_catalogue"
    )


def _identified(lines: DataFrame, source: Source) -> DataFrame:
    keys = {name for feed in source.feeds.values() if feed.table == RAW_ORDERS.name for name in feed.key}
    key = [name for name in RAW_ORDERS.names if name in keys] or list(RAW_ORDERS.key)
    told = [name for name in RAW_ORDERS.names if name not in ("member_id", "known_on")]
    pseudonymous = [name if name != "member_id" else "member_key" for name in key]
    return lines.withColumns({"line_key": hashed(*pseudonymous), "whole": hashed("member_key", *told)})


def _of_orders(source: Source, newest_day: Column) -> Judgement:
    is_return, quantity, paid = F.col("is_return"), F.col("quantity"), F.col("paid_minor")
    of_orders = Judgement(
        quarantine=(
            (rules.NEGATIVE_PRICE, ~is_return & (paid < 0)),
            (rules.NEGATIVE_QUANTITY, ~is_return & (quantity < 0)),
            (rules.POSITIVE_RETURN, is_return & ((paid > 0) | (quantity > 0))),
        ),
        flags=(
            (rules.DAY_SHIFTED, F.to_date("occurred_at") != F.col("day")),
            (rules.RETURN_WITHOUT_MEMBER, is_return & F.col("member_key").isNull()),
        ),
    )
    return (
        of_reading(RAW_ORDERS, source)
        .and_then(of_source(RAW_ORDERS, source))
        .and_then(_of_time(RAW_ORDERS, newest_day))
        .and_then(of_orders)
        .and_then(of_contract(RAW_ORDERS))
    )


def touches(
    rows: DataFrame, kept: Kept, source: Source, known_campaigns: DataFrame, before: DataFrame, newest_day: Column
) -> DataFrame:
    """What campaigns did to members; where no day is said, on the campaign's first, or when it was told before."""
    first_days = known_campaigns.groupBy("campaign_id").agg(
        F.max_by("starts_on", F.struct("known_on", "batch_no")).alias("starts_on")
    )
    dated = rows.join(F.broadcast(first_days), "campaign_id", "left")  # at most one a campaign
    # Of a campaign that has not begun: whoever is chosen was chosen by the day on which that was told.
    by_then = F.coalesce("arrived_on", DECLARED_KNOWN_ON, newest_day)
    first_day = F.when(F.col("starts_on") > by_then, by_then).otherwise(F.col("starts_on"))
    day = F.coalesce("touched_on", first_day)
    known = dated.withColumns({"day": day, "known_on": F.coalesce("arrived_on", DECLARED_KNOWN_ON, day)})
    # By the day that is said: told again once the campaign has begun, it is the same touch.
    said_day = F.coalesce("touched_on", "starts_on")
    identified = filled(known.withColumn("said_day", said_day), source, RAW_TOUCHES).withColumn(
        "touch_key", hashed("member_key", "campaign_id", "touch_kind", "said_day", "item")
    )
    return (
        kept(judged(identified, _of_touches(source, newest_day)))
        .transform(without_repeats, kept, "touch_key", "touch_key")
        .transform(without_known, kept, before, "touch_key")
    )


def _of_touches(source: Source, newest_day: Column) -> Judgement:
    of_touches = Judgement(
        quarantine=((rules.CAMPAIGN_UNKNOWN, F.col("day").isNull()),),
        flags=((rules.CAMPAIGN_UNKNOWN, F.col("starts_on").isNull()),),
    )
    return (
        of_reading(RAW_TOUCHES, source)
        .and_then(of_source(RAW_TOUCHES, source))
        .and_then(of_touches)
        .and_then(_of_time(RAW_TOUCHES, newest_day))
    )


def first_seen(lines: DataFrame, touched: DataFrame) -> DataFrame:
    """Each member's first line or touch of a batch: since when we know of the member, and the row that told us."""
    told = ["member_key", "known_on", "batch_id", "batch_no", "position"]
    seen = lines.select(*told).unionByName(touched.select(*told)).where(F.col("member_key").isNotNull())
    first = F.min(F.struct("known_on", "position", "batch_id", "batch_no")).alias("first")
    return (
        seen.groupBy("member_key")
        .agg(first)
        .select(
            "member_key",
            F.col("first.known_on").alias("first_known_on"),
            *(F.col(f"first.{name}").alias(name) for name in ("batch_id", "batch_no", "position")),
        )
    )


def unregistered(first: DataFrame, versions: DataFrame) -> DataFrame:
    """A row of ``members`` for each member of whom ``versions`` knows nothing by the day on which we first saw them."""
    since = versions.groupBy("member_key").agg(F.min("known_on").alias("since"))
    is_new = F.col("since").isNull() | (F.col("since") > F.col("first_known_on"))
    mine = {column.name for column in MEMBERS.columns} - {"member_key", "batch_id", "batch_no", "position"}
    empty = {name: F.lit(None) for name in mine - {"known_on", "flags"}}
    return (
        first.join(since, "member_key", "left")
        .where(is_new)
        .withColumns({"known_on": F.col("first_known_on"), "flags": F.array(F.lit(rules.FIRST_SEEN)), **empty})
        .drop("since", "first_known_on")
    )
