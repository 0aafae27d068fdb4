"""The one loop that a worker runs, for every network.

Phases follow one another (masked pre-training where the network offers one, then the task); each is a loss a row.
Rank 0 alone decides what was best and when to stop; every worker hears it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tenure.models.batch import Batch
from tenure.models.build import build
from tenure.models.inputs import Inputs
from tenure.models.network import Network
from tenure.tasks.task import Task
from tenure.training import state as states
from tenure.training.data import ExampleReader, generator
from tenure.training.group import Group, decided, distribute, gathered, summed
from tenure.training.settings import Loop
from tenure.training.shards import Shard
from tenure.training.state import Best, Position, State, digest

ROWS_AT_ONCE = 1024  # when judging


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All that a worker needs to know."""

    reader: ExampleReader
    inputs: Inputs
    model: str
    architecture: Mapping[str, Any]
    loop: Loop
    seed: int
    buckets_in_memory: int
    threads: int

    @property
    def task(self) -> Task:
        return self.reader.task

    def shard(self, part: Any, group: Group) -> Shard:
        return Shard(
            reader=self.reader,
            inputs=self.inputs,
            part=part,
            rank=group.rank,
            size=group.size,
            held=self.buckets_in_memory,
        )


class Supervised(nn.Module):
    """(N,) losses of the task's head, each branch's own added up."""

    def __init__(self, network: Network, task: Task) -> None:
        super().__init__()
        self.network = network
        self.task = task

    def forward(self, batch: Batch) -> Tensor:
        assert batch.labels is not None
        return self.task.head.loss(self.network(batch), batch.labels)


@dataclass
class Phase:
    """A part of the training with a loss, an optimiser and a length of its own."""

    name: str
    objective: nn.Module
    epochs: int
    rate: float
    judges: bool  # whether branches are compared on validation


def fit_worker(plan: Plan, group: Group) -> None:
    """Trains one network with the others of the group; the last checkpoint holds the best of each branch."""
    torch.set_num_threads(plan.threads)
    torch.manual_seed(plan.seed)
    network = build(plan.model, plan.architecture, plan.inputs).to(group.device)
    phases = _phases(network, plan, group)
    with group.latest() as folder:
        state, tensors = states.load(folder, group.device) if folder else (State(consumed=[""] * group.size), {})
    worker = Worker(plan, group, network, state)
    if tensors:
        network.load_state_dict(tensors["network"])
    for place in range(state.position.phase, len(phases)):
        worker.run(phases[place], tensors if place == state.position.phase else {})
        tensors = {}
        if place + 1 < len(phases):
            state.position = Position(phase=place + 1)
    worker.finish(phases[-1])


def _phases(network: Network, plan: Plan, group: Group) -> list[Phase]:
    loop, phases = plan.loop, []
    pretraining = network.pretraining() if loop.pretraining_epochs else None
    if pretraining is not None:
        objective = pretraining.to(group.device)
        phases.append(Phase("pre-training", objective, loop.pretraining_epochs, loop.pretraining_rate, False))
    phases.append(Phase("training", Supervised(network, plan.task), loop.epochs, loop.learning_rate, True))
    return phases


class Worker:
    """One worker of the group while it trains."""

    def __init__(self, plan: Plan, group: Group, network: Network, state: State) -> None:
        self.plan, self.group, self.network, self.state = plan, group, network, state
        self.train, self.validation = plan.shard("train", group), plan.shard("validation", group)
        self.rows = max(1, plan.loop.batch_rows // group.size)
        self.steps = max(gathered(self.train.steps(self.rows)))

    def run(self, phase: Phase, tensors: Mapping[str, Any]) -> None:
        """A phase from the state's position to its end, or until no branch gets better."""
        optimizer = _optimizer(phase, self.plan.loop)
        if tensors.get("objective"):
            phase.objective.load_state_dict(tensors["objective"])
            optimizer.load_state_dict(tensors["optimizer"])
        together = distribute(phase.objective)
        for epoch in range(self.state.position.epoch, phase.epochs):
            began, first = time.monotonic(), self.state.position.step
            # Only where an epoch begins: a training that was cut off in the middle of one goes on to its end.
            if phase.judges and first == 0 and self._is_settled():
                return
            losses = [self._step(batch, phase, together, optimizer) for batch in self._epoch(epoch, first)]
            self._tell(phase, epoch, losses, time.monotonic() - began)

    def _epoch(self, epoch: int, from_step: int) -> Iterator[tuple[Batch, bool]]:
        """This worker's batches with whether they count: who has run out goes along without weight."""
        seed, filler = self.plan.seed, None
        drawn = self.train.batches(seed=seed, epoch=epoch, batch_rows=self.rows, from_step=from_step)
        for _ in range(from_step, self.steps):
            batch = next(drawn, None)
            filler = filler or (batch or self._any()).take(torch.tensor([0]))
            yield (batch, True) if batch is not None else (filler, False)

    def _any(self) -> Batch:
        return next(b for b in map(self.train.bucket, self.train.reader.buckets) if len(b))

    def _step(
        self, drawn: tuple[Batch, bool], phase: Phase, together: nn.Module, optimizer: torch.optim.Optimizer
    ) -> float:
        batch, counts = drawn
        position = self.state.position
        _set_rate(optimizer, phase, position.epoch * self.steps + position.step, self.steps, self.plan.loop)
        # Chance belongs to the position, so that a training which was cut off goes on as if it had not been.
        rng = generator(self.plan.seed, position.phase, position.epoch, position.step, self.group.rank, 2)
        torch.manual_seed(int(rng.integers(2**62)))
        everyone = summed(len(batch) * counts, self.group.device)
        self.network.train()
        with torch.autocast(self.group.device.type, torch.bfloat16, enabled=self.plan.loop.precision == "bf16"):
            losses = together(batch.to(self.group.device)).float()
        loss = losses.sum() * (counts * self.group.size / everyone)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_([p for g in optimizer.param_groups for p in g["params"]], 1.0)
        optimizer.step()
        self.state.examples += int(everyone)
        self._advance(batch if counts else None, phase, optimizer)
        return float(losses.detach().mean()) if counts else math.nan

    def _advance(self, batch: Batch | None, phase: Phase, optimizer: torch.optim.Optimizer) -> None:
        """Notes what was consumed, judges and saves where it is time to."""
        rank, state, loop = self.group.rank, self.state, self.plan.loop
        if batch is not None:
            state.consumed[rank] = digest(state.consumed[rank], batch)
        step = state.position.step + 1
        every = max(1, self.steps // loop.evaluations_per_epoch)
        is_at_end = step == self.steps
        judged = phase.judges and (is_at_end or (step % every == 0 and self.steps - step >= every))
        position = state.position
        done = position.epoch * self.steps + step
        state.position = (
            Position(position.phase, position.epoch + 1)
            if is_at_end
            else Position(position.phase, position.epoch, step)
        )
        if judged:
            self._judge(position.epoch, step)
        if done % loop.checkpoint_steps == 0:
            self._save(phase, optimizer)

    def _save(self, phase: Phase, optimizer: torch.optim.Optimizer) -> None:
        state = self.state
        state.consumed = [each[rank] for rank, each in enumerate(gathered(state.consumed))]
        metrics = {"phase": phase.name, **vars(state.position), "seed": self.plan.seed}
        self.group.save(metrics, lambda folder: states.save(folder, state, phase.objective, optimizer, self.network))

    def _judge(self, epoch: int, step: int) -> None:
        """Keeps each branch where it was best so far, by rank 0's word."""
        labels, logits = self._validation()
        losses = decided({name: _log_loss(labels, said) for name, said in logits.items()})
        for name, loss in losses.items():
            if name not in self.state.best or loss < self.state.best[name].loss:
                weights = {k: v.detach().clone() for k, v in self.network.branches[name].state_dict().items()}
                self.state.best[name] = Best(loss, self.state.evaluations, weights)
        line = {"phase": "training", "epoch": epoch, "step": step, "loss": losses}
        metrics = {m.name: {n: m(labels, x) for n, x in logits.items()} for m in self.plan.task.metrics[:2]}
        self.state.history.append({**line, **decided(metrics)})
        self._print(f"epoch {epoch + 1}, step {step}: " + _in_words(self.state.history[-1]))

    def _is_settled(self) -> bool:
        newest = max((best.evaluation for best in self.state.best.values()), default=0)
        return bool(decided(self.state.evaluations - 1 - newest >= self.plan.loop.patience))

    @torch.inference_mode()
    def _validation(self) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Labels and logits by branch of the whole validation part, on every worker."""
        self.network.eval()
        labels, said = [np.zeros(0)], {name: [np.zeros(0, np.float32)] for name in self.network.branches}
        for batch in self.validation.in_order(ROWS_AT_ONCE):
            assert batch.labels is not None
            labels.append(batch.labels.numpy())
            for name, logits in self.network(batch.to(self.group.device)).branches.items():
                said[name].append(logits.cpu().numpy())
        mine = np.concatenate(labels), {name: np.concatenate(parts) for name, parts in said.items()}
        shares = gathered(mine)
        return np.concatenate([share[0] for share in shares]), {
            name: np.concatenate([share[1][name] for share in shares]) for name in said
        }

    def finish(self, phase: Phase) -> None:
        """The best of each branch, in a last checkpoint."""
        for name, best in self.state.best.items():
            self.network.branches[name].load_state_dict(best.weights)
        self._save(phase, _optimizer(phase, self.plan.loop))

    def _tell(self, phase: Phase, epoch: int, losses: list[float], seconds: float) -> None:
        if losses:
            loss = summed(float(np.nanmean(losses)), self.group.device) / self.group.size
            rows = summed(float(len(losses) * self.rows), self.group.device)
            pace = f"loss {loss:.4f}, {rows / seconds:,.0f} examples/s"
            self._print(f"{phase.name}, epoch {epoch + 1} of {phase.epochs}: {pace}")

    def _print(self, line: str) -> None:
        if self.group.rank == 0:
            print(f"{self.plan.task.name}, seed {self.plan.seed}: {line}", flush=True)


def _optimizer(phase: Phase, loop: Loop) -> torch.optim.Optimizer:
    """AdamW (Loshchilov, Hutter 2019); vectors (biases, norms) do not decay. A branch may ask for other factors of the
    rate and the decay, for all that it holds."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    asked: dict[str, tuple[float, float]] = {"": (1.0, 1.0)}
    for name, module in phase.objective.named_modules():
        rate, decay = asked[name.rpartition(".")[0] if name else ""]
        rate = float(getattr(module, "learning_rate_factor", rate))
        decay = float(getattr(module, "weight_decay_factor", decay))
        asked[name] = rate, decay
        for parameter in module.parameters(recurse=False):
            if parameter.requires_grad:
                decays = decay * loop.weight_decay if parameter.dim() > 1 else 0.0
                groups.setdefault((rate, decays), []).append(parameter)
    return torch.optim.AdamW(
        [
            {"params": params, "lr": phase.rate * factor, "peak": phase.rate * factor, "weight_decay": decay}
            for (factor, decay), params in groups.items()
        ],
        fused=True,
    )


def _set_rate(optimizer: torch.optim.Optimizer, phase: Phase, step: int, steps: int, loop: Loop) -> None:
    total = phase.epochs * steps
    warm = min(1.0, (step + 1) / max(1.0, loop.warmup_share * total))
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * warm * (0.5 + 0.5 * math.cos(math.pi * step / total))


def _log_loss(labels: np.ndarray, logits: np.ndarray) -> float:
    z = logits.astype(np.float64)
    return float(np.mean(np.logaddexp(0, z) - labels * z))


def _in_words(line: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name} " + " ".join(f"{metric} {line[metric][name]:.4f}" for metric in line if isinstance(line[metric], dict))
        for name in line["loss"]
    )


def network_of(plan: Plan, folder: Path) -> tuple[Network, State]:
    """The trained network of a last checkpoint, on CPU."""
    state, tensors = states.load(folder, torch.device("cpu"))
    network = build(plan.model, plan.architecture, plan.inputs)
    network.load_state_dict(tensors["network"])
    return network.eval(), state
