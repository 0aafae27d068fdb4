"""P15's trainings: both models on the release by the shipped trainings, and on the tables by hand."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks import engines, machine, models_by_hand, results, tensors_by_hand
from benchmarks.measure import Load, Peer, at_most, introduce
from benchmarks.models_by_hand import judged
from benchmarks.simulated_lake import SOURCE, Lake, Unequal
from benchmarks.tensors_by_hand import hold_same_tensors
from benchmarks.turns import Side, result, take_turns
from benchmarks.whole_path_data import PACKAGES
from benchmarks.worker_clock import FITS, clocked, slowest
from tenure.config.env import Env
from tenure.config.settings import load
from tenure.lifecycle.calendar import labelled_days
from tenure.models.batch import Batch
from tenure.models.network import Network
from tenure.tasks.metrics import ROC_AUC
from tenure.tasks.split import Part
from tenure.training.factors import periods
from tenure.training.factors_progress import Progress
from tenure.training.factors_settings import FitFactors
from tenure.training.fit import fit_task
from tenure.training.group import Group
from tenure.training.network import Fitted, fit_network
from tenure.training.prepare import Ready, prepare
from tenure.training.recommender import TASK, fit_recommender
from tenure.training.settings import FitTask, Scale
from tenure.training.shards import Shard
from tenure.training.workers import cluster, trained

AUC_MAY_DIFFER_BY = 0.02  # chance has a part in both trainings, of few epochs; their tensors are held equal exactly
CHURN, FACTORS = "conf/train/churn_smoke.yaml", "conf/train/recommender_smoke.yaml"
ALL_EPOCHS = "loop.patience=100"  # nobody stops early, so both sides take as many steps
LEARNT_FROM: tuple[Part, ...] = ("train", "validation")


class Trainings:
    """Both models, ours and by hand; the newest of each can be served afterwards."""

    def __init__(self, lake: Lake, by_hand: Path, notes: Path) -> None:
        self._by_hand, self._notes = by_hand, notes
        at = [f"env.work={lake.work}", f"source={SOURCE}", f"source.data={lake.landing}", ALL_EPOCHS]
        self._churn = load(FitTask, CHURN, at)
        self._factors = load(FitFactors, FACTORS, at[:1])
        self._ready: Ready | None = None
        self._fitted: Fitted | None = None
        self._progress: Progress | None = None
        self._hand: Network | None = None
        self._fits_s: dict[str, list[float]] = {"fit_factors": [], "implicit": []}
        self._hand_factors: tuple[models_by_hand.Purchases, models_by_hand.AlternatingLeastSquares] | None = None

    @property
    def env(self) -> Env:
        return self._churn.env

    @contextmanager
    def cluster(self) -> Iterator[None]:
        with cluster(self._churn.env, self._churn.scale):
            yield

    def compared(self, rounds: int, others: Load) -> results.Result:
        """Within ``cluster``: both models in turn, then held equal."""
        all_cores: dict[str, object] = {"processes": 1, "threads": machine.cores()}
        self._ready, prepare_s = engines.started(lambda: prepare(self._churn))
        ready, of_churn = self._ready, {"config": CHURN, "and": ALL_EPOCHS}
        churn = [
            Side(name="fit_task", run=partial(self._fit, ready), settings=of_churn | _workers(self._churn.scale)),
            Side(name="bare torch loop", run=partial(self._fit_by_hand, ready), settings=of_churn | all_cores),
        ]
        factors = [
            Side(
                name="fit_factors", run=self._fit_factors, settings={"config": FACTORS} | _workers(self._factors.scale)
            ),
            Side(name="implicit", run=partial(self._fit_factors_by_hand, ready), settings=all_cores),
        ]
        introduce("P15", [*churn, *factors], PACKAGES)
        take_turns("P15", [*churn, *factors], rounds, others)
        self._hold_equal(ready)
        bare = Peer(
            name="bare torch loop",
            run=lambda: None,
            ratio="ours/peer",
            goal=at_most(1.1),
            settings=of_churn | all_cores,
        )
        shown = {
            "recommender_s": {side.name: side.timed.rounds_s for side in factors},
            "recommender_fits_s": self._fits_s,
            "prepare_s": round(prepare_s, 3),  # of both: the inputs come from there
            "training_rows": ready.survey.rows["train"],
        }
        return result("P15", *churn, bare) | shown

    def register(self) -> None:
        """Both models once more, into the registry that they are served from."""
        fit_task(self._churn, partial(trained, env=self.env, scale=self._churn.scale))
        fit_recommender(self._factors, partial(trained, env=self.env, scale=self._factors.scale))

    @property
    def hand(self) -> tuple[Network, models_by_hand.Purchases, models_by_hand.AlternatingLeastSquares]:
        """Both models by hand, of the last round."""
        assert self._hand is not None
        assert self._hand_factors is not None
        return self._hand, *self._hand_factors

    def everybody(self) -> Batch:
        """All members at the newest ``as_of``, by hand."""
        assert self._ready is not None
        return tensors_by_hand.everybody(self._by_hand, self._ready.inputs, self._ready.release.newest_as_of)

    def _fit(self, ready: Ready) -> float:
        shutil.rmtree(self._notes, ignore_errors=True)
        self._fitted = fit_network(ready, self._churn.seed, self._timed)
        return slowest(self._notes)

    def _fit_factors(self) -> float:
        """Into a registry of its own, or the champion of the round before would be judged too."""
        shutil.rmtree(self._notes, ignore_errors=True)
        registry = self._notes.with_name(f"registry-{len(self._fits_s['fit_factors'])}")
        where = [f"env.work={self.env.work}", f"env.registry={registry}"]
        fit_recommender(load(FitFactors, FACTORS, where), self._timed)
        self._fits_s["fit_factors"].append(slowest(self._notes, FITS))
        return slowest(self._notes)

    @contextmanager
    def _timed(self, work: Callable[[Group], None], name: str) -> Iterator[Path]:
        """``workers.trained``, with a clock in each worker."""
        self._notes.mkdir(parents=True, exist_ok=True)
        scale = self._factors.scale if name == TASK else self._churn.scale
        with trained(partial(clocked, work, self._notes), name, self._churn.env, scale) as folder:
            if name == TASK:
                self._progress = Progress.read(folder)
            yield folder

    def _fit_by_hand(self, ready: Ready) -> float:
        began = time.perf_counter()
        parts = [self._tensors(ready, part) for part in LEARNT_FROM]
        self._hand = models_by_hand.fit_churn(ready, *parts)
        return time.perf_counter() - began

    def _tensors(self, ready: Ready, part: Part) -> Batch:
        split = ready.reader.split
        days = [day for day in self._as_of(ready) if split.part(0, day) == part]
        return tensors_by_hand.encoded(self._by_hand, ready.inputs, days)

    def _as_of(self, ready: Ready) -> tuple[date, ...]:
        return labelled_days(ready.release.shop, ready.release.last_complete_day)

    def _fit_factors_by_hand(self, ready: Ready) -> float:
        began, fits_s = time.perf_counter(), 0.0
        for period in periods(ready.release, self._factors.test_days):
            bought = models_by_hand.purchases(self._by_hand, period.known_before, self._factors.min_members)
            fit = partial(models_by_hand.fit_factors, bought, self._factors.als.model_dump(), self._factors.seed)
            model, seconds = engines.started(fit)
            fits_s += seconds
            self._hand_factors = bought, model
        self._fits_s["implicit"].append(fits_s)
        return time.perf_counter() - began

    def _hold_equal(self, ready: Ready) -> None:
        """Both trainings saw the same tensors and tell validation rows apart about as well; both recommenders learnt
        from the same pairs."""
        tensors = {part: self._tensors(ready, part) for part in LEARNT_FROM}
        for part, by_hand in tensors.items():
            shard = Shard(reader=ready.reader, inputs=ready.inputs, part=part, rank=0, size=1, held=1)
            hold_same_tensors(map(shard.bucket, shard.buckets), by_hand, part)
        assert self._fitted is not None
        assert self._hand is not None
        assert self._progress is not None
        assert self._hand_factors is not None
        seen = ready.survey.validation
        ours, (labels, logits) = self._fitted.scorer.logits(seen.rows), judged(self._hand, tensors["validation"])
        for name, theirs in logits.items():
            pair = [ROC_AUC(seen.labels, ours[name]), ROC_AUC(labels, theirs)]
            print(f"P15: ROC AUC of {name} on validation: {pair[0]:.4f}, by hand {pair[1]:.4f}", flush=True)
            if abs(pair[0] - pair[1]) > max(AUC_MAY_DIFFER_BY, 2 * _standard_error(pair[0], seen.labels)):
                raise Unequal(f"the branch {name} reaches a ROC AUC of {pair[0]:.4f}, by hand {pair[1]:.4f}")
        served, bought = self._progress.fitted[-1], self._hand_factors[0].times
        if served.pairs != bought.nnz:
            raise Unequal(f"{served.pairs:,} pairs of members and items were learnt from, by hand {bought.nnz:,}")


def _standard_error(roc_auc: float, labels: np.ndarray) -> float:
    """An upper bound of it (Birnbaum and Klose 1957): of a few hundred rows an AUC says little."""
    fewer = min(labels.sum(), len(labels) - labels.sum())
    return float(np.sqrt(roc_auc * (1 - roc_auc) / fewer))


def _workers(scale: Scale) -> dict[str, object]:
    return {"processes": scale.workers, "threads of each": scale.threads_per_worker}
