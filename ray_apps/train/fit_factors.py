"""Fits the recommender's factors on the newest release, judges them against popularity and favourites, registers them.

    python ray_apps/train/fit_factors.py --config conf/train/recommender.yaml --set env.work=var/demo
    python ray_apps/train/fit_factors.py --config conf/train/recommender.yaml --set als.factors=128
    ray job submit -- python ray_apps/train/fit_factors.py --config conf/train/recommender.yaml --set scale.workers=4
    ray job submit -- python ray_apps/train/fit_factors.py --config conf/train/recommender.yaml \\
        --set scale.gpus_per_worker=1

A training that was run before on the same release, with the same code and settings, is not run again unless
``--again`` says so. Where the factors are not shown to beat popularity on items new to the member, popularity answers
from then on.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from tenure.config.command import Flag, command
from tenure.training.factors_settings import FitFactors

if TYPE_CHECKING:
    from tenure.training.recommender import Outcome

FLAGS = (Flag("--again", "again", "train also where the same was trained before", "true"),)


def run(config: FitFactors) -> Outcome:
    # Here, so that help and a wrong setting are answered before Ray is loaded.
    from tenure.training.recommender import fit_recommender
    from tenure.training.workers import cluster, trained

    with cluster(config.env, config.scale):
        return fit_recommender(config, partial(trained, env=config.env, scale=config.scale))


if __name__ == "__main__":
    command(FitFactors, run, says=__doc__ or "", config="conf/train/recommender.yaml", flags=FLAGS)
