"""How well anybody could have told who will not order, on the very rows that the churn model was judged on.

Shapes: N rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pyarrow as pa

from tenure.contracts.truth import TRUE_STATES
from tenure.report.curves import Floats, roc_auc
from tenure.report.judged import Predictions
from tenure.report.truth.told import Told

GOAL = 0.97  # of the way from chance to the best
_CHANCES = ["no_order_given_hidden", "no_order_given_history"]


@dataclass(frozen=True, kw_only=True)
class BestChurn:
    """ROC AUCs. ``given_hidden`` bounds every model, ``given_history`` every model that reads orders: leaving is not an
    event that a shop records. Both are expected values; ``scores`` are of the true chances, and of the models by name,
    as rows went in fact. All are of the ``rows`` whose truth is told, ``of`` those that were judged."""

    rows: int
    of: int
    given_hidden: float
    given_history: float
    scores: dict[str, float]

    def reached(self, auc: float, best: float | None = None) -> float:
        """How far an AUC is on the way from chance to the best one; 0 where that is chance itself."""
        way = (self.given_hidden if best is None else best) - 0.5
        return (auc - 0.5) / way if way else 0.0


def best_churn(told: Told, predicted: Predictions) -> BestChurn | None:
    """Of the rows of the test part, pooled as the model is judged; None where no truth is told of their days."""
    days = sorted(set(predicted.as_of.tolist()) & {_number(day) for day in told.days(TRUE_STATES)})
    if not days:
        return None
    states = told.of_members(TRUE_STATES, ["as_of", *_CHANCES], [_day(day) for day in days])
    at = predicted.as_of.astype(np.int32)
    asked = pa.table({"member_key": predicted.member_key, "as_of": at, "row": np.arange(len(predicted))})
    states = states.set_column(states.column_names.index("as_of"), "as_of", states["as_of"].cast(pa.int32()))
    found = asked.join(states, ["member_key", "as_of"], join_type="inner")  # one state a member and day
    row = found["row"].to_numpy()
    hidden, history = (found[name].to_numpy() for name in _CHANCES)
    scores = {"given_hidden": hidden, "given_history": history}
    scores |= {name: score[row] for name, score in predicted.scores.items()}
    return BestChurn(
        rows=len(row),
        of=len(predicted),
        given_hidden=expected_auc(hidden),
        given_history=expected_auc(history),
        scores={name: roc_auc(predicted.label[row], score) for name, score in scores.items()},
    )


def expected_auc(chance: Floats) -> float:
    """The expected ROC AUC of chances (N,) as scores, when each outcome is drawn by its own chance.

    No score of the same rows has a higher expectation: it orders pairs by their likelihood ratio (Neyman and Pearson
    1933). A pair is two different rows, ties count a half; 0.5 where there is no pair to order.
    """
    _, place = np.unique(chance, return_inverse=True)
    silent, talking = np.bincount(place, chance), np.bincount(place, 1.0 - chance)
    both = np.bincount(place, chance * (1.0 - chance))
    right = np.sum(silent * (np.cumsum(talking) - talking)) + 0.5 * np.sum(silent * talking - both)
    pairs = silent.sum() * talking.sum() - both.sum()
    return float(right / pairs) if pairs > 0 else 0.5


def _number(day: date) -> int:
    return (day - date(1970, 1, 1)).days


def _day(number: int) -> date:
    return date(1970, 1, 1) + timedelta(days=number)
