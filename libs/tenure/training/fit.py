"""A training from a release to the registry: leaks refused, networks and baselines trained and judged on the same rows;
whoever is best answers from then on."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tenure.config.version import code_version
from tenure.errors import Refused, WrongInput
from tenure.lake.release import Release, release
from tenure.models.calibration import Calibration, fit_calibration
from tenure.models.inputs import Inputs, fit_inputs
from tenure.models.mixing import choose_mix
from tenure.models.scorer import MemberScorer
from tenure.privacy.secrets import MEMBER_KEY, read_secret
from tenure.registry.gate import MODEL, announce, promote
from tenure.registry.manifest import Gate, Interval, Manifest, read_manifest
from tenure.registry.registry import Registry
from tenure.tasks.split import ByBoth, ByMember, ByTime, Split, refuse_overlap
from tenure.tasks.task import Task, find_task
from tenure.training.baselines import Baseline, Ground, fit_lightgbm, fit_logistic_regression, fit_recency
from tenure.training.bundle import write_bundle, write_evaluation
from tenure.training.data import ExampleReader, labelled_days
from tenure.training.group import Group
from tenure.training.judge import CHAMPION, FEATURES_ONLY, Score, Verdict, find_champion, judge, score_test, unseen
from tenure.training.leaks import refuse_foreign_scaling, refuse_telling
from tenure.training.loop import Plan, fit_worker, network_of
from tenure.training.settings import FitTask
from tenure.training.state import State
from tenure.training.survey import Survey, survey
from tenure.training.verdict import decide_gate

Trained = Callable[[Callable[[Group], None], str], AbstractContextManager[Path]]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Who was trained, who answers, and where it lies."""

    version: str
    champion: str
    manifest: Manifest
    seconds: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Ready:
    """A training whose rows were looked at and not refused."""

    config: FitTask
    task: Task
    reader: ExampleReader
    survey: Survey
    inputs: Inputs

    @property
    def release(self) -> Release:
        return self.reader.release


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A network that was trained under a seed, ready to score; the manifest's other half is written later."""

    scorer: MemberScorer
    state: State
    mix: dict[str, float]


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
    if (known := _trained_before(ready)) is not None:
        return known
    fitted = [fit_network(ready, config.seed + place, trained) for place in range(config.seeds)]
    clock.lap("network")
    baselines = fit_baselines(ready)
    clock.lap("baselines")
    outcome = _register(ready, fitted, baselines, clock)
    _say(f"{outcome.champion} answers for {ready.task.name} from now on; the model just trained is {outcome.version}")
    return outcome


def _trained_before(ready: Ready) -> Outcome | None:
    """What this very training came to when it was run before; nothing where it was not, or is asked for again."""
    task, config = ready.task.name, ready.config
    registry, planned = Registry(config.env.registry_root), _manifest(ready, seed=config.seed)
    version = registry.trained_as(
        task, release_id=planned.release_id, code_version=planned.code_version, config=planned.config
    )
    if version is None or config.again:
        return None
    _say(f"version {version} of {task} came of this release, code and settings: nothing to learn; again=true trains")
    manifest = read_manifest(registry.folder(task, version))
    return Outcome(
        version=version, champion=f"version {registry.version(task, 'champion')}", manifest=manifest, seconds={}
    )


class Clock:
    """Seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._since = time.monotonic()

    def lap(self, stage: str) -> None:
        now = time.monotonic()
        self.seconds[stage] = round(now - self._since, 1)
        self._since = now
        _say(f"{stage}: {self.seconds[stage]:.1f} s")


def prepare(config: FitTask) -> Ready:
    """The release, split and inputs, after every check that must hold before anything is learnt."""
    task = find_task(config.task)
    chosen = release(config.env.lake_root, config.release, config.env.storage_options)
    if chosen.source != config.source.name:
        raise WrongInput(
            f"release {chosen.release_id} is of {chosen.source}, the settings say {config.source.name}: "
            "give the same --set source=FILE to refresh and training"
        )
    reading = config.reading
    as_of = labelled_days(chosen, task)
    split = _split(config, as_of, chosen.shop.horizon_days)
    # Every visit of the longest window, so that windows can be checked; the model cuts to its own max_events.
    seen_events = max(reading.max_events, *chosen.shop.windows_days)
    reader = ExampleReader(release=chosen, task=task, split=split, max_events=seen_events)
    refuse_overlap(split, as_of, chosen.shop.horizon_days)
    seen = survey(reader, reading.sample_rows, config.seed)
    _say(f"release {chosen.release_id}: " + ", ".join(f"{rows:,} {part}" for part, rows in seen.rows.items()) + " rows")
    fit = partial(
        fit_inputs,
        seen.train.rows,
        reader.features,
        lacks=chosen.shop.lacks,
        bins=reading.bins,
        max_events=reading.max_events if task.inputs.sequence else None,
    )
    inputs = fit()
    refuse_telling(seen.train, inputs, task)
    refuse_foreign_scaling(inputs, fit(), split.days("validation")[0])
    return Ready(config=config, task=task, reader=reader, survey=seen, inputs=inputs)


def _split(config: FitTask, as_of: Sequence[date], horizon_days: int) -> Split:
    days = config.source.split.among(as_of, horizon_days)
    by_time = ByTime(train_until=days.train_until, validation=days.validation, test=days.test)
    if config.split.by == "time":
        return by_time
    by_member = ByMember(salt=read_secret(MEMBER_KEY, config.env.secrets_folder))
    return by_member if config.split.by == "member" else ByBoth(time=by_time, member=by_member)


def fit_network(ready: Ready, seed: int, trained: Trained) -> Fitted:
    """Trains one network; its branches' weights and its calibration are chosen on validation."""
    config = ready.config
    plan = Plan(
        reader=ready.reader,
        inputs=ready.inputs,
        model=ready.task.model,
        architecture=config.architecture,
        loop=config.loop,
        seed=seed,
        buckets_in_memory=config.reading.buckets_in_memory,
        threads=config.scale.threads_per_worker,
    )
    with trained(partial(fit_worker, plan), f"{ready.task.name}-{seed}") as folder:
        network, state = network_of(plan, folder)
    judged = ready.survey.validation
    bare = MemberScorer(_manifest(ready, seed=seed), ready.inputs, network, Calibration())
    logits = bare.logits(judged.rows)
    del logits["logit"]
    mix = choose_mix(logits, judged.labels)
    network.set_mix(mix)
    calibration = fit_calibration(bare.logits(judged.rows)["logit"], judged.labels)
    _say(f"seed {seed}: weights " + ", ".join(f"{name} {weight:.2f}" for name, weight in mix.items()))
    manifest = bare.manifest.model_copy(update={"calibration": calibration.model_dump(mode="json")})
    return Fitted(scorer=MemberScorer(manifest, ready.inputs, network, calibration), state=state, mix=mix)


def fit_baselines(ready: Ready) -> dict[str, list[Baseline]]:
    """Every baseline, the ones that chance has a part in once for each seed."""
    config = ready.config
    ground = Ground(
        train=ready.survey.train,
        validation=ready.survey.validation,
        inputs=ready.inputs,
        table=ready.reader.features,
        metric=ready.task.gate.on,
        recency=ready.task.recency,
        settings=config.baselines,
        seed=config.seed,
    )
    trees = [fit_lightgbm(ground, config.seed)]
    for place in range(1, config.seeds):
        trees.append(fit_lightgbm(ground, config.seed + place, trees[0].settings))
    return {
        "recency": [fit_recency(ground)],
        "logistic_regression": [fit_logistic_regression(ground)],
        "lightgbm": trees,
    }


def _register(ready: Ready, fitted: Sequence[Fitted], baselines: dict[str, list[Baseline]], clock: Clock) -> Outcome:
    """Judges everyone on the test rows, lets the gate decide, and stores who needs a place in the registry."""
    task, config = ready.task, ready.config
    registry = Registry(config.env.registry_root)
    champion = find_champion(registry, task, ready.release.source)
    models: dict[str, Sequence[Score]] = {MODEL: [one.scorer.score for one in fitted]}
    models |= {name: [one.score for one in fits] for name, fits in baselines.items()}
    models |= _features_only(ready, fitted)
    if champion is not None and champion.scorer is not None:
        models[CHAMPION] = [champion.scorer.score]
    judged, scores = score_test(ready.reader, models)
    of_champion = scores.pop(CHAMPION, [None])[0]
    verdict = judge(task, judged, scores, config.evaluation.resamples, config.seed)
    _refuse_weak_benchmark(config, verdict)
    gate = decide_gate(task, verdict, champion, of_champion, config.evaluation.resamples, config.seed)
    clock.lap("judging")
    return _store(ready, fitted, baselines, verdict, gate, registry, clock)


def _features_only(ready: Ready, fitted: Sequence[Fitted]) -> dict[str, Sequence[Score]]:
    """The same networks without the branches that read the sequence, mixed and calibrated likewise: what the sequence
    adds shows."""
    names = fitted[0].scorer.network.without_sequence
    if not 0 < len(names) < len(fitted[0].mix):
        return {}

    def alone(one: Fitted) -> Score:
        judged = ready.survey.validation
        logits = one.scorer.logits(judged.rows)
        mix = choose_mix({name: logits[name] for name in names}, judged.labels)

        def mixed(logits: Mapping[str, np.ndarray]) -> np.ndarray:
            return np.sum([weight * logits[name] for name, weight in mix.items()], axis=0)

        calibration = fit_calibration(mixed(logits), judged.labels)
        return lambda rows: calibration(mixed(one.scorer.logits(rows)))

    return {FEATURES_ONLY: [alone(one) for one in fitted]}


def _refuse_weak_benchmark(config: FitTask, verdict: Verdict) -> None:
    """A comparison with a benchmark that is not at its best would be no comparison.

    Raises:
        Refused: if LightGBM reaches less than it is known to reach on this source.
    """
    known = config.baselines.lightgbm_auc_at_least.get(config.source.name)
    reached = verdict.comparison.values["lightgbm"]["roc_auc"]
    if known is not None and reached < known:
        raise Refused(
            f"LightGBM reaches a ROC AUC of {reached:.4f} on test, below the {known} that it is known to reach on "
            f"{config.source.name}: look at the features before comparing anything with it"
        )


def _store(
    ready: Ready,
    fitted: Sequence[Fitted],
    baselines: dict[str, list[Baseline]],
    verdict: Verdict,
    gate: Gate,
    registry: Registry,
    clock: Clock,
) -> Outcome:
    """Registers the first seed's network, the baseline too where it answers, and says who does."""
    task, first = ready.task, fitted[0]
    manifest = _judged(ready, first.scorer.manifest, MODEL, verdict, baselines, gate)
    files = _evaluation(ready, fitted, baselines, verdict)
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "bundle"
        manifest = write_bundle(bundle, manifest, first.scorer.network)
        write_evaluation(bundle, verdict, files)
        candidate = registry.register(task.name, manifest, bundle)
    champion = candidate
    if gate.champion == CHAMPION:
        champion = registry.version(task.name, "champion") or candidate
    elif gate.champion != MODEL:
        champion = _register_baseline(ready, baselines[gate.champion][0], verdict, baselines, gate, registry)
    promote(registry, task.name, candidate=candidate, champion=champion)
    announce(task.name, gate)
    for line in _table(verdict, task):
        _say(line)
    clock.lap("registering")
    return Outcome(version=candidate, champion=f"version {champion}", manifest=manifest, seconds=clock.seconds)


def _register_baseline(
    ready: Ready,
    baseline: Baseline,
    verdict: Verdict,
    baselines: dict[str, list[Baseline]],
    gate: Gate,
    registry: Registry,
) -> str:
    """A baseline as a bundle of its own, answering through the same interface."""
    assert baseline.network is not None
    assert baseline.inputs is not None
    own = _manifest(ready, seed=ready.config.seed).model_copy(
        update={
            "model": baseline.name,
            "architecture": {},
            "inputs": baseline.inputs.model_dump(mode="json"),
            "calibration": baseline.calibration.model_dump(mode="json"),
        }
    )
    manifest = _judged(ready, own, baseline.name, verdict, baselines, gate)
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "bundle"
        manifest = write_bundle(bundle, manifest, baseline.network)
        return registry.register(ready.task.name, manifest, bundle)


def _manifest(ready: Ready, seed: int) -> Manifest:
    """All that is known of a model before it is judged."""
    config, chosen = ready.config, ready.release
    settings = config.model_dump(mode="json", exclude={"env", "source", "again"})
    return Manifest(
        task=ready.task.name,
        model=ready.task.model,
        architecture=config.architecture,
        inputs=ready.inputs.model_dump(mode="json"),
        release_id=chosen.release_id,
        source=chosen.source,
        fingerprint=chosen.fingerprint,
        code_version=code_version(),
        config={**settings, "lacks": [has.value for has in chosen.shop.lacks]},
        split={**ready.reader.split.says(), "learnt_until": str(ready.survey.learnt_until)},
        seed=seed,
        rows={str(part): rows for part, rows in ready.survey.rows.items()},
        created_at=datetime.now(UTC),
    )


def _judged(
    ready: Ready,
    manifest: Manifest,
    name: str,
    verdict: Verdict,
    baselines: dict[str, list[Baseline]],
    gate: Gate,
) -> Manifest:
    """The manifest with what the test rows said."""
    metrics = [metric.name for metric in ready.task.metrics]
    compared = verdict.comparison

    def minus(theirs: str) -> dict[str, list[float | None]]:
        met: dict[str, Interval] = {m: compared.minus(name, theirs, m) for m in metrics}
        return {m: [interval.low, interval.high] for m, interval in met.items()}

    others = [other for other in compared.values if other not in (name, MODEL)]
    return manifest.model_copy(
        update={
            "metrics": {m: compared.interval(name, m) for m in metrics},
            "baselines": {other: compared.values[other] for other in baselines},
            "comparisons": {f"minus_{other}": minus(other) for other in others},
            "gate": gate,
        }
    )


def _evaluation(
    ready: Ready, fitted: Sequence[Fitted], baselines: dict[str, list[Baseline]], verdict: Verdict
) -> dict[str, Any]:
    """Files of the bundle beside the predictions."""
    resamples, task = ready.config.evaluation.resamples, ready.task
    compared = verdict.comparison
    return {
        "metrics": {name: {m.name: compared.interval(name, m.name) for m in task.metrics} for name in compared.values},
        "unseen_members": unseen(task, verdict, resamples, ready.config.seed),
        "seeds": [
            {
                "seed": one.scorer.manifest.seed,
                "mix": one.mix,
                "examples": one.state.examples,
                "consumed": one.state.consumed,
                "metrics": {m.name: m(verdict.judged.labels, said) for m in task.metrics},
                "history": one.state.history,
            }
            for one, said in zip(fitted, verdict.scores[MODEL], strict=True)
        ],
        "baselines": {name: [one.settings for one in fits] for name, fits in baselines.items()},
    }


def _table(verdict: Verdict, task: Task) -> list[str]:
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


def _say(line: str) -> None:
    print(line, flush=True)
