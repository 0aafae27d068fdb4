"""One refresh at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from py4j.protocol import Py4JJavaError
from pyspark.sql import SparkSession

from tenure.errors import Busy


@contextmanager
def only_one(spark: SparkSession, path: str) -> Iterator[None]:
    """Holds the file ``path`` locked for as long as the block runs.

    The operating system holds the lock for the JVM, and the JVM alone commits: a lock outlives neither it nor a
    ``kill -9``, and is never free while a commit may still come.

    Raises:
        Busy: if another process holds it.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    jvm = spark.sparkContext._jvm
    assert jvm is not None
    file = jvm.java.io.RandomAccessFile(path, "rw")
    try:
        if not _is_taken(file):
            raise Busy(f"another refresh is running (it holds {path}); wait for it to end, then run again")
        yield
    finally:
        file.close()  # and with it the lock


def _is_taken(file) -> bool:  # type: ignore[no-untyped-def]  # a Java object
    try:
        return file.getChannel().tryLock() is not None
    except Py4JJavaError as error:
        if "OverlappingFileLockException" in str(error.java_exception):  # held by this very JVM
            return False
        raise
