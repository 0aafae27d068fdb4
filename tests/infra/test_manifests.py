"""Images and manifests are untried; their form at least is right, what they name exists and can be imported."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyspark
import pytest
import yaml
from tests.docs.commands import shown
from tests.entry_points import ROOT
from tests.infra.imports import importable_with, imported_from_elsewhere

from tenure.config.env import Env
from tenure.config.settings import load

MANIFESTS = sorted((ROOT / "infra/k8s").glob("*.yaml"))
IMAGES = sorted((ROOT / "infra/docker").glob("*.Dockerfile"))
_STARTED = re.compile(r"\b((?:jobs|ray_apps)/[\w/]+\.py)|\b(ray_apps(?:\.\w+)+):build")
# Where a command of docs/cluster.md runs, by the program that it begins with.
RUN_BY = {"spark-submit": "spark", "ray": "train", "python": "train", "serve": "serve"}


def started(text: str) -> set[str]:
    """The entry points that a text names, by path."""
    return {path or f"{module.replace('.', '/')}.py" for path, module in _STARTED.findall(text)}


def started_by_manifests() -> Iterator[tuple[str, str]]:
    for manifest in MANIFESTS:
        text = manifest.read_text(encoding="utf-8")
        (image,) = set(re.findall(r"image: tenure-(\w+):", text))
        yield from ((path, image) for path in started(text))


def started_by_the_document() -> Iterator[tuple[str, str]]:
    for command in shown():
        if command.where == "docs/cluster.md":
            image = RUN_BY.get(shlex.split(command.line)[0])
            yield from ((path, str(image)) for path in started(command.line))


STARTED = sorted({*started_by_manifests(), *started_by_the_document()})
AFTER_THE_LANDING = {
    *("jobs/refresh.py", "ray_apps/train/fit_factors.py", "ray_apps/train/fit_task.py"),
    *(
        "ray_apps/batch/score_members.py",
        "jobs/publish_members.py",
        "jobs/write_report.py",
        "ray_apps/serve/members.py",
    ),
}


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_a_manifest_parses_and_says_its_kind(path) -> None:
    (manifest,) = yaml.safe_load_all(path.read_text(encoding="utf-8"))
    assert {"apiVersion", "kind", "metadata", "spec"} <= set(manifest)


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_a_manifest_names_files_that_exist(path) -> None:
    named = re.findall(r"\b((?:jobs|ray_apps|conf)/[\w/]+\.(?:py|yaml))", path.read_text(encoding="utf-8"))
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_all_manifests_name_one_source() -> None:
    named = {path.name: set(re.findall(r"conf/sources/\w+\.yaml", path.read_text("utf-8"))) for path in MANIFESTS}
    source = {"conf/sources/online_retail.yaml"}
    told = ("refresh.yaml", "training.yaml", "publish.yaml")  # the service reads what was published
    assert named == {path.name: source if path.name in told else set() for path in MANIFESTS}


def test_the_service_manifest_holds_a_serve_config() -> None:
    spec = yaml.safe_load((ROOT / "infra/k8s/service.yaml").read_text(encoding="utf-8"))["spec"]
    (application,) = yaml.safe_load(spec["serveConfigV2"])["applications"]
    module, _, builder = application["import_path"].partition(":")
    text = (ROOT / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")
    assert f"def {builder}(" in text


@pytest.mark.parametrize("path", IMAGES, ids=lambda path: path.name)
def test_an_image_runs_as_nobody_special_and_copies_what_exists(path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.index("USER tenure") > text.index("pip install")
    copied = re.findall(r"^COPY (\S+) ", text, re.MULTILINE)
    assert [name for name in copied if not name.startswith("dist/") and not (ROOT / name).exists()] == []


ASKED_BY_KUBERNETES = {
    "SPARK_DRIVER_BIND_ADDRESS": "10.0.0.1",
    "SPARK_DRIVER_URL": "spark://d:7078",
    "SPARK_EXECUTOR_ID": "3",
    "SPARK_EXECUTOR_CORES": "4",
    "SPARK_EXECUTOR_MEMORY": "16g",
    "SPARK_EXECUTOR_POD_IP": "10.0.0.2",
    "SPARK_EXECUTOR_POD_NAME": "night-3",
    "SPARK_APPLICATION_ID": "spark-1",
    "SPARK_RESOURCE_PROFILE_ID": "0",
    "SPARK_JAVA_OPT_10": "-Dlast=1",
    "SPARK_JAVA_OPT_9": "-Dfirst=a b=",
}


def entered(tmp_path: Path, *arguments: str) -> list[str]:
    """What the Spark image's entry point starts: the program, and what it is told."""
    for program in ("java", "spark-submit"):
        (tmp_path / program).write_text(f'#!/bin/sh\nprintf "%s\\n" {program} "$@"\n')
        (tmp_path / program).chmod(0o755)
    environment = {**os.environ, **ASKED_BY_KUBERNETES, "PATH": f"{tmp_path}:{os.environ['PATH']}", "SPARK_HOME": "/s"}
    command = ["bash", str(ROOT / "infra/docker/spark_entrypoint.sh"), *arguments]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.splitlines()


def test_the_spark_image_starts_what_kubernetes_asks_for(tmp_path) -> None:
    program, *said = entered(tmp_path, "executor")
    assert program == "java"
    assert said[:4] == ["-Dfirst=a b=", "-Dlast=1", "-Xms16g", "-Xmx16g"]
    assert (said[4], said[6].rpartition(".")[2]) == ("-cp", "KubernetesExecutorBackend")
    assert said[5] == "/s/jars/*"
    assert dict(zip(said[7::2], said[8::2], strict=True)) == {
        "--driver-url": "spark://d:7078",
        "--executor-id": "3",
        "--cores": "4",
        "--app-id": "spark-1",
        "--hostname": "10.0.0.2",
        "--resourceProfileId": "0",
        "--podName": "night-3",
    }
    program, *said = entered(tmp_path, "driver", "--class", "Main", "jobs/refresh.py")
    assert (program, said[:2], said[-1]) == ("spark-submit", ["--deploy-mode", "client"], "jobs/refresh.py")
    assert "spark.driver.bindAddress=10.0.0.1" in said


def test_the_spark_image_submits_whatever_else_it_is_told(tmp_path) -> None:
    assert entered(tmp_path, "jobs/refresh.py", "--help") == ["spark-submit", "jobs/refresh.py", "--help"]


@pytest.mark.parametrize("by", [started_by_manifests, started_by_the_document], ids=lambda by: by.__name__)
def test_every_step_from_the_night_to_the_answers_is_started(by) -> None:
    assert {path for path, _ in by()} == AFTER_THE_LANDING


@pytest.mark.parametrize(("path", "image"), STARTED)
def test_an_image_holds_what_it_is_given_to_run(path: str, image: str) -> None:
    text = (ROOT / f"infra/docker/{image}.Dockerfile").read_text(encoding="utf-8")
    copied = re.findall(r"^COPY (\S+) (\S+)$", text, re.MULTILINE)
    assert [to for part, to in copied if path.startswith(part) and to == f"/opt/tenure/{part}"]
    (extra,) = re.findall(r"^COPY dist/requirements/(\w+)\.txt ", text, re.MULTILINE)
    assert imported_from_elsewhere(ROOT / path) - importable_with(extra) == set()


def test_an_extra_that_lacks_a_package_would_be_seen() -> None:
    assert imported_from_elsewhere(ROOT / "jobs/publish_members.py") - importable_with("spark") == {"deltalake"}
    assert {"pyspark", "delta"} <= imported_from_elsewhere(ROOT / "jobs/refresh.py") - importable_with("train")


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_a_manifest_mounts_the_work_folder_wherever_it_runs(path) -> None:
    """The night's lock, the published members, the report and the audit lie in it."""
    manifest = yaml.safe_load(path.read_text(encoding="utf-8"))
    work = {"name": "work", "mountPath": load(Env, ROOT / "conf/env/cluster.yaml").work}
    mounts = list(found(manifest, "volumeMounts"))
    assert mounts
    assert all(work in mounted for mounted in mounts)
    claim = {"name": "work", "persistentVolumeClaim": {"claimName": "tenure-work"}}
    assert all(claim in volumes for volumes in found(manifest, "volumes"))


def found(part: Any, key: str) -> Iterator[Any]:
    """Every value below ``key``, however deep."""
    if isinstance(part, dict):
        yield from (value for name, value in part.items() if name == key)
    for inner in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from found(inner, key)


def test_a_lake_on_an_object_store_is_read_with_the_hadoop_that_spark_brings() -> None:
    (brought,) = (Path(pyspark.__file__).parent / "jars").glob("hadoop-client-api-*.jar")
    wanted = brought.stem.replace("client-api-", "aws:")
    for name in ("docs/cluster.md", "infra/k8s/refresh.yaml"):
        assert f"org.apache.hadoop:{wanted}" in (ROOT / name).read_text(encoding="utf-8")


def test_the_cluster_place_loads() -> None:
    assert load(Env, ROOT / "conf/env/cluster.yaml").lake_root.startswith("s3a://")
