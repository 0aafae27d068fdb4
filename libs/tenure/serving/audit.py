"""One line a request: who asked for what, and what answered. No shop id, no token, no address of a person."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path

MAX_BYTES = 50_000_000
FILES_KEPT = 10


@dataclass(frozen=True, kw_only=True)
class Entry:
    """``endpoint`` is the route, not the path, which may hold an id. ``members`` and ``unknown`` count members."""

    request_id: str
    caller: str | None
    method: str
    endpoint: str
    status: int
    ms: float
    members: int = 0
    unknown: int = 0
    model_versions: tuple[str, ...] = ()
    release_id: str | None = None


class Audit:
    """Appends entries as JSON lines to a file of its own for each process, ``<folder>/<name>.jsonl``."""

    def __init__(self, folder: str | Path, name: str) -> None:
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._log = logging.Logger(f"tenure.audit.{name}")  # of its own: no handler of the host sees the lines
        handler = RotatingFileHandler(folder / f"{name}.jsonl", maxBytes=MAX_BYTES, backupCount=FILES_KEPT)
        handler.setFormatter(logging.Formatter("%(message)s"))
        self._log.addHandler(handler)

    def write(self, entry: Entry) -> None:
        values = {"at": datetime.now(UTC).isoformat(timespec="milliseconds"), **asdict(entry)}
        self._log.info(json.dumps(values))
