"""What would let a model see the future is refused before it is trained.

Every row is checked against its own ``newest_known_on`` and against the visits that it should be the sum of; every
number against the label; the inputs against the training rows that they must have been fitted on.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import date

import numpy as np

from tenure.contracts.gold import NEWEST_KNOWN_ON
from tenure.errors import Refused
from tenure.models.encoding import fit_number, numbers
from tenure.models.inputs import Inputs, fit_inputs
from tenure.models.rows import MemberRows, days
from tenure.models.tokens import PARTS as TOKEN_PARTS
from tenure.tasks.metrics import ROC_AUC
from tenure.tasks.split import PARTS
from tenure.tasks.task import Task
from tenure.training.data import ExampleReader, Examples
from tenure.training.logistic import fit_logistic, logits

SUMMED = ("baskets", "lines", "spend_minor", "discount_minor", "coupon_minor")  # of visits, over windows
SUSPECT_FROM = 0.8  # a number that ranks worse alone is not held against all the others together
FOLDS_PENALTY = 10.0


def refuse_future(examples: Examples, last_complete_day: date) -> None:
    """Stops where a row knows of its own day or later, or a label of days that are not complete.

    Raises:
        Refused: with how many rows, and one of them.
    """
    rows = examples.rows
    _refuse(
        rows,
        days(rows.features[NEWEST_KNOWN_ON.name]) >= rows.as_of,
        "know what became known on their as_of or later (newest_known_on): build the features again",
    )
    owner = np.repeat(np.arange(len(rows)), np.diff(rows.offsets))
    is_late = days(rows.column("known_on")) >= rows.as_of[owner] if rows.event_count else np.zeros(0, bool)
    _refuse(
        rows,
        np.bincount(owner[is_late], minlength=len(rows)) > 0,
        "hold visits that became known on their as_of or later",
    )
    newest = (last_complete_day - date(1970, 1, 1)).days
    _refuse(
        rows,
        examples.matured_at > newest,
        f"have labels that look past the last complete day {last_complete_day}: run jobs/refresh.py again",
    )


def refuse_wide_windows(rows: MemberRows, undone: MemberRows, windows_days: Sequence[int]) -> None:
    """Stops where a window's visits, baskets or money, or the days since the last visit, are not those of the visits
    before ``as_of``.

    Args:
        rows: with every visit of the longest window.
        undone: the same rows with every visit of it of which nothing was left; what was paid for them may not add up
            to nothing.

    Raises:
        Refused: naming the column.
    """
    if not rows.held.column_names:
        return  # a task without a sequence has nothing to hold its windows against
    for window, measure in itertools.product(windows_days, ("visits", *SUMMED)):
        name = f"{measure}_{window}d"
        if name in rows.features.column_names and (measure == "visits" or measure in rows.held.column_names):
            seen = _within(rows, measure, window)
            if measure != "visits":
                seen = seen + _within(undone, measure, window)
            _refuse(
                rows,
                rows.features[name].to_numpy() != seen,
                f"have another {name} than visits in those days: its window does not end before as_of, or begins "
                "elsewhere",
            )
    ago = _days_ago(rows)
    if "days_since_last_visit" in rows.features.column_names:
        told = numbers(rows.features["days_since_last_visit"])
        is_last = rows.offsets[1:][np.diff(rows.offsets) > 0] - 1
        since = np.full(len(rows), np.nan)
        since[np.diff(rows.offsets) > 0] = ago[is_last]
        is_other = ~((told == since) | np.isnan(since))
        _refuse(rows, is_other, "have a days_since_last_visit that is not that of their last visit before as_of")


def _days_ago(rows: MemberRows) -> np.ndarray:
    """(E,) days from each visit to its row's as_of."""
    if not rows.event_count:
        return np.zeros(0, np.int64)
    return np.repeat(rows.as_of, np.diff(rows.offsets)) - days(rows.column("day"))


def _within(rows: MemberRows, measure: str, window: int) -> np.ndarray:
    """(N,) the visits of a window, or a measure of theirs added up."""
    is_in = _days_ago(rows) <= window
    owner = np.repeat(np.arange(len(rows)), np.diff(rows.offsets))[is_in]
    values = None if measure == "visits" else numbers(rows.column(measure))[is_in]
    return np.bincount(owner, values, minlength=len(rows))


def _refuse(rows: MemberRows, is_wrong: np.ndarray, says: str) -> None:
    if is_wrong.any():
        at = int(np.flatnonzero(is_wrong)[0])
        day = rows.features["as_of"][at].as_py()
        raise Refused(
            f"{int(is_wrong.sum())} of {len(rows)} rows {says}; one is member {rows.member_keys[at]} at {day}"
        )


def refuse_telling(sample: Examples, inputs: Inputs, task: Task) -> dict[str, float]:
    """Stops where one number alone tells the label implausibly well: better than the gate's limit, or better than
    all the other numbers together.

    Returns:
        How well each number alone ranks the sample's labels (ROC AUC of its bins' rates).

    Raises:
        Refused: naming the number.
    """
    labels = sample.labels > 0
    if len(np.unique(labels)) < 2:
        raise Refused(f"the training rows of {task.name} hold one outcome only; nothing can be learnt from them")
    codes = _codes(sample.rows, inputs)
    alone = {name: ROC_AUC(labels, _rates(code, labels)) for name, code in codes.items()}
    for number in inputs.numbers:
        ranked = ROC_AUC(labels, np.nan_to_num(numbers(sample.rows.features[number.name]), nan=-1.0))
        alone[number.name] = max(alone[number.name], ranked, 1 - ranked)
    for name, auc in sorted(alone.items(), key=lambda item: -item[1]):
        surely = auc - 2 * _standard_error(auc, labels)  # few rows are no proof
        if surely > task.gate.telling_alone_at_most:
            raise Refused(_too_telling(name, auc, f"more than {task.gate.telling_alone_at_most} (the task's gate)"))
        if surely > SUSPECT_FROM:
            others = _together({other: code for other, code in codes.items() if other != name}, labels)
            if surely > others:
                raise Refused(_too_telling(name, auc, f"more than all others together ({others:.3f})"))
    return alone


def _standard_error(auc: float, labels: np.ndarray) -> float:
    """Of a ROC AUC (Hanley and McNeil 1982)."""
    positives, negatives = float(labels.sum()), float((~labels).sum())
    one, two = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    spread = auc * (1 - auc) + (positives - 1) * (one - auc**2) + (negatives - 1) * (two - auc**2)
    return float(np.sqrt(max(spread, 0.0) / (positives * negatives)))


def _too_telling(name: str, auc: float, than: str) -> str:
    return (
        f"{name} alone ranks the training rows with a ROC AUC of {auc:.3f}, {than}: it seems to hold the label; "
        "look at how it is computed, or leave it out"
    )


def _codes(rows: MemberRows, inputs: Inputs) -> dict[str, np.ndarray]:
    """Bins of every feature, and of every part of the last visit."""
    codes = {n.name: n.code(numbers(rows.features[n.name])) for n in inputs.numbers}
    codes |= {w.name: w.code(rows.features[w.name]) for w in inputs.words}
    if inputs.visits is None:
        return codes
    has_visit = np.diff(rows.offsets) > 0
    newest = rows.offsets[1:][has_visit] - 1
    for part in TOKEN_PARTS:
        if part.name in {p.name for p in inputs.visits.parts}:
            values = np.full(len(rows), np.nan)
            values[has_visit] = part.of(rows)[newest]
            fitted = fit_number(part.name, values, part.bins)
            if fitted is not None:
                codes[f"the last visit's {part.name}"] = fitted.code(values)
    return codes


def _rates(code: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(N,) the share of positives in each row's bin."""
    total = np.maximum(np.bincount(code), 1)
    return (np.bincount(code, labels) / total)[code]


def _together(codes: dict[str, np.ndarray], labels: np.ndarray) -> float:
    """ROC AUC of a logistic regression on the log odds of every number's bins."""
    x = np.stack([_log_odds(_rates(code, labels)) for code in codes.values()], axis=1)
    return ROC_AUC(labels, logits(x, fit_logistic(x, labels, FOLDS_PENALTY)))


def _log_odds(rates: np.ndarray) -> np.ndarray:
    p = np.clip(rates, 1e-3, 1 - 1e-3)
    return np.log(p / (1 - p))


def refuse_foreign_scaling(
    inputs: Inputs, train: Examples, reader: ExampleReader, bins: int, max_events: int | None
) -> None:
    """Stops where scaling or words are not those of the training rows, or these are none.

    Args:
        inputs: what the model would use.
        train: the rows that it should have been fitted on.

    Raises:
        Refused: naming what differs.
    """
    rows, split = train.rows, reader.split
    _refuse(
        rows,
        split.parts(rows.member_keys, rows.as_of) != PARTS.index("train"),
        "that scaling and words are fitted on do not belong to the training part",
    )
    first_validation = split.days("validation")[0]
    if first_validation is not None and inputs.newest_as_of >= first_validation:
        raise Refused(
            f"the inputs were fitted on rows as late as {inputs.newest_as_of}, validation begins {first_validation}: "
            "fit them on training rows only"
        )
    again = fit_inputs(rows, reader.features, lacks=reader.release.shop.lacks, bins=bins, max_events=max_events)
    if inputs != again:
        raise Refused(
            f"{', '.join(_differing(inputs, again))} of the inputs are not those of the training rows: fit them on "
            "these only"
        )


def refuse_other_inputs(used: Inputs, checked: Inputs) -> None:
    """Stops a bundle whose scaling or words are not the ones that were held against the training rows; it may encode
    them otherwise, and leave the visits out.

    Raises:
        Refused: naming what differs.
    """
    same = used.model_copy(update={"encoding": checked.encoding, "visits": used.visits or checked.visits})
    if same != checked:
        raise Refused(f"{', '.join(_differing(same, checked))} of a bundle's inputs are not those that were checked")


def _differing(ours: Inputs, theirs: Inputs) -> list[str]:
    return [name for name in Inputs.model_fields if getattr(ours, name) != getattr(theirs, name)]
