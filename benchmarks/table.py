"""Writes the table of docs/benchmarks.md from benchmarks/results.

    python -m benchmarks.table

What stands outside of the two marks is written by hand and stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import results

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
BEGINS, ENDS = "<!-- the table begins: python -m benchmarks.table -->", "<!-- the table ends -->"
WORTH_TELLING = 0.02  # of the machine's time
_HEAD = ("id", "peer", "events", "ours, s", "peer, s", "ratio", "rounds", "goal", "met", "machine while measured")


def table(found: Sequence[Mapping[str, Any]]) -> str:
    rows = [_HEAD, tuple("---" for _ in _HEAD), *map(_row, found)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def _row(result: Mapping[str, Any]) -> tuple[str, ...]:
    ratios = [each["ratio"] for each in result["rounds"]]
    seconds = result["seconds"]
    sign = {"at_most": "≤", "at_least": "≥"}[result["comparison"]]
    return (
        result["id"],
        result["peer"],
        _events(result.get("events")),
        f"{seconds['ours']['median']:.2f}",
        f"{seconds['peer']['median']:.2f}",
        f"**{result['ratio']:.2f}x** {result['ratio_of']}",
        f"{min(ratios):.2f}-{max(ratios):.2f}",
        f"{sign} {result['goal']:g}x",
        "yes" if result["met"] else "**no**",
        _machine(result),
    )


def _machine(result: Mapping[str, Any]) -> str:
    """What else the machine did, when, and of which commit, as far as the result says."""
    load, code = result["load"], result.get("code", {})
    said = [f"others took {load['others_cores']:.1f} cores" if result["noisy"] else "quiet"]
    if load.get("steal", 0) > WORTH_TELLING:
        said.append(f"{100 * load['steal']:.0f} % stolen by the host")
    return ", ".join([*said, result["date"], *([code["commit"]] if "commit" in code else [])])


def _events(events: int | None) -> str:
    if events is None:
        return ""
    return f"{events / 1e6:.3g} M" if events >= 1e6 else f"{events:,}"


def settings(found: Sequence[Mapping[str, Any]]) -> str:
    """What was tuned, and the versions, a line for each side of each benchmark."""
    lines = []
    for result in found:
        said = {name: results.in_words(result["settings"][name]) for name in ("ours", "peer")}
        lines.append(f"- **{result['id']}** {result['peer']}: {said['peer'] or 'no settings'}")
        if said["ours"]:
            lines[-1] += f"; ours: {said['ours']}"
    machines = {results.in_words(result["machine"]) for result in found}
    used = {f"{name} {value}" for result in found for name, value in result["versions"].items()}
    return (
        "\n".join([*lines, "", f"Machine: {'; '.join(sorted(machines))}. Versions: {', '.join(sorted(used))}."]) + "\n"
    )


def inserted(page: str, text: str) -> str:
    """The page with ``text`` between the marks.

    Raises:
        ValueError: if a mark is missing.
    """
    if BEGINS not in page or ENDS not in page:
        raise ValueError(f"the page needs the lines {BEGINS} and {ENDS}")
    before, rest = page.split(BEGINS, 1)
    return f"{before}{BEGINS}\n{text}{ENDS}{rest.split(ENDS, 1)[1]}"


def main(folder: Path = results.FOLDER, page: Path = PAGE) -> None:
    found = results.read(folder)
    text = f"\n{table(found)}\n{settings(found)}\n" if found else "\nNothing has been measured yet.\n\n"
    page.write_text(inserted(page.read_text(encoding="utf-8"), text), encoding="utf-8")
    print(f"{page}: {len(found)} results")


if __name__ == "__main__":
    main()
