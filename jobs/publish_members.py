"""Publishes the newest release's members for serving: features, events, histories and the catalogue by key.

    python jobs/publish_members.py --config conf/jobs/publish_members.yaml --set env.work=var/demo
    spark-submit jobs/publish_members.py --config conf/jobs/publish_members.yaml --set env.work=var/demo

Reads the release through Arrow, a bucket at a time, so it needs no Spark session; under ``spark-submit`` it runs in the
driver like any other step of the night. Replicas that are answering see the new store within seconds.
"""

from __future__ import annotations

from pydantic import Field

from tenure.config.command import command
from tenure.config.env import Env
from tenure.config.settings import Settings
from tenure.lake.release import release
from tenure.serving.publishing import publish


class PublishMembers(Settings):
    """``release_id``: by default the newest. ``max_events``: how many of a member's newest events the store holds."""

    env: Env
    release_id: str | None = None
    max_events: int = Field(default=64, gt=0)
    keep: int = Field(default=2, gt=0)  # published stores that stay on disk


def run(config: PublishMembers) -> None:
    chosen = release(config.env.lake_root, config.release_id, config.env.storage_options)
    publish(chosen, config.env.store_folder, max_events=config.max_events, keep=config.keep)


if __name__ == "__main__":
    command(PublishMembers, run, says=__doc__, config="conf/jobs/publish_members.yaml")
