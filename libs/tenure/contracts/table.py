"""What a table looks like, said once: every engine's spelling and every check is derived from these values."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from enum import StrEnum


class Kind(StrEnum):
    """What a column holds. Each engine spells a kind once, in its own mapper."""

    KEY = "key"  # 64-bit integer that identifies
    TEXT = "text"
    TEXTS = "texts"  # list of text
    DAY = "day"  # the shop's local day
    MOMENT = "moment"  # UTC, microseconds
    COUNT = "count"  # 64-bit integer
    BITS = "bits"  # 64-bit integer, one bit a word of a small vocabulary
    MONEY = "money"  # 64-bit integer in minor units of the shop's currency
    NUMBER = "number"  # 64-bit float
    NUMBERS = "numbers"  # list of 64-bit floats
    FLAG = "flag"
    COUNTS_BY_NAME = "counts_by_name"  # text -> 64-bit integer


NUMERIC = (Kind.COUNT, Kind.MONEY, Kind.NUMBER)  # one number, with which one calculates


class Combine(StrEnum):
    """How a measure of several days becomes one."""

    SUM = "sum"
    MAX = "max"
    MIN = "min"
    BITS = "bits"


class Has(StrEnum):
    """What a shop may lack; a column that needs it is null there, and no model reads it."""

    CATEGORIES = "categories"
    DISCOUNTS = "discounts"
    DEMOGRAPHICS = "demographics"
    CAMPAIGNS = "campaigns"
    RETURNS = "returns"
    HOURS = "hours"


class Layer(StrEnum):
    BRONZE = "bronze"
    SILVER = "silver"
    GOLD = "gold"
    CONTROL = "control"  # what the jobs say about themselves
    ANSWERS = "answers"  # what the models say about members
    STORE = "store"  # what the service maps into memory: no table of the lake
    TRUTH = "truth"  # what only a simulation knows: no feature, label or training may read it


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column: ``low`` and ``high`` are inclusive bounds that a row outside of is wrong, not merely rare."""

    name: str
    kind: Kind
    says: str
    unit: str = ""
    nullable: bool = False
    low: float | None = None
    high: float | None = None
    personal: bool = False
    purpose: str = "service"
    combine: Combine | None = None
    needs: Has | None = None


@dataclass(frozen=True, kw_only=True)
class Table:
    """One table: ``key`` is unique; rows lie partitioned by ``partition_by``, sorted by ``sort_by`` within a file."""

    name: str
    layer: Layer
    says: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    partition_by: tuple[str, ...] = ()
    sort_by: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = self.names
        if len(set(names)) != len(names):
            raise ValueError(f"{self.name}: a column is declared twice in {', '.join(names)}")
        for used in (*self.key, *self.partition_by, *self.sort_by):
            self.column(used)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    def column(self, name: str) -> Column:
        for column in self.columns:
            if column.name == name:
                return column
        raise ValueError(f"{self.name}: no column {name!r}; there are {', '.join(self.names)}")

    def without(self, lacks: Iterable[Has]) -> Table:
        """The same table for a shop that lacks something: what needs it is nullable."""
        absent = set(lacks)
        columns = (replace(c, nullable=True) if c.needs in absent else c for c in self.columns)
        return replace(self, columns=tuple(columns))


def fingerprint(tables: Iterable[Table], **settings: object) -> str:
    """Sixteen hex digits that change when any table or any setting of the shop that shapes one does."""
    spelled = json.dumps(
        {"tables": [asdict(table) for table in tables], "settings": settings}, sort_keys=True, default=str
    )
    return hashlib.sha256(spelled.encode()).hexdigest()[:16]
