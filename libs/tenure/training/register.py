"""What a contest leaves in the registry: the model just trained, the baseline that answers in its place or after it,
and the names of who answers."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tenure.models.inputs import Inputs
from tenure.models.network import Network
from tenure.registry.gate import CHAMPION, MODEL, announce, promote
from tenure.registry.manifest import Interval, Manifest
from tenure.registry.registry import Registry
from tenure.training.bundle import write_bundle, write_evaluation
from tenure.training.contest import Contest
from tenure.training.leaks import refuse_other_inputs


@dataclass(frozen=True, kw_only=True)
class Registered:
    """The version of the model just trained, its manifest, and the version that answers."""

    version: str
    champion: str
    manifest: Manifest


def register(held: Contest, registry: Registry) -> Registered:
    """Stores the baseline, then the first seed's network, and says who answers.

    The baseline is stored whoever wins, and as the version before: should the model be spoilt one day, it is there.
    """
    task = held.ready.task
    baseline = _register_baseline(held, registry)
    candidate, manifest = _register_model(held, registry)
    champion = {
        MODEL: candidate,
        task.gate.beats: baseline,
        CHAMPION: held.before or candidate,
    }[held.gate.champion]
    promote(registry, task.name, candidate=candidate, champion=champion, before=held.before)
    announce(task.name, held.gate)
    return Registered(version=candidate, champion=champion, manifest=manifest)


def _register_model(held: Contest, registry: Registry) -> tuple[str, Manifest]:
    first = held.fitted[0].scorer
    manifest = _judged(held, first.manifest, MODEL)
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "bundle"
        manifest = _write(held, bundle, manifest, first.network)
        write_evaluation(bundle, held.verdict, _evaluation(held))
        return registry.register(held.ready.task.name, manifest, bundle), manifest


def _register_baseline(held: Contest, registry: Registry) -> str:
    """The baseline of the gate as a bundle of its own, answering through the same interface."""
    ready = held.ready
    baseline = held.baselines[ready.task.gate.beats][0]
    assert baseline.network is not None
    assert baseline.inputs is not None
    own = ready.manifest(ready.config.seed).model_copy(
        update={
            "model": baseline.name,
            "architecture": {},
            "inputs": baseline.inputs.model_dump(mode="json"),
            "calibration": baseline.calibration.model_dump(mode="json"),
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "bundle"
        manifest = _write(held, bundle, _judged(held, own, baseline.name), baseline.network)
        return registry.register(ready.task.name, manifest, bundle)


def _write(held: Contest, folder: Path, manifest: Manifest, network: Network) -> Manifest:
    refuse_other_inputs(Inputs.model_validate(manifest.inputs), held.ready.inputs)
    return write_bundle(folder, manifest, network)


def _judged(held: Contest, manifest: Manifest, name: str) -> Manifest:
    """The manifest with what the test rows said."""
    metrics = [metric.name for metric in held.ready.task.metrics]
    compared = held.verdict.comparison

    def minus(theirs: str) -> dict[str, list[float | None]]:
        met: dict[str, Interval] = {m: compared.minus(name, theirs, m) for m in metrics}
        return {m: [interval.low, interval.high] for m, interval in met.items()}

    others = [other for other in compared.values if other not in (name, MODEL)]
    return manifest.model_copy(
        update={
            "metrics": {m: compared.interval(name, m) for m in metrics},
            "baselines": {other: compared.values[other] for other in held.baselines},
            "comparisons": {f"minus_{other}": minus(other) for other in others},
            "gate": held.gate,
        }
    )


def _evaluation(held: Contest) -> dict[str, Any]:
    """Files of the bundle beside the predictions."""
    task, verdict = held.ready.task, held.verdict
    compared = verdict.comparison
    return {
        "metrics": {name: {m.name: compared.interval(name, m.name) for m in task.metrics} for name in compared.values},
        "seeds": [
            {
                "seed": one.scorer.manifest.seed,
                "mix": one.mix,
                "examples": one.state.examples,
                "consumed": one.state.consumed,
                "metrics": {m.name: m(verdict.judged.labels, said) for m in task.metrics},
                "history": one.state.history,
            }
            for one, said in zip(held.fitted, verdict.scores[MODEL], strict=True)
        ],
        "baselines": {name: [one.settings for one in fits] for name, fits in held.baselines.items()},
    }
