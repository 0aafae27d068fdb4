"""``tenure.privacy.pseudonyms.member_key`` composed from Spark's ``sha2``: no UDF, so rows never leave the JVM."""

from __future__ import annotations

from hashlib import sha256

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from tenure.spark.schema import unwritten_row

_BLOCK = 64  # bytes of a block of SHA-256
_PADS = {"_inner": 0x36, "_outer": 0x5C}
_BESIDE = T.StructType([T.StructField(name, T.BinaryType()) for name in _PADS])


def with_member_key(rows: DataFrame, secret: bytes) -> DataFrame:
    """``rows`` and ``member_key``: first 8 bytes of HMAC-SHA256 of ``member_id`` under ``secret``, as a signed
    big-endian bigint; null for null.

    RFC 2104: ``H(key ^ outer || H(key ^ inner || text))``. The pads, which tell the secret, come as the columns of a
    broadcast row: a literal would stand in the plans that Spark's UI shows and its event log keeps.
    """
    beside = unwritten_row(rows.sparkSession, [_pad(secret, value) for value in _PADS.values()], _BESIDE)
    inner, outer = map(F.col, _PADS)
    message = F.encode(F.col("member_id"), "UTF-8")
    digest = F.sha2(F.concat(outer, F.unhex(F.sha2(F.concat(inner, message), 256))), 256)
    high, low = (F.conv(F.substring(digest, first, 8), 16, 10).cast("bigint") for first in (1, 9))
    key = F.shiftleft(high, 32).bitwiseOR(low)
    return rows.crossJoin(F.broadcast(beside)).withColumn("member_key", key).drop(*_PADS)


def _pad(secret: bytes, value: int) -> bytes:
    key = sha256(secret).digest() if len(secret) > _BLOCK else secret
    return bytes(byte ^ value for byte in key.ljust(_BLOCK, b"\0"))
