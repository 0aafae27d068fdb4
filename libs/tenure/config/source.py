"""A source: one YAML under ``conf/sources/`` that maps a shop's files to the raw tables, without code."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import date, timedelta
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from tenure.config.settings import Settings
from tenure.config.usual_rules import told_out
from tenure.contracts import rules
from tenure.contracts.currency import is_code
from tenure.contracts.landing import (
    CLEANED_TABLES,
    KNOWN_ON,
    RAW_MEMBERS,
    RAW_PRODUCTS,
    RAW_TABLES,
    RAW_TABLES_AHEAD,
    RAW_TOUCHES,
)
from tenure.contracts.shop import Shop
from tenure.contracts.silver import SILVER_TABLES
from tenure.contracts.table import NUMERIC, Has, Kind, Table, fingerprint
from tenure.errors import WrongInput

MOST_CATEGORIES = 63  # one bit each of a 64-bit integer, and one for all others
_MEMBER_KNOWN = re.compile(r"\bis_member_known\b", re.IGNORECASE)


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (LookupError, ValueError, OSError):
        raise ValueError(f"{name!r} is no IANA time zone{_did_you_mean(name, available_timezones())}") from None
    return name


def _zone_or_offset(name: str) -> str:
    return name if re.fullmatch(r"[+-]\d{2}:\d{2}", name) else _zone(name)


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; name one as in {', '.join(known[:5])}"


def _contract(table: str) -> Table:
    tables = {raw.name: raw for raw in RAW_TABLES}
    if table not in tables:
        raise ValueError(f"table {table!r} is no raw table{_did_you_mean(table, tables)}")
    return tables[table]


def _cleaned(table: str) -> Table:
    """The contract of a table whose rows are judged."""
    contract = _contract(table)
    if contract in RAW_TABLES_AHEAD:
        raise ValueError(
            f"{table} lands in bronze and is not cleaned yet, so nothing would be judged by this: take it out until it "
            f"is, or write it for one of {', '.join(t.name for t in CLEANED_TABLES)}"
        )
    return contract


def _glob(pattern: str) -> str:
    if PurePosixPath(pattern).is_absolute() or ".." in PurePosixPath(pattern).parts:
        raise ValueError(f"{pattern!r} leads out of the source's folder; write it relative to that, without '..'")
    return pattern


def _currency(code: str) -> str:
    if not is_code(code):
        raise ValueError(f"{code!r} is no currency's code; write the three capital letters of ISO 4217, as in EUR")
    return code


def _limit(value: object) -> object:
    """A number or a day; told apart here, as pydantic reads the one as the other."""
    if isinstance(value, int):
        return float(value)
    if not isinstance(value, str):
        return value
    readers: tuple[Callable[[str], float | date], ...] = (float, date.fromisoformat)
    for read in readers:
        with suppress(ValueError):
            return read(value)
    raise ValueError(f"{value!r} is neither a number nor a day; write it as 100, or as 2026-01-31")


Currency = Annotated[str, AfterValidator(_currency)]
Limit = Annotated[float | date | None, BeforeValidator(_limit)]
Zone = Annotated[str, AfterValidator(_zone)]
ZoneOrOffset = Annotated[str, AfterValidator(_zone_or_offset)]
Glob = Annotated[str, AfterValidator(_glob)]


class Churn(Settings):
    """``activity_days``: a member seen within them is at risk; ``horizon_days``: a silence that long is churn."""

    activity_days: int = Field(gt=0)
    horizon_days: int = Field(gt=0)


class Grid(Settings):
    """The past ``as_of`` days to learn from: ``first`` and every so many days after it."""

    first: date
    every_days: int = Field(gt=0)


class SplitByTime(Settings):
    """Which ``as_of`` days of the grid train, validate and test. The horizon between the parts is checked where the
    split is used (``tenure.tasks.split``)."""

    train_until: date  # every as_of of the grid up to and with it
    validation: tuple[date, ...]
    test: tuple[date, ...]

    def among(self, as_of: Sequence[date], horizon_days: int) -> SplitByTime:
        """The split itself, whatever days there are."""
        return self


class SplitByCounts(Settings):
    """How many of the newest ``as_of`` days test, and how many of the newest before those validate; all days before
    them train. The horizon between the parts is left out. For data of any length."""

    validation: int = Field(gt=0)
    test: int = Field(gt=0)

    def among(self, as_of: Sequence[date], horizon_days: int) -> SplitByTime:
        """The same split with days in the place of counts.

        Args:
            as_of: the days of the grid whose labels are known.

        Raises:
            WrongInput: if there are too few.
        """
        gap = timedelta(days=horizon_days)
        days = sorted(set(as_of))
        test = tuple(days[-self.test :])
        validation = tuple(day for day in days if test and day <= test[0] - gap)[-self.validation :]
        train = [day for day in days if validation and day <= validation[0] - gap]
        if not train:
            raise WrongInput(
                f"{len(days)} as_of days with labels are too few to train, validate and test with {horizon_days} days "
                "between: bring more data, or choose a shorter horizon or an earlier first as_of in the source's YAML"
            )
        return SplitByTime(train_until=train[-1], validation=validation, test=test)


class Feed(Settings):
    """Files of one shape that bring rows of one raw table.

    ``files`` are globs below the source's folder; ``format`` is told by a file's suffix unless it is said. ``columns``
    are Spark SQL expressions over the landed columns, one for each column of the raw table's contract; those left out
    are null.
    """

    table: str
    files: tuple[Glob, ...] = Field(min_length=1)
    format: Literal["csv", "json", "parquet", "by_suffix"] = "by_suffix"
    encoding: str = "UTF-8"
    delimiter: str = ","
    timezone: ZoneOrOffset = "UTC"  # of times that carry none
    columns: dict[str, str]
    key: tuple[str, ...] = ()  # raw columns that make a row unique; by default the contract's key

    @model_validator(mode="after")
    def _maps_the_contract(self) -> Feed:
        contract = _contract(self.table)
        for name in (*self.columns, *self.key):
            contract.column(name)
        missing = [c.name for c in contract.columns if not c.nullable and c.name not in self.columns]
        if missing:
            raise ValueError(f"{self.table}: columns must also say {', '.join(missing)}")
        return self


class Bound(Settings):
    """An honest range of a raw column of numbers, what lies outside of which is winsorised and flagged, or quarantined;
    or of days, what lies outside of which is quarantined."""

    table: str
    column: str
    low: Limit = None
    high: Limit = None
    outside: Literal["winsorise", "quarantine"]
    rule: str

    @model_validator(mode="after")
    def _fits_its_column(self) -> Bound:
        kind = _cleaned(self.table).column(self.column).kind
        if kind not in (*NUMERIC, Kind.DAY):
            raise ValueError(f"{self.column} is a {kind}, and only numbers and days have bounds: write a rule instead")
        limits = [limit for limit in (self.low, self.high) if limit is not None]
        if any(isinstance(limit, date) != (kind == Kind.DAY) for limit in limits):
            example = "days: write them as 2026-01-31" if kind == Kind.DAY else "numbers: write them as 100"
            raise ValueError(f"the bounds of {self.column} are {example}")
        if kind == Kind.DAY and self.outside == "winsorise":
            raise ValueError(f"{self.column} is a day, and to move it would make one up: write outside: quarantine")
        return self


class Gap(Settings):
    """What happens to a row whose column is null: refused, or filled with a Spark SQL expression and flagged."""

    table: str
    column: str
    fill: str | None = None  # None: the row is quarantined
    rule: str

    @model_validator(mode="after")
    def _is_of_a_column(self) -> Gap:
        _cleaned(self.table).column(self.column)
        return self


class Rule(Settings):
    """A named rule of the shop: rows of a raw table where ``when`` holds are changed and flagged, or taken out.

    ``when`` and ``set`` are Spark SQL expressions over the mapped columns, as they are before any rule or bound changes
    them; for order lines also ``category`` and ``product_type`` of the product as known then, ``is_product_known``, and
    ``is_member_known``: whether anybody had registered under the member's id by then.
    """

    name: str
    table: str
    when: str
    says: str
    set: dict[str, str] = Field(default_factory=dict)
    fate: Literal["keep", "quarantine", "net"] = "keep"

    @model_validator(mode="after")
    def _sets_columns(self) -> Rule:
        contract = _cleaned(self.table)
        for name in self.set:
            contract.column(name)
        if KNOWN_ON.name in self.set:
            raise ValueError("known_on cannot be set, as nothing would hold it against the day: map it in the feed")
        return self


class Known(Settings):
    """A figure that others counted in the same files: the report shows ours beside it.

    Ours is what the rule ``rule`` marked, or the one number that ``sql`` (DataFusion) gives over the release's tables;
    with neither, ``why`` says why nothing is counted. Where ours has to differ, ``here`` is what it comes to and
    ``why`` the reason.
    """

    says: str
    rows: int
    rule: str | None = None
    sql: str | None = None
    here: int | None = None
    why: str = ""

    @model_validator(mode="after")
    def _is_counted_once(self) -> Known:
        if self.rule and self.sql:
            raise ValueError("known: give a rule or an sql, not both")
        if not (self.rule or self.sql or self.why):
            raise ValueError("known: give a rule or an sql to count by, or say why it is not counted")
        if self.here is not None and not ((self.rule or self.sql) and self.why):
            raise ValueError("known: here is of a rule or an sql, and needs a why")
        return self


class Source(Settings):
    """A shop's files and settings."""

    name: str
    says: str
    package: str | None = None  # a Python package whose data folder holds the files, where no folder is given
    data: str | None = None  # the folder of the landing files
    simulation: str | None = None  # of a shop that is simulated: the settings of jobs/simulate_shop.py
    currency: Currency
    calendar: Zone
    lacks: tuple[Has, ...] = ()
    categories: tuple[str, ...] = Field(default=(), max_length=MOST_CATEGORIES)
    windows_days: tuple[Annotated[int, Field(gt=0)], ...] = Field(min_length=2)  # features compare the two longest
    churn: Churn
    grid: Grid
    split: SplitByTime | SplitByCounts
    buckets: int = Field(default=8, ge=1)
    historical: bool = False  # whether a lake's first batch is a load of the past, where no day of arrival is said
    last_complete_day: date | None = None  # by default the newest day known of, before a live batch arrived
    quarantine_limit: float = Field(default=0.05, ge=0, le=1)  # share of a batch's rows of a table
    feeds: dict[str, Feed]
    gaps: tuple[Gap, ...] = ()
    bounds: tuple[Bound, ...] = ()
    rules: tuple[Rule, ...] = ()
    known: tuple[Known, ...] = ()
    known_in: str | None = None  # the id of the batch of the very files that the known figures were counted in

    @field_validator("rules", mode="before")
    @classmethod
    def _told_out(cls, rules: object) -> object:
        return told_out(rules)

    @model_validator(mode="after")
    def _holds_together(self) -> Source:
        if any(later <= earlier for earlier, later in pairwise(self.windows_days)):
            days = ", ".join(map(str, sorted(set(self.windows_days))))
            raise ValueError(f"windows_days must ascend: write [{days}]")
        for name in _repeated((*self._rule_names, *rules.RULES, *_OWN_RULES)):
            owner = "is the product's own rule" if name in {*rules.RULES, *_OWN_RULES} else "names two rules"
            raise ValueError(f"the rule name {name!r} {owner}, so its rows could not be told apart; choose another")
        for need in _untold(self.feeds.values()):
            if need not in self.lacks and self.feeds:
                raise ValueError(
                    f"no feed tells of {need.value}: {_ASKED[need]}, or write lacks: "
                    f"[{', '.join(sorted({*(has.value for has in self.lacks), need.value}))}]"
                )
        brings = {feed.table for feed in self.feeds.values()}
        if self.asks_who_registered and brings and RAW_MEMBERS.name not in brings:
            raise ValueError(
                "a rule asks for is_member_known, which no line would be, as no feed brings raw_members: leave out "
                "the rule (member_unknown, if by name), or map the registrations"
            )
        return self

    @property
    def asks_who_registered(self) -> bool:
        """Whether a rule reads ``is_member_known``, which only then is looked up."""
        read = (said for rule in self.rules for said in (rule.when, *rule.set.values()))
        filled = (gap.fill for gap in self.gaps if gap.fill)
        return any(_MEMBER_KNOWN.search(said) for said in (*read, *filled))

    @property
    def _rule_names(self) -> tuple[str, ...]:
        marks = (*(gap.rule for gap in self.gaps), *(bound.rule for bound in self.bounds))
        return (*(rule.name for rule in self.rules), *marks)

    @property
    def shop(self) -> Shop:
        return Shop(
            name=self.name,
            currency=self.currency,
            calendar=self.calendar,
            windows_days=self.windows_days,
            activity_days=self.churn.activity_days,
            horizon_days=self.churn.horizon_days,
            first_as_of=self.grid.first,
            as_of_every_days=self.grid.every_days,
            buckets=self.buckets,
            categories=self.categories,
            lacks=self.lacks,
        )

    @property
    def cleaning(self) -> str:
        """Changes with everything that decides what becomes of a row that landed: what was cleaned under another one is
        cleaned anew. Not with ``last_complete_day``, which moves every night."""
        said = ("calendar", "currency", "lacks", "gaps", "bounds", "rules")
        feeds = {name: told for name, feed in self.feeds.items() if (told := _cleaned_by(feed))}
        settings = self.model_dump(mode="json", include=set(said))
        return fingerprint((*CLEANED_TABLES, *SILVER_TABLES), feeds=feeds, **settings)

    @property
    def folder(self) -> Path:
        """Where the landing files are.

        Raises:
            WrongInput: if there is no such folder.
        """
        if self.data is not None:
            folder = Path(self.data)
        elif self.package is not None:
            folder = _package_data(self.package)
        else:
            raise WrongInput(f"source {self.name}: say where its files are, as in --set source.data=FOLDER")
        if not folder.is_dir():
            raise WrongInput(f"source {self.name}: {folder} is no folder; name the folder of its landing files")
        return folder


def _cleaned_by(feed: Feed) -> dict[str, Any]:
    """What of a feed decides what becomes of a row that landed."""
    if _contract(feed.table) not in RAW_TABLES_AHEAD:
        return feed.model_dump(mode="json", include={"table", "timezone", "columns", "key"})
    # Its own rows stay in bronze; but rows set aside do not show a column that any feed calls the member.
    return {name: feed.columns[name] for name in ("member_id",) if name in feed.columns}


_OWN_RULES = {
    spell(c.name) for table in CLEANED_TABLES for c in table.columns for spell in (rules.missing, rules.out_of_range)
}


def _repeated(names: Iterable[str]) -> list[str]:
    found = list(names)
    return sorted({name for name in found if found.count(name) > 1})


def _columns_of(need: Has) -> dict[str, tuple[str, ...]]:
    """The raw columns that tell of something that a shop may have, by table; one of them is enough."""
    if need is Has.CATEGORIES:  # the shop's main categories are values of this one
        return {RAW_PRODUCTS.name: ("category",)}
    if need is Has.CAMPAIGNS:
        return {RAW_TOUCHES.name: ("campaign_id",)}
    found = {table.name: tuple(c.name for c in table.columns if c.needs is need) for table in CLEANED_TABLES}
    return {table: names for table, names in found.items() if names}


_TOLD_BY = {need: columns for need in Has if (columns := _columns_of(need))}
_ASKED = {
    need: "map " + " or ".join(f"{' or '.join(names)} in a feed of {table}" for table, names in columns.items())
    for need, columns in _TOLD_BY.items()
}


def _untold(feeds: Iterable[Feed]) -> Iterator[Has]:
    """What no feed maps a column of."""
    mapped = {(feed.table, name) for feed in feeds for name in feed.columns}
    for need, columns in _TOLD_BY.items():
        if not any((table, name) in mapped for table, names in columns.items() for name in names):
            yield need


def _package_data(package: str) -> Path:
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise WrongInput(f"the package {package} is not installed; install the extra 'spark', or name a folder")
    return Path(spec.submodule_search_locations[0]) / "data"
