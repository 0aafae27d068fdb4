"""A trained model as a folder: manifest, weights, and the evaluation that the report draws."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tenure.models.network import Network
from tenure.models.scorer import save_weights
from tenure.registry.gate import MODEL
from tenure.registry.manifest import EVALUATION_FOLDER, Manifest, write_manifest
from tenure.training.judge import Verdict


def write_bundle(folder: Path, manifest: Manifest, network: Network) -> Manifest:
    """Weights and manifest; returns the manifest as written, with the weights' hash."""
    folder.mkdir(parents=True, exist_ok=True)
    save_weights(network.state_dict(), folder)
    return write_manifest(folder, manifest)


def write_evaluation(folder: Path, verdict: Verdict, files: Mapping[str, Any]) -> None:
    """``test_predictions.parquet`` of the first seed, and each of ``files`` as JSON."""
    below = folder / EVALUATION_FOLDER
    below.mkdir(parents=True, exist_ok=True)
    pq.write_table(predictions(verdict), below / "test_predictions.parquet")
    for name, values in files.items():
        (below / f"{name}.json").write_text(json.dumps(values, indent=2, default=_plain) + "\n", encoding="utf-8")


def predictions(verdict: Verdict) -> pa.Table:
    """One row a test row: member_key, as_of, label, is_unseen, score, and score_X of every other model X."""
    judged = verdict.judged
    scores = {("score" if name == MODEL else f"score_{name}"): said[0] for name, said in verdict.scores.items()}
    return pa.table(
        {
            "member_key": pa.array(judged.member_keys, pa.int64()),
            "as_of": pa.array(judged.as_of, pa.int32()).cast(pa.date32()),
            "label": pa.array(judged.labels, pa.float64()),
            "is_unseen": pa.array(judged.is_unseen),
            **{name: pa.array(said.astype(np.float64)) for name, said in scores.items()},
        }
    )


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else str(value)
