"""What a model must be measured against: trained in the same run, on the same rows and features, each with its settings
chosen on validation and never on test."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import lightgbm
import numpy as np
import torch

from tenure.errors import WrongInput
from tenure.models.build import build
from tenure.models.calibration import Calibration, fit_calibration
from tenure.models.encoding import Encoding, numbers
from tenure.models.inputs import Inputs
from tenure.models.network import Network
from tenure.models.rows import MemberRows
from tenure.tasks.metrics import Metric
from tenure.training.data import Examples
from tenure.training.logistic import fit_logistic, logits
from tenure.training.settings import Baselines

ENCODINGS: tuple[Encoding, ...] = ("standard", "piecewise")


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """``score`` gives (N,) calibrated probabilities; ``settings`` are those that validation chose.

    ``network`` and ``inputs`` are there where the baseline can answer as a bundle of its own.
    """

    name: str
    score: Callable[[MemberRows], np.ndarray]
    settings: dict[str, Any]
    calibration: Calibration
    network: Network | None = None
    inputs: Inputs | None = None


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What every baseline learns from and chooses by."""

    train: Examples
    validation: Examples
    inputs: Inputs
    metric: Metric
    recency: str
    settings: Baselines
    seed: int

    def chosen(self, said: np.ndarray) -> float:
        """How good (N,) scores of the validation rows are."""
        return self.metric(self.validation.labels, said)


def fit_baselines(names: Sequence[str], ground: Ground, seeds: int) -> dict[str, list[Baseline]]:
    """Every baseline by name, the ones that chance has a part in once for each seed.

    Raises:
        WrongInput: if there is no baseline of a name.
    """
    if missing := [name for name in names if name not in FITS]:
        raise WrongInput(f"no baseline {', '.join(missing)}; there are {', '.join(FITS)}")
    return {name: FITS[name](ground, seeds) for name in names}


def fit_recency(ground: Ground) -> Baseline:
    """How long ago the last visit was, and nothing else; there are no settings to choose."""

    def said(rows: MemberRows) -> np.ndarray:
        return np.log1p(np.nan_to_num(numbers(rows.features[ground.recency]), nan=1e6))

    return _calibrated(ground, "recency", said, {"column": ground.recency})


def fit_logistic_regression(ground: Ground) -> Baseline:
    """A linear module; ``trials`` penalties and encodings, the strongest penalty first and each from the one before."""
    best: tuple[float, float, Inputs, np.ndarray] | None = None
    labels = ground.train.labels
    for encoding in ENCODINGS:
        inputs = ground.inputs.model_copy(update={"encoding": encoding, "visits": None})
        x, judged = (_features(inputs, part.rows) for part in (ground.train, ground.validation))
        weights = None
        for penalty in np.logspace(3, 0, max(1, ground.settings.trials // len(ENCODINGS))):
            weights = fit_logistic(x, labels, penalty, weights)
            reached = ground.chosen(logits(judged, weights))
            if best is None or reached > best[0]:
                best = reached, float(penalty), inputs, weights.copy()
    assert best is not None
    _, penalty, inputs, weights = best
    network = _linear(inputs, weights)

    def said(rows: MemberRows) -> np.ndarray:
        return logits(_features(inputs, rows), weights)

    settings = {"penalty": penalty, "encoding": inputs.encoding}
    return _calibrated(ground, "logistic_regression", said, settings, network, inputs)


def fit_lightgbms(ground: Ground, seeds: int) -> list[Baseline]:
    """One a seed, under the settings that were chosen with the first."""
    trees = [fit_lightgbm(ground, ground.seed)]
    return trees + [fit_lightgbm(ground, ground.seed + place, trees[0].settings) for place in range(1, seeds)]


def fit_lightgbm(ground: Ground, seed: int, chosen: dict[str, Any] | None = None) -> Baseline:
    """Boosted trees (Ke et al. 2017); ``trials`` random settings, or the one that was chosen before."""
    x, judged = (ground.inputs.matrix(part.rows.features) for part in (ground.train, ground.validation))
    rng = np.random.default_rng(ground.seed)
    candidates = [chosen] if chosen else [_random_trees(rng) for _ in range(ground.settings.trials)]

    def grown(settings: dict[str, Any]) -> tuple[float, dict[str, Any], lightgbm.Booster]:
        booster = _grow(ground, x, judged, settings, seed)
        return ground.chosen(np.asarray(booster.predict(judged, num_threads=1))), settings, booster

    # One thread a trial: threads of one trial wait for each other longer than they work on so few rows.
    with ThreadPoolExecutor(ground.settings.threads) as pool:
        _, settings, booster = max(pool.map(grown, candidates), key=lambda trial: trial[0])

    def said(rows: MemberRows) -> np.ndarray:
        return np.asarray(booster.predict(ground.inputs.matrix(rows.features), raw_score=True, num_threads=1))

    return _calibrated(ground, "lightgbm", said, settings)


def _grow(ground: Ground, x: np.ndarray, judged: np.ndarray, settings: dict[str, Any], seed: int) -> lightgbm.Booster:
    """One setting, stopped where validation gets no better."""
    fixed = {"objective": "binary", "metric": "auc", "verbosity": -1, "feature_pre_filter": False}
    parameters = {**settings, **fixed, "seed": seed, "num_threads": 1, "deterministic": True}
    train = lightgbm.Dataset(x, ground.train.labels, params=parameters)
    return lightgbm.train(
        parameters,
        train,
        ground.settings.rounds,
        valid_sets=[train.create_valid(judged, ground.validation.labels)],
        callbacks=[lightgbm.early_stopping(30, verbose=False)],
    )


def _random_trees(rng: np.random.Generator) -> dict[str, Any]:
    return {
        "learning_rate": float(rng.choice([0.03, 0.05, 0.08])),
        "num_leaves": int(rng.choice([4, 7, 15, 31])),
        "min_data_in_leaf": int(rng.choice([20, 50, 100, 200])),
        "feature_fraction": float(rng.uniform(0.3, 1)),
        "bagging_fraction": float(rng.uniform(0.5, 1)),
        "bagging_freq": 1,
        "lambda_l2": float(10 ** rng.uniform(-2, 2)),
    }


def _calibrated(
    ground: Ground,
    name: str,
    said: Callable[[MemberRows], np.ndarray],
    settings: dict[str, Any],
    network: Network | None = None,
    inputs: Inputs | None = None,
) -> Baseline:
    calibration = fit_calibration(said(ground.validation.rows), ground.validation.labels)
    return Baseline(
        name=name,
        score=lambda rows: calibration(said(rows)),
        settings=settings,
        calibration=calibration,
        network=network,
        inputs=inputs,
    )


def _features(inputs: Inputs, rows: MemberRows) -> np.ndarray:
    features = inputs.batch(rows).features
    assert features is not None
    return inputs.pieces()(features).numpy().astype(np.float64)


FITS: Mapping[str, Callable[[Ground, int], list[Baseline]]] = {
    "recency": lambda ground, seeds: [fit_recency(ground)],
    "logistic_regression": lambda ground, seeds: [fit_logistic_regression(ground)],
    "lightgbm": fit_lightgbms,
}


def _linear(inputs: Inputs, weights: np.ndarray) -> Network:
    network = build("logistic_regression", {}, inputs)
    values = torch.from_numpy(weights).float()
    network.load_state_dict(
        {
            "mix": torch.ones(1),
            "branches.features.out.weight": values[None, :-1],
            "branches.features.out.bias": values[-1:],
        }
    )
    return network.eval()
