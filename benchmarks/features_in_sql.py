"""Member features in DuckDB's SQL, from clean lines at one as_of (P1) and from tiles at many (P1b)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.landed_lines import Lines
from tenure.contracts import gold
from tenure.contracts.shop import Shop
from tenure.contracts.table import Combine, Kind
from tenure.lifecycle.rules import Condition, Is
from tenure.lifecycle.stages import stage

if TYPE_CHECKING:
    import duckdb

# What a shop without returns did on a day, from the lines known before ``as_of``: no versions, for one day needs none.
_TILES = """
create or replace temp table tiles as
select member_key, day, max(known_on) as known_on, cast(1 as bigint) as visits,
    count(*) as baskets, cast(sum(lines) as bigint) as lines, round(sum(items), 6) as items,
    cast(sum(spend_minor) as bigint) as spend_minor,
    cast(sum(discount_minor) as bigint) as discount_minor,
    cast(sum(coupon_minor) as bigint) as coupon_minor, cast(0 as bigint) as returned_minor,
    bit_or(category_bits) as category_bits, {category_sums},
    cast(0 as bigint) as targeted, cast(0 as bigint) as redeemed
from (
    select member_key, day, order_id, max(known_on) as known_on, count(*) as lines, sum(quantity) as items,
        sum(paid_minor) as spend_minor, sum(discount_minor) as discount_minor, sum(coupon_minor) as coupon_minor,
        bit_or(case category {bits} when null then 0 else -9223372036854775808 end) as category_bits, {category_parts}
    from order_lines
    where member_key is not null and known_on < date '{as_of}' and day < date '{as_of}'
    group by all
) group by member_key, day
"""

_MEMBERS = """
create or replace temp table members as
select member_key, min(known_on) as known_on from order_lines where member_key is not null group by all
"""

_KNOWN_BY_LINES = """
select member_key, as_of, known_on, known_on as first_known_on from members join days on known_on < as_of
"""

_LIFE_OF_TILES = """
create or replace temp table life as
select member_key, date '{as_of}' as as_of, min(day) as first_visit_on, max(day) as last_visit_on,
    cast(sum(visits) as bigint) as visits, cast(sum(spend_minor) as bigint) as spend_minor,
    cast(coalesce(sum(gap * gap), 0) as bigint) as squared_gap_days, max(known_on) as known_on
from (select *, day - lag(day) over (partition by member_key order by day) as gap from tiles)
group by all
"""

_FEATURES = """
with days as (select unnest([{days}]) as as_of),
seen as (
    select member_key, as_of, {windows}, max(known_on) as tile_known_on
    from tiles join days on day < as_of and day >= as_of - {longest} and known_on < as_of {stands}
    group by all
),
known as ({known}),
joined as (
    select known.member_key, known.as_of, {filled},
        known.as_of - first_known_on as days_since_known,
        known.as_of - first_visit_on as days_since_first_visit, known.as_of - last_visit_on as days_since_last_visit,
        coalesce(life.visits, 0) as lifetime_visits, coalesce(life.spend_minor, 0) as lifetime_spend_minor,
        life.visits - 1 as gaps, last_visit_on - first_visit_on as span,
        if(gaps >= 1, span / gaps, null) as mean_gap_days,
        if(gaps >= 2, sqrt(greatest((squared_gap_days - span * span / gaps) / (gaps - 1), 0)), null) as sd_gap_days,
        greatest(known.known_on, seen.tile_known_on, life.known_on) as newest_known_on
    from known left join seen using (member_key, as_of) left join life using (member_key, as_of)
),
told as (
    select *, if(mean_gap_days > 0, days_since_last_visit / mean_gap_days, null) as overdue,
        {visits_trend} as visits_trend, {spend_trend} as spend_trend,
        if(baskets_{long}d > 0, spend_minor_{long}d / baskets_{long}d, null) as mean_basket_minor,
        discount_minor_{long}d + coupon_minor_{long}d as discounts,
        if(spend_minor_{long}d + discounts > 0, discounts / (spend_minor_{long}d + discounts), null) as discount_share,
        bit_count(category_bits_{long}d) as categories_seen,
        ((member_key % {buckets}) + {buckets}) % {buckets} as bucket
    from joined
),
staged as (select *, {stage} as stage from told)
select {columns} from staged
"""


def features_of_lines(connection: duckdb.DuckDBPyConnection, lines: Lines, to: Path) -> None:
    """Features at ``lines.as_of`` from the connection's table ``order_lines``, to Parquet."""
    shop = lines.source.shop
    connection.execute(_tiles(shop, lines.as_of))
    connection.execute(_MEMBERS)
    connection.execute(_LIFE_OF_TILES.format(as_of=lines.as_of))
    query = features(shop, [lines.as_of], known=_KNOWN_BY_LINES, stands="")
    connection.execute(f"copy ({query}) to '{to}/member_features' (format parquet, per_thread_output true)")


_STANDING = """
create or replace temp table life as
select totals.*, as_of from read_parquet('{folder}/member_totals/*.parquet') as totals
join (select unnest([{days}]) as as_of) on known_on < as_of and (superseded_on is null or superseded_on >= as_of)
"""

_KNOWN = """
select member_key, as_of, known_on, first_known_on from (
    select member_key, known_on, lead(known_on) over member as superseded_on,
        min(known_on) over member as first_known_on
    from read_parquet('{folder}/members/*.parquet') window member as (partition by member_key order by known_on)
) join days on known_on < as_of and (superseded_on is null or superseded_on >= as_of)
"""


def features_of_tiles(
    connection: duckdb.DuckDBPyConnection, folder: Path, as_of: Sequence[date], shop: Shop, to: Path
) -> None:
    """Features at every ``as_of`` from the Parquet of ``members``, ``member_days`` and ``member_totals``."""
    days = ", ".join(f"date '{day}'" for day in as_of)
    connection.execute(f"create or replace temp view tiles as from read_parquet('{folder}/member_days/*.parquet')")
    connection.execute(_STANDING.format(folder=folder, days=days))
    stands = "and (superseded_on is null or superseded_on >= as_of)"
    query = features(shop, as_of, known=_KNOWN.format(folder=folder), stands=stands)
    connection.execute(f"copy ({query}) to '{to}' (format parquet, per_thread_output true)")


def _tiles(shop: Shop, as_of: date) -> str:
    names = [gold.category_measure(i, category).name for i, category in enumerate(shop.categories)]
    parts = (
        f"sum(paid_minor) filter (category = '{category}') as {name}"
        for name, category in zip(names, shop.categories, strict=True)
    )
    return _TILES.format(
        as_of=as_of,
        category_sums=", ".join(f"cast(coalesce(sum({name}), 0) as bigint) as {name}" for name in names),
        category_parts=", ".join(parts),
        bits=" ".join(f"when '{category}' then {1 << i}" for i, category in enumerate(shop.categories)),
    )


def features(shop: Shop, as_of: Sequence[date], *, known: str, stands: str) -> str:
    """The query over ``tiles`` and ``life``.

    Args:
        known: a query of ``member_key, as_of, known_on, first_known_on``: who was known before each day.
        stands: a further condition under which a tile counts at an ``as_of``.
    """
    long, middle = max(shop.windows_days), sorted(shop.windows_days)[-2]
    measured = gold.windowed(shop)
    return _FEATURES.format(
        days=", ".join(f"date '{day}'" for day in as_of),
        windows=", ".join(_window(measure, days) for measure, days in measured),
        filled=", ".join(f"coalesce({_name(m, d)}, 0) as {_name(m, d)}" for m, d in measured),
        longest=long,
        long=long,
        stands=stands,
        known=known,
        visits_trend=_trend("visits", middle, long),
        spend_trend=_trend("spend_minor", middle, long),
        buckets=shop.buckets,
        stage=_stage(shop),
        columns=", ".join(_column(column, shop) for column in gold.member_features(shop).columns),
    )


def _name(measure: gold.Column, days: int) -> str:
    return gold.over(measure, days).name


def _window(measure: gold.Column, days: int) -> str:
    aggregate = {Combine.SUM: "sum", Combine.BITS: "bit_or"}[measure.combine or Combine.SUM]
    inside = f"{aggregate}({measure.name}) filter (day >= as_of - {days})"
    kind = "double" if measure.kind == Kind.NUMBER else "bigint"
    return f"cast({inside} as {kind}) as {_name(measure, days)}"


def _trend(measure: str, middle: int, long: int) -> str:
    whole = f"{measure}_{long}d"
    return f"if({whole} > 0, ({measure}_{middle}d / {middle}) / ({whole} / {long}), null)"


def _column(column: gold.Column, shop: Shop) -> str:
    """As the contract names it; null where the shop lacks what it needs."""
    if column.needs in shop.lacks:
        kind = {Kind.TEXT: "varchar", Kind.FLAG: "boolean", Kind.NUMBER: "double"}.get(column.kind, "bigint")
        return f"cast(null as {kind}) as {column.name}"
    if column.kind in (Kind.COUNT, Kind.MONEY):
        return f"cast({column.name} as bigint) as {column.name}"
    return column.name


def _stage(shop: Shop) -> str:
    rule = stage(shop)
    cases = " ".join(f"when {' and '.join(map(_holds, case.when))} then '{case.outcome}'" for case in rule.cases)
    return f"case {cases} else '{rule.otherwise}' end"


def _holds(condition: Condition) -> str:
    if condition.comparison is Is.MISSING:
        return f"{condition.column} is null"
    sign = {Is.AT_LEAST: ">=", Is.MORE_THAN: ">", Is.AT_MOST: "<=", Is.LESS_THAN: "<"}[condition.comparison]
    return f"{condition.column} {sign} {condition.value}"
