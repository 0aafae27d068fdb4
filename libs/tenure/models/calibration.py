"""From logits to probabilities that mean what they say, without changing who comes before whom."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from tenure.config.settings import Settings


class Calibration(Settings):
    """Platt's sigmoid (1999): ``p = sigmoid(slope * logit + intercept)``, with a slope above zero."""

    slope: float = Field(default=1.0, gt=0)
    intercept: float = 0.0

    def __call__(self, logits: np.ndarray) -> np.ndarray:
        """(N,) logits -> (N,) float64 probabilities."""
        z = self.slope * logits.astype(np.float64) + self.intercept
        return np.exp(-np.logaddexp(0.0, -z))


def fit_calibration(logits: np.ndarray, labels: np.ndarray, steps: int = 50) -> Calibration:
    """Slope and intercept of least log loss on validation rows, by Newton's method.

    Targets are drawn in by Platt's prior, so that validation rows that are told apart perfectly give a finite slope.
    """
    positives = labels.sum()
    high, low = (positives + 1) / (positives + 2), 1 / (len(labels) - positives + 2)
    target = np.where(labels > 0, high, low)
    center, spread = float(logits.mean()), float(logits.std()) or 1.0
    x = np.stack([(logits.astype(np.float64) - center) / spread, np.ones(len(logits))], axis=1)
    w = np.array([0.0, np.log(target.mean() / (1 - target.mean()))])
    for _ in range(steps):
        p = 1 / (1 + np.exp(-x @ w))
        hessian = (x * (p * (1 - p))[:, None]).T @ x + 1e-9 * np.eye(2)
        step = np.linalg.solve(hessian, x.T @ (p - target))
        while _log_loss(x @ (w - step), target) > _log_loss(x @ w, target) and np.abs(step).max() > 1e-12:
            step = step / 2
        w = w - step
        if np.abs(step).max() < 1e-9:
            break
    slope = max(float(w[0]) / spread, 1e-3)
    return Calibration(slope=slope, intercept=float(w[1]) - slope * center)


def _log_loss(z: np.ndarray, target: np.ndarray) -> float:
    return float(np.mean(np.logaddexp(0, z) - target * z))
