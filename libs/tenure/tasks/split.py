"""Who learns, who chooses, who judges: a value that says the part of any row, never a table.

Days are int32 days since 1970 where they come in arrays. Shapes: N rows.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Literal, Protocol

import numpy as np

from tenure.errors import Refused

Part = Literal["train", "validation", "test"]
PARTS: tuple[Part, ...] = ("train", "validation", "test")
EPOCH = date(1970, 1, 1)


class Split(Protocol):
    """Where rows belong."""

    def part(self, member_key: int, as_of: date) -> Part | None:
        """The part of a row; None for a row of none."""

    def parts(self, member_keys: np.ndarray, as_of: np.ndarray) -> np.ndarray:
        """(N,) positions in ``PARTS``, -1 for none, of (N,) int64 keys and (N,) days."""

    def days(self, part: Part) -> tuple[date | None, date | None]:
        """First and last ``as_of`` that the part may hold; None where it is open."""

    def says(self) -> dict[str, object]:
        """The split as plain values, for the manifest."""


@dataclass(frozen=True, kw_only=True)
class ByTime:
    """Earlier days train, later ones judge."""

    train_until: date
    validation: tuple[date, ...]
    test: tuple[date, ...]

    def part(self, member_key: int, as_of: date) -> Part | None:
        if as_of <= self.train_until:
            return "train"
        return "validation" if as_of in self.validation else "test" if as_of in self.test else None

    def parts(self, member_keys: np.ndarray, as_of: np.ndarray) -> np.ndarray:
        chosen = np.full(len(as_of), -1)
        for day in np.unique(as_of):
            part = self.part(0, EPOCH + timedelta(days=int(day)))
            chosen[as_of == day] = -1 if part is None else PARTS.index(part)
        return chosen

    def days(self, part: Part) -> tuple[date | None, date | None]:
        if part == "train":
            return None, self.train_until
        named = self.validation if part == "validation" else self.test
        return min(named), max(named)

    def says(self) -> dict[str, object]:
        return {
            "by": "time",
            "train_until": str(self.train_until),
            "validation": [str(day) for day in self.validation],
            "test": [str(day) for day in self.test],
        }


@dataclass(frozen=True, kw_only=True)
class ByMember:
    """Seven members of ten train, two validate, one judges, by HMAC-SHA256 of the key under ``salt``."""

    salt: str = field(repr=False)
    shares: Mapping[Part, int] = field(default_factory=lambda: {"train": 7, "validation": 2, "test": 1})

    def part(self, member_key: int, as_of: date) -> Part | None:
        digest = hmac.digest(self.salt.encode(), member_key.to_bytes(8, "big", signed=True), "sha256")
        place = int.from_bytes(digest[:8], "big") % sum(self.shares.values())
        for part in PARTS:
            place -= self.shares[part]
            if place < 0:
                return part
        return None

    def parts(self, member_keys: np.ndarray, as_of: np.ndarray) -> np.ndarray:
        keys, rows = np.unique(member_keys, return_inverse=True)
        of_key = [self.part(int(key), EPOCH) for key in keys]
        return np.array([-1 if part is None else PARTS.index(part) for part in of_key], np.int64)[rows]

    def days(self, part: Part) -> tuple[date | None, date | None]:
        return None, None

    def says(self) -> dict[str, object]:
        # The salt stays out: whoever knows it can tell who was trained on. Its digest tells one draw from another.
        drawn = hashlib.sha256(self.salt.encode()).hexdigest()[:16]
        return {"by": "member", "shares": dict(self.shares), "drawn": drawn}


@dataclass(frozen=True, kw_only=True)
class ByBoth:
    """A row belongs to a part only where its day and its member do."""

    time: ByTime
    member: ByMember

    def part(self, member_key: int, as_of: date) -> Part | None:
        part = self.time.part(member_key, as_of)
        return part if part == self.member.part(member_key, as_of) else None

    def parts(self, member_keys: np.ndarray, as_of: np.ndarray) -> np.ndarray:
        by_time = self.time.parts(member_keys, as_of)
        return np.where(by_time == self.member.parts(member_keys, as_of), by_time, -1)

    def days(self, part: Part) -> tuple[date | None, date | None]:
        return self.time.days(part)

    def says(self) -> dict[str, object]:
        return {**self.member.says(), **self.time.says(), "by": "time and member"}


def refuse_overlap(split: Split, as_of: Sequence[date], horizon_days: int) -> None:
    """Stops where a part's labels look into the days of the next part.

    Args:
        as_of: the days of which there are rows.

    Raises:
        Refused: naming both parts; or a part that has no day.
    """
    if isinstance(split, ByMember):
        return  # parts share their days and no member
    time = split.time if isinstance(split, ByBoth) else split
    days = {part: [day for day in as_of if time.part(0, day) == part] for part in PARTS}
    for part, held in days.items():
        if not held:
            raise Refused(f"no labels for the {part} part: choose days of the grid in the source's split")
    for earlier, later in itertools.pairwise(PARTS):
        matured = max(days[earlier]) + timedelta(days=horizon_days - 1)
        if matured >= min(days[later]):
            raise Refused(
                f"labels of the {earlier} part look as far as {matured}, into the {later} part from {min(days[later])} "
                f"on: leave {horizon_days} days between them in the source's split"
            )
