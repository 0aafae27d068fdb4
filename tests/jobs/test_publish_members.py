"""The job that publishes, run as a person runs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.corner_shop import MEMBER_IDS, opened

import publish_members
from tenure.config.settings import load
from tenure.contracts.control import JOB_RUNS
from tenure.errors import Busy, WrongInput
from tenure.lake.query import read_current
from tenure.lake.release import newest_release

ROOT = Path(__file__).parents[2]


def settings(work: Path) -> publish_members.PublishMembers:
    config = ROOT / "conf/jobs/publish_members.yaml"
    return load(publish_members.PublishMembers, config, [f"env.work={work}"])


def runs(lake: str) -> list[dict]:
    return read_current(lake, JOB_RUNS, order_by=["started_at"]).to_pylist()


def test_the_command_publishes_every_member_of_the_newest_release(tmp_path: Path) -> None:
    shop = opened(tmp_path, models=False, publish=False)
    job = [sys.executable, "jobs/publish_members.py", "--config", "conf/jobs/publish_members.yaml"]
    subprocess.run([*job, "--set", f"env.work={tmp_path}"], cwd=ROOT, check=True)
    store = shop.published()
    assert store.label.members == len(MEMBER_IDS)
    assert store.find(shop.keys(*MEMBER_IDS))[1].all()
    (run,) = runs(shop.lake)
    assert (run["job"], run["outcome"], run["message"]) == ("publish_members", "done", None)
    assert run["read"] == [("member_features", 40)]
    assert run["wrote"] == [("store/members", 40)]
    assert run["seconds"] > 0


def test_a_lake_without_release_is_told_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(WrongInput, match=r"holds no release yet; run jobs/refresh\.py first"):
        publish_members.run(settings(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_publication_that_fails_leaves_its_outcome_and_no_row_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = opened(tmp_path, models=False, publish=False)
    before = newest_release(shop.lake)
    for error in (Busy("the store is being published by another run"), ValueError("member m7 is odd")):
        monkeypatch.setattr(publish_members, "publish", lambda *_, error=error, **__: _raised(error))
        with pytest.raises(type(error)):
            publish_members.run(settings(tmp_path))
    assert [(run["outcome"], run["message"], run["wrote"]) for run in runs(shop.lake)] == [
        ("refused", "the store is being published by another run", []),
        ("failed", "ValueError", []),
    ]
    assert newest_release(shop.lake) == before


def _raised(error: Exception) -> None:
    raise error


def test_a_publication_that_cannot_be_noted_stands(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    shop = opened(tmp_path, models=False, publish=False)
    (tmp_path / "lake/control/job_runs").write_text("a file where the table should be")
    publish_members.run(settings(tmp_path))
    assert shop.published().label.members == len(MEMBER_IDS)
    assert "publish_members ended (done) but could not be noted" in caplog.text


def test_runs_with_and_without_spark_are_noted_in_one_table(spark, tmp_path: Path) -> None:
    from tenure.lake.runs import job_run
    from tenure.spark import runs as with_spark

    for number in range(2):  # whichever made the table, the other one appends to it
        root = f"{tmp_path}/{number}"
        ways = [lambda root: with_spark.job_run(spark, root, "clean"), lambda root: job_run(root, "publish_members")]
        for way in (*ways, *ways)[number : number + 3]:
            with way(root) as job:
                job.wrote["rows"] = 3
        assert [(run["outcome"], run["wrote"]) for run in runs(root)] == [("done", [("rows", 3)])] * 3


def test_publishing_needs_no_spark() -> None:
    asks = "import sys; sys.path.insert(0, 'jobs'); import publish_members; print('pyspark' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", asks], cwd=ROOT, check=True, capture_output=True, text=True)
    assert said.stdout.strip() == "False"
