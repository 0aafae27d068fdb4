"""Every benchmark runs from end to end at a few thousand events, finds its sides equal, and writes its results.

How long anything took is nobody's business here.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PEERS = {
    "p1_clean_and_features": ["DuckDB", "plain PySpark idiom"],
    "p1b_many_days": ["DuckDB", "loop over days"],
    "p2_sessions": ["DuckDB", "DuckDB, by spans"],
    "p3_python_udfs": [f"{kind} UDF{part}" for part in ("", ", windows") for kind in ("pickled", "pandas", "Arrow")],
    "p4a_delta_write": ["plain Parquet, order_lines", "plain Parquet, member_days"],
    "p4b_corrections": ["rebuild, known from now on", "rebuild, a load of the past"],
    "p4c_new_day": ["rebuild of all days"],
    "p4d_tensors": ["PyArrow scan", "PyArrow scans, 9 epochs"],
    "p15_whole_path": ["Polars", "bare torch loop"],
    "p16_members": [
        "itself at 75 members",
        "itself at 75 members: peak memory, in MiB",
        "itself at 150 members",
        "itself at 150 members: peak memory, in MiB",
        "itself: a further member beyond 150 members, and beyond 75 members, in ms",
    ],
}
EVENTS = {"p15_whole_path": 20_000}
NEEDS = {
    **dict.fromkeys(("p1_clean_and_features", "p1b_many_days", "p2_sessions"), ("duckdb",)),
    "p15_whole_path": ("polars", "implicit", "fastapi", "ray"),
}

pytestmark = [pytest.mark.long, pytest.mark.timeout(3000)]


@pytest.mark.parametrize("name", PEERS)
def test_a_benchmark_finds_both_sides_equal_and_tells_of_every_peer(name: str, tmp_path: Path) -> None:
    for package in NEEDS.get(name, ()):
        pytest.importorskip(package)
    told = ["--events", str(EVENTS.get(name, 6_000)), "--rounds", "1", "--noisy"]
    where = ["--work", str(tmp_path / "work"), "--results", str(tmp_path / "results")]
    command = [sys.executable, "-m", f"benchmarks.{name}", *told, *where]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    id = name.split("_")[0].capitalize()
    found = json.loads((tmp_path / "results" / f"{id}.json").read_text())
    assert [result["peer"] for result in found] == PEERS[name]
    for result in found:
        assert {"id", "peer", "ratio", "goal", "met", "rounds", "versions", "machine", "load", "code"} <= result.keys()
        assert len(result["rounds"]) == 1
        assert result["seconds"]["ours"].get("start", 1) > 0  # a peak of memory has none
