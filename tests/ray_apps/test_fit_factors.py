"""The recommender's training on a Ray of this machine: as many workers as wanted, and one of them killed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.alone import Alone
from tests.ray_apps.dies_once import DiesOnce
from tests.small_lake import product, small_lake, tastes

from tenure.config.env import Env
from tenure.lake.release import Release
from tenure.training.factors import Worker
from tenure.training.factors_progress import Progress
from tenure.training.factors_settings import Als, Choices, FitFactors
from tenure.training.group import Group
from tenure.training.settings import Scale
from tenure.training.workers import trained

TWO = Scale(workers=2, cpus_per_worker=0.5, max_failures=1)
CONFIG = FitFactors(
    env=Env(),
    min_members=3,
    checkpoint_seconds=0,
    als=Als(factors=8, regularization=5.0, sweeps=3),
    choices=Choices(popularity_days=(365,), popularity_weights=(0.1,), favourites_weights=(4.0,)),
)


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return small_lake(tmp_path_factory.mktemp("shop") / "lake", tastes(), [product(f"p{n}") for n in range(80)])


@pytest.fixture(scope="module")
def undisturbed(release: Release, tmp_path_factory: pytest.TempPathFactory) -> Progress:
    """One worker, in this process."""
    return Worker.of(CONFIG, release, Alone(tmp_path_factory.mktemp("alone"))).fit()


def fitted(work: Callable[[Group], None], folder: Path, scale: Scale) -> Progress:
    with trained(work, "recommender", Env(work=str(folder)), scale) as checkpoint:
        return Progress.read(checkpoint)


def assert_same(ours: Progress, theirs: Progress) -> None:
    for one, other in zip(ours.fitted, theirs.fitted, strict=True):
        np.testing.assert_array_equal(one.product, other.product)
        np.testing.assert_allclose(one.factors, other.factors, atol=2e-4)
        assert one.objective == pytest.approx(other.objective, rel=1e-5)
        assert one.chosen == other.chosen
    for name, numbers in theirs.fitted[1].judged.items():
        np.testing.assert_allclose(ours.fitted[1].judged[name].mean(), numbers.mean(), atol=2e-3)


@pytest.mark.usefixtures("local_ray")
def test_two_workers_come_to_the_factors_of_one(release: Release, undisturbed: Progress, tmp_path: Path) -> None:
    def work(group: Group) -> None:
        Worker.of(CONFIG, release, group).fit()

    assert_same(fitted(work, tmp_path, TWO), undisturbed)


@pytest.mark.long
@pytest.mark.usefixtures("local_ray")
def test_a_killed_worker_changes_nothing_but_the_time(release: Release, undisturbed: Progress, tmp_path: Path) -> None:
    marker = tmp_path / "killed"

    def work(group: Group) -> None:
        Worker.of(CONFIG, release, DiesOnce(group, marker, at_save=5)).fit()

    again = fitted(work, tmp_path, TWO)
    assert marker.read_text() == "from a checkpoint"
    assert_same(again, undisturbed)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.usefixtures("local_ray")
def test_nccl_with_one_rank_comes_to_the_factors_of_the_cpu(
    release: Release, undisturbed: Progress, tmp_path: Path
) -> None:
    def work(group: Group) -> None:
        assert torch.distributed.get_backend() == "nccl"
        Worker.of(CONFIG, release, group).fit()

    assert_same(fitted(work, tmp_path, Scale(workers=1, gpus_per_worker=1)), undisturbed)
