"""Landed = silver + duplicates + quarantined + netted, for every raw table of every batch."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date

from tenure.errors import Refused


@dataclass(frozen=True, kw_only=True)
class Balance:
    """Where a batch's rows of one raw table went: five numbers, each counted where it was written.

    Each of the last four is counted by rule too: a row counts for the rule that took it out and for all that marked or
    changed it. ``reasons`` counts those alone that the rule sent to quarantine.
    """

    table: str
    batch_id: str
    batch_no: int
    landed: int
    silver: int
    duplicates: int
    quarantined: int
    netted: int
    silver_by_rule: dict[str, int] = field(default_factory=dict)
    duplicates_by_rule: dict[str, int] = field(default_factory=dict)
    quarantined_by_rule: dict[str, int] = field(default_factory=dict)
    netted_by_rule: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    newest_day: date | None = None
    cleaning: str = ""

    @property
    def accounted(self) -> int:
        return self.silver + self.duplicates + self.quarantined + self.netted


def check(balances: Iterable[Balance], quarantine_limit: float) -> None:
    """Refuses a batch of which a row is lost or doubled, or too much is quarantined.

    Raises:
        Refused: naming the table, the numbers and what to do.
    """
    for balance in balances:
        _check_equation(balance)
        _check_quarantine(balance, quarantine_limit)


def _check_equation(b: Balance) -> None:
    if b.landed != b.accounted:
        raise Refused(
            f"{b.table}, batch {b.batch_no}: {b.landed:,} rows landed, but {b.silver:,} in silver + {b.duplicates:,} "
            f"duplicates + {b.quarantined:,} quarantined + {b.netted:,} netted are {b.accounted:,}; a writer lost or "
            f"doubled rows: run again, and report it if it stays"
        )


def _check_quarantine(b: Balance, limit: float) -> None:
    if quarantined_share(b.quarantined, b.landed) > limit:
        worst = ", ".join(f"{name} {n:,}" for name, n in sorted(b.reasons.items(), key=lambda item: -item[1])[:3])
        raise Refused(
            f"{b.table}, batch {b.batch_no}: {b.quarantined:,} of {b.landed:,} rows were quarantined, more than "
            f"{limit:.0%} ({worst}); look at control/quarantine, then correct the source's YAML and run again. Where "
            f"they belong there, let them pass once: run again with --set source.quarantine_limit={_at_least(b)} "
            f"before other files are brought; the rows stay in quarantine, and the limit is back the next time"
        )


def quarantined_share(quarantined: int, landed: int) -> float:
    return quarantined / landed if landed else 0.0


def _at_least(b: Balance) -> float:
    return math.ceil(100 * b.quarantined / b.landed) / 100
