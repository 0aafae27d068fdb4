"""Everyone on the same test rows: networks, what they are without their sequence, baselines, whoever answers now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tenure.errors import Refused
from tenure.models.calibration import fit_calibration
from tenure.models.mixing import choose_mix
from tenure.registry.gate import CHAMPION, MODEL
from tenure.registry.manifest import Gate, Interval
from tenure.registry.registry import Registry
from tenure.tasks.task import Task
from tenure.training.baselines import Baseline
from tenure.training.judge import (
    FEATURES_ONLY,
    SEQUENCE_ONLY,
    Score,
    Verdict,
    find_champion,
    judge,
    score_test,
)
from tenure.training.network import Fitted
from tenure.training.prepare import Ready
from tenure.training.settings import FitTask
from tenure.training.verdict import decide_gate

Baselines = Mapping[str, Sequence[Baseline]]


@dataclass(frozen=True, kw_only=True)
class Contest:
    """Who took part, how they did, and who answers from now on; ``before`` is the version that answered until then."""

    ready: Ready
    fitted: Sequence[Fitted]
    baselines: Baselines
    verdict: Verdict
    gate: Gate
    before: str | None


def contest(ready: Ready, fitted: Sequence[Fitted], baselines: Baselines, registry: Registry) -> Contest:
    """Scores and compares all of them, and lets the gate decide on the model of the first seed.

    Raises:
        Refused: if a benchmark is not at its best.
    """
    task, config = ready.task, ready.config
    champion = find_champion(registry, task, ready.release, ready.reader.split.says())
    models: dict[str, Sequence[Score]] = {MODEL: [one.scorer.score for one in fitted]}
    models |= {name: [one.score for one in fits] for name, fits in baselines.items()}
    models |= _parts(ready, fitted)
    if champion is not None and champion.scorer is not None:
        models[CHAMPION] = [champion.scorer.score]
    judged, scores = score_test(ready.reader, models)
    of_champion = scores.pop(CHAMPION, [None])[0]
    verdict = judge(task, judged, scores, config.evaluation.resamples, config.seed)
    _refuse_weak_benchmark(config, verdict)
    before = champion.version if champion else None
    gate = decide_gate(task, verdict, champion, of_champion, config.evaluation.resamples, config.seed)
    return Contest(ready=ready, fitted=fitted, baselines=baselines, verdict=verdict, gate=gate, before=before)


def _parts(ready: Ready, fitted: Sequence[Fitted]) -> dict[str, Sequence[Score]]:
    """The same networks without the branches that read the sequence, and those alone, mixed and calibrated likewise:
    what the sequence adds shows, and what it is worth by itself."""
    without = fitted[0].scorer.network.without_sequence
    reading = tuple(name for name in fitted[0].mix if name not in without)
    if not (without and reading):
        return {}

    def alone(one: Fitted, names: Sequence[str]) -> Score:
        judged = ready.survey.validation
        logits = one.scorer.logits(judged.rows)
        mix = choose_mix({name: logits[name] for name in names}, judged.labels)

        def mixed(logits: Mapping[str, np.ndarray]) -> np.ndarray:
            return np.sum([weight * logits[name] for name, weight in mix.items()], axis=0)

        calibration = fit_calibration(mixed(logits), judged.labels)
        return lambda rows: calibration(mixed(one.scorer.logits(rows)))

    parts = {FEATURES_ONLY: without, SEQUENCE_ONLY: reading}
    return {part: [alone(one, names) for one in fitted] for part, names in parts.items()}


def _refuse_weak_benchmark(config: FitTask, verdict: Verdict) -> None:
    """A comparison with a benchmark that is not at its best would be no comparison.

    Raises:
        Refused: if LightGBM reaches less than it is known to reach on this source.
    """
    known = config.baselines.lightgbm_auc_at_least.get(config.source.name)
    reached = verdict.comparison.values.get("lightgbm", {}).get("roc_auc")
    if known is not None and reached is not None and reached < known:
        raise Refused(
            f"LightGBM reaches a ROC AUC of {reached:.4f} on test, below the {known} that it is known to reach on "
            f"{config.source.name}: look at the features before comparing anything with it"
        )


def as_lines(verdict: Verdict, task: Task) -> list[str]:
    """Every model's metrics with their intervals, and ours minus LightGBM's."""
    compared, metrics = verdict.comparison, [metric.name for metric in task.metrics]

    def said(interval: Interval, sign: str = "") -> str:
        return f"{interval.value:{sign}.4f} [{interval.low:{sign}.4f}, {interval.high:{sign}.4f}]"

    lines = [f"{len(verdict.judged.labels):,} test rows, members resampled; " + ", ".join(metrics)]
    for name in compared.values:
        lines.append(f"  {name:<20} " + "  ".join(said(compared.interval(name, m)) for m in metrics))
    for other in ("lightgbm", FEATURES_ONLY):
        if other in compared.values:
            differences = "  ".join(said(compared.minus(MODEL, other, m), "+") for m in metrics)
            lines.append(f"  {'minus ' + other:<20} {differences}")
    return lines
