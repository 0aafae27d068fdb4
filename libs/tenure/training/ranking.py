"""How well ranked items meet what members then bought, member by member, so that members can be resampled.

Shapes: N members, K items answered.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from tenure.models.histories import Histories
from tenure.registry.manifest import Interval

Floats = npt.NDArray[np.float64]
RESAMPLES_AT_ONCE = 50
INTERVAL = (0.025, 0.975)


def ranking_metrics(items_NK: npt.NDArray[np.int64], relevant: Histories) -> dict[str, Floats]:
    """(N,) each: hit rate, NDCG with binary gains (Järvelin and Kekäläinen 2002) and recall, at K.

    Args:
        items_NK: the items answered, best first; -1 is none.
        relevant: the items that each member went on to buy, at least one a member.
    """
    k = items_NK.shape[1]
    wanted = relevant.member_index * (_size(items_NK, relevant)) + relevant.item_index
    given = np.arange(len(relevant))[:, None] * _size(items_NK, relevant) + items_NK
    is_hit = (items_NK >= 0) & np.isin(given, wanted)
    count = np.diff(relevant.offsets)
    gain = 1 / np.log2(np.arange(2, k + 2))
    ideal = np.cumsum(gain)[np.minimum(count, k) - 1]
    return {
        f"hit_rate_at_{k}": is_hit.any(1).astype(float),
        f"ndcg_at_{k}": (is_hit * gain).sum(1) / ideal,
        f"recall_at_{k}": is_hit.sum(1) / count,
    }


def _size(items_NK: npt.NDArray[np.int64], relevant: Histories) -> int:
    return int(max(items_NK.max(initial=0), relevant.item_index.max(initial=0))) + 1


def resampled(values: Mapping[str, Floats], resamples: int, rng: np.random.Generator) -> dict[str, Interval]:
    """The mean of each (N,) array with its 95 % bounds, the same resampled members for all (percentile bootstrap)."""
    stacked = np.stack(list(values.values()), axis=1)
    n = len(stacked)
    means = []
    for start in range(0, resamples, RESAMPLES_AT_ONCE):
        weights = rng.multinomial(n, np.full(n, 1 / n), size=min(RESAMPLES_AT_ONCE, resamples - start))
        means.append(weights @ stacked / n)
    low, high = np.quantile(np.concatenate(means), INTERVAL, axis=0)
    columns = zip(values, stacked.mean(0), low, high, strict=True)
    return {name: Interval(value=float(v), low=float(lo), high=float(hi)) for name, v, lo, hi in columns}
