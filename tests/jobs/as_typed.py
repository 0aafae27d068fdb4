"""Commands as a person types them into a shell at the root of the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.entry_points import ROOT


def typed(words: Sequence[str], log: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end; everything it prints is in ``stdout``, and in ``log``."""
    own = {name: value for name, value in os.environ.items() if name != "TENURE_MEMBER_KEY_SECRET"}
    paths = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT / "libs"), os.environ.get("PYTHONPATH")))),
    }
    told = subprocess.run(
        words, cwd=ROOT, env={**own, **paths, **environment}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL, text=True, check=False,
    )  # fmt: skip
    if log is not None:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(told.stdout)
    return told
