"""Logistic regression with an L2 penalty, by Newton's method."""

from __future__ import annotations

import numpy as np


def fit_logistic(
    x: np.ndarray, y: np.ndarray, penalty: float, start: np.ndarray | None = None, steps: int = 30
) -> np.ndarray:
    """(F + 1,) weights, the intercept last and unpenalised, of least ``sum(log loss) + penalty / 2 * |w|^2``.

    Args:
        x: (N, F) float64.
        y: (N,) of 0 and 1.
    """
    x = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    ridge = np.full(x.shape[1], penalty)
    ridge[-1] = 1e-9
    w = np.zeros(x.shape[1]) if start is None else start.copy()
    for _ in range(steps):
        p = 1 / (1 + np.exp(-np.clip(x @ w, -30, 30)))
        gradient = x.T @ (p - y) + ridge * w
        hessian = (x * (p * (1 - p))[:, None]).T @ x + np.diag(ridge)
        step = np.linalg.solve(hessian, gradient)
        w -= step
        if np.abs(step).max() < 1e-6:
            break
    return w


def logits(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """(N,) of (N, F) rows."""
    return x @ w[:-1] + w[-1]
