"""A trained model that answers: the bundle's weights, inputs and calibration behind one method."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from tenure.errors import Refused, WrongInput
from tenure.models.build import build
from tenure.models.calibration import Calibration
from tenure.models.inputs import Inputs
from tenure.models.network import Network
from tenure.models.rows import MemberRows
from tenure.registry.manifest import WEIGHTS_FILE, Manifest, read_manifest

ROWS_AT_ONCE = 512


class MemberScorer:
    """Scores members; the same rows give the same scores alone and among others (to 1e-6 in fp32)."""

    def __init__(
        self, manifest: Manifest, inputs: Inputs, network: Network, calibration: Calibration, device: str = "cpu"
    ) -> None:
        self.manifest = manifest
        self.inputs = inputs
        self.network = network.to(device).eval()
        self.calibration = calibration
        self.device = torch.device(device)

    def score(self, rows: MemberRows) -> np.ndarray:
        """(N,) float64 calibrated probabilities.

        Raises:
            Refused: if the rows lack a column that the model was trained on.
        """
        return self.calibration(self.logits(rows)["logit"])

    @torch.inference_mode()
    def logits(self, rows: MemberRows) -> dict[str, np.ndarray]:
        """(N,) float32 logits by branch, and under ``logit`` their weighted sum."""
        said: dict[str, list[np.ndarray]] = {"logit": []}
        for start in range(0, len(rows), ROWS_AT_ONCE):
            chosen = np.arange(start, min(start + ROWS_AT_ONCE, len(rows)))
            outputs = self.network(self.inputs.batch(rows.take(chosen)).to(self.device))
            for name, logits in {"logit": outputs.logit, **outputs.branches}.items():
                said.setdefault(name, []).append(logits.cpu().numpy())
        return {name: np.concatenate([np.zeros(0, np.float32), *parts]) for name, parts in said.items()}


def load_scorer(folder: str | Path, device: str = "cpu") -> MemberScorer:
    """The model of a bundle (``manifest.json`` and ``weights.safetensors``).

    Raises:
        WrongInput: if there is no readable manifest.
        Refused: if the weights do not fit the manifest.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    try:
        inputs = Inputs.model_validate(manifest.inputs)
        calibration = Calibration.model_validate(manifest.calibration)
        network = build(manifest.model, manifest.architecture, inputs)
        network.load_state_dict(load_file(folder / WEIGHTS_FILE))
    except (ValidationError, WrongInput, RuntimeError, SafetensorError) as error:
        reason = str(error).splitlines()[0]
        raise Refused(f"{folder} does not fit its manifest ({reason}): train the model again") from None
    return MemberScorer(manifest, inputs, network, calibration, device)


def save_weights(weights: Mapping[str, torch.Tensor], folder: str | Path) -> None:
    """Writes ``weights.safetensors``."""
    save_file(
        {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}, Path(folder) / WEIGHTS_FILE
    )
