"""Every job of a night, each alone, by ``spark-submit`` on a Spark master and a worker of their own processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pyspark
import pytest
import yaml
from tests.entry_points import ROOT
from tests.jobs import kiosk
from tests.jobs.as_typed import typed

from tenure.config.source import Source
from tenure.contracts.control import JOB_RUNS
from tenure.contracts.gold import LABELS, interactions, member_events, member_features
from tenure.contracts.silver import MEMBERS, ORDER_LINES
from tenure.contracts.table import Table
from tenure.lake.query import read_current
from tenure.ports import free_port

# Seven starts of a Spark session and of an executor.
pytestmark = [pytest.mark.long, pytest.mark.timeout(2400)]

JOBS = ("ingest", "clean", "build_days", "build_features", "build_events", "build_interactions", "label")
SHOP = Source.model_validate(kiosk.SOURCE).shop
PATIENCE_S = 180
# What tells a job of ten rows from one of ten million; the rest is what spark-submit does by itself.
SMALL = ("spark.sql.shuffle.partitions=2", "spark.databricks.delta.snapshotPartitions=1", "spark.executor.memory=1g")


@contextmanager
def part(name: str, folder: Path, *arguments: str) -> Iterator[Path]:
    """The cluster's ``name`` while the block runs, ended by its own process id; the file that it logs to."""
    log = folder / f"{name}.log"
    spark_class = Path(pyspark.__file__).parent / "bin" / "spark-class"
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "SPARK_LOCAL_IP": "127.0.0.1",
    }
    with log.open("w") as out:
        command = [str(spark_class), f"org.apache.spark.deploy.{name}", "--host", "127.0.0.1", *arguments]
        process = subprocess.Popen(command, stdout=out, stderr=out, env=environment, cwd=folder)
    try:
        yield log
    finally:
        process.terminate()
        process.wait(timeout=60)


def wait_for(log: Path, words: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while words not in log.read_text():
        assert time.monotonic() < deadline, log.read_text()[-2000:]
        time.sleep(0.3)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The master's address, and the folder in which the worker keeps what it ran."""
    folder = tmp_path_factory.mktemp("cluster")
    port, ran = free_port(), folder / "ran"
    master = f"spark://127.0.0.1:{port}"
    web = ("--webui-port", "0")
    with ExitStack() as stack:
        log = stack.enter_context(part("master.Master", folder, "--port", str(port), *web))
        wait_for(log, "New state: ALIVE")
        worker = ("--cores", "2", "--memory", "1g", "--work-dir", str(ran), *web)
        log = stack.enter_context(part("worker.Worker", folder, *worker, master))
        wait_for(log, "Successfully registered with master")
        yield master, ran


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``make dist`` calls tenure-*.zip: the wheel's modules, for drivers and executors that have none."""
    path = tmp_path_factory.mktemp("dist") / "tenure.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted((ROOT / "libs").rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                archive.write(file, file.relative_to(ROOT / "libs"))
    return path


@pytest.fixture(scope="module")
def work(cluster: tuple[str, Path], package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake through which every job went alone."""
    master, _ = cluster
    work = tmp_path_factory.mktemp("standalone")
    folder = kiosk.land(work / "landing", kiosk.Night(kiosk.FIRST.orders, products=kiosk.PRODUCTS))
    (work / "kiosk.yaml").write_text(yaml.safe_dump({**kiosk.SOURCE, "historical": True, "data": str(folder)}))
    submit = ["spark-submit", "--master", master, "--properties-file", "var/jars/spark.properties"]
    submit += ["--py-files", str(package), *(word for setting in SMALL for word in ("--conf", setting))]
    for job in JOBS:
        settings = ["--set", f"env.work={work}", "--set", f"source={work}/kiosk.yaml"]
        # The package comes with --py-files, or not at all. Executors need no Python, and find none.
        python = {"PYTHONPATH": "", "PYSPARK_DRIVER_PYTHON": sys.executable, "PYSPARK_PYTHON": "/nowhere/python"}
        told = typed([*submit, f"jobs/{job}.py", *settings], SPARK_LOCAL_IP="127.0.0.1", **python)
        assert told.returncode == 0, f"{job}: {told.stdout[-3000:]}"
    return work


def rows(work: Path, table: Table) -> list[dict]:
    return read_current(f"{work}/lake", table).to_pylist()


def test_every_job_ran_alone_and_on_the_worker(work: Path, cluster: tuple[str, Path]) -> None:
    assert sorted((row["job"], row["outcome"]) for row in rows(work, JOB_RUNS)) == sorted((job, "done") for job in JOBS)
    assert len([path for path in cluster[1].iterdir() if path.name.startswith("app-")]) == len(JOBS)


def test_every_job_says_what_it_read_and_wrote(work: Path) -> None:
    assert all(row["read"] and row["wrote"] for row in rows(work, JOB_RUNS))


def test_the_lake_holds_what_landed(work: Path) -> None:
    assert len(rows(work, ORDER_LINES)) == 12
    assert len({row["member_key"] for row in rows(work, MEMBERS)}) == 4
    assert sum(row["times"] for row in rows(work, interactions(SHOP))) == 11  # one line is nobody's
    assert len([row for row in rows(work, member_events(SHOP)) if row["kind"] == "visit"]) == 9


def test_features_and_labels_are_there_for_every_day_of_the_grid(work: Path) -> None:
    # The kiosk's last day is 10 February: the week from 29 January on has passed, that from 5 February on has not.
    as_of = {row["as_of"].isoformat() for row in rows(work, member_features(SHOP))}
    assert {"2026-01-22", "2026-01-29", "2026-02-05"} <= as_of
    assert {row["as_of"].isoformat() for row in rows(work, LABELS)} == {"2026-01-22", "2026-01-29"}
