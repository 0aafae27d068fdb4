"""Writes ``report.html`` and ``summary.json`` of the newest release and of the models that the registry holds for it.

    python jobs/write_report.py --config conf/jobs/write_report.yaml --set env.work=var/demo
    python jobs/write_report.py --set env.work=var/shop --set truth=var/shop/simulated/truth

With the truth of a simulated shop, both also say how near it everything came. Exit code 3, after both are written, says
that the release holds the very files that others counted in, and counts otherwise than the source's ``known`` tells.
"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

from pydantic import Field

from tenure.config.command import command
from tenure.config.env import Env, Place
from tenure.config.settings import Settings
from tenure.config.source import Source
from tenure.lake.job_run import JobRun
from tenure.lake.release import Release, newest_release
from tenure.lake.runs import job_run
from tenure.registry.registry import Registry
from tenure.report.facts import facts
from tenure.report.landed import refuse_other_counts
from tenure.report.page import page
from tenure.report.summary import summary


class WriteReport(Settings):
    """``source`` tells what its own rules mean and what others counted; ``folder`` takes both files, by default
    ``env.work``; ``truth`` is the folder of a simulation's truth."""

    env: Env
    source: Source
    folder: str | None = None
    truth: Place | None = None
    at_risk: int = Field(default=20, ge=0)
    offers: int = Field(default=3, ge=0)


def run(config: WriteReport) -> None:
    env = config.env
    release = newest_release(env.lake_root, env.storage_options)  # first: where there is no lake none is begun
    with job_run(env.lake_root, "write_report", env.storage_options) as job:
        _write(config, release, job)


def _write(config: WriteReport, release: Release, job: JobRun) -> None:
    env = config.env
    folder = Path(config.folder or env.work)
    began = time.monotonic()
    release.refuse_another_source(config.source.name)
    found = facts(
        release,
        Registry(env.registry_root),
        Path(env.work) / "logs",
        config.source,
        at_risk=config.at_risk,
        offers=config.offers,
        truth_folder=Path(config.truth) if config.truth else None,
    )
    if found.seconds:  # of a run whose stages are timed: this one's own, but for the writing
        found = replace(found, seconds=found.seconds | {"report": round(time.monotonic() - began, 1)})
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.html").write_text(page(found), encoding="utf-8")
    (folder / "summary.json").write_text(json.dumps(summary(found), indent=2) + "\n", encoding="utf-8")
    job.read["test_predictions"] = len(found.predictions)
    job.wrote |= {"report.html": 1, "summary.json": 1}
    job.says(f"wrote {folder / 'report.html'} and {folder / 'summary.json'}")
    refuse_other_counts(found.landed)  # last: who looks for the reason finds it in the report


if __name__ == "__main__":
    command(WriteReport, run, says=__doc__ or "", config="conf/jobs/write_report.yaml")
