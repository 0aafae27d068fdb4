"""Settings of the recommender's training: ``conf/train/recommender.yaml``."""

from __future__ import annotations

from pydantic import Field

from tenure.config.env import Env
from tenure.config.settings import Settings
from tenure.models.factorization import Weighting
from tenure.training.settings import Evaluation, Scale


class Als(Settings):
    """Alternating least squares: confidence is ``1 + alpha log(1 + times)``, or ``1 + alpha times``."""

    factors: int = Field(default=64, gt=0)
    regularization: float = Field(default=20.0, gt=0)
    weighting: Weighting = "log"
    alpha: float = Field(default=1.0, gt=0)
    sweeps: int = Field(default=8, gt=0)


class Choices(Settings):
    """What validation chooses from: the days that count for popularity, and what it and favourites weigh beside the
    factors."""

    popularity_days: tuple[int, ...] = (28, 56, 84, 3650)
    popularity_weights: tuple[float, ...] = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4)
    favourites_weights: tuple[float, ...] = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)


class FitFactors(Settings):
    """A training of the recommender.

    It has no ``precision``, unlike a network's, and is always in fp32: a row's normal equations are solved by Cholesky,
    which torch does not have in bf16.
    """

    env: Env
    release: str | None = None  # by default the newest
    seed: int = Field(default=1, ge=0)
    min_members: int = Field(default=20, gt=0)  # who must have bought an item before it is recommended
    test_days: int | None = None  # by default the shop's churn horizon
    als: Als = Als()
    choices: Choices = Choices()
    scale: Scale = Scale(workers=2)
    checkpoint_seconds: float = Field(default=20.0, ge=0)  # within a period, where sweeps are slow
    evaluation: Evaluation = Evaluation()
    again: bool = False  # train also where the candidate came of the same release, code and settings
