"""What a figure was measured on and with."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def machine() -> dict[str, object]:
    cpu = [line.split(":", 1)[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    memory_kib = [int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("MemTotal")]
    return {
        "cpu": cpu[0] if cpu else platform.processor(),
        "cores": cores(),
        "memory_gib": round(sum(memory_kib) / 2**20, 1),
        "system": f"{platform.system()} {platform.release()}",
    }


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0))


def versions(*packages: str) -> dict[str, str]:
    """The versions of packages, of Python, and of Java where Spark is among them."""
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    if "pyspark" in packages:
        found["java"] = java()
    return found


def java() -> str:
    said = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False).stderr.splitlines()
    return said[0] if said else "unknown"


def load_average() -> list[float]:
    return [round(value, 2) for value in os.getloadavg()]


def _lines(path: str) -> list[str]:
    return Path(path).read_text(encoding="utf-8").splitlines()
