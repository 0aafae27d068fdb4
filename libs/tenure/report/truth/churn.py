"""How well anybody could have told who will not order, on the very rows that the churn model was judged on.

The bounds are of the true event, that no order is placed in the horizon. The label is another one: no visit in it of
which something is still kept today. ``TrueEvent`` says by how much they differ.

Shapes: N rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pyarrow as pa

from tenure.contracts.table import Table
from tenure.contracts.truth import TRUE_OUTCOMES, TRUE_STATES
from tenure.report.curves import Floats, roc_auc
from tenure.report.judged import Predictions
from tenure.report.truth.told import Told

GOAL = 0.97  # of the way from chance to the best
_CHANCES = ["no_order_given_hidden", "no_order_given_history"]


@dataclass(frozen=True, kw_only=True)
class TrueEvent:
    """Of ``rows`` of which it is told whether an order was placed: how many the label calls silent though one was, how
    many it does not though none was; and ROC AUCs of ``scores`` by name, judged on the true event."""

    rows: int
    silent_by_label_alone: int
    silent_in_truth_alone: int
    scores: dict[str, float]

    @property
    def differ(self) -> float:
        """The share of rows of which the label is not the true event."""
        return (self.silent_by_label_alone + self.silent_in_truth_alone) / self.rows


@dataclass(frozen=True, kw_only=True)
class BestChurn:
    """ROC AUCs. ``given_hidden`` bounds every model, ``given_history`` every model that reads orders alone: who has
    left stops browsing, too, which a shop's events tell. Both are expected values, of the true event; ``scores`` are of
    the true chances, and of the models by name, as the label went in fact. All are of the ``rows`` whose truth is told,
    ``of`` those that were judged."""

    rows: int
    of: int
    given_hidden: float
    given_history: float
    scores: dict[str, float]
    event: TrueEvent | None = None

    @property
    def of_model(self) -> float | None:
        """The model's ROC AUC on the event that the bounds are of where it is told of all of their rows; on the label
        otherwise."""
        is_told = self.event is not None and self.event.rows == self.rows
        return (self.event.scores if self.event and is_told else self.scores).get("model")

    def reached(self, auc: float, best: float | None = None) -> float:
        """How far an AUC is on the way from chance to the best one; 0 where that is chance itself."""
        way = (self.given_hidden if best is None else best) - 0.5
        return (auc - 0.5) / way if way else 0.0


def best_churn(told: Told, predicted: Predictions) -> BestChurn | None:
    """Of the rows of the test part, pooled as the model is judged; None where no truth is told of their days."""
    days = sorted(set(predicted.as_of.tolist()) & {_number(day) for day in told.days(TRUE_STATES)})
    if not days:
        return None
    at = predicted.as_of.astype(np.int32)
    asked = pa.table({"member_key": predicted.member_key, "as_of": at, "row": np.arange(len(predicted))})
    found = _with(asked, told, TRUE_STATES, _CHANCES, [_day(day) for day in days])
    hidden, history = (found[name].to_numpy() for name in _CHANCES)
    label = predicted.label[found["row"].to_numpy()]
    return BestChurn(
        rows=found.num_rows,
        of=len(predicted),
        given_hidden=expected_auc(hidden),
        given_history=expected_auc(history),
        scores={name: roc_auc(label, score) for name, score in _scores(found, predicted).items()},
        event=_true_event(told, found, predicted, _day(days[0])),
    )


def _with(rows: pa.Table, told: Told, table: Table, columns: list[str], days: list[date]) -> pa.Table:
    """The rows, by ``member_key`` and ``as_of``, of which a truth table tells, with its columns."""
    truth = told.of_members(table, ["as_of", *columns], days)
    truth = truth.set_column(truth.column_names.index("as_of"), "as_of", truth["as_of"].cast(pa.int32()))
    return rows.join(truth, ["member_key", "as_of"], join_type="inner")  # one row a member and day


def _scores(found: pa.Table, predicted: Predictions) -> dict[str, Floats]:
    """The true chances, and the models' scores of the same rows."""
    row = found["row"].to_numpy()
    chances = {name.removeprefix("no_order_"): found[name].to_numpy() for name in _CHANCES}
    return chances | {name: score[row] for name, score in predicted.scores.items()}


def _true_event(told: Told, found: pa.Table, predicted: Predictions, first: date) -> TrueEvent | None:
    """None where it is told of no row: an outcome is told once its horizon has passed."""
    days = [day for day in told.days(TRUE_OUTCOMES) if day > first]
    rows = _with(found, told, TRUE_OUTCOMES, ["no_order"], days) if days else found.slice(0, 0)
    if not rows.num_rows:
        return None
    is_silent = rows["no_order"].to_numpy().astype(bool)
    is_labelled = predicted.label[rows["row"].to_numpy()] == 1.0
    scores = _scores(rows, predicted).items()
    return TrueEvent(
        rows=rows.num_rows,
        silent_by_label_alone=int((is_labelled & ~is_silent).sum()),
        silent_in_truth_alone=int((is_silent & ~is_labelled).sum()),
        scores={name: roc_auc(is_silent.astype(np.float64), score) for name, score in scores},
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
