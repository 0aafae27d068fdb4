"""One writer at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from urllib.parse import unquote, urlparse

from py4j.protocol import Py4JJavaError
from pyspark.sql import SparkSession

from tenure.config.env import Env
from tenure.errors import Busy

# What the job that runs here holds already: a refresh calls the jobs that also run alone.
_HELD: ContextVar[frozenset[str]] = ContextVar("held", default=frozenset())


@contextmanager
def only_writer(spark: SparkSession, env: Env) -> Iterator[None]:
    """Holds the lake of ``env``, by the file ``lock_path``, for as long as the block runs.

    Raises:
        Busy: if another job does.
    """
    with only_one(spark, lock_path(env)):
        yield


def lock_path(env: Env) -> str:
    """In the lake, where all who write to it meet, whatever their work folders and however they spell its path. An
    object store has no locks: of a lake at a URL it lies in the work folder, which its jobs have to share."""
    root = env.lake_root
    if root.startswith("file://"):
        root = unquote(urlparse(root).path)
    return f"{env.work if '://' in root else root}/writer.lock"


@contextmanager
def only_one(spark: SparkSession, path: str) -> Iterator[None]:
    """Holds the file ``path`` locked for as long as the block runs; a block within holds it too.

    The operating system holds the lock for the JVM, and the JVM alone commits: a lock outlives neither it nor a
    ``kill -9``, and is never free while a commit may still come.

    Raises:
        Busy: if another process, or another run in this one, holds it.
    """
    if path in _HELD.get():
        yield
        return
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    jvm = spark.sparkContext._jvm
    assert jvm is not None
    file = jvm.java.io.RandomAccessFile(path, "rw")
    try:
        if not _is_taken(file):
            raise Busy(f"another job is writing to this lake (it holds {path}); wait for it to end, then run again")
        held = _HELD.set(_HELD.get() | {path})
        try:
            yield
        finally:
            _HELD.reset(held)
    finally:
        file.close()  # and with it the lock


def _is_taken(file) -> bool:  # type: ignore[no-untyped-def]  # a Java object
    try:
        return file.getChannel().tryLock() is not None
    except Py4JJavaError as error:
        if "OverlappingFileLockException" in str(error.java_exception):  # held by this very JVM
            return False
        raise
