"""Writes what happened in the horizon of each ``as_of`` that has wholly passed.

    spark-submit --properties-file var/jars/spark.properties jobs/label.py --config conf/jobs/label.yaml
    python jobs/label.py --set env.work=var/demo

New are the ``as_of`` that matured since; written again those in whose horizon a late line or a correction fell.
"""

from __future__ import annotations

from datetime import date

from pyspark.sql import SparkSession

from tenure.config.command import command
from tenure.config.env import Env
from tenure.config.settings import Settings
from tenure.config.source import Source
from tenure.contracts.gold import LABELS, member_days
from tenure.contracts.silver import ORDER_LINES
from tenure.lifecycle.calendar import labelled_days
from tenure.spark.labels import churn_labels
from tenure.spark.lock import only_writer
from tenure.spark.news import news
from tenure.spark.night import Built, Night, night
from tenure.spark.runs import JobRun, described, job_run
from tenure.spark.session import session


class Label(Settings):
    env: Env
    source: Source


def run(spark: SparkSession, config: Label) -> None:
    with only_writer(spark, config.env), job_run(spark, config.env.lake_root, "label") as job:
        _label(night(spark, config.env, config.source), job)


def _label(build: Night, job: JobRun) -> None:
    matured = labelled_days(build.shop, build.last_complete_day)
    built = build.opened(LABELS)
    with described(build.spark, "label: look for as_of days that matured or changed"):
        due = _due(build, matured, built)
    if not due:
        job.nothing_new(f"labels of all {len(matured)} matured as_of days are there")
        return
    with described(build.spark, f"label: churn at {len(due)} as_of days"):
        rows = churn_labels(build.read(member_days(build.shop)), due, build.shop)
        written = build.replace_as_of(rows, LABELS, due)
    job.wrote["labels"] = written
    job.says(f"{written:,} labels for {len(due)} of {len(matured)} matured as_of days")


def _due(build: Night, matured: tuple[date, ...], built: Built) -> tuple[date, ...]:
    if not built.last_complete_day:
        return matured
    labelled = set(labelled_days(build.shop, built.last_complete_day))
    fresh = news((build.read(ORDER_LINES),), built.through_batch)
    changed = {*fresh.seen_at(matured), *fresh.fell_into(matured, build.shop.horizon_days)}
    return tuple(day for day in matured if day not in labelled or day in changed)


if __name__ == "__main__":
    command(
        Label,
        lambda config: run(session("label", config.env), config),
        says=__doc__ or "",
        config="conf/jobs/label.yaml",
    )
