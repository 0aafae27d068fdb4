from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.alone import Alone
from tests.visiting_shop import VisitingShop

from tenure.training.loop import Plan, fit_worker, network_of
from tenure.training.prepare import prepare


class WorkerDiedError(Exception):
    pass


class Mortal(Alone):
    """A worker that dies right after its n-th checkpoint, as if the machine were gone."""

    def __init__(self, folder: Path, after: int) -> None:
        super().__init__(folder)
        self.left = after

    def save(self, metrics: dict[str, Any], write: Any) -> None:
        if self.left == 0:
            raise WorkerDiedError
        super().save(metrics, write)
        self.left -= 1


@pytest.fixture(scope="module")
def plan(shop: VisitingShop) -> Plan:
    ready = prepare(shop.settings())
    return Plan(
        reader=ready.reader,
        inputs=ready.inputs,
        model="member_encoder",
        architecture=ready.config.architecture,
        loop=ready.config.loop,
        seed=3,
        buckets_in_memory=4,
        threads=1,
    )


@pytest.fixture(scope="module")
def whole(plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> Alone:
    group = Alone(tmp_path_factory.mktemp("undisturbed"))
    fit_worker(plan, group)
    return group


@pytest.fixture(scope="module")
def undisturbed(whole: Alone) -> Path:
    return whole.folder / "checkpoint"


@pytest.mark.parametrize("after", [2, 5])
def test_a_training_that_was_cut_off_ends_as_if_it_had_not_been(
    plan: Plan, whole: Alone, undisturbed: Path, tmp_path: Path, after: int
):
    with suppress(WorkerDiedError):
        fit_worker(plan, Mortal(tmp_path, after))
    rest = Alone(tmp_path)
    fit_worker(plan, rest)
    assert rest.saves == whole.saves - after  # it went on, and did not begin anew
    (network, state), (expected, first) = network_of(plan, tmp_path / "checkpoint"), network_of(plan, undisturbed)
    assert state.consumed == first.consumed
    assert state.examples == first.examples
    for name, tensor in expected.state_dict().items():
        torch.testing.assert_close(network.state_dict()[name], tensor, msg=name)


def test_every_epoch_consumes_every_training_row(plan: Plan, undisturbed: Path):
    _, state = network_of(plan, undisturbed)
    rows = sum(plan.reader.count(bucket, "train") for bucket in plan.reader.buckets)
    assert state.examples == rows * (plan.loop.pretraining_epochs + plan.loop.epochs)


def test_training_makes_every_branch_better_than_chance(plan: Plan, undisturbed: Path):
    _, state = network_of(plan, undisturbed)
    assert set(state.best) == {"features", "trees", "sequence"}
    assert state.history[-1]["roc_auc"]["features"] > 0.7
    assert state.history[-1]["roc_auc"]["trees"] > 0.6
    assert state.history[-1]["roc_auc"]["sequence"] > 0.55


def test_the_best_of_each_branch_is_kept(plan: Plan, undisturbed: Path):
    _, state = network_of(plan, undisturbed)
    for name, best in state.best.items():
        losses = [line["loss"][name] for line in state.history]
        assert best.loss == min(losses)
        assert best.evaluation == int(np.argmin(losses))


def test_it_stops_where_no_branch_gets_better(plan: Plan, tmp_path: Path):
    hasty = plan.loop.model_copy(update={"epochs": 40, "pretraining_epochs": 0, "learning_rate": 0.3, "patience": 2})
    fit_worker(Plan(**{**vars(plan), "loop": hasty}), Alone(tmp_path))
    _, state = network_of(plan, tmp_path / "checkpoint")
    newest = max(best.evaluation for best in state.best.values())
    assert len(state.history) - 1 - newest == 2
    assert len(state.history) < 40


def test_a_training_that_was_cut_off_when_it_was_settled_does_not_go_on(plan: Plan, tmp_path: Path):
    steps = max(plan.shard("train", Alone(tmp_path)).steps(plan.loop.batch_rows), 1)
    hasty = {"epochs": 40, "pretraining_epochs": 0, "learning_rate": 0.3, "patience": 2, "checkpoint_steps": steps}
    settled = Plan(**{**vars(plan), "loop": plan.loop.model_copy(update=hasty)})
    fit_worker(settled, Alone(tmp_path / "whole"))
    _, whole = network_of(settled, tmp_path / "whole" / "checkpoint")
    with pytest.raises(WorkerDiedError):  # after the checkpoint of its last epoch, before the one of the end
        fit_worker(settled, Mortal(tmp_path / "cut", len(whole.history)))
    rest = Alone(tmp_path / "cut")
    fit_worker(settled, rest)
    assert rest.saves == 1  # only that of the end
    _, state = network_of(settled, tmp_path / "cut" / "checkpoint")
    assert len(state.history) == len(whole.history)
    assert state.examples == whole.examples


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_bf16_on_a_gpu_reaches_what_fp32_on_cpu_does(plan: Plan, undisturbed: Path, tmp_path: Path):
    half = plan.loop.model_copy(update={"precision": "bf16"})
    fit_worker(Plan(**{**vars(plan), "loop": half}), Alone(tmp_path, device="cuda"))
    (_, state), (_, whole) = network_of(plan, tmp_path / "checkpoint"), network_of(plan, undisturbed)
    assert state.consumed == whole.consumed
    for name, best in whole.best.items():
        assert state.best[name].loss == pytest.approx(best.loss, rel=0.05)
