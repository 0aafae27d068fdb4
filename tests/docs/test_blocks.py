"""What documents show beside commands is read: Python is run, YAML and CSV are given to what they are written for."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
import yaml
from tests.docs.commands import documents
from tests.entry_points import ROOT
from tests.unit.registry.test_registry import bundle

from tenure.registry.registry import Registry
from tenure.serving.access import TOKENS_FILE, Role, callers

_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Where the reader of each is: a new one needs a test, which is then named here.
READ_BY = {
    ("docs/serving.md", "python"): "here",
    ("docs/serving.md", "yaml"): "here",
    ("docs/cluster.md", "yaml"): "tests/infra/test_serving.py",
    ("docs/sources.md", "yaml"): "tests/docs/test_smallest_source.py",
    ("docs/sources.md", "csv"): "tests/docs/test_smallest_source.py",
}


def blocks(document: Path) -> list[tuple[str, str]]:
    """Language and text of what stands between fences."""
    return _FENCED.findall(document.read_text(encoding="utf-8"))


def shown(document: str, language: str) -> str:
    (found,) = [text for spoken, text in blocks(ROOT / document) if spoken == language]
    return found


def test_every_block_that_is_no_command_is_read_by_a_test() -> None:
    found = {(str(path.relative_to(ROOT)), language) for path in documents() for language, _ in blocks(path)}
    assert {(where, language) for where, language in found if language not in ("sh", "")} == set(READ_BY)


def test_the_way_back_is_the_alias_that_the_document_sets(tmp_path: Path) -> None:
    block = shown("docs/serving.md", "python")
    registry = Registry(tmp_path / "registry")
    manifest = bundle(tmp_path / "bundle")
    versions = [registry.register("churn", manifest, tmp_path / "bundle") for _ in range(4)]
    registry.set_alias("churn", "champion", versions[-1])
    assert "var/demo/registry" in block
    exec(block.replace("var/demo/registry", str(tmp_path / "registry")), {})
    assert registry.version("churn", "champion") == "3"


def test_the_tokens_that_the_document_shows_let_their_holder_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TENURE_SERVING_TOKEN", raising=False)
    block = shown("docs/serving.md", "yaml")
    (entry,) = yaml.safe_load(block)
    assert entry["sha256"] == hashlib.sha256(b"test").hexdigest()
    (tmp_path / TOKENS_FILE).write_text(block)
    holder = callers(tmp_path).holder("Bearer test")
    assert holder is not None
    assert (holder.name, holder.roles) == (entry["name"], {Role.READ})
