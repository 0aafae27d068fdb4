"""A release: the version of every table that belongs together, read through Arrow.

Everything downstream of the jobs (training, scoring, serving, reports) reads tables through a ``Release`` only, so it
sees a whole night or none of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import pyarrow as pa
from deltalake import DeltaTable, QueryBuilder
from deltalake.exceptions import TableNotFoundError

from tenure.contracts.control import RELEASES
from tenure.contracts.gold import gold_tables
from tenure.contracts.shop import Shop
from tenure.contracts.shop import shop_from_json as shop_from_json
from tenure.contracts.shop import shop_to_json as shop_to_json
from tenure.contracts.silver import SILVER_TABLES
from tenure.contracts.table import Table
from tenure.errors import WrongInput
from tenure.lake.layout import table_path
from tenure.lake.query import select


@dataclass(frozen=True, kw_only=True)
class Release:
    """One row of ``releases``, with the way to its tables."""

    release_id: str
    source: str
    shop: Shop
    tables: Mapping[str, int]
    fingerprint: str
    code_version: str
    last_complete_day: date
    newest_as_of: date
    through_batch: int
    root: str
    storage_options: Mapping[str, str] = field(default_factory=dict, repr=False)

    def refuse_another_source(self, source: str) -> None:
        """Raises ``WrongInput`` if the release is of another source than the settings'."""
        if self.source != source:
            raise WrongInput(
                f"release {self.release_id} is of {self.source}, the settings say {source}: give the same --set "
                "source=FILE as to refresh"
            )

    def read(
        self,
        table: Table,
        columns: Sequence[str] | None = None,
        *,
        where: str = "true",
        order_by: Sequence[str] = (),
    ) -> pa.Table:
        """Rows of ``table`` as this release holds them, deletion vectors applied.

        Args:
            columns: which columns, in which order; by default the contract's.
            where: a SQL condition (DataFusion), as in ``"bucket = 3 and as_of < DATE '2017-09-01'"``; conditions on
                ``bucket`` read that bucket's files only.
            order_by: columns to sort by.

        Raises:
            WrongInput: if the release does not hold the table.
        """
        if table.name not in self.tables:
            raise WrongInput(
                f"release {self.release_id} holds no table {table.name}; there are {', '.join(self.tables)}"
            )
        delta = DeltaTable(
            table_path(self.root, table),
            version=self.tables[table.name],
            storage_options=dict(self.storage_options) or None,
        )
        return select(delta, table, columns, where=where, order_by=order_by)

    def figure(self, sql: str) -> int:
        """The one number that ``sql`` (DataFusion) gives over this release's tables, each by its name.

        Raises:
            WrongInput: if it gives none.
        """
        query = QueryBuilder()
        for table in self._named_in(sql):
            delta = DeltaTable(
                table_path(self.root, table),
                version=self.tables[table.name],
                storage_options=dict(self.storage_options) or None,
            )
            query = query.register(table.name, delta)
        try:
            rows = pa.table(query.execute(sql).read_all())
        except Exception as error:  # noqa: BLE001  DataFusion's own errors, of which there are many
            raise WrongInput(f"{sql!r} is no query over {', '.join(self.tables)}: {error}") from None
        if rows.shape != (1, 1):
            raise WrongInput(f"{sql!r} gives {rows.num_rows} rows of {rows.num_columns} columns, not one number")
        return int(rows.column(0)[0].as_py() or 0)

    def _named_in(self, sql: str) -> list[Table]:
        tables = (*SILVER_TABLES, *gold_tables(self.shop))
        return [table for table in tables if table.name in self.tables and re.search(rf"\b{table.name}\b", sql)]


def newest_release(root: str, storage_options: Mapping[str, str] | None = None) -> Release:
    """The newest release below ``root``.

    Raises:
        WrongInput: if there is none yet.
    """
    return release(root, None, storage_options)


def release(root: str, release_id: str | None, storage_options: Mapping[str, str] | None = None) -> Release:
    """The release with that id, or the newest.

    Raises:
        WrongInput: if there is none.
    """
    options = dict(storage_options or {})
    nothing = WrongInput(f"{root} holds no release {release_id or 'yet'}; run jobs/refresh.py first")
    try:
        delta = DeltaTable(table_path(root, RELEASES), storage_options=options or None)
    except TableNotFoundError:
        raise nothing from None
    which = f"where release_id = '{release_id}'" if release_id else ""
    query = f'select * from "releases" {which} order by release_id desc limit 1'  # noqa: S608
    rows = pa.table(QueryBuilder().register("releases", delta).execute(query).read_all()).to_pylist()
    if not rows:
        raise nothing
    row = rows[0]
    kept = ("release_id", "source", "fingerprint", "code_version", "last_complete_day", "newest_as_of", "through_batch")
    return Release(
        **{name: row[name] for name in kept},
        shop=shop_from_json(row["shop"]),
        tables=dict(row["tables"]),
        root=root,
        storage_options=options,
    )
