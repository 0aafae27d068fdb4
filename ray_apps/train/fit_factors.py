"""Fits the recommender's factors on the newest release, judges them against popularity and favourites, registers them.

    python ray_apps/train/fit_factors.py --config conf/train/recommender.yaml --set env.work=var/demo
    python ray_apps/train/fit_factors.py --config conf/train/recommender.yaml --set als.factors=128
    ray job submit -- python ray_apps/train/fit_factors.py --config conf/train/recommender.yaml --set scale.workers=4
    ray job submit -- python ray_apps/train/fit_factors.py --config conf/train/recommender.yaml \\
        --set scale.gpus_per_worker=1

Where the factors are not shown to beat popularity on items new to the member, popularity answers from then on.
"""

from __future__ import annotations

from functools import partial

from tenure.config.command import command
from tenure.training.factors_settings import FitFactors
from tenure.training.recommender import Outcome, fit_recommender
from tenure.training.workers import cluster, trained


def run(config: FitFactors) -> Outcome:
    with cluster(config.env, config.scale):
        return fit_recommender(config, partial(trained, env=config.env, scale=config.scale))


if __name__ == "__main__":
    command(FitFactors, run, says=__doc__ or "", config="conf/train/recommender.yaml")
