"""Which code a result is of."""

from __future__ import annotations

import subprocess
from pathlib import Path

from benchmarks.simulated_lake import SOURCE, digest

SHIPPED = (SOURCE, "jobs", "libs/tenure", "ray_apps")
_ROOT = Path(__file__).parents[1]
_WRITTEN_HERE = (":!benchmarks/results", ":!docs/benchmarks.md")  # by the benchmark before this one


def code() -> dict[str, str]:
    """``digest`` of what ships, whatever is committed, and ``commit``, but none outside of a git checkout."""
    commit = commit_of(_ROOT)
    return {"digest": digest(SHIPPED), **({"commit": commit} if commit else {})}


def commit_of(root: Path) -> str:
    """The short name of the commit that is checked out, with ``+`` where a file is not as it has it; or nothing."""
    name = _git(root, "rev-parse", "--short", "HEAD")
    return name + "+" * bool(name and _git(root, "status", "--porcelain", "--", ".", *_WRITTEN_HERE))


def _git(root: Path, *command: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(root), *command], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return "" if done.returncode else done.stdout.strip()
