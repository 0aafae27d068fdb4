"""How good probabilities are on rows that nothing was learnt from, with members resampled.

A member stands with several rows, so rows are no independent draws: members are drawn, with all of their rows (cluster
bootstrap, Field and Welsh 2007), and models are compared on the same draws.

Shapes: N rows, M members, S seeds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tenure.registry.manifest import Interval
from tenure.tasks.metrics import Metric, OfWeights

LEVEL = 0.95

Scores = Sequence[np.ndarray]  # S arrays of (N,), one a seed; a metric is the mean over them


@dataclass(frozen=True)
class Judged:
    """Rows that are judged by.

    Attributes:
        member_keys: (N,) int64.
        as_of: (N,) int32, days since 1970.
        labels: (N,).
        is_unseen: (N,) whether the member had no row in training.
    """

    member_keys: np.ndarray
    as_of: np.ndarray
    labels: np.ndarray
    is_unseen: np.ndarray

    def where(self, chosen: np.ndarray) -> Judged:
        return Judged(*(part[chosen] for part in vars(self).values()))


def mean_metric(metric: Metric, judged: Judged, scores: Scores) -> OfWeights:
    """The metric's mean over the seeds, as a function of (N,) weights."""
    of_seeds = [metric.of(judged.labels, one) for one in scores]
    return lambda weights: float(np.mean([of(weights) for of in of_seeds]))


def draws(judged: Judged, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """(N,) weights of each resample of members."""
    _, owner = np.unique(judged.member_keys, return_inverse=True)
    members = int(owner.max(initial=-1)) + 1
    rng = np.random.default_rng(seed)
    for _ in range(resamples):
        yield np.bincount(rng.integers(0, members, members), minlength=members)[owner].astype(np.float64)


def drawn_metrics(
    metric: Metric, judged: Judged, scores: Mapping[str, Scores], resamples: int, seed: int
) -> dict[str, np.ndarray]:
    """The metric of every model on each draw, (resamples,) by name; draws are the same for all."""
    of_models = {name: mean_metric(metric, judged, said) for name, said in scores.items()}
    drawn = [[of(weights) for of in of_models.values()] for weights in draws(judged, resamples, seed)]
    return dict(zip(scores, np.array(drawn).reshape(-1, len(scores)).T, strict=True))


def bounds(values: np.ndarray) -> tuple[float, float]:
    """The percentiles between which ``LEVEL`` of the draws lie."""
    tail = 100 * (1 - LEVEL) / 2
    low, high = np.nanpercentile(values, [tail, 100 - tail])
    return float(low), float(high)


@dataclass(frozen=True)
class Comparison:
    """Every model's metrics on the same rows and draws."""

    values: dict[str, dict[str, float]]  # by model and metric
    drawn: dict[str, dict[str, np.ndarray]]  # by metric and model

    def interval(self, model: str, metric: str) -> Interval:
        low, high = bounds(self.drawn[metric][model])
        return Interval(value=self.values[model][metric], low=low, high=high)

    def minus(self, ours: str, theirs: str, metric: str) -> Interval:
        """Ours minus theirs, with the paired interval."""
        low, high = bounds(self.drawn[metric][ours] - self.drawn[metric][theirs])
        return Interval(value=self.values[ours][metric] - self.values[theirs][metric], low=low, high=high)


def compare(
    metrics: Sequence[Metric], judged: Judged, scores: Mapping[str, Scores], resamples: int, seed: int
) -> Comparison:
    """Metrics of every model with what the draws of members make of them."""
    whole = np.ones(len(judged.labels))
    values = {name: {m.name: mean_metric(m, judged, said)(whole) for m in metrics} for name, said in scores.items()}
    return Comparison(values, {m.name: drawn_metrics(m, judged, scores, resamples, seed) for m in metrics})
