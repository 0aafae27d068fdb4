"""What import-linter cannot see: an entry point's folder is on the path, so its modules have bare names."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

import pytest
from tests.entry_points import FOLDERS, ROOT

ROOMS = {"jobs", "ray_apps"}


def imported(text: str) -> set[str]:
    """The top-level names of what a module imports, at its head or in a function."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


def entry_point_names() -> set[str]:
    return ROOMS | {path.stem for folder in FOLDERS for path in (ROOT / folder).glob("*.py")}


def trespassers(libs: Path) -> list[str]:
    outside = entry_point_names()
    return [
        f"{path.relative_to(libs)} imports {name}"
        for path in sorted(libs.rglob("*.py"))
        for name in sorted(imported(path.read_text(encoding="utf-8")) & outside)
    ]


def test_nothing_in_libs_imports_an_entry_point() -> None:
    assert {"clean", "refresh", "fit_task", "members"} <= entry_point_names()
    assert trespassers(ROOT / "libs") == []


def test_an_import_of_an_entry_point_would_be_seen(tmp_path: Path) -> None:
    (tmp_path / "shortcut.py").write_text("def run():\n    from clean import Clean\n    import jobs.refresh\n")
    assert trespassers(tmp_path) == ["shortcut.py imports clean", "shortcut.py imports jobs"]


PYTHON_ROWS = re.compile(
    r"\b(udf|udtf|pandas_udf|arrow_udf|(map|apply|cogroup)\w*In(Pandas|Arrow)|toPandas|rdd|parallelize|foreach(Partition)?)\b"
)


def row_by_row(folders: Iterable[Path]) -> list[str]:
    return [
        f"{path.name}: {found[0]}"
        for folder in folders
        for path in sorted(folder.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (found := PYTHON_ROWS.fullmatch(_name(node)))
    ]


def _name(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def test_no_row_of_a_job_passes_through_python(tmp_path: Path) -> None:
    folders = [ROOT / "jobs", ROOT / "libs" / "tenure" / "spark"]
    assert row_by_row(folders) == []
    makers = {path.name for folder in folders for path in folder.rglob("*.py") if "createDataFrame" in path.read_text()}
    # By Arrow, as of a list Python workers would read the rows; and Delta's own, of a list of files.
    assert makers == {"schema.py", "delta_log.py"}
    (tmp_path / "slow.py").write_text("rows.mapInArrow(f, s)\n@F.udf\ndef g(x): ...\n")
    assert row_by_row([tmp_path]) == ["slow.py: udf", "slow.py: mapInArrow"]


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("contracts/gold.py", "import ray_apps.serve.members", "nothing in libs imports jobs or ray_apps"),
        ("tasks/churn.py", "import tenure.lifecycle.stages", "tasks import contracts and models only"),
        ("tasks/churn.py", "import tenure.report.words", "tasks import contracts and models only"),
        ("tasks/churn.py", "import tenure.config.env", "tasks take no settings of their own"),
    ],
)
def test_a_fence_stops_who_climbs_over_it(module: str, line: str, contract: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "libs", tmp_path / "libs", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / "libs" / "tenure" / module).open("a") as file:
        file.write(f"\n{line}\n")
    linter = Path(sys.executable).with_name("lint-imports")
    told = subprocess.run(
        [linter, "--no-cache"], cwd=tmp_path, env={"PYTHONPATH": str(tmp_path / "libs")}, capture_output=True, text=True
    )
    assert told.returncode == 1, told.stdout[-2000:] + told.stderr
    broken = re.findall(r"^(.*) BROKEN", told.stdout, re.MULTILINE)
    assert any(name.startswith(contract) for name in broken), broken


def test_every_fence_has_a_name_that_says_what_it_holds_apart() -> None:
    linter = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    names = [contract["name"] for contract in linter["contracts"]]
    assert len(names) == len(set(names))
