"""Both models by hand: a bare torch loop for churn, ``implicit`` for recommendations, from tables in plain Parquet.

The loop trains the same network on the same rows in as many steps, in one process with all cores, and keeps nothing but
the weights: no checkpoints, no other workers, no record of what was consumed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import torch
from implicit.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits
from torch import nn

from benchmarks import machine
from benchmarks.batches_by_hand import taken
from benchmarks.data_by_hand import FILE
from tenure.models.batch import Batch
from tenure.models.build import build
from tenure.models.network import Network
from tenure.tasks.task import Task
from tenure.training.prepare import Ready
from tenure.training.settings import Loop

ROWS_AT_ONCE = 1024  # when judging


def fit_churn(ready: Ready, train: Batch, validation: Batch) -> Network:
    """Masked pre-training, then the task; the best weights of each branch are kept."""
    config, task = ready.config, ready.task
    torch.set_num_threads(machine.cores())
    torch.manual_seed(config.seed)
    network = build(task.model, config.architecture, ready.inputs)
    pretraining = network.pretraining()
    if pretraining is not None and config.loop.pretraining_epochs:
        _train(
            pretraining, train, config.loop, config.loop.pretraining_epochs, config.loop.pretraining_rate, config.seed
        )
    best: dict[str, tuple[float, dict[str, torch.Tensor]]] = {}

    def keep_best() -> None:
        labels, logits = judged(network, validation)
        for name, said in logits.items():
            loss = _log_loss(labels, said)
            if name not in best or loss < best[name][0]:
                weights = {key: value.clone() for key, value in network.branches[name].state_dict().items()}
                best[name] = loss, weights

    _train(
        _Supervised(network, task),
        train,
        config.loop,
        config.loop.epochs,
        config.loop.learning_rate,
        config.seed,
        keep_best,
    )
    for name, (_, weights) in best.items():
        network.branches[name].load_state_dict(weights)
    return network


class _Supervised(nn.Module):
    def __init__(self, network: Network, task: Task) -> None:
        super().__init__()
        self.network, self.task = network, task

    def forward(self, batch: Batch) -> torch.Tensor:
        return self.task.head.loss(self.network(batch), batch.labels)


def _train(
    objective: nn.Module,
    train: Batch,
    loop: Loop,
    epochs: int,
    rate: float,
    seed: int,
    after: Callable[[], None] = lambda: None,
) -> None:
    parameters = [p for p in objective.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(_groups(objective, loop, rate), fused=True)
    steps = -(-len(train) // loop.batch_rows)
    total, every = epochs * steps, max(1, steps // loop.evaluations_per_epoch)

    def share(step: int) -> float:
        warm = min(1.0, (step + 1) / max(1.0, loop.warmup_share * total))
        return warm * (0.5 + 0.5 * math.cos(math.pi * step / total))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, share)
    for epoch in range(epochs):
        order = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed + epoch))
        for step, rows in enumerate(order.split(loop.batch_rows), start=1):
            objective.train()
            loss = objective(taken(train, rows)).float().mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            schedule.step()
            if step == steps or (step % every == 0 and steps - step >= every):
                after()


def _groups(objective: nn.Module, loop: Loop, rate: float) -> list[dict[str, object]]:
    """Matrices and vectors, which do not decay, of each branch with a rate and a decay of its own, and of the rest."""
    groups: list[dict[str, object]] = []
    left = {p for p in objective.parameters() if p.requires_grad}
    shallow = [module for module in objective.modules() if hasattr(module, "learning_rate_factor")]
    for module in (*shallow, objective):
        mine = [p for p in module.parameters() if p in left]
        left.difference_update(mine)
        factor = float(getattr(module, "learning_rate_factor", 1.0))
        decay = float(getattr(module, "weight_decay_factor", 1.0)) * loop.weight_decay
        groups.append({"params": [p for p in mine if p.dim() > 1], "lr": rate * factor, "weight_decay": decay})
        groups.append({"params": [p for p in mine if p.dim() <= 1], "lr": rate * factor, "weight_decay": 0.0})
    return [group for group in groups if group["params"]]


@torch.inference_mode()
def judged(network: Network, rows: Batch) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Labels and logits by branch."""
    assert rows.labels is not None
    network.eval()
    parts = [network(taken(rows, part)).branches for part in torch.arange(len(rows)).split(ROWS_AT_ONCE)]
    said = {name: torch.cat([part[name] for part in parts]).numpy() for name in network.branches}
    return rows.labels.numpy().astype(np.float64), said


@torch.inference_mode()
def scored(network: Network, rows: Batch) -> dict[int, float]:
    """By member_key, the probability to churn at the one day that the rows are of."""
    network.eval()
    parts = [torch.sigmoid(network(taken(rows, part)).logit) for part in torch.arange(len(rows)).split(ROWS_AT_ONCE)]
    return dict(zip(rows.ids[:, 0].tolist(), torch.cat(parts).tolist(), strict=True))


def _log_loss(labels: np.ndarray, logits: np.ndarray) -> float:
    z = logits.astype(np.float64)
    return float(np.mean(np.logaddexp(0, z) - labels * z))


@dataclass(frozen=True, kw_only=True)
class Purchases:
    """(members, items) how often each was bought and kept, of items that enough members bought."""

    member_keys: np.ndarray
    product_ids: np.ndarray
    times: csr_matrix


def purchases(folder: Path, known_before: date, min_members: int) -> Purchases:
    rows = pl.read_parquet(folder / "interactions" / FILE).filter(pl.col("known_on") < known_before)
    net = rows.group_by("member_key", "product_id").agg(pl.col("times").sum()).filter(pl.col("times") > 0)
    popular = net.group_by("product_id").len().filter(pl.col("len") >= min_members)
    net = net.join(popular, "product_id", "semi")
    members, member = np.unique(net["member_key"].to_numpy(), return_inverse=True)
    products, product = np.unique(net["product_id"].to_numpy(), return_inverse=True)
    times = net["times"].to_numpy().astype(np.float32)
    return Purchases(
        member_keys=members,
        product_ids=products,
        times=csr_matrix((times, (member, product)), (len(members), len(products))),
    )


def fit_factors(bought: Purchases, settings: Mapping[str, float], seed: int) -> AlternatingLeastSquares:
    """The same loss by exact least squares, as ours; ``implicit`` takes confidences."""
    confidence = bought.times.copy()
    confidence.data = 1 + settings["alpha"] * np.log1p(confidence.data)
    with threadpool_limits(1, "blas"):  # as implicit asks for: its own threads have the cores
        model = AlternatingLeastSquares(
            factors=int(settings["factors"]),
            regularization=settings["regularization"],
            iterations=int(settings["sweeps"]),
            num_threads=machine.cores(),
            random_state=seed,
            use_cg=False,  # its default solves each row nearly, by three steps of conjugate gradients
        )
        model.fit(confidence.astype(np.float32), show_progress=False)
    return model
