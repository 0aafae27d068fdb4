"""What a training must remember to go on after a worker is gone: weights, optimiser, the place in the data."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tenure.models.batch import Batch

STATE_FILE = "state.pt"
POSITION_FILE = "position.json"


@dataclass(frozen=True)
class Position:
    """The next batch: step of an epoch of a phase."""

    phase: int = 0
    epoch: int = 0
    step: int = 0


@dataclass
class Best:
    """A branch at its best evaluation: each learns alone, so each also stops alone."""

    loss: float
    evaluation: int
    weights: dict[str, Tensor]


@dataclass
class State:
    """Everything of a training that is not its settings.

    Attributes:
        consumed: one digest a rank over the ids of all examples that it learnt from, in their order.
        history: one line an evaluation.
    """

    position: Position = field(default_factory=Position)
    best: dict[str, Best] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    consumed: list[str] = field(default_factory=list)
    examples: int = 0

    @property
    def evaluations(self) -> int:
        """Of the last phase, where branches are compared."""
        return sum("loss" in line for line in self.history)


def digest(before: str, batch: Batch) -> str:
    """The digest of all ids up to and with this batch's, in their order."""
    return hashlib.sha256(before.encode() + batch.ids.cpu().numpy().tobytes()).hexdigest()


def save(
    folder: Path, state: State, objective: nn.Module, optimizer: torch.optim.Optimizer, network: nn.Module
) -> None:
    """One file with all tensors, one that says in words how far it is."""
    tensors = {
        "network": network.state_dict(),
        "objective": objective.state_dict(),
        "optimizer": optimizer.state_dict(),
        "state": {
            **vars(state),
            "position": asdict(state.position),
            "best": {k: vars(b) for k, b in state.best.items()},
        },
    }
    torch.save(tensors, folder / STATE_FILE)
    said = {**asdict(state.position), "examples": state.examples, "consumed": state.consumed}
    (folder / POSITION_FILE).write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")


def load(folder: Path, device: torch.device) -> tuple[State, dict[str, Any]]:
    """The state, and the tensors of network, objective and optimizer."""
    tensors = torch.load(folder / STATE_FILE, map_location=device, weights_only=True)
    kept = tensors.pop("state")
    best = {name: Best(**values) for name, values in kept["best"].items()}
    return State(**{**kept, "position": Position(**kept["position"]), "best": best}), tensors
