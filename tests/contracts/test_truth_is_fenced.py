"""What only a simulation knows stays out of everything that learns or answers."""

from __future__ import annotations

import ast
from pathlib import Path, PurePosixPath

import pytest

from tenure.config.settings import checked, read_yaml
from tenure.config.source import Source
from tenure.contracts.landing import RAW_TABLES
from tenure.contracts.table import Layer
from tenure.contracts.truth import TRUTH_TABLES
from tenure.simulation.landing import LANDING, TRUTH

ROOT = Path(__file__).parents[2]
WHO_MAY_KNOW = ("libs/tenure/simulation", "libs/tenure/report", "libs/tenure/contracts", "jobs/simulate_shop.py")
LEARNS_OR_ANSWERS = ("libs", "jobs", "ray_apps")
REPORTS = "jobs/write_report.py"  # the report may hold a model against the truth; nobody else asks it for anything


def imports(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def fenced() -> list[Path]:
    files = [file for folder in LEARNS_OR_ANSWERS for file in sorted((ROOT / folder).rglob("*.py"))]
    return [file for file in files if not str(file.relative_to(ROOT)).startswith(WHO_MAY_KNOW)]


def test_nothing_that_learns_or_answers_imports_the_truth() -> None:
    assert len(fenced()) > 50
    for file in fenced():
        knows = {name for name in imports(file) if name.startswith(("tenure.contracts.truth", "tenure.simulation"))}
        assert not knows, f"{file.relative_to(ROOT)} imports {', '.join(knows)}"


def test_nobody_learns_the_truth_from_the_report() -> None:
    asking = {
        str(file.relative_to(ROOT)) for file in fenced() if any(n.startswith("tenure.report") for n in imports(file))
    }
    assert asking == {REPORTS}


def test_nothing_that_learns_or_answers_names_a_truth_table() -> None:
    for file in fenced():
        text = file.read_text(encoding="utf-8")
        named = [table.name for table in TRUTH_TABLES if table.name in text]
        assert not named, f"{file.relative_to(ROOT)} names {', '.join(named)}"


@pytest.mark.parametrize("source", sorted((ROOT / "conf" / "sources").glob("*.yaml")), ids=lambda path: path.stem)
def test_no_source_reaches_beside_its_own_folder(source: Path) -> None:
    feeds = checked(Source, read_yaml(source), str(source)).feeds.values()
    for feed in feeds:
        for glob in feed.files:
            assert ".." not in glob
            assert not glob.startswith("/")


def test_truth_lies_beside_the_landing_files_and_not_below_them() -> None:
    assert PurePosixPath(TRUTH).parts[0] != PurePosixPath(LANDING).parts[0]


def test_truth_is_a_layer_of_its_own() -> None:
    assert {table.layer for table in TRUTH_TABLES} == {Layer.TRUTH}
    assert Layer.TRUTH not in {table.layer for table in RAW_TABLES}
