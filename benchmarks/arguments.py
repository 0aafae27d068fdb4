"""What every benchmark can be told, and its thin main."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import results
from benchmarks.measured_code import code
from tenure.errors import TenureError


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """``events`` is about the size (results count it), ``work`` the folder of data and outputs, ``results`` where the
    figures go."""

    events: int
    rounds: int
    noisy: bool
    work: Path
    results: Path


def benchmark(
    run: Callable[[Arguments], Sequence[results.Result]],
    *,
    says: str,
    events: int = 20_000_000,
    argv: list[str] | None = None,
) -> None:
    """Parses, runs, writes what all parts found at once with the code that it is of, and exits: 0 measured, 2 wrong
    input, 3 refused because others were busy; then the results from before stay. A goal that is missed is a result, not
    an error."""
    parser = argparse.ArgumentParser(description=says, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=events, help=f"about how many (default: {events:,})")
    parser.add_argument("--rounds", type=int, default=3, help="how often each side is timed (default: 3)")
    parser.add_argument("--noisy", action="store_true", help="report although others are busy, and say so")
    parser.add_argument("--work", type=Path, default=Path("var/bench"), help="data and outputs (default: var/bench)")
    parser.add_argument("--results", type=Path, default=results.FOLDER, help=f"default: {results.FOLDER}")
    given = parser.parse_args(argv)
    try:
        arguments = Arguments(**{**vars(given), "work": given.work.absolute()})
        measured = {"code": code()}  # told before: it may be changed while this runs
        results.write(arguments.results, [each | measured for each in run(arguments)])
    except TenureError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
