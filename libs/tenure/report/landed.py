"""What landed, what became of it, and by which rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import pyarrow as pa

from tenure.config.source import Known
from tenure.contracts.control import CONSERVATION, QUARANTINE, REPLACED
from tenure.contracts.table import Table
from tenure.errors import Refused
from tenure.lake.release import Release

KEPT, QUARANTINED = "kept, flagged", "quarantined"
_BY_RULE = {"duplicates_by_rule": "duplicate", "quarantined_by_rule": QUARANTINED, "netted_by_rule": "netted"}


@dataclass(frozen=True, kw_only=True)
class Rows:
    """The rows of one raw table, each in one of the last four."""

    table: str
    landed: int
    silver: int
    duplicates: int
    quarantined: int
    netted: int

    @property
    def add_up(self) -> bool:
        return self.landed == self.silver + self.duplicates + self.quarantined + self.netted


@dataclass(frozen=True, kw_only=True)
class RuleCount:
    """How many rows of ``table`` a rule marked, changed or took, and what became of them: once for each fate."""

    table: str
    rule: str
    fate: str
    rows: int
    says: str


@dataclass(frozen=True, kw_only=True)
class Held:
    """A figure that others counted, ``theirs``, and ours, which is None where nothing is counted; ``here`` is what ours
    has to be where it is not theirs."""

    says: str
    theirs: int
    ours: int | None
    here: int | None
    why: str

    @property
    def is_explained(self) -> bool:
        return self.ours is None or self.ours in (self.theirs, self.here)


@dataclass(frozen=True, kw_only=True)
class Landed:
    batches: int
    rows: tuple[Rows, ...]
    rules: tuple[RuleCount, ...]
    held: tuple[Held, ...] = ()
    is_held: bool = False  # whether these are the very files that the figures of ``held`` were counted in

    @property
    def landed(self) -> int:
        return sum(table.landed for table in self.rows)

    @property
    def kept(self) -> int:
        return sum(table.silver for table in self.rows)


def landed(
    release: Release, rule_says: Callable[[str], str], known: Iterable[Known] = (), known_in: str | None = None
) -> Landed:
    """All batches of ``release``; ``rule_says`` tells what each rule means, ``known`` is what others counted in the
    batch ``known_in``."""
    columns = ["table", "batch_id", "landed", "silver", "duplicates", "quarantined", "netted"]
    batches = release.read(CONSERVATION, [*columns, "silver_by_rule", *_BY_RULE])
    rules = tuple(_rules(release, batches, rule_says))
    batch_ids = set(batches["batch_id"].to_pylist())
    return Landed(
        batches=len(batch_ids),
        rows=tuple(_rows(batches)),
        rules=rules,
        held=tuple(_held(release, figure, rules) for figure in known),
        is_held=batch_ids == {known_in},
    )


def refuse_other_counts(landed: Landed) -> None:
    """
    Raises:
        Refused: if a figure is neither what others counted nor what it has to be here, in a release of the very files
            that they counted in.
    """
    other = [figure for figure in landed.held if not figure.is_explained]
    if landed.is_held and other:
        told = "; ".join(
            f"{figure.says}: {figure.ours:,}, not {figure.theirs if figure.here is None else figure.here:,}"
            for figure in other
        )
        raise Refused(f"the release counts otherwise than its source's `known` says: {told}. Mend the rule or the code")


def _held(release: Release, known: Known, rules: Iterable[RuleCount]) -> Held:
    ours = None
    if known.rule is not None:
        ours = sum(rule.rows for rule in rules if rule.rule == known.rule)
    elif known.sql is not None:
        ours = release.figure(known.sql)
    return Held(says=known.says, theirs=known.rows, ours=ours, here=known.here, why=known.why)


def _rows(batches: pa.Table) -> list[Rows]:
    counts = ["landed", "silver", "duplicates", "quarantined", "netted"]
    summed = batches.group_by("table").aggregate([(name, "sum") for name in counts])
    rows = [Rows(table=row["table"], **{name: row[f"{name}_sum"] for name in counts}) for row in summed.to_pylist()]
    return sorted(rows, key=lambda table: -table.landed)


def _rules(release: Release, batches: pa.Table, rule_says: Callable[[str], str]) -> list[RuleCount]:
    fates: Counter[tuple[str, str, str]] = Counter()
    for (table, rule), rows in _counted(batches, "silver_by_rule").items():
        fates[table, rule, KEPT] = rows
    taken = _taken(release, QUARANTINE) + _taken(release, REPLACED)
    for column, fate in _BY_RULE.items():
        for (table, rule), rows in _counted(batches, column).items():
            took = taken[table, rule, fate]
            fates[table, rule, fate] = took
            # Another rule took these: under the same word, a fate's rows by rule would come to more than it has.
            fates[table, rule, f"flagged, then {fate}"] = rows - took
    rules = [
        RuleCount(table=table, rule=rule, fate=fate, rows=rows, says=rule_says(rule))
        for (table, rule, fate), rows in fates.items()
        if rows
    ]
    return sorted(rules, key=lambda rule: (rule.table, -rule.rows))


def _counted(batches: pa.Table, column: str) -> Counter[tuple[str, str]]:
    """Rows by raw table and rule."""
    counted: Counter[tuple[str, str]] = Counter()
    for row in batches.select(["table", column]).to_pylist():
        for rule, rows in dict(row[column] or ()).items():
            counted[row["table"], rule] += rows
    return counted


def _taken(release: Release, table: Table) -> Counter[tuple[str, str, str]]:
    """Rows by raw table, the rule that took them out, and what became of them."""
    columns = ["table", "rule", *(["fate"] if table is REPLACED else [])]
    rows = release.read(table, columns).group_by(columns).aggregate([([], "count_all")]).to_pylist()
    return Counter({(row["table"], row["rule"], row.get("fate", QUARANTINED)): row["count_all"] for row in rows})
