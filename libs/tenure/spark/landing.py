"""From landing files to bronze: every row as it came, behind the envelope that says where it came from.

A feed's bronze table, ``bronze/raw_<feed>``, holds the landed columns in one struct, ``landed`` (so that no name of the
shop's meets one of ours), beside ``ENVELOPE``. The source's expressions are applied later, by ``tenure.spark.mapping``:
a mapping that is put right needs no second landing.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import hashlib
import io
import json
import re
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote, urlparse

import pyarrow as pa
import pyarrow.parquet as pq
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from tenure.config.source import Feed, Source
from tenure.contracts.landing import ENVELOPE
from tenure.errors import WrongInput
from tenure.lake.layout import RETENTION, bronze_folder, bronze_path
from tenure.spark import delta
from tenure.spark.column_names import look_like_data, quoted
from tenure.spark.schema import spark_type

LANDED = "landed"  # the struct of the columns as they came
UNREADABLE = "unreadable_line"  # of a text file: the line that has not the header's columns
REPLACEMENT = "\ufffd"  # what a decoder writes for bytes that are no text in the file's encoding

_FILE, _BLOCK, _PLACE = "_file", "_block", "_place"
_ENVELOPE_TYPES = {column.name: spark_type(column.kind) for column in ENVELOPE}


@dataclass(frozen=True, kw_only=True)
class Landing:
    """What one batch brings: the files of every feed that has some."""

    source: Source
    folder: Path
    files: Mapping[str, tuple[Path, ...]]

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
        return tuple((name, path) for name, paths in self.files.items() for path in paths if _is_empty(path))

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
    found = {name: _matches(folder, feed.files) for name, feed in source.feeds.items()}
    if not any(found.values()):
        patterns = ", ".join(pattern for feed in source.feeds.values() for pattern in feed.files)
        raise WrongInput(f"{folder} holds none of {patterns}: put the landing files there, or name their folder")
    brought = Landing(source=source, folder=folder, files={name: paths for name, paths in found.items() if paths})
    if not brought.filled:
        names = _listed(sorted({path for paths in brought.files.values() for path in paths}))
        raise WrongInput(f"{folder} holds only empty files ({names}): bring them again, or run when there is something")
    return brought


def _matches(folder: Path, patterns: Sequence[str]) -> tuple[Path, ...]:
    return tuple(sorted({path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}))


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


def land(
    spark: SparkSession,
    landing: Landing,
    feed_name: str,
    arrival: Arrival,
    root: str,
    *,
    from_position: int,
    check: Callable[[DataFrame, str, Feed], None],
) -> int:
    """Writes a feed's files into bronze, in the place of what an earlier try of the same batch left there.

    Args:
        check: raises where the rows cannot be worked with; called before anything is written.

    Returns:
        How many rows were written, counted in the writing pass; their positions run from ``from_position`` on.

    Raises:
        WrongInput: if a file cannot be read, or was damaged; nothing of the feed is written then.
    """
    feed = landing.source.feeds[feed_name]
    paths = landing.filled[feed_name]
    try:
        rows = read_files(spark, feed, paths)
        check(rows, feed_name, feed)
        places = _placed(_places(rows), from_position)
        _check_encoding(landing, feed_name, places)
        return _write(_enveloped(rows, feed, places, landing.folder, arrival), bronze_path(root, feed_name), arrival)
    except (PySparkException, Py4JJavaError) as error:
        if not _is_of_files(error):
            raise
        raise WrongInput(_sentence(feed_name, paths, error)) from None


def landed_feeds(spark: SparkSession, root: str) -> list[str]:
    """The feeds of which bronze has a table, also those that no source names any more."""
    feeds = (name.removeprefix("raw_") for name in delta.folders(spark, bronze_folder(root)))
    return [feed for feed in feeds if delta.is_table(spark, bronze_path(root, feed))]


def read_files(spark: SparkSession, feed: Feed, paths: Sequence[Path]) -> DataFrame:
    """The files' rows: ``landed``, and where each row lies in which file.

    Text lands as strings, Parquet in its own types; times of nanoseconds in microseconds.
    """
    by_format: dict[str, list[Path]] = {}
    for path in paths:
        by_format.setdefault(_format(feed, path), []).append(path)
    parts = [
        part
        for kind, group in by_format.items()
        for part in {"csv": _csv, "json": _json, "parquet": _parquet}[kind](spark, feed, group)
    ]
    rows = parts[0]
    for part in parts[1:]:
        rows = rows.unionByName(part, allowMissingColumns=True)
    names = [name for name in rows.columns if name not in (_FILE, _BLOCK, _PLACE)]
    return rows.select(F.struct(*(_quoted(name) for name in names)).alias(LANDED), _FILE, _BLOCK, _PLACE)


_COMPRESSED: Mapping[str, Callable[[Path], Any]] = {".gz": gzip.open, ".bz2": bz2.open}  # files of bytes
_SUFFIXES = {".csv": "csv", ".txt": "csv", ".tsv": "csv", ".json": "json", ".jsonl": "json", ".parquet": "parquet"}


def _format(feed: Feed, path: Path) -> str:
    if feed.format != "by_suffix":
        return feed.format
    plain = path.with_suffix("") if path.suffix in _COMPRESSED else path
    if plain.suffix not in _SUFFIXES:
        raise WrongInput(f"{path}: no known format; name it {', '.join(_SUFFIXES)}, or say the feed's format")
    return _SUFFIXES[plain.suffix]


def _quoted(name: str) -> Column:
    return F.col(f"`{name.replace('`', '``')}`")


def _located(rows: DataFrame, names: Sequence[str], place: Column) -> DataFrame:
    """The columns, and where each row lies: file, block of the file, and its number within what a task reads."""
    return rows.select(
        *(_quoted(name) for name in names),
        F.col("_metadata.file_path").alias(_FILE),
        F.col("_metadata.file_block_start").alias(_BLOCK),
        place.alias(_PLACE),
    )


def _csv(spark: SparkSession, feed: Feed, paths: Sequence[Path]) -> list[DataFrame]:
    """One frame for each header: files may order or lack columns differently."""
    by_header: dict[tuple[str, ...], list[str]] = {}
    for path in paths:
        by_header.setdefault(_header(feed, path), []).append(_literal(path))
    reader = spark.read.options(
        header=True,
        sep=feed.delimiter,
        encoding=feed.encoding,
        multiLine=True,
        escape='"',
        mode="PERMISSIVE",
        columnNameOfCorruptRecord=UNREADABLE,
    )
    frames = []
    for header, group in by_header.items():
        schema = T.StructType([T.StructField(name, T.StringType()) for name in (*header, UNREADABLE)])
        rows = reader.schema(schema).csv(group)
        frames.append(_located(rows, schema.names, F.monotonically_increasing_id()))
    return frames


def _literal(path: Path) -> str:
    """The path as Spark reads it: brackets and the like are part of a name here, while Spark takes them for a glob."""
    return re.sub(r"([\\\[\]{}*?])", r"\\\1", str(path))


def _header(feed: Feed, path: Path) -> tuple[str, ...]:
    encoding = "utf-8-sig" if feed.encoding.upper() in ("UTF-8", "UTF8") else feed.encoding
    try:
        header = _first_line(path, encoding, feed.delimiter)
    except LookupError:
        raise WrongInput(f"{feed.encoding} is no encoding: name one, as in UTF-8, ISO-8859-1 or GB18030") from None
    except csv.Error as error:
        raise WrongInput(f"{path}: its first line is no CSV header ({error}); repair the file and run again") from None
    if not any(name.strip() for name in header):
        raise WrongInput(f"{path}: its first line is blank; name the columns in it and run again")
    repeated = {name for name in header if [other.lower() for other in header].count(name.lower()) > 1}
    if repeated and look_like_data(header):
        raise WrongInput(
            f"{path}: its first line seems to hold data, not names: add a line before it that names the columns, and "
            "run again"
        )
    if repeated:
        names = quoted(sorted(repeated))
        raise WrongInput(f"{path}: its first line names columns twice ({names}); rename one and run again")
    return tuple(name or f"column_{place}" for place, name in enumerate(header))


def _first_line(path: Path, encoding: str, delimiter: str) -> list[str]:
    with _unpacked(path) as file:
        text = io.TextIOWrapper(file, encoding=encoding, errors="replace", newline="")
        return next(csv.reader(text, delimiter=delimiter), [])


_BLANK = b" \t\r\n\xef\xbb\xbf\xff\xfe"  # and the byte order marks of UTF-8 and UTF-16
_CHUNK = 1 << 12


def _is_empty(path: Path) -> bool:
    """Whether a file holds no byte, or, of text, nothing but blanks."""
    if not path.stat().st_size:
        return True
    with _unpacked(path) as file:
        return not any(chunk.strip(_BLANK) for chunk in iter(lambda: file.read(_CHUNK), b""))


@contextmanager
def _unpacked(path: Path) -> Iterator[IO[bytes]]:
    """The file's bytes, those that were packed where it is compressed.

    Raises:
        WrongInput: if it was cut off.
    """
    if path.suffix not in _COMPRESSED:
        with path.open("rb") as file:
            yield file
        return
    try:
        with _COMPRESSED[path.suffix](path) as file:
            yield file
    except (EOFError, OSError, zlib.error) as error:
        raise WrongInput(
            f"{path} is no whole {path.suffix} file, it may have been cut off: bring it again and run again ({error})"
        ) from None


def _json(spark: SparkSession, feed: Feed, paths: Sequence[Path]) -> list[DataFrame]:
    reader = spark.read.options(
        primitivesAsString=True, encoding=feed.encoding, columnNameOfCorruptRecord=UNREADABLE, lineSep="\n"
    )
    names = [_literal(path) for path in paths]
    inferred = reader.json(names).schema
    schema = T.StructType([f for f in inferred if f.name != UNREADABLE]).add(UNREADABLE, T.StringType())
    return [_located(reader.schema(schema).json(names), schema.names, F.monotonically_increasing_id())]


def _parquet(spark: SparkSession, feed: Feed, paths: Sequence[Path]) -> list[DataFrame]:
    fields = {field.name: field for path in paths for field in _footer(path)}
    rows = spark.read.option("mergeSchema", True).parquet(*map(_literal, paths))
    located = _located(rows, rows.columns, F.col("_metadata.row_index"))
    times = {name: _in_microseconds(rows, field) for name, field in fields.items() if _is_in_nanoseconds(field)}
    return [located.withColumn(_BLOCK, F.lit(0).cast("long")).withColumns(times)]


def _footer(path: Path) -> pa.Schema:
    try:
        return pq.read_schema(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise WrongInput(
            f"{path} is no whole Parquet file, it may have been cut off: bring it again and run again ({error})"
        ) from None


def _is_in_nanoseconds(field: pa.Field) -> bool:
    return pa.types.is_timestamp(field.type) and field.type.unit == "ns"


def _in_microseconds(rows: DataFrame, field: pa.Field) -> Column:
    """Spark reads times of nanoseconds as integers, and those of the old 96-bit kind as times."""
    is_integer = isinstance(rows.schema[field.name].dataType, T.LongType)
    moment = (
        F.timestamp_micros(F.call_function("div", _quoted(field.name), F.lit(1000)))
        if is_integer
        else _quoted(field.name)
    )
    return moment if field.type.tz else moment.cast(T.TimestampNTZType())  # the session's zone is UTC


def _places(rows: DataFrame) -> list[Place]:
    """A first look at all rows, which also finds what cannot be read before anything is written."""
    found = rows.groupBy(_FILE, _BLOCK).agg(
        F.min(_PLACE).alias("first"), F.count("*").alias("rows"), F.count_if(is_broken(rows)).alias("broken")
    )
    return [
        Place(file=row[_FILE], block=row[_BLOCK], first=row["first"], rows=row["rows"], broken=row["broken"])
        for row in found.collect()
    ]


def is_broken(rows: DataFrame, among: Collection[str] | None = None) -> Column:
    """Whether a text of the row holds what a decoder writes for bytes that are no text in the file's encoding.

    Args:
        among: the landed columns to look at; by default all.
    """
    landed = rows.schema[LANDED].dataType
    assert isinstance(landed, T.StructType)
    if UNREADABLE not in landed.names:  # Parquet's text is UTF-8 by its own word
        return F.lit(False)
    looked_at = landed if among is None else [field for field in landed if field.name in among]
    texts = [_quoted_in(LANDED, field.name) for field in looked_at if isinstance(field.dataType, T.StringType)]
    return F.concat_ws("", *texts).contains(REPLACEMENT)


def _quoted_in(struct: str, name: str) -> Column:
    return F.col(struct).getField(name)


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


def _enveloped(rows: DataFrame, feed: Feed, places: Sequence[Place], folder: Path, arrival: Arrival) -> DataFrame:
    """The rows behind their envelope. ``places`` are as many as there are files or blocks of files: a broadcast."""
    known = [(p.file, p.block, _relative(p.file, folder), p.position - p.first) for p in places]
    schema = f"{_FILE} string, {_BLOCK} bigint, source_file string, shift bigint"
    found = rows.sparkSession.createDataFrame(known, schema)
    shared = {"batch_id": arrival.batch_id, "batch_no": arrival.batch_no, "arrived_on": arrival.arrived_on}
    return (
        rows.join(F.broadcast(found), [_FILE, _BLOCK])  # exactly one place a row
        .withColumn("position", F.col(_PLACE) + F.col("shift"))
        .withColumns({name: F.lit(value).cast(_ENVELOPE_TYPES[name]) for name, value in shared.items()})
        .select(LANDED, *_ENVELOPE_TYPES)
    )


def _relative(file: str, folder: Path) -> str:
    path = Path(unquote(urlparse(file).path))
    return path.relative_to(folder.resolve()).as_posix() if path.is_relative_to(folder.resolve()) else path.name


def _write(rows: DataFrame, path: str, arrival: Arrival) -> int:
    seen, counted = delta.observed(rows)
    writer = seen.write.format("delta").mode("overwrite")
    writer = writer.option("replaceWhere", f"batch_no = {arrival.batch_no}").option("mergeSchema", True)
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
