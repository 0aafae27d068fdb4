"""What the by-hand way of P15 knows of its shop, and the keys that its tables share."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

MEMBER_DAY = ["member_key", "day"]
VERSION = [*MEMBER_DAY, "known_on"]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What the shop's YAML says, as one would copy it into a script."""

    landing: Path
    to: Path
    secret: bytes
    categories: tuple[str, ...]
    windows: tuple[int, ...]  # ascending
    activity_days: int
    horizon_days: int
    as_of: tuple[date, ...]
    matured: tuple[date, ...]
