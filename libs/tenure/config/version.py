"""Which code wrote something."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import tenure


@cache
def code_version() -> str:
    """The package's version and twelve hex digits of its modules' text, as in ``0.1.0+5f1e0c9a77d2``: two runs with the
    same one ran the same modules, committed or not. Entry points are no part of it: what they call is."""
    root = Path(tenure.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    try:
        number = version("tenure")
    except PackageNotFoundError:  # a checkout on the path, not installed
        number = "0"
    return f"{number}+{digest.hexdigest()[:12]}"
