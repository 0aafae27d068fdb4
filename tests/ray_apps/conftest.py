"""One Ray of this machine for all tests that need one: starting it costs more than most tests."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def local_ray() -> Iterator[None]:
    import ray

    # Workers inherit these; a runtime_env would make Ray start other processes than the ones it holds ready.
    os.environ.update(PYTHONPATH=str(ROOT), OMP_NUM_THREADS="1", RAY_worker_niceness="0")
    # Ray's sockets need a short path, and a folder of its own keeps it apart from other Rays of this machine.
    with tempfile.TemporaryDirectory(prefix="ray-") as folder:
        ray.init(
            address="local",
            num_cpus=4,
            object_store_memory=200_000_000,
            include_dashboard=False,
            log_to_driver=False,
            _temp_dir=folder,
        )
        yield
        ray.shutdown()
