"""How well probabilities tell yes from no, with a weight a row, so that members can be resampled without copying rows.

Shapes: N rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

BINS = 10

OfWeights = Callable[[np.ndarray], float]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """``of(labels, scores)`` sorts the rows once and gives a function of (N,) weights, which count how often each row
    stands in a sample."""

    name: str
    says: str
    of: Callable[[np.ndarray, np.ndarray], OfWeights]

    def __call__(self, labels: np.ndarray, scores: np.ndarray) -> float:
        """NaN where the rows hold one class only and the metric needs two."""
        return self.of(labels, scores)(np.ones(len(labels)))


def roc_auc(labels: np.ndarray, scores: np.ndarray) -> OfWeights:
    """Probability that a positive scores above a negative, ties counted half (Hanley and McNeil 1982)."""
    by_score = _by_score(labels, scores)

    def of(weights: np.ndarray) -> float:
        positives, negatives = by_score(weights)
        below = np.cumsum(negatives) - negatives
        pairs = positives.sum() * negatives.sum()
        return float((positives * (below + negatives / 2)).sum() / pairs) if pairs else float("nan")

    return of


def average_precision(labels: np.ndarray, scores: np.ndarray) -> OfWeights:
    """Mean precision over the positives, in the order of descending scores."""
    by_score = _by_score(labels, scores)

    def of(weights: np.ndarray) -> float:
        positives, negatives = (part[::-1] for part in by_score(weights))
        found, all_seen = np.cumsum(positives), np.cumsum(positives + negatives)
        precision = np.divide(found, all_seen, out=np.zeros_like(found), where=all_seen > 0)
        total = positives.sum()
        return float((positives * precision).sum() / total) if total else float("nan")

    return of


def expected_calibration_error(labels: np.ndarray, scores: np.ndarray) -> OfWeights:
    """Mean distance of probability and frequency over ten bins of equally many rows (Naeini et al. 2015)."""
    order = np.argsort(scores, kind="stable")
    gaps = (scores - labels)[order]

    def of(weights: np.ndarray) -> float:
        weight = weights[order]
        place = (np.cumsum(weight) - weight / 2) / weight.sum()
        bins = np.minimum((place * BINS).astype(int), BINS - 1)
        return float(np.abs(np.bincount(bins, weight * gaps, BINS)).sum() / weight.sum())

    return of


def _by_score(labels: np.ndarray, scores: np.ndarray) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Weights of positives and of negatives at each distinct score, ascending."""
    distinct, place = np.unique(scores, return_inverse=True)
    is_positive = labels > 0
    positive, negative = place[is_positive], place[~is_positive]

    def of(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        size = len(distinct)
        return np.bincount(positive, weights[is_positive], size), np.bincount(negative, weights[~is_positive], size)

    return of


ROC_AUC = Metric(name="roc_auc", says="area under the ROC curve", of=roc_auc)
AVERAGE_PRECISION = Metric(name="average_precision", says="area under the precision-recall steps", of=average_precision)
CALIBRATION_ERROR = Metric(
    name="expected_calibration_error",
    says="mean distance of probability and frequency",
    of=expected_calibration_error,
)
