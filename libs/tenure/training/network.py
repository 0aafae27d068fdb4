"""One network of a task, trained under a seed and then mixed and calibrated on validation."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tenure.models.calibration import Calibration, fit_calibration
from tenure.models.mixing import choose_mix
from tenure.models.scorer import MemberScorer
from tenure.training.clock import say
from tenure.training.group import Group
from tenure.training.loop import Plan, fit_worker, network_of
from tenure.training.prepare import Ready
from tenure.training.state import State

Trained = Callable[[Callable[[Group], None], str], AbstractContextManager[Path]]


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A network that was trained under a seed, ready to score; the manifest's other half is written later."""

    scorer: MemberScorer
    state: State
    mix: dict[str, float]


def fit_network(ready: Ready, seed: int, trained: Trained) -> Fitted:
    """Trains one network; its branches' weights and its calibration are chosen on validation.

    Args:
        trained: runs a worker's work and gives the folder of its last checkpoint (``workers.trained``).
    """
    plan = plan_of(ready, seed)
    with trained(partial(fit_worker, plan), f"{ready.task.name}-{seed}") as folder:
        network, state = network_of(plan, folder)
    judged = ready.survey.validation
    bare = MemberScorer(ready.manifest(seed), plan.inputs, network, Calibration())
    logits = bare.logits(judged.rows)
    del logits["logit"]
    mix = choose_mix(logits, judged.labels)
    network.set_mix(mix)
    calibration = fit_calibration(bare.logits(judged.rows)["logit"], judged.labels)
    say(f"seed {seed}: weights " + ", ".join(f"{name} {weight:.2f}" for name, weight in mix.items()))
    manifest = bare.manifest.model_copy(update={"calibration": calibration.model_dump(mode="json")})
    return Fitted(scorer=MemberScorer(manifest, plan.inputs, network, calibration), state=state, mix=mix)


def plan_of(ready: Ready, seed: int) -> Plan:
    """What every worker is told."""
    config = ready.config
    return Plan(
        reader=ready.reader,
        inputs=ready.inputs,
        model=ready.task.model,
        architecture=config.architecture,
        loop=config.loop,
        seed=seed,
        buckets_in_memory=config.reading.buckets_in_memory,
        threads=config.scale.threads_per_worker,
    )
