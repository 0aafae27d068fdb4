"""Images and manifests are untried; their form at least is right, and what they name exists."""

from __future__ import annotations

import re

import pytest
import yaml
from tests.entry_points import ROOT

from tenure.config.settings import load

MANIFESTS = sorted((ROOT / "infra/k8s").glob("*.yaml"))
IMAGES = sorted((ROOT / "infra/docker").glob("*.Dockerfile"))


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_a_manifest_parses_and_says_its_kind(path) -> None:
    (manifest,) = yaml.safe_load_all(path.read_text(encoding="utf-8"))
    assert {"apiVersion", "kind", "metadata", "spec"} <= set(manifest)


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_a_manifest_names_files_that_exist(path) -> None:
    named = re.findall(r"\b((?:jobs|ray_apps|conf)/[\w/]+\.(?:py|yaml))", path.read_text(encoding="utf-8"))
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []


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


def test_the_cluster_place_loads() -> None:
    from tenure.config.env import Env

    assert load(Env, ROOT / "conf/env/cluster.yaml").lake_root.startswith("s3a://")
