"""Where tables lie below the lake's root, a folder a layer, a folder a table, and how long their versions stay."""

from __future__ import annotations

from tenure.contracts.table import Layer, Table

# Delta's table properties. A release names versions of tables, and is read for as long as a model that was trained on
# it may have to be trained again: a year and a month. Delta itself keeps a version for thirty days, and its files for
# seven.
RETENTION = {
    "delta.logRetentionDuration": "interval 400 days",
    "delta.deletedFileRetentionDuration": "interval 400 days",
}


def table_path(root: str, table: Table) -> str:
    """``root`` may be a folder or a URL."""
    return f"{root.rstrip('/')}/{table.layer.value}/{table.name}"


def bronze_folder(root: str) -> str:
    """The tables of all feeds that ever landed."""
    return f"{root.rstrip('/')}/{Layer.BRONZE.value}"


def bronze_path(root: str, feed: str) -> str:
    """A feed's rows as they landed."""
    return f"{bronze_folder(root)}/raw_{feed}"
