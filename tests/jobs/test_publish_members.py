"""The job that publishes, run as a person runs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.corner_shop import MEMBER_IDS, opened

import publish_members
from tenure.config.settings import load
from tenure.errors import WrongInput
from tenure.serving.store import open_current

ROOT = Path(__file__).parents[2]


def test_the_command_publishes_every_member_of_the_newest_release(tmp_path: Path) -> None:
    shop = opened(tmp_path, models=False, publish=False)
    job = [sys.executable, "jobs/publish_members.py", "--config", "conf/jobs/publish_members.yaml"]
    subprocess.run([*job, "--set", f"env.work={tmp_path}"], cwd=ROOT, check=True)
    store = open_current(shop.store)
    assert store.label.members == len(MEMBER_IDS)
    assert store.find(shop.keys(*MEMBER_IDS))[1].all()


def test_a_lake_without_release_is_told_in_a_sentence(tmp_path: Path) -> None:
    settings = [f"env.work={tmp_path}"]
    config = load(publish_members.PublishMembers, ROOT / "conf/jobs/publish_members.yaml", settings)
    with pytest.raises(WrongInput, match=r"holds no release yet; run jobs/refresh\.py first"):
        publish_members.run(config)


def test_publishing_needs_no_spark() -> None:
    asks = "import sys; sys.path.insert(0, 'jobs'); import publish_members; print('pyspark' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", asks], cwd=ROOT, check=True, capture_output=True, text=True)
    assert said.stdout.strip() == "False"
