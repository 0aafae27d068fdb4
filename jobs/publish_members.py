"""Publishes the newest release's members for serving: features, events, histories and the catalogue by key.

    python jobs/publish_members.py --config conf/jobs/publish_members.yaml --set env.work=var/demo
    spark-submit jobs/publish_members.py --config conf/jobs/publish_members.yaml --set env.work=var/demo

Reads the release through Arrow, a bucket at a time, so it needs no Spark session; under ``spark-submit`` it runs in the
driver like any other step of the night. Replicas that are answering see the new store within seconds. The run leaves a
row in ``job_runs``.
"""

from __future__ import annotations

from pydantic import Field

from tenure.config.command import command
from tenure.config.env import Env
from tenure.config.settings import Settings
from tenure.lake.release import release
from tenure.lake.runs import job_run
from tenure.serving.publishing import publish
from tenure.serving.store import MemberStore


class PublishMembers(Settings):
    """``release_id``: by default the newest. ``max_events``: how many of a member's newest events the store holds."""

    env: Env
    release_id: str | None = None
    max_events: int = Field(default=64, gt=0)
    keep: int = Field(default=2, gt=0)  # published stores that stay on disk


def run(config: PublishMembers) -> None:
    env = config.env
    chosen = release(env.lake_root, config.release_id, env.storage_options)  # before the run: no lake, no row
    with job_run(env.lake_root, "publish_members", env.storage_options) as job:
        folder = publish(chosen, env.store_folder, max_events=config.max_events, keep=config.keep)
        members = MemberStore(folder).label.members
        job.read["member_features"] = job.wrote["store/members"] = members


if __name__ == "__main__":
    command(PublishMembers, run, says=__doc__, config="conf/jobs/publish_members.yaml")
