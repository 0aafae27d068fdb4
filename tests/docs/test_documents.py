"""What the documents tell a person to type exists, and what they name is there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.docs.commands import Command, complaint, documents, shown
from tests.entry_points import ROOT, entry_points

COMMANDS = shown()
SCRIPTS = [p.path for p in entry_points() if not p.path.startswith("ray_apps/serve")] + [
    str(path.relative_to(ROOT))
    for path in sorted((ROOT / "infra/local").glob("*.py"))
    if "__main__" in path.read_text(encoding="utf-8")
]
_LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)")
_NAMED = re.compile(r"`((?:jobs|ray_apps|libs|conf|infra|docs|tests)/[\w./-]*\w/?)`")


@pytest.fixture(autouse=True)
def _at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_a_shown_command_can_be_typed(command: Command) -> None:
    assert complaint(command) is None


@pytest.mark.parametrize("script", SCRIPTS)
def test_an_entry_point_explains_itself(script: str) -> None:
    environment = {**os.environ, "COLUMNS": "120"}
    told = subprocess.run(
        [sys.executable, script, "--help"], capture_output=True, text=True, cwd=ROOT, env=environment, check=False
    )
    assert told.returncode == 0, told.stderr[-2000:]
    assert Path(script).name in told.stdout


def test_make_alone_lists_the_targets() -> None:
    told = subprocess.run(["make"], capture_output=True, text=True, cwd=ROOT, check=True).stdout
    for target in ("demo", "test", "test-long", "test-gpu", "smoke", "format", "dist", "serve", "help"):
        assert f"make {target}" in told


@pytest.mark.parametrize("document", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_and_named_paths_lead_somewhere(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    missing = [link for link in _LINK.findall(text) if not (document.parent / link).exists()]
    missing += [path for path in _NAMED.findall(text) if not (ROOT / path).exists()]
    assert missing == []


def test_the_readme_shows_its_two_commands() -> None:
    lines = [command.line for command in COMMANDS if command.where == "README.md"]
    assert "make demo" in lines
    assert "make test" in lines
