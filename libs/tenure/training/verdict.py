"""The gate: whether the model just trained answers from now on, or a baseline, or whoever answered before."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tenure.registry.gate import CHAMPION, MODEL, Difference, cannot_be_met, decide, not_compared
from tenure.registry.manifest import Gate
from tenure.tasks.metrics import CALIBRATION_ERROR
from tenure.tasks.task import Task
from tenure.training.evaluation import Comparison, compare
from tenure.training.judge import Champion, Verdict


def decide_gate(
    task: Task,
    verdict: Verdict,
    champion: Champion | None,
    champion_scores: np.ndarray | None,
    resamples: int,
    seed: int,
) -> Gate:
    """The verdict on the model of the first seed, with its reasons.

    Args:
        champion_scores: (N,) of the champion on the test rows, where it may be compared.
    """
    first = {name: said[:1] for name, said in verdict.scores.items()}
    compared = compare(task.metrics, verdict.judged, first, resamples, seed)
    on, baseline = task.gate.on.name, task.gate.beats
    beats = _difference(baseline, compared, MODEL, baseline, on)
    holds = _calibrated(compared.values[MODEL], task.gate.calibration_error_at_most)
    if champion is None:
        return decide(baseline, beats=[beats], holds=holds)
    if champion_scores is None:
        return decide(baseline, beats=[beats], holds=holds, notes=[not_compared(champion.version, champion.says)])
    met = _against_champion(task, verdict, champion, champion_scores, resamples, seed)
    if met is None:
        why = "it has learnt of the test rows, or the others hold one outcome only"
        return decide(baseline, beats=[beats], holds=holds, stays=cannot_be_met(champion.version, why))
    fallback = CHAMPION if met[1] else baseline
    return decide(fallback, beats=[beats], not_worse_than=[met[0]], holds=holds)


def _calibrated(values: Mapping[str, float], limit: float | None) -> dict[str, bool]:
    if limit is None:
        return {}
    error = values[CALIBRATION_ERROR.name]
    return {f"calibrated (error {error:.4f}, at most {limit})": error <= limit}


def _against_champion(
    task: Task, verdict: Verdict, champion: Champion, said: np.ndarray, resamples: int, seed: int
) -> tuple[Difference, bool] | None:
    """Ours minus the champion's on rows that neither learnt from, and whether it is at least the baseline's equal."""
    chosen = champion.may_judge(verdict.judged)
    rows = verdict.judged.where(chosen)
    if len(np.unique(rows.labels)) < 2:
        return None
    baseline = task.gate.beats
    scores = {name: [verdict.scores[name][0][chosen]] for name in (MODEL, baseline)} | {CHAMPION: [said[chosen]]}
    compared = compare((task.gate.on,), rows, scores, resamples, seed)
    on = task.gate.on.name
    met = _difference(f"the champion (version {champion.version})", compared, MODEL, CHAMPION, on)
    return met, met.theirs >= compared.values[baseline][on]


def _difference(against: str, compared: Comparison, ours: str, theirs: str, metric: str) -> Difference:
    met = compared.minus(ours, theirs, metric)
    return Difference(
        against=against,
        metric=metric,
        ours=compared.values[ours][metric],
        theirs=compared.values[theirs][metric],
        low=met.low or 0.0,
        high=met.high or 0.0,
    )
