"""Landing files as they lie: CSV, JSON lines and Parquet, read into rows that know their place in their file."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import re
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from tenure.config.source import Feed
from tenure.errors import WrongInput
from tenure.spark.column_names import look_like_data, quoted

LANDED = "landed"  # the struct of the columns as they came
UNREADABLE = "unreadable_line"  # of a text file: the line that has not the header's columns
REPLACEMENT = "\ufffd"  # what a decoder writes for bytes that are no text in the file's encoding

# Where a row lies: its file, as Spark names it, the block of the file, and its number within what a task reads.
FILE, BLOCK, PLACE = "_file", "_block", "_place"


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
    names = [name for name in rows.columns if name not in (FILE, BLOCK, PLACE)]
    return rows.select(F.struct(*(_quoted(name) for name in names)).alias(LANDED), FILE, BLOCK, PLACE)


def forms(feed: Feed, paths: Sequence[Path]) -> Mapping[frozenset[str], Path]:
    """The sets of columns, in small letters, that files of a feed hold, each with the first file that holds them.

    Of CSV and Parquet: a line of JSON leaves out what it has no value for.
    """
    found: dict[frozenset[str], Path] = {}
    for path in paths:
        kind = _format(feed, path)
        if kind != "json":
            names = _header(feed, path) if kind == "csv" else _footer(path).names
            found.setdefault(frozenset(name.lower() for name in names), path)
    return found


def has_json(feed: Feed, paths: Sequence[Path]) -> bool:
    return any(_format(feed, path) == "json" for path in paths)


def landed_columns(rows: DataFrame) -> T.StructType:
    landed = rows.schema[LANDED].dataType
    assert isinstance(landed, T.StructType)
    return landed


def is_broken(rows: DataFrame, among: Collection[str] | None = None) -> Column:
    """Whether a text of the row holds what a decoder writes for bytes that are no text in the file's encoding.

    Args:
        among: the landed columns to look at; by default all.
    """
    landed = landed_columns(rows)
    if UNREADABLE not in landed.names:  # Parquet's text is UTF-8 by its own word
        return F.lit(False)
    looked_at = landed if among is None else [field for field in landed if field.name in among]
    texts = [_quoted_in(LANDED, field.name) for field in looked_at if isinstance(field.dataType, T.StringType)]
    return F.concat_ws("", *texts).contains(REPLACEMENT)


def _quoted_in(struct: str, name: str) -> Column:
    return F.col(struct).getField(name)


_BLANK = b" \t\r\n\xef\xbb\xbf\xff\xfe"  # and the byte order marks of UTF-8 and UTF-16
_CHUNK = 1 << 12


def is_empty(path: Path) -> bool:
    """Whether a file holds no byte, or, of text, nothing but blanks."""
    if not path.stat().st_size:
        return True
    with _unpacked(path) as file:
        return not any(chunk.strip(_BLANK) for chunk in iter(lambda: file.read(_CHUNK), b""))


_COMPRESSED: Mapping[str, Callable[[Path], Any]] = {".gz": gzip.open, ".bz2": bz2.open}  # files of bytes
_SUFFIXES = {".csv": "csv", ".txt": "csv", ".tsv": "csv", ".json": "json", ".jsonl": "json", ".parquet": "parquet"}


def _format(feed: Feed, path: Path) -> str:
    if feed.format != "by_suffix":
        return feed.format
    plain = path.with_suffix("") if path.suffix in _COMPRESSED else path
    if plain.suffix not in _SUFFIXES:
        raise WrongInput(f"{path}: no known format; name it {', '.join(_SUFFIXES)}, or say the feed's format")
    return _SUFFIXES[plain.suffix]


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


def _quoted(name: str) -> Column:
    return F.col(f"`{name.replace('`', '``')}`")


def _located(rows: DataFrame, names: Sequence[str], place: Column) -> DataFrame:
    """The columns, and where each row lies: file, block of the file, and its number within what a task reads."""
    return rows.select(
        *(_quoted(name) for name in names),
        F.col("_metadata.file_path").alias(FILE),
        F.col("_metadata.file_block_start").alias(BLOCK),
        place.alias(PLACE),
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
    return [located.withColumn(BLOCK, F.lit(0).cast("long")).withColumns(times)]


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
