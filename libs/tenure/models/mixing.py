"""How much each branch of a network has to say, chosen on validation rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from tenure.models.calibration import fit_calibration

STEPS = 20  # weights are multiples of 1 / STEPS


def choose_mix(logits: Mapping[str, np.ndarray], labels: np.ndarray) -> dict[str, float]:
    """Weights that add up to 1 with the least log loss of the calibrated sum.

    Args:
        logits: (N,) by branch.
        labels: (N,) of 0 and 1.
    """
    said = np.stack(list(logits.values()), axis=1)
    best = min(_weights(said.shape[1], STEPS), key=lambda weights: _loss(said @ (np.array(weights) / STEPS), labels))
    return {name: weight / STEPS for name, weight in zip(logits, best, strict=True)}


def _weights(branches: int, left: int) -> Iterator[tuple[int, ...]]:
    if branches == 1:
        yield (left,)
        return
    for first in range(left + 1):
        for rest in _weights(branches - 1, left - first):
            yield (first, *rest)


def _loss(logits: np.ndarray, labels: np.ndarray) -> float:
    p = np.clip(fit_calibration(logits, labels)(logits), 1e-12, 1 - 1e-12)
    return float(-np.mean(labels * np.log(p) + (1 - labels) * np.log1p(-p)))
