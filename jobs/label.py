"""Writes what happened in the horizon of each ``as_of`` that has wholly passed.

    spark-submit --properties-file var/jars/spark.properties jobs/label.py --config conf/jobs/label.yaml
    python jobs/label.py --set env.work=var/demo

New are the ``as_of`` that matured since; written again those in whose horizon a late line or a correction fell, of the
members whose it is where these are few.
"""

from __future__ import annotations

from datetime import date

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from tenure.config.command import command
from tenure.config.env import Env
from tenure.config.settings import Settings
from tenure.config.source import Source
from tenure.contracts.gold import LABELS, member_days
from tenure.contracts.silver import CAMPAIGN_TOUCHES, MEMBERS, ORDER_LINES
from tenure.lake.job_run import JobRun
from tenure.lifecycle.calendar import labelled_days
from tenure.spark.kept import Kept
from tenure.spark.labels import labels
from tenure.spark.lock import only_writer
from tenure.spark.news import are_few, members_with_news, news
from tenure.spark.night import Built, Night, night
from tenure.spark.runs import described, job_run
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
        new, changed = _due(build, matured, built)
    if not (new or changed):
        job.nothing_new(f"labels of all {len(matured)} matured as_of days are there")
        return
    tiles = build.read(member_days(build.shop))
    with described(build.spark, "label: count what is read"):
        job.read |= build.rows_of(member_days(build.shop))
    written = 0
    with described(build.spark, f"label: {len(changed)} as_of days, of members with news"), Kept() as kept:
        told = kept(members_with_news(_tables(build), built.through_batch))
        if changed and are_few(told, build.read(MEMBERS)):
            rows = labels(tiles.join(F.broadcast(told), "member_key", "left_semi"), changed, build.shop)
            written += build.replace_members(rows, LABELS, told, changed, is_last=not new)
        else:
            new = tuple(sorted((*new, *changed)))
    if new:
        with described(build.spark, f"label: {len(new)} as_of days"):
            written += build.replace_as_of(labels(tiles, new, build.shop), LABELS, new)
    job.wrote["labels"] = written
    job.says(f"{written:,} labels for {len({*new, *changed})} of {len(matured)} matured as_of days")


def _tables(build: Night) -> tuple[DataFrame, ...]:
    """All that tiles are made of: a late touch gives a visit's tile a new version, too."""
    return build.read(ORDER_LINES), build.read(CAMPAIGN_TOUCHES)


def _due(build: Night, matured: tuple[date, ...], built: Built) -> tuple[tuple[date, ...], tuple[date, ...]]:
    """Those ``as_of`` of which there are no labels yet, and those whose labels may have become others."""
    if not built.last_complete_day:
        return matured, ()
    labelled = set(labelled_days(build.shop, built.last_complete_day))
    fresh = news(_tables(build), built.through_batch)
    touched = {*fresh.seen_at(matured), *fresh.fell_into(matured, build.shop.horizon_days)}
    new = tuple(day for day in matured if day not in labelled)
    return new, tuple(day for day in matured if day in labelled and day in touched)


if __name__ == "__main__":
    command(
        Label,
        lambda config: run(session("label", config.env), config),
        says=__doc__ or "",
        config="conf/jobs/label.yaml",
    )
