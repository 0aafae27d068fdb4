"""Trains the network of a task on the newest release, with its baselines, and lets the gate say who answers.

    python ray_apps/train/fit_task.py --config conf/train/churn.yaml --set env.work=var/demo
    python ray_apps/train/fit_task.py --config conf/train/churn.yaml --seeds 3
    ray job submit -- python ray_apps/train/fit_task.py --config conf/train/churn.yaml --set scale.workers=4
    ray job submit -- python ray_apps/train/fit_task.py --config conf/train/churn.yaml --set scale.gpus_per_worker=1

A training that was run before on the same release, with the same code and settings, is not run again unless
``--again`` says so. It stops with exit code 3, before anything is learnt, where a row or a number would let the model
see the future.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from tenure.config.command import Flag, command
from tenure.training.settings import FitTask

if TYPE_CHECKING:
    from tenure.training.fit import Outcome

FLAGS = (
    Flag("--seeds", "seeds", "train with so many seeds and report their mean"),
    Flag("--again", "again", "train also where the same was trained before", "true"),
)


def run(config: FitTask) -> Outcome:
    # Here, so that help and a wrong setting are answered before Ray and torch are loaded.
    from tenure.training.fit import fit_task
    from tenure.training.workers import cluster, trained

    with cluster(config.env, config.scale):
        return fit_task(config, partial(trained, env=config.env, scale=config.scale))


if __name__ == "__main__":
    command(FitTask, run, says=__doc__ or "", config="conf/train/churn.yaml", flags=FLAGS)
