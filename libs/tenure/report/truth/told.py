"""How the truth is read: the columns asked for, of the days asked for, members by their pseudonym.

The truth names members by the shop's ids. They are replaced by ``member_key`` here, so that none goes any further.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds

from tenure.contracts.silver import MEMBER_IDENTITIES
from tenure.contracts.table import Table
from tenure.contracts.truth import TRUE_MEMBERS
from tenure.errors import WrongInput
from tenure.lake.release import Release
from tenure.lake.schema import arrow


class Told:
    """The truth tables below ``folder``, as a simulation wrote them: ``TABLE/DAY/part-NNNNN.parquet``.

    Raises:
        WrongInput: if no truth lies there.
    """

    def __init__(self, folder: Path, release: Release) -> None:
        if not (folder / TRUE_MEMBERS.name).is_dir():
            raise WrongInput(f"{folder} holds no truth; name the folder truth/ of a simulation, or leave it out")
        self._folder, self._release = folder, release

    def days(self, table: Table) -> list[date]:
        """The days of which a table tells, ascending."""
        folder = self._folder / table.name
        return sorted(date.fromisoformat(day.name) for day in folder.iterdir()) if folder.is_dir() else []

    def rows(self, table: Table, columns: list[str], days: list[date] | None = None) -> pa.Table:
        """The columns of a table, of some days or of all."""
        folders = [self._folder / table.name / day.isoformat() for day in (self.days(table) if days is None else days)]
        files = [str(file) for folder in folders for file in sorted(folder.glob("*.parquet"))]
        return ds.dataset(files, schema=arrow(table), format="parquet").to_table(columns=columns)

    def of_members(self, table: Table, columns: list[str], days: list[date] | None = None) -> pa.Table:
        """The same with ``member_key``, of those whom the product knows."""
        ids = self._release.read(MEMBER_IDENTITIES, ["member_id", "member_key"])
        rows = self.rows(table, ["member_id", *columns], days)
        return rows.join(ids, "member_id", join_type="inner").drop_columns(["member_id"])  # one key an id
