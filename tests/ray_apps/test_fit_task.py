"""The training of a network on a Ray of this machine: two workers, and one of them killed in the middle of an epoch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.alone import Alone
from tests.ray_apps.dies_once import DiesOnce
from tests.visiting_shop import VisitingShop, open_shop
from torch.nn.parallel import DistributedDataParallel

from tenure.models.network import Network
from tenure.training.group import Group, distribute, gathered
from tenure.training.loop import Plan, fit_worker, network_of
from tenure.training.prepare import Ready, prepare
from tenure.training.settings import Scale
from tenure.training.state import State
from tenure.training.workers import trained

TWO = Scale(workers=2, cpus_per_worker=0.5, max_failures=1)
LOSS_TOLERANCE = 1e-3  # of a branch's log loss: sums of gradients are added up in another order


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> VisitingShop:
    return open_shop(tmp_path_factory.mktemp("visiting_shop"))


@pytest.fixture(scope="module")
def plan(shop: VisitingShop) -> Plan:
    ready: Ready = prepare(shop.settings())
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


def fitted(plan: Plan, shop: VisitingShop, scale: Scale, marker: Path | None = None) -> tuple[Network, State]:
    def work(group: Group) -> None:
        fit_worker(plan, DiesOnce(group, marker, at_save=3) if marker else group)

    with trained(work, "churn", shop.env, scale) as folder:
        return network_of(plan, folder)


@pytest.mark.long
@pytest.mark.usefixtures("local_ray")
def test_a_worker_killed_in_an_epoch_changes_neither_what_is_consumed_nor_how_good_it_gets(
    plan: Plan, shop: VisitingShop, tmp_path: Path
) -> None:
    _, undisturbed = fitted(plan, shop, TWO)
    _, again = fitted(plan, shop, TWO, marker=tmp_path / "killed")
    assert (tmp_path / "killed").read_text() == "from a checkpoint"
    assert again.consumed == undisturbed.consumed
    assert len(set(again.consumed)) == 2  # each worker its own rows
    assert again.examples == undisturbed.examples
    for name, best in undisturbed.best.items():
        assert again.best[name].loss == pytest.approx(best.loss, abs=LOSS_TOLERANCE)


def note(folder: Path, said: str) -> None:
    (folder / "said").write_text(said)


@pytest.mark.long
@pytest.mark.usefixtures("local_ray")
def test_a_group_of_one_talks_through_its_backend_as_more_do(shop: VisitingShop) -> None:
    def work(group: Group) -> None:
        assert torch.distributed.get_backend() == "gloo"
        assert isinstance(distribute(torch.nn.Linear(1, 1)), DistributedDataParallel)
        said = str(gathered(group.rank))
        group.save({}, lambda folder: note(folder, said))

    with trained(work, "one", shop.env, Scale(workers=1, cpus_per_worker=0.5)) as folder:
        assert (folder / "said").read_text() == "[0]"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.usefixtures("local_ray")
def test_nccl_with_one_rank_learns_what_one_process_does(plan: Plan, shop: VisitingShop, tmp_path: Path) -> None:
    still = replace(plan, architecture={**plan.architecture, "dropout": 0.0})
    fit_worker(still, Alone(tmp_path))
    _, alone = network_of(still, tmp_path / "checkpoint")

    def work(group: Group) -> None:
        assert torch.distributed.get_backend() == "nccl"
        assert isinstance(distribute(torch.nn.Linear(1, 1).to(group.device)), DistributedDataParallel)
        fit_worker(still, group)

    with trained(work, "churn", shop.env, Scale(workers=1, gpus_per_worker=1)) as folder:
        _, state = network_of(still, folder)
    assert state.consumed == alone.consumed
    for name, best in alone.best.items():
        assert state.best[name].loss == pytest.approx(best.loss, abs=0.02)
