"""Trains the network of a task on the newest release, with its baselines, and lets the gate say who answers.

    python ray_apps/train/fit_task.py --config conf/train/churn.yaml --set env.work=var/demo
    python ray_apps/train/fit_task.py --config conf/train/churn.yaml --set seeds=3
    ray job submit -- python ray_apps/train/fit_task.py --config conf/train/churn.yaml --set scale.workers=4
    ray job submit -- python ray_apps/train/fit_task.py --config conf/train/churn.yaml --set scale.gpus_per_worker=1

It stops with exit code 3, before anything is learnt, where a row or a number would let the model see the future.
"""

from __future__ import annotations

from functools import partial

from tenure.config.command import command
from tenure.training.fit import Outcome, fit_task
from tenure.training.settings import FitTask
from tenure.training.workers import cluster, trained


def run(config: FitTask) -> Outcome:
    with cluster(config.env, config.scale):
        return fit_task(config, partial(trained, env=config.env, scale=config.scale))


if __name__ == "__main__":
    command(FitTask, run, says=__doc__ or "", config="conf/train/churn.yaml")
