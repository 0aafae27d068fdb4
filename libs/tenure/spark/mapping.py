"""From bronze to the contract's columns, by the source's Spark SQL expressions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import partial, reduce

from pyspark.errors import AnalysisException, ParseException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from tenure.config.source import Feed, Source
from tenure.contracts.landing import (
    CLEANED_TABLES,
    ENVELOPE,
    KNOWN_ON,
    RAW_CAMPAIGNS,
    RAW_ORDERS,
    RAW_PRODUCTS,
    RAW_TABLES,
    RAW_TOUCHES,
)
from tenure.contracts.silver import ORDER_LINES
from tenure.contracts.table import NUMERIC, Kind, Table
from tenure.errors import WrongInput
from tenure.spark.column_names import look_like_data, quoted
from tenure.spark.landing_files import LANDED, UNREADABLE, is_broken
from tenure.spark.schema import local_rows, spark_type

IS_BROKEN, IS_UNREADABLE = "is_broken", "is_unreadable"
DECLARED_KNOWN_ON = "declared_known_on"
_ENVELOPE = tuple(column.name for column in ENVELOPE)


def raw_table(feed: Feed) -> Table:
    return next(table for table in RAW_TABLES if table.name == feed.table)


def mapped(bronze: DataFrame, feed: Feed) -> DataFrame:
    """The raw table's columns in their types, the envelope, and whether the row, in what the feed reads of it, could be
    read at all.

    What an expression cannot read is null. ``known_on`` is what the feed declares, under ``declared_known_on``.
    """
    contract = raw_table(feed)
    ours = [_NAMES.get(column.name, column.name) for column in contract.columns]
    landed = bronze.select(
        f"{LANDED}.*",
        *(F.col(name).alias(_own(name)) for name in _ENVELOPE),
        _is_broken(bronze, feed).alias(_own(IS_BROKEN)),
        _is_unreadable(bronze).alias(_own(IS_UNREADABLE)),
    )

    def made(rows: DataFrame, *, of_numbers: bool) -> list[Column]:
        return [
            _typed(rows, feed, column.name, column.kind).alias(_own(_NAMES.get(column.name, column.name)))
            for column in contract.columns
            if (column.kind in NUMERIC) == of_numbers
        ]

    finite = landed.select(*(_finite(field) for field in landed.schema))
    others = finite.select("*", *made(finite, of_numbers=False))
    numbers = others.select(*(_sound(field) for field in others.schema))
    all_made = numbers.select("*", *made(numbers, of_numbers=True))
    return all_made.select(*(F.col(_own(name)).alias(name) for name in (*ours, *_ENVELOPE, IS_BROKEN, IS_UNREADABLE)))


_NAMES = {"known_on": DECLARED_KNOWN_ON}
_LARGEST = 10**15  # beyond it a 64-bit float does not tell hundredths apart


def _own(name: str) -> str:
    """A column of ours among those that landed, whatever they are called."""
    return f"_tenure_{name}"


def _finite(field: T.StructField) -> Column:
    """A landed column as every expression reads it: a number that is not finite is null.

    Casts to whole numbers, which stand in the expressions, would make zero of NaN and the largest of all integers of
    infinity: all members without an id would be one.
    """
    value = _quoted(field.name)
    if not isinstance(field.dataType, T.FloatType | T.DoubleType):
        return value
    return F.when(F.abs(value) < float("inf"), value).alias(field.name)  # NaN is larger than any number


def _sound(field: T.StructField) -> Column:
    """A landed column as expressions for numbers read it: null too where it is a number beyond reason, or a text that
    casts take for one that is not finite. Elsewhere such a number may be an id, and such a text a name."""
    value = _quoted(field.name)
    if field.name.startswith(_own("")):
        return value
    if isinstance(field.dataType, T.NumericType):
        is_sound = F.abs(value.cast(T.DoubleType())) <= _LARGEST
    elif isinstance(field.dataType, T.StringType):
        # All of these hold an n, and looking for that is cheap: few numbers meet the expression.
        is_odd = (value.contains("n") | value.contains("N")) & F.trim(value).rlike(r"(?i)^[+-]?(nan|inf|infinity)$")
        is_sound = ~is_odd
    else:
        return value
    return F.when(is_sound, value).alias(field.name)


def _quoted(name: str) -> Column:
    return F.col("`" + name.replace("`", "``") + "`")


def check_mapping(rows: DataFrame, feed_name: str, feed: Feed) -> None:
    """Whether the feed's expressions can be evaluated on what landed.

    Raises:
        WrongInput: naming the expression and the columns that landed, as far as they look like names.
    """
    for sentence in unmade(rows, feed_name, feed).values():
        raise WrongInput(sentence)


def unmade(rows: DataFrame, feed_name: str, feed: Feed) -> dict[str, str]:
    """The columns of the raw table whose expressions cannot be evaluated on what landed, each with a sentence."""
    landed = rows.select(f"{LANDED}.*")
    found = {}
    for name, expression in feed.columns.items():
        kind = raw_table(feed).column(name).kind
        try:
            landed.select(_typed(landed, feed, name, kind))
        except (AnalysisException, ParseException) as error:
            there = [column for column in landed.columns if column != UNREADABLE]
            found[name] = (
                f"feed {feed_name}: {name} cannot be made of {expression!r} ({_reason(error)}); {_what_landed(there)}"
            )
    return found


def middle_day(opened: Sequence[tuple[DataFrame, Feed]]) -> date | None:
    """The day of which half of all rows that landed, of some feeds together, are later, about; none where no row tells
    its moment."""
    moments = [
        landed.select(_typed(landed, feed, "occurred_at", Kind.MOMENT).cast("bigint").alias("at"))
        for landed, feed in ((rows.select(f"{LANDED}.*"), feed) for rows, feed in opened)
    ]
    found = reduce(DataFrame.unionByName, moments).select(F.percentile_approx("at", 0.5).alias("at")).first()
    return None if found is None or found["at"] is None else datetime.fromtimestamp(found["at"], UTC).date()


def _what_landed(columns: Sequence[str]) -> str:
    if look_like_data(columns):
        return (
            "its files seem to hold data where the names of columns should be, as a CSV file without a header does: "
            "add a first line that names the columns, and run again"
        )
    there = quoted(columns) or "none"
    return f"these columns landed: {there}; correct the expression in the source's YAML, or the files"


def check_rules(spark: SparkSession, source: Source) -> None:
    """Whether every rule of the source, and every filling of a gap, can be evaluated on the mapped columns.

    They run in ``clean``, after landing: here they are tried on no rows.

    Raises:
        WrongInput: naming the rule, the expression and the columns that there are.
    """
    for table in CLEANED_TABLES:
        rows = local_rows(spark, [], _as_cleaned(table))
        for rule, expression, tried in _expressions(source, table):
            try:
                rows.withColumn("tried", tried())
            except (AnalysisException, ParseException) as error:
                there = ", ".join(name for name in rows.columns if name not in _OURS)
                raise WrongInput(
                    f"rule {rule}: {expression!r} cannot be evaluated on {table.name} ({_reason(error)}); "
                    f"there are {there}; correct it in the source's YAML"
                ) from None


def _as_cleaned(table: Table) -> T.StructType:
    """The columns that ``clean`` shows to rules."""
    kinds = {column.name: column.kind for column in (*table.columns, KNOWN_ON, *_BESIDE.get(table.name, ()), *ENVELOPE)}
    return T.StructType([T.StructField(name, spark_type(kind)) for name, kind in kinds.items()])


# What clean joins to the mapped columns before rules see them.
_BESIDE = {
    RAW_ORDERS.name: (
        *(ORDER_LINES.column(name) for name in ("day", "hour")),
        *(RAW_PRODUCTS.column(name) for name in ("category", "product_type")),
        *(replace(RAW_PRODUCTS.column("is_recommendable"), name=f"is_{who}_known") for who in ("product", "member")),
    ),
    RAW_TOUCHES.name: (ORDER_LINES.column("day"), RAW_CAMPAIGNS.column("starts_on")),
}
_OURS = frozenset(_ENVELOPE) | {"tried"}


def _expressions(source: Source, table: Table) -> Iterator[tuple[str, str, Callable[[], Column]]]:
    """A table's rules: the name, the expression, and how ``clean`` uses it, made late as a typo raises there."""
    for gap in source.gaps:
        if gap.table == table.name and gap.fill is not None:
            yield gap.rule, gap.fill, partial(_filling, gap.column, gap.fill)
    for rule in source.rules:
        if rule.table != table.name:
            continue
        yield rule.name, rule.when, partial(_mark, rule.when)
        for name, expression in rule.set.items():
            yield rule.name, expression, partial(_setting, expression, table.column(name).kind)


def _filling(column: str, fill: str) -> Column:
    return F.coalesce(column, F.expr(fill))


def _mark(when: str) -> Column:
    return F.when(F.expr(when), F.lit(True))


def _setting(expression: str, kind: Kind) -> Column:
    return F.expr(expression).cast(spark_type(kind))


def read_columns(bronze: DataFrame, expressions: Iterable[str]) -> list[str]:
    """The landed columns that expressions read: those without which they cannot be evaluated."""
    landed = bronze.select(f"{LANDED}.*")
    columns = [F.expr(expression) for expression in expressions]

    def is_needed(name: str) -> bool:
        try:
            landed.drop(name).select(*columns)
        except AnalysisException:
            return True
        return False

    return [name for name in landed.columns if is_needed(name)]


def _reason(error: AnalysisException | ParseException) -> str:
    what = (error.getCondition() or type(error).__name__).split(".")[0].lower().replace("_", " ")
    named = (error.getMessageParameters() or {}).get("objectName")
    return f"{what} {named}" if named else what


def _typed(landed: DataFrame, feed: Feed, name: str, kind: Kind) -> Column:
    if name not in feed.columns:
        return F.lit(None).cast(spark_type(kind))
    expression = F.expr(feed.columns[name])
    found = landed.select(expression.alias("found")).schema["found"].dataType
    if kind == Kind.MOMENT:
        return _moment(expression, found, feed.timezone)
    if isinstance(found, T.StringType) and kind == Kind.TEXT:
        return F.nullif(F.trim(expression), F.lit(""))
    if kind == Kind.NUMBER:
        number = expression.cast(T.DoubleType())
        return F.when(F.abs(number) < float("inf"), number)
    if isinstance(found, T.FractionalType) and kind in NUMERIC:
        return expression.try_cast(spark_type(kind))  # null where it does not fit
    return expression.cast(spark_type(kind))


# What Spark reads as a time and has something behind the time of day has a zone there: Z, +01:00, +1:00, UTC or a name.
_HAS_ZONE = r"\d:\d{1,2}(:\d{1,2}(\.\d+)?)?\s*[^\d\s:.]"


def _moment(expression: Column, found: T.DataType, timezone: str) -> Column:
    """In UTC: a time that carries no zone is read as of the feed's."""
    local = F.to_utc_timestamp(expression.cast(T.TimestampType()), timezone)
    if isinstance(found, T.StringType):
        has_zone = expression.rlike(_HAS_ZONE)
        return F.when(has_zone, expression.cast(T.TimestampType())).otherwise(local)
    return expression if isinstance(found, T.TimestampType) else local


def _is_broken(bronze: DataFrame, feed: Feed) -> Column:
    # A shop's files may hold a text in another encoding that this feed does not read: the row is as good without it.
    return is_broken(bronze, read_columns(bronze, feed.columns.values())) if _is_of_text(bronze) else F.lit(False)


def _is_unreadable(bronze: DataFrame) -> Column:
    return F.col(LANDED).getField(UNREADABLE).isNotNull() if _is_of_text(bronze) else F.lit(False)


def _is_of_text(bronze: DataFrame) -> bool:
    landed = bronze.schema[LANDED].dataType
    assert isinstance(landed, T.StructType)
    return UNREADABLE in landed.names
