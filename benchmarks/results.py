"""What was measured, as files: ``benchmarks/results/ID.json`` holds a list, one result a peer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "results"
Result = dict[str, Any]


def write(folder: Path, found: Sequence[Mapping[str, object]]) -> Path:
    """Replaces what was measured of the same benchmark before, which these are all results of."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{found[0]['id']}.json"
    path.write_text(json.dumps(list(found), indent=1, ensure_ascii=False, default=str) + "\n", encoding="utf-8")
    return path


def read(folder: Path = FOLDER) -> list[Result]:
    """All results, in the order of their ids: P2 before P15, P1 before P1b."""
    found = [result for path in folder.glob("*.json") for result in json.loads(path.read_text(encoding="utf-8"))]
    return sorted(found, key=lambda result: order(result["id"]))  # sorting is stable: peers stay in their order


def order(id: str) -> tuple[int, str]:
    digits = "".join(letter for letter in id if letter.isdigit())
    return int(digits or 0), id


def in_words(values: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def sentence(result: Mapping[str, Any]) -> str:
    verdict = "met" if result["met"] else "missed"
    noisy = ", with others on the machine" if result["noisy"] else ""
    return (
        f"{result['id']} against {result['peer']}: {result['ratio']:.2f}x ({result['ratio_of']}), the goal of "
        f"{result['comparison'].replace('_', ' ')} {result['goal']:g}x is {verdict}{noisy}"
    )
