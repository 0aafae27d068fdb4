"""What the registry says of the newest model of each task, and the predictions that it was judged by."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tenure.errors import TenureError
from tenure.registry.manifest import EVALUATION_FOLDER, Interval, Manifest, read_manifest
from tenure.registry.registry import Registry
from tenure.report.curves import Floats
from tenure.report.words import title

CHURN, RECOMMENDER = "churn", "recommender"
# The model's own networks without the branches that read the sequence, and those branches alone.
FEATURES_ONLY, SEQUENCE_ONLY = "features_only", "sequence_only"


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A trained version and its manifest.

    ``answering`` is the version that answers now, as the registry says, and ``answering_model`` what kind of model it
    is; a gate chose it, or a person who went back to it.
    """

    version: str
    answering: str | None
    answering_model: str | None
    manifest: Manifest
    folder: Path

    def metric(self, name: str) -> Interval | None:
        return self.manifest.metrics.get(name)

    @property
    def is_answering(self) -> bool:
        return self.answering == self.version

    @property
    def versions(self) -> str:
        """Which was trained, and which answers."""
        answering = "nobody answers" if self.answering is None else f"answering: version {self.answering}"
        return f"version {self.version}, {answering}"

    @property
    def who_answers(self) -> str:
        """As the page calls it."""
        if self.answering is None:
            return "nobody"
        if self.is_answering:
            return "our model"
        if self.answering_model in (None, self.manifest.model):
            return f"the model of version {self.answering}"
        return title(self.answering_model)


def judged(registry: Registry, task: str) -> Judged:
    """The candidate: the newest version that was trained, whether or not it won.

    Raises:
        WrongInput: if there is none.
    """
    folder, answering = registry.folder(task, "candidate"), registry.version(task, "champion")
    return Judged(
        version=registry.version(task, "candidate") or "",
        answering=answering,
        answering_model=_model_of(registry, task, answering) if answering else None,
        manifest=read_manifest(folder),
        folder=folder,
    )


def _model_of(registry: Registry, task: str, version: str) -> str | None:
    """What kind of model a version is; None where it is spoilt."""
    try:
        return read_manifest(registry.folder(task, version)).model
    except TenureError:
        return None


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """The test part: whose rows (N,), at which ``as_of`` in days since 1970, ``label`` and ``is_unseen`` (N,), and (N,)
    scores by the name of who gave them."""

    member_key: np.ndarray
    as_of: np.ndarray
    label: Floats
    is_unseen: np.ndarray
    scores: dict[str, Floats]

    def __len__(self) -> int:
        return len(self.label)


def predictions(model: Judged) -> Predictions:
    """Of the bundle's ``evaluation/test_predictions.parquet``: ``score`` is the model's own, ``score_X`` X's."""
    rows: pa.Table = pq.read_table(model.folder / EVALUATION_FOLDER / "test_predictions.parquet")
    scores = {
        name.removeprefix("score_") if name != "score" else "model": rows[name].to_numpy().astype(float)
        for name in rows.column_names
        if name == "score" or name.startswith("score_")
    }
    return Predictions(
        member_key=rows["member_key"].to_numpy(),
        as_of=rows["as_of"].cast(pa.int32()).to_numpy(),
        label=rows["label"].to_numpy().astype(float),
        is_unseen=rows["is_unseen"].to_numpy(zero_copy_only=False).astype(bool),
        scores=scores,
    )


@dataclass(frozen=True, kw_only=True)
class Branches:
    """What the model is a sum of.

    Attributes:
        weights: by branch, as validation chose them, one mapping a seed; the first seed's network is registered.
        scores: the test metrics of ``model``, ``features_only`` and ``sequence_only``, means over the seeds.
        gained: the bounds of what the one has before the other, by metric.
    """

    weights: Sequence[Mapping[str, float]]
    scores: Mapping[str, Mapping[str, Interval]]
    gained: Mapping[str, tuple[float, float]]


def branches(model: Judged) -> Branches:
    """Of the bundle's ``seeds.json`` and ``metrics.json``; empty where the model has none."""
    seeds, metrics = (_evaluated(model, name) for name in ("seeds", "metrics"))
    bounds = model.manifest.comparisons.get(f"minus_{FEATURES_ONLY}") or {}
    return Branches(
        weights=[seed["mix"] for seed in seeds],
        scores={
            who: {name: Interval.model_validate(value) for name, value in metrics[who].items()}
            for who in ("model", FEATURES_ONLY, SEQUENCE_ONLY)
            if who in metrics
        },
        gained={name: (low, high) for name, (low, high) in bounds.items() if low is not None and high is not None},
    )


def _evaluated(model: Judged, name: str) -> Any:
    path = model.folder / EVALUATION_FOLDER / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
