"""Workers that train together under Ray Train, on CPUs with gloo or on GPUs with NCCL by the same code."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from tenure.config.env import Env
from tenure.errors import WrongInput
from tenure.training.group import Group, RayGroup
from tenure.training.settings import Scale

log = logging.getLogger(__name__)


@contextmanager
def cluster(env: Env, scale: Scale) -> Iterator[None]:
    """A connection to the cluster that the settings or ``RAY_ADDRESS`` name, or a Ray of this process.

    Raises:
        WrongInput: if there is no such cluster.
    """
    import ray

    if ray.is_initialized():
        yield
        return
    address = env.ray_address or os.environ.get("RAY_ADDRESS") or "local"
    cpus = max(os.cpu_count() or 1, round(scale.workers * scale.cpus_per_worker))
    try:
        if address == "local":
            ray.init(address, num_cpus=cpus, include_dashboard=False, logging_level=logging.WARNING)
        else:
            ray.init(address, logging_level=logging.WARNING)
    except (ConnectionError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise WrongInput(f"no Ray cluster at {address} ({reason}): start one, or leave env.ray_address out") from None
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def trained(work: Callable[[Group], None], name: str, env: Env, scale: Scale) -> Iterator[Path]:
    """Runs ``work`` on every worker and gives the folder of its last checkpoint.

    A worker that dies takes its group back to the newest checkpoint that all of them reported, ``max_failures`` times.
    Checkpoints lie below ``env.work`` and are removed at the end.
    """
    from ray.train import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    os.environ.setdefault("RAY_TRAIN_ENABLE_PRINT_PATCH", "0")  # with it, Ray says every line of a worker twice
    # A report waits for the next look at its worker, and so does the end of a training: Ray looks every two seconds.
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.5")
    # It tells workers that their node will be taken away; the loops save every so often and ask nobody.
    os.environ.setdefault("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")
    storage = Path(env.work) / "training"
    run = f"{name}-{uuid4().hex[:8]}"  # Ray resumes a name it knows without a word
    uses_gpu = scale.gpus_per_worker > 0
    resources = {"CPU": scale.cpus_per_worker, **({"GPU": scale.gpus_per_worker} if uses_gpu else {})}
    trainer = TorchTrainer(
        _worker,
        train_loop_config={"work": work},
        torch_config=TorchConfig(backend="nccl" if uses_gpu else "gloo"),
        scaling_config=ScalingConfig(num_workers=scale.workers, use_gpu=uses_gpu, resources_per_worker=resources),
        run_config=RunConfig(
            name=run,
            storage_path=str(storage),
            failure_config=FailureConfig(max_failures=scale.max_failures),
            checkpoint_config=CheckpointConfig(num_to_keep=2),
        ),
    )
    try:
        checkpoint = trainer.fit().checkpoint
        assert checkpoint is not None
        with checkpoint.as_directory() as folder:
            yield Path(folder)
    finally:
        shutil.rmtree(storage / run, ignore_errors=True)


def _worker(config: dict[str, Callable[[Group], None]]) -> None:
    config["work"](RayGroup())
