"""Cleaning in DuckDB's SQL: the mapping and rules of conf/sources/simulated.yaml and the product's own, by hand.

Written as fast as we know how: one pass maps and judges, the pseudonym is made once a member, duplicates are looked for
among keys alone, and the clean lines stay in memory for what comes next.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.landed_lines import SECRET, Lines
from tenure.config.usual_rules import MISREAD
from tenure.contracts.control import QUARANTINE, REPLACED
from tenure.contracts.table import Table

if TYPE_CHECKING:
    import duckdb

_CLEAN = """
create or replace temp table judged as
with landed as (
    select position, batch_id, batch_no,
        nullif(trim(cast(landed.order_no as varchar)), '') as order_id,
        nullif(trim(landed.member), '') as member_id,
        nullif(trim(landed.sku), '') as product_id,
        try_cast(landed.sold_at as timestamptz) as occurred_at,
        try_cast(landed.units as double) as quantity,
        cast(round(try_cast(landed.amount as double) * 100) as bigint) as paid_minor,
        cast(round(try_cast(landed.discount as double) * 100) as bigint) as discount_minor,
        cast(round(try_cast(landed.coupon as double) * 100) as bigint) as coupon_minor,
        nullif(trim(landed.store), '') as store_id,
        landed.is_return as is_return,
        landed.exported_on as exported_on
    from read_parquet('{orders}/*.parquet')
),
dated as (
    select *, occurred_at at time zone '{calendar}' as local_time, cast(local_time as date) as day,
        cast(hour(local_time) as bigint) as hour, coalesce(exported_on, day) as known_on
    from landed
),
members as (
    select member_id, sha256({outer} || unhex(sha256({inner} || encode(member_id)))) as digest,
        cast('0x' || substr(digest, 1, 8) as bigint) as high, cast('0x' || substr(digest, 9, 8) as bigint) as low,
        (high - if(high >= 2147483648, 4294967296, 0)) * 4294967296 + low as member_key
    from (select distinct member_id from landed where member_id is not null)
),
versions as (
    select product_id, category, known_on as stands_from,
        lead(known_on) over (partition by product_id order by known_on) as stands_until
    from read_parquet('{products}/*.parquet')
),
joined as (
    select dated.*, member_key, category, versions.product_id is not null as is_product_known,
        lag(struct_pack(order_id, occurred_at)) over (
            partition by member_id, dated.product_id, quantity, paid_minor, is_return
            order by occurred_at nulls first, order_id nulls first, position
        ) as before
    from dated
    left join members using (member_id)
    left join versions on dated.product_id = versions.product_id and stands_from <= dated.known_on
        and (stands_until is null or dated.known_on < stands_until)
)
select * exclude (local_time, exported_on, before, is_product_known, member_id),
    case
        when order_id is null then 'missing_order_id'
        when product_id is null then 'missing_product_id'
        when occurred_at is null then 'missing_occurred_at'
        when quantity is null then 'missing_quantity'
        when paid_minor is null then 'missing_paid_minor'
        when is_return is null then 'missing_is_return'
        when regexp_matches(concat_ws(' ', order_id, product_id, store_id), '{misread}') then 'garbled_text'
        when not regexp_matches(member_id, '^M[0-9]{{10}}$')
            or try_cast(substr(member_id, 2, 8) as int) % 97 <> try_cast(substr(member_id, 10, 2) as int)
            then 'member_unknown'
        when not is_product_known and product_id is not null then 'product_unknown'
        when day > known_on or hour < 6 then 'clock_wrong'
        when day > known_on or known_on > date '{newest_day}' then 'in_the_future'
        when not is_return and paid_minor < 0 then 'negative_price'
        when not is_return and quantity < 0 then 'negative_quantity'
        when is_return and (paid_minor > 0 or quantity > 0) then 'positive_return'
        when quantity < -1e6 or quantity > 1e6 then 'quantity_out_of_range'
        when discount_minor < 0 then 'discount_minor_out_of_range'
        when coupon_minor < 0 then 'coupon_minor_out_of_range'
    end as rule,
    list_filter([
        if(quantity > 30, 'quantity_beyond_reason', null),
        if(not is_return and before.order_id <> order_id
            and occurred_at <= before.occurred_at + interval 10 minutes, 'near_duplicate', null),
        if(cast(occurred_at as date) <> day, 'day_shifted', null),
        if(is_return and member_key is null, 'return_without_member', null)
    ], lambda flag: flag is not null) as flags
from joined
"""

_REPEATED = """
create or replace temp table repeated as
select keys.*, struct_pack({whole}) as first_whole
from (
    select order_id, product_id, min(position) as first_position
    from judged where rule is null group by all having count(*) > 1
) as keys join judged on judged.position = first_position
"""

_KEPT = """
create or replace temp table order_lines as
select cast(hash(order_id, product_id) >> 1 as bigint) as line_key, order_id, member_key, product_id, occurred_at, day,
    hour, least(quantity, 30) as quantity, '{currency}' as currency, paid_minor, discount_minor, coupon_minor,
    category, store_id, is_return, cast(null as bigint) as corrects, known_on, flags, batch_id, batch_no, position
from judged left join repeated using (order_id, product_id)
where rule is null and (first_position is null or position = first_position)
"""

_TAKEN = """
create or replace temp table taken as
select position, member_key, 'quarantined' as fate, rule, cast(null as varchar) as replaced_by
from judged where rule is not null
union all
select position, member_key, 'duplicate',
    if(struct_pack({whole}) is not distinct from first_whole, 'exact_duplicate', 'key_duplicate'),
    cast(hash(order_id, product_id) >> 1 as varchar)
from judged join repeated using (order_id, product_id)
where rule is null and position > first_position
"""

_AS_LANDED = """
create or replace temp table aside as
select 'raw_orders' as "table", fate, rule, replaced_by, batch_id, batch_no, position, source_file,
    to_json(struct_pack(order_no := landed.order_no, member := cast(member_key as varchar), sku := landed.sku,
        sold_at := landed.sold_at, units := landed.units, amount := landed.amount, discount := landed.discount,
        coupon := landed.coupon, store := landed.store, is_return := landed.is_return,
        exported_on := landed.exported_on)) as "row"
from read_parquet('{orders}/*.parquet') join taken using (position)
"""

_ASIDE = "copy (select {columns} from aside where fate = '{fate}') to '{to}' {as_parquet}"
_AS_PARQUET = "(format parquet, per_thread_output true)"
_WHOLE = ", ".join(
    f"judged.{name}"
    for name in (
        *("member_key", "order_id", "product_id", "occurred_at", "quantity", "paid_minor", "discount_minor"),
        *("coupon_minor", "store_id", "is_return"),
    )
)


def clean_to_parquet(connection: duckdb.DuckDBPyConnection, lines: Lines, to: Path) -> None:
    """Writes the lines that are kept and those that are not; ``order_lines`` stays as a table of the connection."""
    for statement in (
        _judging(lines),
        _REPEATED.format(whole=_WHOLE),
        _KEPT.format(currency=lines.source.currency),
        _TAKEN.format(whole=_WHOLE),
        "drop table judged",
        f"copy order_lines to '{to}/order_lines' {_AS_PARQUET}",
        _AS_LANDED.format(orders=lines.orders),
        _aside(to, QUARANTINE, "quarantined"),
        _aside(to, REPLACED, "duplicate"),
    ):
        connection.execute(statement)


def _judging(lines: Lines) -> str:
    pads = [bytes(byte ^ pad for byte in SECRET.ljust(64, b"\0")) for pad in (0x36, 0x5C)]  # RFC 2104
    inner, outer = (f"unhex('{pad.hex()}')" for pad in pads)
    return _CLEAN.format(
        orders=lines.orders,
        products=lines.products,
        calendar=lines.source.calendar,
        newest_day=lines.newest_day,
        misread=MISREAD,
        inner=inner,
        outer=outer,
    )


def _aside(to: Path, table: Table, fate: str) -> str:
    columns = ", ".join(f'"{name}"' for name in table.names)
    return _ASIDE.format(columns=columns, fate=fate, to=to / table.name, as_parquet=_AS_PARQUET)
