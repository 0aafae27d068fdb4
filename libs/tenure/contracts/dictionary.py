"""The data dictionary, written from the contracts.

python -m tenure.contracts.dictionary docs/data_dictionary.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from datetime import date
from pathlib import Path

from tenure.contracts.answers import ANSWER_TABLES
from tenure.contracts.control import CONTROL_TABLES
from tenure.contracts.gold import gold_tables
from tenure.contracts.landing import ENVELOPE, RAW_TABLES, RAW_TABLES_AHEAD
from tenure.contracts.shop import Shop
from tenure.contracts.silver import SILVER_TABLES
from tenure.contracts.table import Column, Layer, Table

# Windows and categories belong to the shop; the dictionary shows them for one with the windows of the default source.
SHOP = Shop(
    name="a shop",
    currency="its currency",
    calendar="its time zone",
    windows_days=(7, 28, 84),
    activity_days=84,
    horizon_days=28,
    first_as_of=date(2017, 3, 26),
    as_of_every_days=14,
    buckets=8,
    categories=("its first main category",),
)

LAYERS = {
    Layer.BRONZE: "What a source must say of each raw table. Bronze keeps the landed columns themselves, behind the "
    f"envelope: {', '.join(f'`{column.name}` ({column.says})' for column in ENVELOPE)}. Silver has no table yet for "
    f"{', '.join(f'`{table.name}`' for table in RAW_TABLES_AHEAD)}: their rows land and stay here.",
    Layer.SILVER: "Clean rows: typed, unique, in range, pseudonymous.",
    Layer.GOLD: "What is learnt from and answered with, point in time. A feature ends with its window in days and a "
    "measure of a main category with that category's place; both are the shop's settings.",
    Layer.ANSWERS: "What the models say about members.",
    Layer.CONTROL: "What the jobs say about themselves.",
}

OPENING = """\
# Data dictionary

Written from the contracts in `libs/tenure/contracts/` by `make dictionary`; a test holds it current. Money is in minor
units of the shop's currency, a day is the shop's local day, a moment is UTC. "Needs" names what a source may lack: the
column is null there, and no model reads it.
"""


def dictionary() -> str:
    """The whole dictionary, as Markdown."""
    tables = (*RAW_TABLES, *SILVER_TABLES, *gold_tables(SHOP), *ANSWER_TABLES, *CONTROL_TABLES)
    return "\n".join([OPENING, *(_layer(layer, says, tables) for layer, says in LAYERS.items())])


def _layer(layer: Layer, says: str, tables: Iterable[Table]) -> str:
    return "\n".join([f"## {layer.value.capitalize()}\n\n{says}\n", *(_table(t) for t in tables if t.layer is layer)])


def _table(table: Table) -> str:
    key = ", ".join(f"`{name}`" for name in table.key)
    where = f" Partitioned by {', '.join(f'`{name}`' for name in table.partition_by)}." if table.partition_by else ""
    head = f"### {table.name}\n\n{table.says} One row for each {key}.{where}\n"
    rows = ["| column | kind | unit | meaning | range | notes |", "| --- | --- | --- | --- | --- | --- |"]
    return "\n".join([head, *rows, *(_row(column) for column in table.columns), ""])


def _row(column: Column) -> str:
    cells = (f"`{column.name}`", column.kind.value, column.unit, column.says, _range(column), _notes(column))
    return f"| {' | '.join(cells)} |"


def _range(column: Column) -> str:
    if column.low is None and column.high is None:
        return ""
    if column.high is None:
        return f"from {column.low:,.12g}"
    return f"to {column.high:,.12g}" if column.low is None else f"{column.low:,.12g} to {column.high:,.12g}"


def _notes(column: Column) -> str:
    notes = (
        "may be null" if column.nullable else "",
        "personal" if column.personal else "",
        f"needs {column.needs.value}" if column.needs else "",
    )
    return ", ".join(note for note in notes if note)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(dictionary(), encoding="utf-8")
