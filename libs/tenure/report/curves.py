"""How well scores tell two kinds of members apart, as points to draw.

N examples; ``label`` (N,) holds 0 or 1, ``score`` (N,) is higher where 1 is likelier. Equal scores make one point, so
that no curve depends on the order of rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Curve:
    """``x`` and ``y``, (P,) each, in the order in which they are drawn."""

    x: Floats
    y: Floats


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """Mean score and share of ones in each of up to B bins of equal size, and how many examples each holds; (B,)."""

    score: Floats
    share: Floats
    examples: NDArray[np.int64]


def _found(label: Floats, score: Floats) -> tuple[Floats, Floats]:
    """True and false positives at every threshold, highest first, from none on; (P,) each."""
    order = np.argsort(-score, kind="stable")
    is_last_of_its_score = np.append(np.diff(score[order]) != 0, True)
    true = np.cumsum(label[order])[is_last_of_its_score]
    every = (np.arange(len(label)) + 1.0)[is_last_of_its_score]
    return np.append(0.0, true), np.append(0.0, every - true)


def roc(label: Floats, score: Floats) -> Curve:
    """x: share of zeros scored above a threshold, y: share of ones."""
    true, false = _found(label, score)
    return Curve(x=false / max(false[-1], 1), y=true / max(true[-1], 1))


def roc_auc(label: Floats, score: Floats) -> float:
    """The probability that a one is scored above a zero, ties half; NaN where one of the two is missing."""
    if label.min() == label.max():
        return float("nan")
    curve = roc(label, score)
    return float(np.trapezoid(curve.y, curve.x))


def precision_recall(label: Floats, score: Floats, ones: int | None = None) -> Curve:
    """x: share of ones found, y: share of ones among those found. ``ones`` says how many there are where some of them
    are not among the examples."""
    true, false = (part[1:] for part in _found(label, score))
    return Curve(x=true / max(label.sum() if ones is None else ones, 1), y=true / (true + false))


def gain(label: Floats, score: Floats) -> Curve:
    """x: share of examples addressed, highest scores first, y: share of ones among them found."""
    true, false = _found(label, score)
    return Curve(x=(true + false) / len(label), y=true / max(true[-1], 1))


def reliability(label: Floats, score: Floats, bins: int = 10) -> Reliability:
    """Scores against what happened, in bins that hold equally many examples."""
    parts = [part for part in np.array_split(np.argsort(score, kind="stable"), bins) if len(part)]
    return Reliability(
        score=np.array([score[part].mean() for part in parts]),
        share=np.array([label[part].mean() for part in parts]),
        examples=np.array([len(part) for part in parts]),
    )
