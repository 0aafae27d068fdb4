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
from tenure.errors import WrongInput
from tenure.lake.release import release
from tenure.lake.runs import job_run
from tenure.privacy.pseudonyms import told_apart
from tenure.privacy.secrets import MEMBER_KEY, read_secret
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
        keyed_by = _keyed_by(env)
        folder = publish(chosen, env.store_folder, max_events=config.max_events, keep=config.keep, keyed_by=keyed_by)
        members = MemberStore(folder).label.members
        job.read["member_features"] = job.wrote["store/members"] = members


def _keyed_by(env: Env) -> str | None:
    """What tells the lake's secret, where this host has it; members can be published without."""
    try:
        return told_apart(read_secret(MEMBER_KEY, env.secrets_folder).encode())
    except WrongInput:
        return None


if __name__ == "__main__":
    command(PublishMembers, run, says=__doc__, config="conf/jobs/publish_members.yaml")
