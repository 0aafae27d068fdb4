"""Everything that a simulation's truth says about what the product made, read once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tenure.lake.release import Release
from tenure.report.judged import Predictions
from tenure.report.truth.churn import BestChurn, best_churn
from tenure.report.truth.cleaning import TrueCleaning, true_cleaning
from tenure.report.truth.stages import TrueStages, true_stages
from tenure.report.truth.tastes import TrueTastes, true_tastes
from tenure.report.truth.told import Told


@dataclass(frozen=True, kw_only=True)
class Truth:
    """Each part is None where the truth says nothing about it."""

    cleaning: TrueCleaning | None
    churn: BestChurn | None
    stages: TrueStages | None
    tastes: TrueTastes | None


def truth(folder: Path, release: Release, predicted: Predictions) -> Truth:
    """
    Raises:
        WrongInput: if no truth lies in ``folder``.
    """
    told = Told(folder, release)
    return Truth(
        cleaning=true_cleaning(told, release),
        churn=best_churn(told, predicted),
        stages=true_stages(told, release),
        tastes=true_tastes(told, release),
    )
