"""The member's pseudonym; ``tenure.spark.pseudonyms`` composes the same of ``sha2``, and a test holds both equal."""

from __future__ import annotations

import hmac


def member_key(member_id: str, secret: bytes) -> int:
    """First 8 bytes of the HMAC-SHA256 (RFC 2104) of the shop's id under ``secret``, as a signed big-endian integer."""
    digest = hmac.digest(secret, member_id.encode("utf-8"), "sha256")
    return int.from_bytes(digest[:8], "big", signed=True)


def told_apart(secret: bytes) -> str:
    """Sixteen hex digits that differ for two secrets, and from which none can be told."""
    return hmac.digest(secret, b"which secret the member keys are made with", "sha256").hex()[:16]
