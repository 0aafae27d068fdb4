"""The workers that train together, as the loop calls them, and those that Ray starts."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

Write = Callable[[Path], None]


class Group(Protocol):
    """``rank`` of ``size`` workers, each with its own device and its own shard."""

    rank: int
    size: int
    device: torch.device

    def latest(self) -> Any:
        """A context with the folder of the newest checkpoint, or None."""

    def save(self, metrics: dict[str, Any], write: Write | None) -> None:
        """Called by all workers at the same step; ``write`` fills the checkpoint's folder, or there is none."""


class RayGroup:
    """A worker of Ray Train. A checkpoint counts once every worker has reported it."""

    def __init__(self) -> None:
        from ray import train
        from ray.train.torch import get_device

        context = train.get_context()
        self.rank, self.size = context.get_world_rank(), context.get_world_size()
        self.device = get_device()
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)  # NCCL gathers objects by way of the current device

    @contextmanager
    def latest(self) -> Iterator[Path | None]:
        from ray import train

        checkpoint = train.get_checkpoint()
        if checkpoint is None:
            yield None
            return
        with checkpoint.as_directory() as folder:
            yield Path(folder)

    def save(self, metrics: dict[str, Any], write: Write | None) -> None:
        from ray import train

        if write is None:
            train.report(metrics)
            return
        with tempfile.TemporaryDirectory() as folder:
            if self.rank == 0:  # every worker holds the same weights
                write(Path(folder))
            train.report(metrics, checkpoint=train.Checkpoint(folder) if self.rank == 0 else None)


def is_together() -> bool:
    """Whether there is a group to talk through; one of a single worker too, which costs little and is the same code."""
    return dist.is_available() and dist.is_initialized()


def distribute(module: nn.Module) -> nn.Module:
    """The module with its gradients averaged over all workers."""
    return DistributedDataParallel(module) if is_together() else module


def summed(value: float, device: torch.device) -> float:
    """The sum over all workers."""
    if not is_together():
        return value
    total = torch.tensor(value, dtype=torch.float64, device=device)
    dist.all_reduce(total)
    return float(total)


def gathered(value: Any) -> list[Any]:
    """What every worker holds, in the order of ranks; all hear it."""
    if not is_together():
        return [value]
    values: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values


def decided(value: Any) -> Any:
    """What rank 0 says; all hear it."""
    if not is_together():
        return value
    said = [value]
    dist.broadcast_object_list(said, src=0)
    return said[0]
