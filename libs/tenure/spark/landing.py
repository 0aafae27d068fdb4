"""From landing files to bronze: every row as it came, behind the envelope that says where it came from.

A feed's bronze table, ``bronze/raw_<feed>``, holds the landed columns in one struct, ``landed`` (so that no name of the
shop's meets one of ours), beside ``ENVELOPE``. The source's expressions are applied later, by ``tenure.spark.mapping``:
a mapping that is put right needs no second landing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote, urlparse

from delta.tables import DeltaTable
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from tenure.config.source import Feed, Source
from tenure.contracts.landing import ENVELOPE
from tenure.errors import WrongInput
from tenure.lake.layout import RETENTION, bronze_folder, bronze_path
from tenure.spark import delta
from tenure.spark.landing_files import (
    BLOCK,
    FILE,
    LANDED,
    PLACE,
    UNREADABLE,
    forms,
    has_json,
    is_broken,
    is_empty,
    landed_columns,
    read_files,
)
from tenure.spark.mapping import check_mapping, raw_table, unmade
from tenure.spark.schema import local_rows, spark_type

_ENVELOPE_TYPES = {column.name: spark_type(column.kind) for column in ENVELOPE}


@dataclass(frozen=True, kw_only=True)
class Landing:
    """What one batch brings: the files of every feed that has some; and those that are still being written."""

    source: Source
    folder: Path
    files: Mapping[str, tuple[Path, ...]]
    unfinished: tuple[Path, ...]

    @property
    def batch_id(self) -> str:
        """Sixteen hex digits of what was landed: file names, contents, and how they are read."""
        digest = hashlib.sha256()
        for name, paths in sorted(self.files.items()):  # whatever order the YAML names them in
            feed = self.source.feeds[name]
            digest.update(json.dumps([name, feed.format, feed.encoding, feed.delimiter]).encode())
            for path in paths:
                digest.update(path.relative_to(self.folder).as_posix().encode())
                with path.open("rb") as file:
                    digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()[:16]

    @cached_property
    def empty(self) -> tuple[tuple[str, Path], ...]:
        """Feeds and files of theirs that hold nothing, not even a header: no rows, whatever the format."""
        return tuple((name, path) for name, paths in self.files.items() for path in paths if is_empty(path))

    @cached_property
    def filled(self) -> Mapping[str, tuple[Path, ...]]:
        """The other files, of every feed that has some."""
        empty = set(self.empty)
        rest = {name: tuple(p for p in paths if (name, p) not in empty) for name, paths in self.files.items()}
        return {name: paths for name, paths in rest.items() if paths}


def landing(source: Source) -> Landing:
    """The files below the source's folder that its feeds name.

    Raises:
        WrongInput: if there is none, or none that holds anything.
    """
    folder = source.folder
    matching = {name: _matches(folder, feed.files) for name, feed in source.feeds.items()}
    unfinished = tuple(sorted({path for paths in matching.values() for path in paths if _is_unfinished(path)}))
    found = {name: tuple(p for p in paths if not _is_unfinished(p)) for name, paths in matching.items()}
    if not any(found.values()):
        patterns = ", ".join(pattern for feed in source.feeds.values() for pattern in feed.files)
        but = f" but {_listed(unfinished)}, whose names begin as those of unfinished files do" if unfinished else ""
        raise WrongInput(f"{folder} holds none of {patterns}{but}: put the landing files there, or name their folder")
    files = {name: paths for name, paths in found.items() if paths}
    brought = Landing(source=source, folder=folder, files=files, unfinished=unfinished)
    if not brought.filled:
        names = _listed(sorted({path for paths in brought.files.values() for path in paths}))
        raise WrongInput(f"{folder} holds only empty files ({names}): bring them again, or run when there is something")
    return brought


def _matches(folder: Path, patterns: Sequence[str]) -> tuple[Path, ...]:
    return tuple(sorted({path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}))


def _is_unfinished(path: Path) -> bool:
    """By the custom of Hadoop, to which Spark holds: whoever writes a file gives it another name when it is whole."""
    return path.name.startswith(("_", "."))


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """The part of the envelope that all rows of a batch share."""

    batch_id: str
    batch_no: int
    arrived_on: date | None


@dataclass(frozen=True, kw_only=True)
class Place:
    """A stretch of rows that one task reads: where its rows lie in their batch."""

    file: str  # as Spark names it
    block: int
    first: int  # the reading task's number of its first row
    rows: int
    broken: int  # rows with bytes that are no text
    position: int = 0


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A feed's files, read and fit to be mapped; nothing of them is written yet.

    ``silent``: columns of the raw table that are null in all rows, as no line of JSON has what they are made of.
    """

    name: str
    feed: Feed
    paths: tuple[Path, ...]
    rows: DataFrame
    places: tuple[Place, ...]
    silent: tuple[str, ...]


def open_feed(spark: SparkSession, landing: Landing, name: str, root: str) -> Opened:
    """Looks at all rows of a feed, before anything of any feed is written.

    Raises:
        WrongInput: if a file cannot be read, was damaged, or lacks what the feed reads.
    """
    feed, paths = landing.source.feeds[name], landing.filled[name]
    with _of_files(name, paths):
        rows = read_files(spark, feed, paths)
        _check_forms(rows, name, feed, paths)
        silent: tuple[str, ...] = ()
        path = bronze_path(root, name)
        if has_json(feed, paths) and delta.is_table(spark, path):
            as_landed, rows = rows, _with_keys_of_before(rows, delta.load(spark, path))
            silent = _silent(as_landed, rows, name, feed)
        check_mapping(rows, name, feed)
        places = tuple(_places(rows))
        _check_encoding(landing, name, places)
    return Opened(name=name, feed=feed, paths=paths, rows=rows, places=places, silent=silent)


def land(opened: Opened, folder: Path, arrival: Arrival, root: str, *, from_position: int) -> int:
    """Writes a feed's rows into bronze, in the place of what an earlier try of the same batch left there.

    Returns:
        How many rows were written, counted in the writing pass; their positions run from ``from_position`` on.

    Raises:
        WrongInput: if a column has another type than before; nothing of the feed is written then.
    """
    placed = _placed(opened.places, from_position)
    with _of_files(opened.name, opened.paths):
        return _write(_enveloped(opened.rows, placed, folder, arrival), bronze_path(root, opened.name), arrival)


def clear(spark: SparkSession, root: str, feeds: Iterable[str], arrival: Arrival) -> None:
    """Takes away what an earlier try of a batch left of feeds that bring nothing this time: files that were withdrawn
    meanwhile, under the same ``batch_id``."""
    for feed in feeds:
        path = bronze_path(root, feed)
        where = delta.replaced_where(spark, path, "batch_no", [arrival.batch_no])
        if where is not None:
            DeltaTable.forPath(spark, path).delete(where)


@contextmanager
def _of_files(feed_name: str, paths: Sequence[Path]) -> Iterator[None]:
    """What Spark says of files, as a sentence that says what to do."""
    try:
        yield
    except (PySparkException, Py4JJavaError) as error:
        if not _is_of_files(error):
            raise
        raise WrongInput(_sentence(feed_name, paths, error)) from None


def landed_feeds(spark: SparkSession, root: str) -> list[str]:
    """The feeds of which bronze has a table, also those that no source names any more."""
    feeds = (name.removeprefix("raw_") for name in delta.folders(spark, bronze_folder(root)))
    return [feed for feed in feeds if delta.is_table(spark, bronze_path(root, feed))]


def _with_keys_of_before(rows: DataFrame, before: DataFrame) -> DataFrame:
    """Keys that lines of JSON had in earlier batches, and have in none of this one, are null."""
    there = {field.name.lower() for field in landed_columns(rows)}
    gone = [field for field in landed_columns(before) if field.name.lower() not in there]
    kept = (F.col(LANDED).getField(field.name).alias(field.name) for field in landed_columns(rows))
    nulls = (F.lit(None).cast(field.dataType).alias(field.name) for field in gone)
    return rows.withColumn(LANDED, F.struct(*kept, *nulls)) if gone else rows


def _silent(as_landed: DataFrame, filled: DataFrame, name: str, feed: Feed) -> tuple[str, ...]:
    """The columns of the raw table that only keys of earlier batches let one make.

    Raises:
        WrongInput: where no row can do without one of them, or nobody would be known by name any more: a key that was
            renamed looks the same.
    """
    gone, still_gone = unmade(as_landed, name, feed), unmade(filled, name, feed)
    silent = tuple(column for column in gone if column not in still_gone)
    for column in silent:
        if column == "member_id" or not raw_table(feed).column(column).nullable:
            raise WrongInput(
                f"{gone[column]}. Lines of earlier batches had it; where there is nothing to say tonight, write the "
                "key with null"
            )
    return silent


def _check_forms(rows: DataFrame, name: str, feed: Feed, paths: Sequence[Path]) -> None:
    """What one of several files lacks would be null in each of its rows, and nobody would be told."""
    found = forms(feed, paths)
    if len(found) < 2 and not (found and has_json(feed, paths)):
        return
    for names, path in found.items():
        held = [field.name for field in landed_columns(rows) if field.name.lower() in {*names, UNREADABLE}]
        alone = rows.select(F.struct(*(F.col(LANDED).getField(name).alias(name) for name in held)).alias(LANDED))
        try:
            check_mapping(alone, name, feed)
        except WrongInput as error:
            raise WrongInput(
                f"{path.name} has other columns than the files beside it. {error}. Files of another form may have a "
                f"feed of their own that brings {feed.table} too"
            ) from None


def _places(rows: DataFrame) -> list[Place]:
    """A first look at all rows, which also finds what cannot be read before anything is written."""
    found = rows.groupBy(FILE, BLOCK).agg(
        F.min(PLACE).alias("first"), F.count("*").alias("rows"), F.count_if(is_broken(rows)).alias("broken")
    )
    return [
        Place(file=row[FILE], block=row[BLOCK], first=row["first"], rows=row["rows"], broken=row["broken"])
        for row in found.collect()
    ]


def _placed(places: Sequence[Place], from_position: int) -> list[Place]:
    """The places in the order of files and blocks, each with the position of its first row."""
    placed, position = [], from_position
    for place in sorted(places, key=lambda place: (place.file, place.block)):
        placed.append(Place(**{**place.__dict__, "position": position}))
        position += place.rows
    return placed


def _check_encoding(landing: Landing, feed_name: str, places: Sequence[Place]) -> None:
    # Of all columns, not of those that the feed reads today: bronze keeps them all, and the wrong letters with them.
    rows, broken = sum(place.rows for place in places), sum(place.broken for place in places)
    if broken > landing.source.quarantine_limit * rows:
        feed = landing.source.feeds[feed_name]
        raise WrongInput(
            f"feed {feed_name}: {broken:,} of {rows:,} rows hold bytes that are no {feed.encoding}; "
            f"say the files' encoding, as in feeds.{feed_name}.encoding: ISO-8859-1"
        )


_KNOWN = T.StructType(
    [
        T.StructField(FILE, T.StringType()),
        T.StructField(BLOCK, T.LongType()),
        T.StructField("source_file", T.StringType()),
        T.StructField("shift", T.LongType()),
    ]
)


def _enveloped(rows: DataFrame, places: Sequence[Place], folder: Path, arrival: Arrival) -> DataFrame:
    """The rows behind their envelope. ``places`` are as many as there are files or blocks of files: a broadcast."""
    known = [(p.file, p.block, _relative(p.file, folder), p.position - p.first) for p in places]
    found = local_rows(rows.sparkSession, known, _KNOWN)
    shared = {"batch_id": arrival.batch_id, "batch_no": arrival.batch_no, "arrived_on": arrival.arrived_on}
    return (
        rows.join(F.broadcast(found), [FILE, BLOCK])  # exactly one place a row
        .withColumn("position", F.col(PLACE) + F.col("shift"))
        .withColumns({name: F.lit(value).cast(_ENVELOPE_TYPES[name]) for name, value in shared.items()})
        .select(LANDED, *_ENVELOPE_TYPES)
    )


def _relative(file: str, folder: Path) -> str:
    path = Path(unquote(urlparse(file).path))
    for base in (folder.absolute(), folder.resolve()):  # the folder may be a link
        if path.is_relative_to(base):
            return path.relative_to(base).as_posix()
    return path.name


def _write(rows: DataFrame, path: str, arrival: Arrival) -> int:
    seen, counted = delta.observed(rows)
    where = delta.replaced_where(rows.sparkSession, path, "batch_no", [arrival.batch_no])
    writer = seen.write.format("delta").mode("append" if where is None else "overwrite").option("mergeSchema", True)
    if where is not None:
        writer = writer.option("replaceWhere", where)
    for key, value in _BRONZE.items():
        writer = writer.option(key, value)
    writer.save(path)
    return counted()["rows"]


# Landed names may hold blanks and brackets, which Parquet has no room for.
_BRONZE = {
    "delta.columnMapping.mode": "name",
    "delta.dataSkippingStatsColumns": "batch_no",
    "delta.enableDeletionVectors": "false",
    **RETENTION,
}


_OTHER_TYPE = ("DELTA_FAILED_TO_MERGE_FIELDS", "DELTA_MERGE_INCOMPATIBLE", "CANNOT_MERGE_SCHEMAS")
_UNREADABLE_FILE = ("FAILED_READ_FILE", "CANNOT_READ_FILE_FOOTER", "MALFORMED_RECORD", "PARQUET_CONVERSION_FAILURE")


def _is_of_files(error: PySparkException | Py4JJavaError) -> bool:
    """Whether it lies in what landed, rather than in the disk or in us."""
    return any(condition in str(error) for condition in (*_OTHER_TYPE, *_UNREADABLE_FILE))


def _sentence(feed: str, paths: Sequence[Path], error: PySparkException | Py4JJavaError) -> str:
    if any(condition in str(error) for condition in _OTHER_TYPE):
        what = "a column has another type than before; convert the file to the earlier type and run again"
    else:
        what = "a file cannot be read; repair it or take it away, and run again"
    return f"feed {feed} ({_listed(paths)}): {what}"


def _listed(paths: Sequence[Path]) -> str:
    return ", ".join(path.name for path in paths[:3]) + (", ..." if len(paths) > 3 else "")
