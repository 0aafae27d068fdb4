"""The recommender's training from a release to the registry: fitted, judged on the test, refitted on everything known.

What was judged is kept beside what is served (``evaluation/before_test``), so that a later training on the same
release can be compared with it fairly.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tenure.config.version import code_version
from tenure.errors import Refused, TenureError
from tenure.lake.release import Release, release
from tenure.models.factorization import Factorization
from tenure.models.popularity import Popularity
from tenure.models.recommender import Recommender, load_recommender
from tenure.registry.gate import (
    CHAMPION,
    MODEL,
    Difference,
    announce,
    cannot_be_met,
    decide,
    not_compared,
    promote,
    reads_other_rows,
)
from tenure.registry.manifest import (
    EVALUATION_FOLDER,
    MANIFEST_FILE,
    WEIGHTS_FILE,
    Gate,
    Interval,
    Manifest,
    write_manifest,
)
from tenure.registry.registry import Registry
from tenure.training.again import trained_before
from tenure.training.factors import Period, Worker, architecture, periods
from tenure.training.factors_judge import NDCG
from tenure.training.factors_progress import Fitted, Progress
from tenure.training.factors_settings import FitFactors
from tenure.training.group import Group
from tenure.training.purchases import read_products
from tenure.training.ranking import resampled

TASK = "recommender"
POPULARITY, FAVOURITES = "popularity", "own_favourites"
GATE_ON = f"new_items.{NDCG}"
REFUSED = "refused.txt"
BEFORE_TEST = f"{EVALUATION_FOLDER}/before_test"

Train = Callable[[Callable[[Group], None], str], AbstractContextManager[Path]]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a training came to: our version in the registry, and who answers from now on."""

    version: str
    champion: str
    manifest: Manifest


@dataclass(frozen=True, kw_only=True)
class Incumbent:
    """The champion so far as files, to be sent to the workers: one to which the test's days are unknown.

    There are no files where it cannot be compared, and ``says`` tells why.
    """

    version: str
    files: Mapping[str, bytes]
    says: str = ""
    has_seen_the_test: bool = False

    @property
    def is_compared(self) -> bool:
        return bool(self.files)

    def load(self) -> Recommender | None:
        if not self.is_compared:
            return None
        with tempfile.TemporaryDirectory() as folder:
            for name, content in self.files.items():
                (Path(folder) / name).write_bytes(content)
            return load_recommender(folder)


def fit_recommender(config: FitFactors, train: Train) -> Outcome:
    """Trains on the newest release, registers, and lets the gate say who answers.

    Args:
        train: runs a function on every worker and gives the folder of the last checkpoint.

    Raises:
        WrongInput: if there is no release.
        Refused: if nothing can be recommended.
    """
    registry = Registry(config.env.registry_root)
    found = release(config.env.lake_root, config.release, config.env.storage_options)
    if known := trained_before(registry, _planned(config, found), again=config.again):
        version, manifest = known
        return Outcome(version=version, champion=str(registry.version(TASK, "champion")), manifest=manifest)
    test = periods(found, config.test_days)[1]
    champion = incumbent(registry, found, test)
    with train(partial(_work, config, found, champion), TASK) as folder:
        if (folder / REFUSED).is_file():
            raise Refused((folder / REFUSED).read_text())
        progress = Progress.read(folder)
    report = Report.of(config, found, progress, champion)
    announce(TASK, report.gate)
    return _registered(registry, report, champion.version if champion else None)


def _planned(config: FitFactors, found: Release) -> Manifest:
    """All that is known of what will be served before anything is fitted."""
    return Manifest(
        task=TASK,
        model=Factorization.name,
        release_id=found.release_id,
        source=found.source,
        fingerprint=found.fingerprint,
        code_version=code_version(),
        config={**_settings(config), "lacks": [has.value for has in found.shop.lacks]},
        split=_split(config, found, periods(found, config.test_days)[2]),
        seed=config.seed,
        created_at=datetime.now(UTC),
    )


def _split(config: FitFactors, found: Release, period: Period) -> dict[str, Any]:
    validation, test, _ = periods(found, config.test_days)
    return {
        "known_before": str(period.known_before),
        "validation": {"known_before": str(validation.known_before), "until": str(validation.until)},
        "test": {"known_before": str(test.known_before), "until": str(test.until)},
        "says": "metrics are of a model that knew nothing of the test's days; what is served was then fitted again "
        "on everything known before known_before, with the same settings and choices",
    }


def _settings(config: FitFactors) -> dict[str, Any]:
    """What a manifest says of them: all that decides what is learnt."""
    return config.model_dump(mode="json", exclude={"env", "again"})


def _work(config: FitFactors, release: Release, champion: Incumbent | None, group: Group) -> None:
    torch.set_num_threads(config.scale.threads_per_worker)
    try:
        Worker.of(config, release, group, champion.load() if champion else None).fit()
    except Refused as error:  # all workers count together and refuse together; trying again would change nothing
        sentence = str(error)
        group.save({"refused": sentence}, lambda folder: _note(folder, sentence))


def _note(folder: Path, sentence: str) -> None:
    (folder / REFUSED).write_text(sentence)


def incumbent(registry: Registry, found: Release, test: Period) -> Incumbent | None:
    """The champion, or the one that was judged in its place; None where nobody answers yet."""
    version = registry.version(TASK, "champion")
    if version is None:
        return None
    says, has_seen = "", False
    try:
        folder = registry.folder(TASK, version)
        for candidate in (folder, folder / BEFORE_TEST):
            manifest = load_recommender(candidate).manifest
            other = reads_other_rows(manifest, found)
            has_seen = other is None and not _knew_nothing_of(manifest, test.known_before)
            says = other or f"it has learnt of the test's days, which begin at {test.known_before}"
            if other is None and not has_seen:
                files = {name: (candidate / name).read_bytes() for name in (MANIFEST_FILE, WEIGHTS_FILE)}
                return Incumbent(version=version, files=files)
    except TenureError as error:  # spoilt, or of another make: it cannot be asked
        says = says or str(error)
    return Incumbent(version=version, files={}, says=says, has_seen_the_test=has_seen)


def _knew_nothing_of(manifest: Manifest, test_from: date) -> bool:
    learnt_before = manifest.split.get("known_before")
    return learnt_before is not None and date.fromisoformat(learnt_before) <= test_from


@dataclass(frozen=True, kw_only=True)
class Report:
    """Everything that the bundles say."""

    config: FitFactors
    release: Release
    progress: Progress
    product_ids: np.ndarray
    intervals: Mapping[str, Interval]  # by who.items.metric, and by who.items.metric.minus_whom
    gate: Gate

    @classmethod
    def of(cls, config: FitFactors, release: Release, progress: Progress, champion: Incumbent | None) -> Report:
        rng = np.random.default_rng(config.seed)
        intervals = _intervals(progress.fitted[1], config.evaluation.resamples, rng)
        products = read_products(release).product_ids.to_numpy(zero_copy_only=False)
        return cls(
            config=config,
            release=release,
            progress=progress,
            product_ids=products,
            intervals=intervals,
            gate=_gate(intervals, champion),
        )

    def metrics(self, who: str) -> dict[str, Interval]:
        """By items and metric, as in ``new_items.ndcg_at_10``."""
        names = {name.split(".", 1)[1]: i for name, i in self.intervals.items() if name.split(".")[0] == who}
        return {name: interval for name, interval in names.items() if "minus" not in name}

    def write(self, folder: Path, kind: type[Factorization] | type[Popularity]) -> Manifest:
        """The bundle of what is served, with the bundle of what was judged inside it."""
        *_, test, served = self.progress.fitted
        days = {p.name: p for p in periods(self.release, self.config.test_days)}
        self._write(folder / BEFORE_TEST, kind, test, days["test"])
        evaluation = {
            "intervals": {name: interval.model_dump() for name, interval in self.intervals.items()},
            "chosen": dict(served.chosen),
            "periods": {
                name: {
                    "known_before": str(days[name].known_before),
                    "until": str(days[name].until) if days[name].until else None,
                    "members": done.members,
                    "items": len(done.product),
                    "pairs": done.pairs,
                    "objective": done.objective,
                }
                for name, done in zip(days, self.progress.fitted, strict=True)
            },
        }
        (folder / EVALUATION_FOLDER / "ranking.json").write_text(json.dumps(evaluation, indent=2) + "\n")
        return self._write(folder, kind, served, days["served"])

    def _write(
        self, folder: Path, kind: type[Factorization] | type[Popularity], fitted: Fitted, period: Period
    ) -> Manifest:
        folder.mkdir(parents=True, exist_ok=True)
        if kind is Factorization:
            Factorization.save(folder, fitted.factors, fitted.share)
        else:
            Popularity.save(folder, fitted.baseline_share)
        return write_manifest(folder, self._manifest(kind, fitted, period))

    def _manifest(self, kind: type[Factorization] | type[Popularity], fitted: Fitted, period: Period) -> Manifest:
        is_ours = kind is Factorization
        test = self.progress.fitted[1]
        rows = {"train": test.pairs, "served": self.progress.fitted[2].pairs, "test": self._judged_members()}
        return _planned(self.config, self.release).model_copy(
            update={
                "model": kind.name,
                "architecture": architecture(self.config.als, dict(fitted.chosen)).model_dump() if is_ours else {},
                "inputs": {"vocabulary": {"product_id": self.product_ids[fitted.product].tolist()}},
                "split": _split(self.config, self.release, period),
                "rows": rows,
                "metrics": self.metrics(MODEL if is_ours else POPULARITY),
                "baselines": {
                    who: {n: i.value for n, i in self.metrics(who).items()} for who in (POPULARITY, FAVOURITES)
                },
                "comparisons": self._comparisons() if is_ours else {},
                "gate": self.gate,
            }
        )

    def _judged_members(self) -> int:
        return len(self.progress.fitted[1].judged[f"{MODEL}.all_items.{NDCG}"])

    def _comparisons(self) -> dict[str, Any]:
        """``{"minus_popularity": {"new_items.ndcg_at_10": [low, high]}}``, members resampled in pairs."""
        found: dict[str, dict[str, Any]] = {}
        for name, interval in self.intervals.items():
            ours, separator, whom = name.partition(".minus_")
            if separator:
                found.setdefault(f"minus_{whom}", {})[ours.split(".", 1)[1]] = [interval.low, interval.high]
        return found


def _intervals(test: Fitted, resamples: int, rng: np.random.Generator) -> dict[str, Interval]:
    """Every metric, and ours minus everyone's, with the bounds that resampled members give."""
    found: dict[str, Interval] = {}
    for items in ("all_items", "new_items"):
        values = {name: numbers for name, numbers in test.judged.items() if name.split(".")[1] == items}
        differences = {
            f"{MODEL}.{items}.{metric}.minus_{who}": values[f"{MODEL}.{items}.{metric}"] - numbers
            for who, metric, numbers in ((*_who_and_metric(name), numbers) for name, numbers in values.items())
            if who != MODEL
        }
        found |= resampled(values | differences, resamples, rng)
    return found


def _who_and_metric(name: str) -> tuple[str, str]:
    who, _, metric = name.split(".")
    return who, metric


def _gate(intervals: Mapping[str, Interval], champion: Incumbent | None) -> Gate:
    """Ours must beat popularity on new items, and be no worse there than who answered before."""
    popularity = _difference(intervals, POPULARITY, POPULARITY)
    if champion is None:
        return decide(POPULARITY, beats=[popularity])
    if champion.has_seen_the_test:
        return decide(POPULARITY, beats=[popularity], stays=cannot_be_met(champion.version, champion.says))
    if not champion.is_compared:
        return decide(POPULARITY, beats=[popularity], notes=[not_compared(champion.version, champion.says)])
    before = _difference(intervals, CHAMPION, f"the champion (version {champion.version})")
    best_of_the_others = CHAMPION if before.theirs >= popularity.theirs else POPULARITY
    return decide(best_of_the_others, beats=[popularity], not_worse_than=[before])


def _difference(intervals: Mapping[str, Interval], who: str, called: str) -> Difference:
    difference = intervals[f"{MODEL}.{GATE_ON}.minus_{who}"]
    return Difference(
        against=called,
        metric=GATE_ON,
        ours=intervals[f"{MODEL}.{GATE_ON}"].value,
        theirs=intervals[f"{who}.{GATE_ON}"].value,
        low=difference.low or 0.0,
        high=difference.high or 0.0,
    )


def _registered(registry: Registry, report: Report, before: str | None) -> Outcome:
    """Our version is the candidate, whoever answers. Popularity is stored whoever wins, as the version before: should
    ours be spoilt one day, it is there."""
    with tempfile.TemporaryDirectory() as folder:
        baseline = registry.register(
            TASK, report.write(Path(folder) / "baseline", Popularity), Path(folder) / "baseline"
        )
        manifest = report.write(Path(folder) / "ours", Factorization)
        ours = registry.register(TASK, manifest, Path(folder) / "ours")
    champion = {MODEL: ours, POPULARITY: baseline, CHAMPION: before or ours}[report.gate.champion]
    promote(registry, TASK, candidate=ours, champion=champion, before=before)
    return Outcome(version=ours, champion=champion, manifest=manifest)
