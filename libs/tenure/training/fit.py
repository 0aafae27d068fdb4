"""A training from a release to the registry: leaks refused, networks and baselines trained and judged on the same rows;
whoever is best answers from then on."""

from __future__ import annotations

from dataclasses import dataclass

from tenure.registry.manifest import Manifest
from tenure.registry.registry import Registry
from tenure.training.again import trained_before
from tenure.training.baselines import Baseline, Ground, fit_baselines
from tenure.training.clock import Clock, say
from tenure.training.contest import as_lines, contest
from tenure.training.network import Trained, fit_network
from tenure.training.prepare import Ready, prepare
from tenure.training.register import register
from tenure.training.settings import FitTask


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Who was trained, who answers, and where it lies."""

    version: str
    champion: str
    manifest: Manifest
    seconds: dict[str, float]


def fit_task(config: FitTask, trained: Trained) -> Outcome:
    """Trains, judges and registers.

    Args:
        trained: runs a worker's work and gives the folder of its last checkpoint (``workers.trained``).

    Raises:
        WrongInput: where the settings do not fit the release.
        Refused: where a row, a window, a number or the scaling would let the model see the future.
    """
    clock = Clock()
    ready = prepare(config)
    clock.lap("reading and checking")
    registry = Registry(config.env.registry_root)
    if known := trained_before(registry, ready.manifest(config.seed), again=config.again):
        version, manifest = known
        return Outcome(
            version=version, champion=str(registry.version(ready.task.name, "champion")), manifest=manifest, seconds={}
        )
    fitted = [fit_network(ready, config.seed + place, trained) for place in range(config.seeds)]
    clock.lap("network")
    baselines = _baselines(ready)
    clock.lap("baselines")
    held = contest(ready, fitted, baselines, registry)
    clock.lap("judging")
    done = register(held, registry)
    for line in as_lines(held.verdict, ready.task):
        say(line)
    clock.lap("registering")
    say(f"version {done.champion} answers for {ready.task.name} from now on; the model just trained is {done.version}")
    return Outcome(version=done.version, champion=done.champion, manifest=done.manifest, seconds=clock.seconds)


def _baselines(ready: Ready) -> dict[str, list[Baseline]]:
    """What the task wants its model to be measured against, learnt from the rows that the model learns from."""
    ground = Ground(
        train=ready.survey.train,
        validation=ready.survey.validation,
        inputs=ready.inputs,
        metric=ready.task.gate.on,
        recency=ready.task.recency,
        settings=ready.config.baselines,
        seed=ready.config.seed,
    )
    return fit_baselines(ready.task.baselines, ground, ready.config.seeds)
