"""What the shipped cleaning rules found of the faults that were injected, and what they took that was right.

A rule is judged by landed rows: of those that it took out, changed or marked, how many were faulty in its way
(precision), and of those that were faulty in its way, how many it found (recall). Everything else that it touched is a
false positive, whatever else may have been wrong with it; but for honest returns that the rule for returns without a
sale touched because a fault had struck their sale. No rule could tell them apart, so they count neither way.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tenure.contracts.landing import RAW_ORDERS
from tenure.contracts.rules import EXACT_DUPLICATE, RETURN_WITHOUT_SALE
from tenure.contracts.truth import LATE_FILE, NO_RULE, SALE_STRUCK, TRUE_FAULTS
from tenure.lake.release import Release
from tenure.report.curves import Curve, Floats, precision_recall
from tenure.report.truth.lines import Lines, order_lines
from tenure.report.truth.measures import MEASURES, Measured
from tenure.report.truth.told import Told

GOAL = 0.99  # precision and recall, each, of what can be told apart
GOAL_OF_BEST = 0.9  # the shipped limit's F1 by that of the best rule that reads the same number, of what cannot
COPY = EXACT_DUPLICATE  # the fault, and the rule that finds it: one row of each number is right


@dataclass(frozen=True, kw_only=True)
class Overlap:
    """For a fault that reaches among honest rows: precision by recall as the rule's limit moves.

    ``best`` is the highest F1 that any rule can have which reads what the limit is set on and knows the truth; it is
    given the same rows to learn from, so it is a little too good. ``x`` is recall, ``y`` precision.
    """

    says: str
    curve: Curve
    best: float
    best_at: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class JudgedRule:
    """``found`` of ``injected`` faults, in ``touched`` rows, of which ``consequences`` are of a fault in another row.
    ``overlap`` where the fault cannot be told apart."""

    rule: str
    faults: tuple[str, ...]
    separable: bool
    injected: int
    touched: int
    found: int
    consequences: int = 0
    overlap: Overlap | None = None

    @property
    def false_positives(self) -> int:
        """Rows that it touched and that were not faulty in its way."""
        return self.touched - self.consequences - self.found

    @property
    def precision(self) -> float:
        """1 for a rule that touched nothing else than consequences: nothing that it said was wrong."""
        judged = self.touched - self.consequences
        return self.found / judged if judged else 1.0

    @property
    def recall(self) -> float:
        return self.found / self.injected

    @property
    def f1(self) -> float:
        return f1(self.precision, self.recall)

    @property
    def of_best(self) -> float | None:
        """The shipped rule's F1 by that of the best rule that reads the same number."""
        return self.f1 / self.overlap.best if self.overlap and self.overlap.best else None

    @property
    def is_met(self) -> bool:
        if self.of_best is not None:
            return self.of_best >= GOAL_OF_BEST
        return min(self.precision, self.recall) >= GOAL


@dataclass(frozen=True, kw_only=True)
class CleanRows:
    """Rows in which nothing is wrong, the first of equal ones among them: how many each rule took out of silver, and
    how many are nowhere. ``late`` ones came days after their day, and no rule should mind. ``sale_struck`` ones are
    returns whose sale a fault took out or moved."""

    landed: int
    taken: dict[str, int]
    lost: int
    late: int
    late_taken: dict[str, int]
    sale_struck: int
    sale_struck_taken: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class TrueCleaning:
    rules: tuple[JudgedRule, ...]
    clean: CleanRows


def true_cleaning(told: Told, release: Release) -> TrueCleaning | None:
    """Of all order lines that landed; None where no fault was injected."""
    columns = ["table", "export_id", "fault", "rule", "is_separable"]
    struck = told.rows(TRUE_FAULTS, columns)
    struck = struck.filter(pc.equal(struck["table"], RAW_ORDERS.name))
    if not struck.num_rows:
        return None
    lines = order_lines(release)
    rules = [rule for rule in sorted(pc.unique(struck["rule"]).to_pylist()) if rule != NO_RULE]
    judged = (_judged(rule, struck, lines, release) for rule in rules)
    return TrueCleaning(
        rules=tuple(sorted(judged, key=lambda rule: (not rule.separable, rule.rule))), clean=_clean_rows(struck, lines)
    )


def _judged(rule: str, struck: pa.Table, lines: Lines, release: Release) -> JudgedRule:
    mine = struck.filter(pc.equal(struck["rule"], rule))
    faults = tuple(sorted(pc.unique(mine["fault"]).to_pylist()))
    faulty = np.unique(mine["export_id"].to_numpy())
    touched = lines.ids(lines.touched(rule))
    orphans = np.isin(touched, _ids(struck, SALE_STRUCK))
    measure = next((MEASURES[fault] for fault in faults if fault in MEASURES), None)
    return JudgedRule(
        rule=rule,
        faults=faults,
        separable=bool(pc.all(mine["is_separable"]).as_py()),
        injected=len(faulty),
        touched=len(touched),
        found=len(np.intersect1d(touched, faulty)),  # of equal rows one is to be taken, a second one is not
        consequences=int(orphans.sum()) if rule == RETURN_WITHOUT_SALE else 0,
        overlap=overlap(measure.says, measure.of(release), faulty) if measure else None,
    )


def overlap(says: str, measured: Measured, faulty: np.ndarray) -> Overlap:
    """What moving the limit gains and loses, and the best that could be done by the same measure."""
    is_faulty = np.isin(measured.export_id, faulty).astype(np.float64)
    curve = precision_recall(is_faulty, measured.size, ones=len(faulty))
    knowing = precision_recall(is_faulty, _share_of_cell(measured.cell, is_faulty), ones=len(faulty))
    found = np.concatenate([_f1(part) for part in (curve, knowing)])
    best = int(np.argmax(found))
    x, y = (np.concatenate([getattr(part, axis) for part in (curve, knowing)])[best] for axis in ("x", "y"))
    return Overlap(says=says, curve=curve, best=float(found[best]), best_at=(float(x), float(y)))


def _share_of_cell(cell: np.ndarray, is_faulty: Floats) -> Floats:
    """How much of what looks like each row (n,) is faulty: the likelihood ratio, which no other order of rows beats."""
    _, place = np.unique(cell, return_inverse=True)
    share: Floats = (np.bincount(place, is_faulty) / np.bincount(place))[place]
    return share


def f1(precision: float, recall: float) -> float:
    """The harmonic mean of both, 0 where both are."""
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _f1(curve: Curve) -> Floats:
    both = curve.x + curve.y
    return np.divide(2 * curve.x * curve.y, both, out=np.zeros_like(both), where=both > 0)


def _clean_rows(struck: pa.Table, lines: Lines) -> CleanRows:
    late, copied = _ids(struck, LATE_FILE), _ids(struck, COPY)
    is_right = pc.is_in(struck["fault"], pa.array([LATE_FILE, SALE_STRUCK, COPY]))
    wrong = np.unique(struck.filter(pc.invert(is_right))["export_id"].to_numpy())
    orphans = np.setdiff1d(_ids(struck, SALE_STRUCK), wrong)
    gone = np.setdiff1d(copied, lines.ids(lines.kept))  # every copy of them
    taken = {rule: _right_ones(rule, lines.ids(rows), wrong, copied, gone) for rule, rows in lines.taken.items()}
    is_single = ~np.isin(lines.export_id, np.concatenate([wrong, copied]))
    return CleanRows(
        landed=int(is_single.sum()) + len(copied),
        taken=_where_any({rule: len(right) for rule, right in taken.items()}),
        lost=int((~np.isin(lines.ids(lines.lost), wrong)).sum()),
        late=len(late),
        late_taken=_where_any(_of(late, taken)),
        sale_struck=len(orphans),
        sale_struck_taken=_where_any(_of(orphans, taken)),
    )


def _of(ids: np.ndarray, taken: dict[str, np.ndarray]) -> dict[str, int]:
    return {rule: int(np.isin(right, ids).sum()) for rule, right in taken.items()}


def _where_any(rows: dict[str, int]) -> dict[str, int]:
    return {rule: count for rule, count in sorted(rows.items()) if count}


def _ids(struck: pa.Table, *faults: str) -> np.ndarray:
    of = pc.is_in(struck["fault"], pa.array(faults))
    return struck.filter(of)["export_id"].to_numpy()


def _right_ones(rule: str, ids: np.ndarray, wrong: np.ndarray, copied: np.ndarray, gone: np.ndarray) -> np.ndarray:
    """The export ids of right rows among those with these, which a rule took. Of equal rows one is right, and it was
    not the duplicate that took it."""
    singles = ids[~np.isin(ids, np.concatenate([wrong, copied]))]
    return singles if rule == COPY else np.concatenate([singles, np.intersect1d(ids, gone)])
