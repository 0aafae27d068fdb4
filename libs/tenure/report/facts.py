"""Everything that the report and the summary say, read once: through a release, the registry and the run's notes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tenure.config.source import Source
from tenure.contracts.control import JOB_RUNS
from tenure.lake.query import read_current
from tenure.lake.release import Release
from tenure.registry.registry import Registry
from tenure.report.judged import CHURN, RECOMMENDER, Branches, Judged, Predictions, branches, judged, predictions
from tenure.report.landed import Landed, landed
from tenure.report.meanings import meanings
from tenure.report.members import Members, members
from tenure.report.truth.truth import Truth, truth


@dataclass(frozen=True, kw_only=True)
class Facts:
    """``seconds`` by stage and ``serving`` (requests, errors, p50_ms) are what the run noted, empty where none did;
    ``job_seconds`` are the newest run's of each job. ``truth`` is known of a simulated shop alone."""

    release: Release
    landed: Landed
    members: Members
    churn: Judged
    predictions: Predictions
    branches: Branches
    recommender: Judged
    seconds: dict[str, float]
    job_seconds: dict[str, float]
    serving: dict[str, Any]
    truth: Truth | None = None


def facts(
    release: Release,
    registry: Registry,
    logs: Path,
    source: Source,
    *,
    at_risk: int,
    offers: int,
    truth_folder: Path | None = None,
) -> Facts:
    """
    Args:
        logs: the folder with ``seconds.json`` and ``serving.json``, as far as they are there.
        source: whose rules say what they mean, and what others counted in its files.
        at_risk: how many members at risk to show.
        offers: of how many members to show recommendations.
        truth_folder: where a simulation told the truth, of a shop that is simulated.
    """
    churn = judged(registry, CHURN)
    predicted = predictions(churn)
    return Facts(
        release=release,
        landed=landed(release, meanings(source), source.known, source.known_in),
        members=members(release, at_risk=at_risk, offers=offers),
        churn=churn,
        predictions=predicted,
        branches=branches(churn),
        recommender=judged(registry, RECOMMENDER),
        seconds=_noted(logs / "seconds.json"),
        job_seconds=_job_seconds(release),
        serving=_noted(logs / "serving.json"),
        truth=truth(truth_folder, release, predicted) if truth_folder else None,
    )


def _noted(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _job_seconds(release: Release) -> dict[str, float]:
    runs = read_current(
        release.root,
        JOB_RUNS,
        ["job", "seconds"],
        where="outcome = 'done'",
        order_by=["started_at"],
        storage_options=release.storage_options,
    )
    return {run["job"]: run["seconds"] for run in runs.to_pylist()}
