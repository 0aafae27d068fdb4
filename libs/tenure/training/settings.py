"""Settings of a training: one YAML under ``conf/train/``."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from tenure.config.env import Env
from tenure.config.settings import Settings
from tenure.config.source import Source


class SplitBy(Settings):
    """``time`` and ``both`` take their days from the source; ``member`` and ``both`` divide members 7:2:1 by a keyed
    hash, whose key is the secret of member keys."""

    by: Literal["time", "member", "both"] = "time"


class Reading(Settings):
    """How rows are turned into tensors, and how much of them is held at once."""

    bins: int = Field(default=8, gt=1)  # of the piecewise-linear encoding of features
    max_events: int = Field(default=64, gt=0)
    sample_rows: int = Field(default=200_000, gt=0)  # training rows that scaling, words and baselines are fitted on
    # Of a worker, beside the one in use, in its epoch's order, and two that are read ahead; the others are read again.
    buckets_in_memory: int = Field(default=16, gt=0)


class Loop(Settings):
    """The one loop. Learning rates fall from their peak along a cosine after a warm-up."""

    batch_rows: int = Field(default=256, gt=0)  # of all workers together
    pretraining_epochs: int = Field(default=3, ge=0)
    pretraining_rate: float = Field(default=1e-3, gt=0)
    epochs: int = Field(default=6, gt=0)
    learning_rate: float = Field(default=1e-3, gt=0)
    warmup_share: float = Field(default=0.1, ge=0, le=1)
    weight_decay: float = Field(default=0.01, ge=0)
    evaluations_per_epoch: int = Field(default=2, gt=0)
    patience: int = Field(default=6, gt=0)  # evaluations without a better branch, then it stops
    checkpoint_steps: int = Field(default=100, gt=0)
    precision: Literal["fp32", "bf16"] = "fp32"


class Scale(Settings):
    """Workers and what each may use; ``gpus_per_worker`` above zero trains on CUDA with NCCL, else on CPU with gloo."""

    workers: int = Field(default=1, gt=0)
    cpus_per_worker: float = Field(default=1.0, ge=0)
    gpus_per_worker: float = Field(default=0.0, ge=0)
    threads_per_worker: int = Field(default=1, gt=0)
    max_failures: int = Field(default=2, ge=0)


class Baselines(Settings):
    """``trials`` settings of each baseline, chosen on validation."""

    trials: int = Field(default=30, gt=0)
    threads: int = Field(default=2, gt=0)
    rounds: int = Field(default=600, gt=0)  # of boosting at most
    lightgbm_auc_at_least: dict[str, float] = Field(default_factory=dict)  # on test, by source; less is a fault


class Evaluation(Settings):
    resamples: int = Field(default=1000, gt=0)


class FitTask(Settings):
    """A training of a network for a task."""

    env: Env
    source: Source
    task: str
    release: str | None = None  # by default the newest
    seed: int = Field(default=1, ge=0)
    seeds: int = Field(
        default=1, gt=0
    )  # trainings with seed, seed + 1, ...; the first is registered, metrics are means
    architecture: dict[str, Any] = Field(default_factory=dict)  # settings of the task's network
    split: SplitBy = SplitBy()
    reading: Reading = Reading()
    loop: Loop = Loop()
    scale: Scale = Scale()
    baselines: Baselines = Baselines()
    evaluation: Evaluation = Evaluation()
    again: bool = False  # train also where the candidate came of the same release, code and settings
