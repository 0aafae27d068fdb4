"""What becomes of a row: it is kept, with the rules that marked or changed it, or a rule takes it out.

A ``Judgement`` is a value: named conditions over the mapped columns. All of them see the same columns, those in which
gaps have been filled and nothing else was changed, so no count depends on the order of rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from tenure.config.source import Bound, Limit, Rule, Source
from tenure.contracts import rules
from tenure.contracts.landing import RAW_ORDERS, RAW_TOUCHES
from tenure.contracts.table import Table
from tenure.spark.kept import Kept
from tenure.spark.mapping import IS_BROKEN, IS_UNREADABLE
from tenure.spark.schema import spark_type

QUARANTINED, DUPLICATE, NETTED = "quarantined", "duplicate", "netted"
Named = tuple[str, Column]
_BETWEEN = "\x1f"  # between names, none of which holds it
_FILLED = "filled_by"


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """Named conditions: of several that take a row out, the first one does; every flag that holds is kept.

    ``values`` are what columns become in a row that is kept.
    """

    quarantine: tuple[Named, ...] = ()
    net: tuple[Named, ...] = ()
    flags: tuple[Named, ...] = ()
    values: dict[str, Column] = field(default_factory=dict)

    def and_then(self, other: Judgement) -> Judgement:
        return Judgement(
            quarantine=self.quarantine + other.quarantine,
            net=self.net + other.net,
            flags=self.flags + other.flags,
            values=self.values | other.values,
        )


def filled(rows: DataFrame, source: Source, table: Table) -> DataFrame:
    """With every gap filled for which the source says how; ``filled_by`` names the rules that did."""
    gaps = [gap for gap in source.gaps if gap.table == table.name and gap.fill is not None]
    names = _all([(gap.rule, F.col(gap.column).isNull()) for gap in gaps])
    values = {gap.column: F.coalesce(gap.column, F.expr(gap.fill or "null")) for gap in gaps}
    return rows.withColumns({_FILLED: names, **values})


def judged(rows: DataFrame, judgement: Judgement) -> DataFrame:
    """With ``fate`` and ``rule`` (null for a row that is kept), ``flags``, and the values that rules set."""
    quarantined, netted = _first(judgement.quarantine), _first(judgement.net)
    return rows.withColumns(
        {
            "rule": F.coalesce(quarantined, netted),
            "fate": F.when(quarantined.isNotNull(), QUARANTINED).when(netted.isNotNull(), NETTED),
            "flags": F.concat(_FILLED, _all(judgement.flags)),
            "replaced_by": F.lit(None).cast("string"),
            **judgement.values,
        }
    ).drop(_FILLED)


def _first(named: Sequence[Named]) -> Column:
    return F.coalesce(F.lit(None).cast("string"), *(F.when(holds, F.lit(name)) for name, holds in named))


def _all(named: Sequence[Named]) -> Column:
    """The names of all that hold, as an array."""
    none = F.array().cast("array<string>")
    if not named:
        return none
    # Not by array_compact, which is a filter with a lambda (knowledge.once_for_each); most rows have none at all.
    names = F.concat_ws(_BETWEEN, *(F.when(holds, F.lit(name)) for name, holds in named))
    return F.when(names == "", none).otherwise(F.split(names, _BETWEEN))


def of_reading(table: Table, source: Source) -> Judgement:
    """Whether the row could be read, and holds what no row can do without."""
    absent = table.without(source.lacks)
    required = [column.name for column in absent.columns if not column.nullable]
    gaps = [gap for gap in source.gaps if gap.table == table.name and gap.fill is None]
    return Judgement(
        quarantine=(
            (rules.UNREADABLE_LINE, F.col(IS_UNREADABLE)),
            (rules.BROKEN_ENCODING, F.col(IS_BROKEN)),
            *((gap.rule, F.col(gap.column).isNull()) for gap in gaps),
            *((rules.missing(name), F.col(name).isNull()) for name in required),
        )
    )


def of_contract(table: Table) -> Judgement:
    """The bounds outside of which a value is wrong, not merely rare."""
    bounded = [column for column in table.columns if column.low is not None or column.high is not None]
    return Judgement(quarantine=tuple((rules.out_of_range(c.name), is_outside(c.name, c.low, c.high)) for c in bounded))


def of_source(table: Table, source: Source) -> Judgement:
    """The shop's own rules and bounds."""
    bounds = [bound for bound in source.bounds if bound.table == table.name]
    mine = [rule for rule in source.rules if rule.table == table.name]
    taking = {fate: tuple((r.name, F.expr(r.when)) for r in mine if r.fate == fate) for fate in ("quarantine", "net")}
    wild = tuple((b.rule, is_outside(b.column, b.low, b.high)) for b in bounds if b.outside == "quarantine")
    tamed = [bound for bound in bounds if bound.outside == "winsorise"]
    kept = [rule for rule in mine if rule.fate == "keep"]
    return Judgement(
        quarantine=taking["quarantine"] + wild,
        net=taking["net"],
        flags=(
            *((b.rule, is_outside(b.column, b.low, b.high)) for b in tamed),
            *((rule.name, F.expr(rule.when)) for rule in kept),
        ),
        values=_typed(table, _winsorised(tamed) | _set_by(kept, _winsorised(tamed))),
    )


def is_outside(name: str, low: Limit, high: Limit) -> Column:
    """Whether a column lies outside of inclusive bounds."""
    below = F.col(name) < F.lit(low) if low is not None else F.lit(False)
    return below | (F.col(name) > F.lit(high)) if high is not None else below


def _winsorised(bounds: Iterable[Bound]) -> dict[str, Column]:
    return {bound.column: _within(F.col(bound.column), bound.low, bound.high) for bound in bounds}


def _within(value: Column, low: Limit, high: Limit) -> Column:
    """A column with its values beyond a bound moved onto it."""
    raised = F.when(value < low, low).otherwise(value) if low is not None else value
    return F.when(value > high, high).otherwise(raised) if high is not None else raised


def _typed(table: Table, values: dict[str, Column]) -> dict[str, Column]:
    return {name: value.cast(spark_type(table.column(name).kind)) for name, value in values.items()}


def _set_by(kept: Iterable[Rule], winsorised: dict[str, Column]) -> dict[str, Column]:
    """What rules set; where none does, a column stays as its bounds leave it."""
    values: dict[str, Column] = {}
    for rule in kept:
        for name, expression in rule.set.items():
            before = values.get(name, winsorised.get(name, F.col(name)))
            values[name] = F.when(F.expr(rule.when), F.expr(expression)).otherwise(before)
    return values


def without_repeats(rows: DataFrame, kept: Kept, key: str, whole: str, named_by: str | None = None) -> DataFrame:
    """Of rows that were kept and share ``key``, the first stays; the others are its duplicates.

    Args:
        whole: is equal for rows that are equal in everything.
        named_by: the column by which a duplicate names the row that stands; by default ``key``.
    """
    repeated = kept.at_hand(
        rows.where(F.col("fate").isNull())
        .groupBy(key)
        .agg(
            F.min("position").alias("first_position"),
            F.min_by(whole, "position").alias("first_whole"),
            F.count("*").alias("times"),
        )
        .where(F.col("times") > 1)
    )
    is_repeat = F.col("fate").isNull() & (F.col("position") > F.col("first_position"))
    is_same = F.col(whole) == F.col("first_whole")
    return _dropped(
        rows.join(repeated, key, "left"),  # at most one key each
        is_repeat,
        F.when(is_same, rules.EXACT_DUPLICATE).otherwise(rules.KEY_DUPLICATE),
        F.col(named_by or key).cast("string"),
    ).drop("first_position", "first_whole", "times")


def without_known(
    rows: DataFrame,
    kept: Kept,
    known: DataFrame,
    key: str,
    said: Sequence[str] = (),
    undone: DataFrame | None = None,
) -> DataFrame:
    """Rows that were kept though an earlier batch brought their ``key`` are duplicates.

    Args:
        known: silver's keys of earlier batches, with ``said``.
        said: the columns in which a row that says something else is told from one that came again; few and narrow, as
            they are read of everything that silver holds.
        undone: keys that earlier batches brought and silver does not hold, as their rows came to nothing.
    """
    if known.isEmpty() and (undone is None or undone.isEmpty()):
        return rows
    says = hashed(*said) if said else F.lit(0).cast("long")
    held = known.select(key, says.alias("says"))
    if undone is not None:
        held = held.unionByName(undone.select(key, F.lit(None).cast("long").alias("says")))
    new = rows.where(F.col("fate").isNull()).select(key)
    same = held.join(new, key, "left_semi").groupBy(key).agg(F.min("says").alias("said_before"))
    before = kept.at_hand(same.withColumn("is_known", F.lit(True)))
    is_known = F.col("fate").isNull() & F.coalesce("is_known", F.lit(False))
    rule = F.when(says != F.col("said_before"), rules.RESTATED).otherwise(rules.LANDED_BEFORE)
    joined = rows.join(before, key, "left")  # at most one key each
    return _dropped(joined, is_known, rule, F.col(key).cast("string")).drop("said_before", "is_known")


def without_unchanged(rows: DataFrame, before: DataFrame, of: str, whole: str) -> DataFrame:
    """Versions that say what the one standing on their day says are its duplicates; one that says something else of a
    day on which we knew already stays: it corrects.

    Args:
        before: the versions of earlier batches, with ``of``, ``known_on``, ``batch_no`` and ``whole``.
    """
    version = F.struct("known_on", "batch_no", F.col(whole).alias("whole"))
    versions = before.groupBy(of).agg(F.array_sort(F.collect_list(version)).alias("versions"))
    by_then = F.filter("versions", lambda v: v["known_on"] <= F.col("known_on"))
    joined = rows.join(versions, of, "left").withColumn("standing", F.try_element_at(by_then, F.lit(-1)))  # one each
    is_same = F.col("fate").isNull() & (F.col(whole) == F.col("standing.whole"))
    is_of_that_day = F.col("standing.known_on") == F.col("known_on")
    rule = F.when(is_of_that_day, rules.LANDED_BEFORE).otherwise(rules.UNCHANGED)
    return _dropped(joined, is_same, rule, F.col(of).cast("string")).drop("versions", "standing")


def _dropped(rows: DataFrame, is_dropped: Column, rule: Column, replaced_by: Column) -> DataFrame:
    return rows.withColumns(
        {
            "fate": F.when(is_dropped, DUPLICATE).otherwise(F.col("fate")),
            "rule": F.when(is_dropped, rule).otherwise(F.col("rule")),
            "replaced_by": F.when(is_dropped, replaced_by).otherwise(F.col("replaced_by")),
        }
    )


def hashed(*columns: str) -> Column:
    """64 bits of the columns together, which need the same types wherever the same hash is wanted.

    A null alone leaves xxHash64 as it is, so which columns are null is hashed too.
    """
    return F.xxhash64(*columns, *(F.col(name).isNull() for name in columns))


def flags_of(source: Source, raw: Table) -> list[str]:
    """Every rule that marks or changes landed rows of a raw table."""
    built_in = {
        RAW_ORDERS.name: [rules.DAY_SHIFTED, rules.RETURN_WITHOUT_MEMBER],
        RAW_TOUCHES.name: [rules.CAMPAIGN_UNKNOWN],
    }
    gaps = [gap.rule for gap in source.gaps if gap.table == raw.name and gap.fill is not None]
    bounds = [bound.rule for bound in source.bounds if bound.table == raw.name and bound.outside == "winsorise"]
    own = [rule.name for rule in source.rules if rule.table == raw.name and rule.fate == "keep"]
    return [*built_in.get(raw.name, []), *gaps, *bounds, *own]
