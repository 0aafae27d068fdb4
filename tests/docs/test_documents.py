"""What the documents tell a person to type exists, and what they name is there."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from tests.docs.commands import Command, call, complaint, documents, shown
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


def test_what_make_dist_does_not_make_is_found() -> None:
    assert complaint(Command("", "pip install -r dist/requirements/all.txt")) == (
        "make dist makes no dist/requirements/all.txt"
    )
    assert complaint(Command("", "pip install -r dist/requirements/spark.txt")) is None


@cache
def _help(*program: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": "120"}
    asked = [sys.executable, *program, "--help"]
    return subprocess.run(asked, capture_output=True, text=True, cwd=ROOT, env=environment, check=False)


@pytest.mark.parametrize("script", SCRIPTS)
def test_an_entry_point_explains_itself(script: str) -> None:
    told = _help(script)
    assert told.returncode == 0, told.stderr[-2000:]
    assert Path(script).name in told.stdout


@pytest.mark.parametrize("command", [command for command in COMMANDS if call(command)], ids=str)
def test_a_shown_program_starts_and_knows_its_options(command: Command) -> None:
    shown = call(command)
    assert shown is not None
    told = _help(*shown.program)
    assert told.returncode == 0, told.stderr[-2000:]
    assert [option for option in shown.options if f"{option} " not in told.stdout] == []


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.line.startswith("make")], ids=str)
def test_make_knows_what_it_would_do(command: Command) -> None:
    told = subprocess.run(
        ["make", "-n", *shlex.split(command.line)[1:]], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert told.returncode == 0, told.stderr[-2000:]
    assert told.stdout.strip()


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


@pytest.mark.parametrize("room", sorted(p for p in (ROOT / "tests/unit").iterdir() if p.is_dir() and p.name[0] != "_"))
def test_make_smoke_touches_every_room(room: Path) -> None:
    assert any("pytest.mark.smoke" in path.read_text(encoding="utf-8") for path in room.glob("test_*.py"))
