"""Runs the benchmarks, each in a process of its own, and writes the table.

    python -m benchmarks                                    # all, at their own sizes
    python -m benchmarks --only P1,P2 --events 1000000
    make bench-data ONLY=P1 EVENTS=20000000 NOISY=1

A benchmark is a file beside this one, ``p1_clean_and_features.py`` for P1. Exits with the worst exit code of any.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from benchmarks import results, table

HERE = Path(__file__).parent


def found() -> dict[str, str]:
    """Module by id, in the order of the ids."""
    modules = {path.stem.split("_")[0].capitalize(): f"benchmarks.{path.stem}" for path in HERE.glob("p[0-9]*_*.py")}
    return {id: modules[id] for id in sorted(modules, key=results.order)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help=f"ids apart by commas, of {', '.join(found())}")
    given, rest = parser.parse_known_args()
    wanted = [id.strip().capitalize() for id in given.only.split(",") if id.strip()] or list(found())
    unknown = [id for id in wanted if id not in found()]
    if unknown:
        print(f"there is no benchmark {', '.join(unknown)}; there are {', '.join(found())}", file=sys.stderr)
        return 2
    codes = [subprocess.run([sys.executable, "-m", found()[id], *rest], check=False).returncode for id in wanted]
    table.main()
    return max(codes, key=abs)


if __name__ == "__main__":
    sys.exit(main())
