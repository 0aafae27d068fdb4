"""A training in the process of its test, without Ray."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from tenure.training.group import Write


class Alone:
    """The only worker of a group (``tenure.training.group.Group``), with its checkpoints in a folder."""

    rank, size = 0, 1

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        self.folder = folder
        self.device = torch.device(device)
        self.saves = 0

    @contextmanager
    def latest(self) -> Iterator[Path | None]:
        newest = self.folder / "checkpoint"
        yield newest if newest.is_dir() else None

    def save(self, metrics: dict[str, Any], write: Write | None) -> None:
        if write is None:
            return
        self.saves += 1
        part = self.folder / "checkpoint.part"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        write(part)
        shutil.rmtree(self.folder / "checkpoint", ignore_errors=True)
        part.rename(self.folder / "checkpoint")
