"""Releases from the jobs' side: the way back to the last one, and the row that makes the next one."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from pyspark.sql import Row, SparkSession
from pyspark.sql import functions as F

from tenure.config.source import Source
from tenure.config.version import code_version
from tenure.contracts.control import BATCHES, CONSERVATION, QUARANTINE, RELEASES, REPLACED
from tenure.contracts.gold import gold_tables
from tenure.contracts.shop import Shop, shop_to_json
from tenure.contracts.silver import SILVER_TABLES
from tenure.contracts.table import Table
from tenure.errors import Busy
from tenure.lake.layout import bronze_path, table_path
from tenure.lifecycle.calendar import newest_as_of
from tenure.spark import delta
from tenure.spark.night import RESTORED, Night, emptied, marked, newest_mark, user_metadata
from tenure.spark.schema import local_rows, struct

log = logging.getLogger(__name__)
_STAMP, _APART = "%Y%m%dT%H%M%S", timedelta(milliseconds=1)  # of a release's id


def rebuilt_tables(shop: Shop) -> tuple[Table, ...]:
    """What a refresh makes from bronze; bronze itself only grows."""
    return (*SILVER_TABLES, QUARANTINE, REPLACED, CONSERVATION, *gold_tables(shop))


def last_release(spark: SparkSession, root: str) -> Row | None:
    if not delta.exists(spark, root, RELEASES):
        return None
    return delta.read(spark, root, RELEASES).orderBy(F.col("release_id").desc()).first()


def roll_back(spark: SparkSession, root: str, tables: Iterable[Table], release: Row | None) -> tuple[str, ...]:
    """Brings every table to the version that the release names, and empties those it does not know: what a killed or
    refused refresh left is made again. The names of the tables that had to go back."""
    versions: Mapping[str, int] = release["tables"] if release else {}
    return tuple(
        table.name
        for table in tables
        if delta.exists(spark, root, table) and _went_back(spark, root, table, versions.get(table.name))
    )


def _went_back(spark: SparkSession, root: str, table: Table, version: int | None) -> bool:
    if version is None:
        return emptied(spark, root, table)
    # Going back is a commit of its own: without its mark every refresh until the next release would go back again.
    if delta.version(spark, root, table) == version or newest_mark(spark, root, table).get(RESTORED) == version:
        return False
    mark = json.loads(user_metadata(spark, root, table, version) or "{}")
    with marked(spark, json.dumps(mark | {RESTORED: version})):
        delta.restore(spark, root, table, version)
    return True


def versions(spark: SparkSession, root: str, source: Source) -> dict[str, int]:
    """The version of every table that a release names, as they are now."""
    paths = {f"raw_{feed}": bronze_path(root, feed) for feed in source.feeds}
    paths |= {table.name: table_path(root, table) for table in (BATCHES, *rebuilt_tables(source.shop))}
    return {name: delta.version_at(spark, path) for name, path in paths.items() if delta.is_table(spark, path)}


def write_release(build: Night, source: Source, released_at: datetime, *, after: Row | None) -> str:
    """One row, in one commit: from here on everybody sees this night. Its id.

    Args:
        after: the release that the night began with; none before the first.

    Raises:
        Busy: if another one was written meanwhile, whose job may have rolled back what this night wrote.
    """
    _check_newest(last_release(build.spark, build.root), after)
    released_at = _later(released_at, after)
    release_id = f"{released_at:{_STAMP}.%f}"[:-3] + f"Z-{uuid.uuid4().hex[:6]}"
    row = {
        "release_id": release_id,
        "released_at": released_at,
        "source": source.name,
        "tables": versions(build.spark, build.root, source),
        "fingerprint": build.fingerprint,
        "shop": shop_to_json(build.shop),
        "code_version": code_version(),
        "last_complete_day": build.last_complete_day,
        "newest_as_of": newest_as_of(build.last_complete_day),
        "through_batch": build.through_batch,
    }
    rows = local_rows(build.spark, [tuple(row[name] for name in RELEASES.names)], struct(RELEASES))
    delta.append(rows, build.root, RELEASES)
    return release_id


def _later(now: datetime, after: Row | None) -> datetime:
    """Now, or right after the release before, where that was written by a clock which is ahead of this one: the newest
    id is the release that everybody reads."""
    if after is None:
        return now
    before = datetime.strptime(after["release_id"].partition("Z")[0], f"{_STAMP}.%f").replace(tzinfo=UTC)
    if now - before >= _APART:
        return now
    log.warning("release %s is of a later time than now: are the clocks of all hosts right?", after["release_id"])
    return before + _APART


def _check_newest(newest: Row | None, after: Row | None) -> None:
    # Of a lake at a URL the lock lies in the work folder, so jobs with two work folders do not see each other.
    if newest and (after is None or newest["release_id"] != after["release_id"]):
        raise Busy(
            f"another job wrote release {newest['release_id']} into this lake while this night ran, so this one is not "
            "released: give all jobs of the lake the same env.work, then run again"
        )
