"""``tenure.privacy.pseudonyms.member_key`` composed from Spark's ``sha2``: no UDF, so rows never leave the JVM."""

from __future__ import annotations

from hashlib import sha256

from pyspark.sql import Column
from pyspark.sql import functions as F

_BLOCK = 64  # bytes of a block of SHA-256
_INNER, _OUTER = 0x36, 0x5C


def member_key(member_id: Column, secret: bytes) -> Column:
    """First 8 bytes of HMAC-SHA256 of ``member_id`` under ``secret``, as a signed big-endian bigint; null for null.

    RFC 2104: ``H(key ^ outer || H(key ^ inner || text))``. The pads are made here, so only they stand in the plan, as
    64-byte literals, which the session's redaction keeps out of every plan that is shown.
    """
    inner, outer = (F.lit(bytearray(_pad(secret, value))) for value in (_INNER, _OUTER))
    message = F.encode(member_id, "UTF-8")
    digest = F.sha2(F.concat(outer, F.unhex(F.sha2(F.concat(inner, message), 256))), 256)
    high, low = (F.conv(F.substring(digest, first, 8), 16, 10).cast("bigint") for first in (1, 9))
    return F.shiftleft(high, 32).bitwiseOR(low)


def _pad(secret: bytes, value: int) -> bytes:
    key = sha256(secret).digest() if len(secret) > _BLOCK else secret
    return bytes(byte ^ value for byte in key.ljust(_BLOCK, b"\0"))
