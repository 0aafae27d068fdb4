"""A source: one YAML under ``conf/sources/`` that maps a shop's files to the raw tables, without code."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from tenure.config.settings import Settings
from tenure.contracts.landing import RAW_TABLES
from tenure.contracts.shop import Shop
from tenure.contracts.silver import SILVER_TABLES
from tenure.contracts.table import Has, fingerprint
from tenure.errors import WrongInput


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
    files: tuple[str, ...]
    format: Literal["csv", "json", "parquet", "by_suffix"] = "by_suffix"
    encoding: str = "UTF-8"
    delimiter: str = ","
    timezone: str = "UTC"  # of times that carry none
    columns: dict[str, str]
    key: tuple[str, ...] = ()  # raw columns that make a row unique; by default the contract's key

    @model_validator(mode="after")
    def _maps_the_contract(self) -> Feed:
        tables = {table.name: table for table in RAW_TABLES}
        if self.table not in tables:
            raise ValueError(f"table {self.table!r} is not one of {', '.join(tables)}")
        contract = tables[self.table]
        for name in (*self.columns, *self.key):
            contract.column(name)
        missing = [c.name for c in contract.columns if not c.nullable and c.name not in self.columns]
        if missing:
            raise ValueError(f"{self.table}: columns must also say {', '.join(missing)}")
        return self


class Bound(Settings):
    """An honest range of a raw column; what lies outside of it is winsorised and flagged, or quarantined."""

    table: str
    column: str
    low: float | None = None
    high: float | None = None
    outside: Literal["winsorise", "quarantine"]
    rule: str


class Gap(Settings):
    """What happens to a row whose column is null: refused, or filled with a Spark SQL expression and flagged."""

    table: str
    column: str
    fill: str | None = None  # None: the row is quarantined
    rule: str


class Rule(Settings):
    """A named rule of the shop: rows of a raw table where ``when`` holds are changed and flagged, or taken out.

    ``when`` and ``set`` are Spark SQL expressions over the mapped columns, as they are before any rule or bound changes
    them; for order lines also ``category`` and ``product_type`` of the product as known then, and ``is_product_known``.
    """

    name: str
    table: str
    when: str
    says: str
    set: dict[str, str] = Field(default_factory=dict)
    fate: Literal["keep", "quarantine", "net"] = "keep"


class Source(Settings):
    """A shop's files and settings."""

    name: str
    says: str
    package: str | None = None  # a Python package whose data folder holds the files, where no folder is given
    data: str | None = None  # the folder of the landing files
    currency: str
    calendar: str
    lacks: tuple[Has, ...] = ()
    categories: tuple[str, ...] = ()
    windows_days: tuple[int, ...]
    churn: Churn
    grid: Grid
    split: SplitByTime | SplitByCounts
    buckets: int = 8
    historical: bool = False  # whether a batch without a day of arrival is a load of the past
    last_complete_day: date | None = None  # by default the newest day known of, before a live batch arrived
    quarantine_limit: float = Field(default=0.05, ge=0, le=1)  # share of a batch's rows of a table
    feeds: dict[str, Feed]
    gaps: tuple[Gap, ...] = ()
    bounds: tuple[Bound, ...] = ()
    rules: tuple[Rule, ...] = ()

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
        of_feeds = {"table", "timezone", "columns", "key"}
        feeds = {name: feed.model_dump(mode="json", include=of_feeds) for name, feed in self.feeds.items()}
        settings = self.model_dump(mode="json", include=set(said))
        return fingerprint((*RAW_TABLES, *SILVER_TABLES), feeds=feeds, **settings)

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


def _package_data(package: str) -> Path:
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise WrongInput(f"the package {package} is not installed; install the extra 'spark', or name a folder")
    return Path(spec.submodule_search_locations[0]) / "data"
