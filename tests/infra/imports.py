"""What an entry point imports, and what an image can: both read, nothing imported."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

from tests.entry_points import ROOT

OURS = (ROOT / "libs", ROOT)


def imported_from_elsewhere(path: Path) -> set[str]:
    """Top-level names that a file imports, at its head or in a function, itself or through what is ours."""
    outside, seen, to_read = set(), set(), [path]
    while to_read:
        file = to_read.pop()
        if file in seen:
            continue
        seen.add(file)
        for name in _imported(file):
            ours = list(_files_of_ours(name, path.parent))
            to_read += ours
            if not ours:
                outside.add(name.partition(".")[0])
    return outside - sys.stdlib_module_names


def _imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            # What is imported from a package may be a module of it.
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _files_of_ours(name: str, beside: Path) -> Iterator[Path]:
    """The files that run when ``name`` is imported: its packages' and its own; none where it is not ours."""
    parts = name.split(".")
    for root in (*OURS, beside):
        for depth in range(1, len(parts) + 1):
            place = root.joinpath(*parts[:depth])
            yield from (file for file in (place.with_suffix(".py"), place / "__init__.py") if file.is_file())


def importable_with(extra: str) -> set[str]:
    """The names that can be imported where the locked requirements of an extra are installed."""
    installed = _locked(extra)
    distributions = packages_distributions()
    return {name for name, brought_by in distributions.items() if {_plain(one) for one in brought_by} & installed}


@cache
def _locked(extra: str) -> frozenset[str]:
    packages: dict[str, list[dict]] = {}
    for package in tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))["package"]:
        packages.setdefault(package["name"], []).append(package)
    seen, to_read = set(), [("tenure", (extra,))]
    while to_read:
        name, extras = to_read.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        for package in packages[name]:
            options = package.get("optional-dependencies", {})
            needed = [*package.get("dependencies", []), *(one for e in extras for one in options.get(e, []))]
            to_read += [(one["name"], tuple(one.get("extra", ()))) for one in needed]
    return frozenset(name for name, _ in seen)


def _plain(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()
