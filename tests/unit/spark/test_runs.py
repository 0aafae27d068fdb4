"""Every run of a job leaves one row, however it ends."""

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from tenure.contracts.control import JOB_RUNS
from tenure.errors import Refused
from tenure.spark import delta
from tenure.spark.runs import described, job_run


def test_a_run_leaves_what_it_read_and_wrote(spark: SparkSession, tmp_path: Path) -> None:
    with job_run(spark, str(tmp_path), "clean") as run:
        run.read["raw_orders"] = 3
        run.wrote["order_lines"] = 2
    row = delta.read(spark, str(tmp_path), JOB_RUNS).first()
    assert row is not None
    assert (row["job"], row["outcome"], row["read"], row["wrote"]) == (
        "clean",
        "done",
        {"raw_orders": 3},
        {"order_lines": 2},
    )


def test_a_run_counts_what_runs_within_it_did(spark: SparkSession, tmp_path: Path) -> None:
    with job_run(spark, str(tmp_path), "refresh"):
        for number in (3, 4):
            with job_run(spark, str(tmp_path), "clean") as run:
                run.read["raw_orders"] = number
    found = {row["job"]: row["read"] for row in delta.read(spark, str(tmp_path), JOB_RUNS).collect()}
    assert found["refresh"] == {"raw_orders": 7}


def test_what_a_run_does_not_describe_is_called_by_its_job(spark: SparkSession, tmp_path: Path) -> None:
    with job_run(spark, str(tmp_path), "clean"):
        assert spark.sparkContext.getLocalProperty("spark.job.description") == "clean"


def test_a_failed_run_leaves_no_row_content_behind(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="member 4711"), job_run(spark, str(tmp_path), "clean"):
        raise ValueError("member 4711 is odd")
    with pytest.raises(Refused), job_run(spark, str(tmp_path), "clean"):
        raise Refused("too many rows were quarantined")
    rows = delta.read(spark, str(tmp_path), JOB_RUNS).orderBy("started_at").collect()
    assert [(row["outcome"], row["message"]) for row in rows] == [
        ("failed", "ValueError"),
        ("refused", "too many rows were quarantined"),
    ]


def test_a_run_that_cannot_be_noted_ends_as_it_did(
    spark: SparkSession, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "control").mkdir()
    (tmp_path / "control/job_runs").write_text("a file where the table should be")
    with job_run(spark, str(tmp_path), "refresh"):
        pass
    with pytest.raises(Refused, match="too many rows"), job_run(spark, str(tmp_path), "clean"):
        raise Refused("too many rows were quarantined")
    first, second = (one.getMessage() for one in caplog.records if one.name == "tenure.spark.runs")
    assert first.startswith(f"refresh ended (done) but could not be noted in {tmp_path}/control/job_runs: ")
    assert second.startswith("clean ended (refused) but could not be noted")
    assert "\n" not in first


def test_what_was_described_around_is_so_again_after(spark: SparkSession) -> None:
    told = lambda: spark.sparkContext.getLocalProperty("spark.job.description")  # noqa: E731
    with described(spark, "clean: everything"):
        with described(spark, "clean: a part"):
            assert told() == "clean: a part"
        assert told() == "clean: everything"
    assert told() is None
