"""What a trained model says about itself: the file beside its weights, read before they are.

A bundle is a folder with ``manifest.json``, ``weights.safetensors`` and ``evaluation/`` (what the report shows).
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from tenure.config.settings import Settings
from tenure.errors import Refused, WrongInput

MANIFEST_FILE = "manifest.json"
WEIGHTS_FILE = "weights.safetensors"
EVALUATION_FOLDER = "evaluation"


class Interval(Settings):
    """A number and the bounds that resampling gave it; without bounds where nothing was resampled."""

    value: float
    low: float | None = None
    high: float | None = None


class Gate(Settings):
    """The gate's verdict: who answers from now on (``model`` or a baseline's name), and why."""

    passed: bool
    champion: str
    reasons: tuple[str, ...]


class Description(Settings):
    """Where a model comes from and how good it is.

    ``split`` says which days trained, validated and tested; ``rows`` counts examples by part. ``metrics`` are the
    model's own on the test part (means, where its config trained it under several ``seeds``), ``baselines`` those of
    every baseline by metric, ``comparisons`` the paired intervals of their differences. ``weights_sha256`` belongs to
    ``weights.safetensors`` beside it.
    """

    task: str
    model: str
    architecture: dict[str, Any] = Field(default_factory=dict)
    calibration: dict[str, Any] = Field(default_factory=dict)
    release_id: str
    source: str
    fingerprint: str
    code_version: str
    config: dict[str, Any] = Field(default_factory=dict)
    split: dict[str, Any] = Field(default_factory=dict)
    seed: int
    rows: dict[str, int] = Field(default_factory=dict)
    metrics: dict[str, Interval] = Field(default_factory=dict)
    baselines: dict[str, dict[str, float]] = Field(default_factory=dict)
    comparisons: dict[str, Any] = Field(default_factory=dict)
    gate: Gate | None = None
    weights_sha256: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")
    created_at: datetime


class Manifest(Description):
    """All that a bundle says; ``inputs`` is what turns rows into tensors, and grows with catalogue and columns."""

    inputs: dict[str, Any] = Field(default_factory=dict)  # vocabulary and scaling

    @property
    def description(self) -> Description:
        return Description(**{name: getattr(self, name) for name in Description.model_fields})


def write_manifest(folder: str | Path, manifest: Manifest) -> Manifest:
    """Writes ``manifest.json`` beside the weights, with their hash in it, and returns what was written."""
    folder = Path(folder)
    sealed = manifest.model_copy(update={"weights_sha256": sha256_of(folder / WEIGHTS_FILE)})
    (folder / MANIFEST_FILE).write_text(sealed.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return sealed


def read_manifest(folder: str | Path) -> Manifest:
    """The manifest of a bundle whose weights are the ones that it describes.

    Raises:
        WrongInput: if the folder holds no readable manifest.
        Refused: if the weights are missing or not the manifest's.
    """
    path = Path(folder) / MANIFEST_FILE
    try:
        manifest = Manifest.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise WrongInput(f"{folder} holds no {MANIFEST_FILE}: name the folder of a registered model") from None
    except (ValidationError, UnicodeDecodeError) as error:
        raise WrongInput(f"{path} is no manifest: {_first_line(error)}") from None
    _check_weights(Path(folder) / WEIGHTS_FILE, manifest)
    return manifest


def _check_weights(path: Path, manifest: Manifest) -> None:
    try:
        found = sha256_of(path)
    except FileNotFoundError:
        raise Refused(f"{path} is missing: register the model again") from None
    if found != manifest.weights_sha256:
        raise Refused(
            f"{path} is not what its manifest describes (sha256 {found[:12]}, not {manifest.weights_sha256[:12]}): "
            "register the model again"
        )


def _first_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc'])) or 'the file'}: {first['msg']}"
    return str(error)


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
