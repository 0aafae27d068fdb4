"""The MemberStore: memory-mapped Arrow files that all replicas of a machine share, published whole and never changed.

A release is written into a folder of its own; then the pointer file ``CURRENT`` is replaced in one step. Readers that
look again see the new one, and keep the old one open for as long as they need it: what a process has mapped stays
readable after its name is gone.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tenure.contracts.shop import Shop
from tenure.contracts.store import store_tables
from tenure.contracts.table import Table
from tenure.errors import WrongInput
from tenure.lake.release import shop_from_json, shop_to_json
from tenure.lake.schema import arrow
from tenure.models.rows import MemberRows, offsets_of
from tenure.serving.point_in_time import Purchases, numbers_of

log = logging.getLogger(__name__)

POINTER = "CURRENT"
LABEL_FILE = "store.json"


def _publish_again(folder: Path, why: str) -> WrongInput:
    return WrongInput(f"{folder}: {why}; run jobs/publish_members.py")


@dataclass(frozen=True, kw_only=True)
class Label:
    """What a store holds: the release, the day it speaks for, and the bytes of each of its files."""

    release_id: str
    source: str
    fingerprint: str
    as_of: date
    shop: Shop
    max_events: int
    members: int
    bytes: dict[str, int]
    parts: int = 1  # of each bucket, each a batch of the files
    keyed_by: str | None = None  # tells one secret of the member keys from another; None where none was at hand

    def to_json(self) -> str:
        values = {**asdict(self), "as_of": self.as_of.isoformat(), "shop": json.loads(shop_to_json(self.shop))}
        return json.dumps(values, indent=2)

    @staticmethod
    def from_json(text: str) -> Label:
        values = json.loads(text)
        values["as_of"] = date.fromisoformat(values["as_of"])
        return Label(**{**values, "shop": shop_from_json(json.dumps(values["shop"]))})


class MemberStore:
    """One published release, by member key. Holds mapped pages and the footers of the files, no table of its own.

    Args:
        folder: a folder that ``publish`` wrote.

    Raises:
        WrongInput: if it is absent, cut off, or of another layout; nothing was mapped then.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.label = _read_label(self.folder)
        members, events, histories, products = store_tables(self.label.shop)
        self._batches = self.label.shop.buckets * self.label.parts
        self._members = _Mapped(self.folder, members, self.label, self._batches)
        self._events = _Mapped(self.folder, events, self.label, self._batches)
        self._histories = _Mapped(self.folder, histories, self.label, self._batches)
        self._products = _Mapped(self.folder, products, self.label, 1)

    def find(self, member_keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where members are: (N,) rows within their batches, and (N,) whether they are known at all."""
        rows = np.zeros(len(member_keys), dtype=np.int64)
        is_known = np.zeros(len(member_keys), dtype=bool)
        for batch, here in self._by_batch(member_keys):
            keys = self._members.numbers(batch, "member_key")
            found = np.minimum(np.searchsorted(keys, member_keys[here]), max(len(keys) - 1, 0))
            rows[here] = found
            is_known[here] = keys[found] == member_keys[here] if len(keys) else False
        return rows, is_known

    def rows(self, member_keys: np.ndarray) -> MemberRows:
        """The members' features and events, in the order asked for. Every key must be known (``find``)."""
        features = self._features(member_keys)
        parts, sizes = self._pieces(self._events, member_keys, "events")
        return MemberRows(
            features=features,
            held=pa.Table.from_batches(parts, self._events.schema),
            offsets=offsets_of(sizes),
        )

    def purchases(self, member_keys: np.ndarray) -> Purchases:
        """What the members bought, as rows of ``product_ids``, in the order asked for. Every key must be known."""
        parts, sizes = self._pieces(self._histories, member_keys, "history")
        bought = pa.Table.from_batches(parts, self._histories.schema)
        return Purchases(offsets_of(sizes), bought["product"].to_numpy(), bought["times"].to_numpy())

    @property
    def product_ids(self) -> pa.Array:
        """The catalogue's ids; a product's row here is what ``purchases`` names it by."""
        return self._products.batch(0)["product_id"]

    def some_members(self, at_most: int) -> np.ndarray:
        """The keys of a few members, as many as there are up to ``at_most``."""
        keys = [self._members.numbers(batch, "member_key")[:at_most] for batch in range(self._batches)]
        return np.concatenate(keys)[:at_most]

    def product(self, row: int) -> dict[str, Any]:
        """One product: its id, name, category and type; what the catalogue does not say is None."""
        return self._products.batch(0).slice(row, 1).to_pylist()[0]

    def feature(self, member_keys: np.ndarray, name: str) -> pa.ChunkedArray:
        """One feature of the members, in the order asked for. Every key must be known."""
        return self._features(member_keys, [name])[name]

    def profile(self, member_key: int) -> dict[str, Any]:
        """Every feature of one member whom the store knows."""
        return self._features(np.array([member_key])).to_pylist()[0]

    def _features(self, member_keys: np.ndarray, names: Sequence[str] | None = None) -> pa.Table:
        rows, is_known = self.find(member_keys)
        if not is_known.all():
            raise KeyError(f"{int((~is_known).sum())} of {len(member_keys)} members are not in the store")
        names = list(names or self._members.schema.names[: -len(_OFFSETS)])
        parts, order = [self._members.batch(0).select(names).slice(0, 0)], [np.zeros(0, dtype=np.int64)]
        for batch, here in self._by_batch(member_keys):
            parts.append(self._members.batch(batch).select(names).take(pa.array(rows[here])))
            order.append(here)
        together = pa.Table.from_batches(parts)
        return together.take(np.argsort(np.concatenate(order))) if len(parts) > 2 else together

    def _pieces(self, file: _Mapped, member_keys: np.ndarray, what: str) -> tuple[list[pa.RecordBatch], np.ndarray]:
        """Zero-copy slices of ``file``, one a member, and how many rows each has."""
        rows, _ = self.find(member_keys)
        batches = self._batches_of(member_keys)
        starts = [self._members.numbers(b, f"{what}_from")[row] for b, row in zip(batches, rows, strict=True)]
        ends = [self._members.numbers(b, f"{what}_to")[row] for b, row in zip(batches, rows, strict=True)]
        sizes = np.asarray(ends, dtype=np.int64) - np.asarray(starts, dtype=np.int64)
        places = zip(batches, starts, sizes, strict=True)
        return [file.batch(b).slice(start, size) for b, start, size in places if size], sizes

    def _by_batch(self, member_keys: np.ndarray) -> list[tuple[int, np.ndarray]]:
        batches = self._batches_of(member_keys)
        return [(int(batch), np.flatnonzero(batches == batch)) for batch in np.unique(batches)]

    def _batches_of(self, member_keys: np.ndarray) -> np.ndarray:
        parts = self.label.parts
        return member_keys % self.label.shop.buckets * parts + numbers_of(member_keys, parts)


_OFFSETS = ("events_from", "events_to", "history_from", "history_to")


class _Mapped:
    """One file of the store, its batches opened as they are needed; columns point into the mapped pages."""

    def __init__(self, folder: Path, table: Table, label: Label, batches: int) -> None:
        path = folder / f"{table.name}.arrow"
        self.schema = arrow(table)
        if not path.is_file():
            raise _publish_again(folder, f"{path.name} is missing")
        if path.stat().st_size != label.bytes.get(table.name):
            raise _publish_again(folder, f"{path.name} is cut off or not the one that was published")
        try:
            self._file = pa.ipc.open_file(pa.memory_map(str(path)))
        except pa.ArrowInvalid as error:
            raise _publish_again(folder, f"{path.name} is not readable ({error})") from None
        if not self._file.schema.equals(self.schema) or self._file.num_record_batches != batches:
            raise _publish_again(folder, f"{path.name} is of another contract or another number of batches")
        self._batches: dict[int, pa.RecordBatch] = {}
        self._columns: dict[tuple[int, str], np.ndarray] = {}

    def batch(self, number: int) -> pa.RecordBatch:
        if number not in self._batches:
            self._batches[number] = self._file.get_batch(number)
        return self._batches[number]

    def numbers(self, number: int, column: str) -> np.ndarray:
        place = (number, column)
        if place not in self._columns:
            self._columns[place] = self.batch(number)[column].to_numpy(zero_copy_only=True)
        return self._columns[place]


def _read_label(folder: Path) -> Label:
    path = folder / LABEL_FILE
    try:
        return Label.from_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise _publish_again(folder, "there is no MemberStore") from None
    except (ValueError, KeyError, TypeError):
        raise _publish_again(folder, f"{LABEL_FILE} is not readable") from None


def current_folder(root: str | Path) -> Path:
    """The folder that ``CURRENT`` names.

    Raises:
        WrongInput: if nothing was published yet, or what it names is gone.
    """
    root = Path(root)
    try:
        name = (root / POINTER).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        raise _publish_again(root, "no release was published yet") from None
    if not name or Path(name).name != name:
        raise _publish_again(root, f"{POINTER} names no folder")
    return root / name


def published_folders(root: str | Path) -> list[Path]:
    """All stores that are on disk, the oldest first."""
    return sorted((p.parent for p in Path(root).glob(f"*/{LABEL_FILE}")), key=lambda path: path.stat().st_mtime_ns)


def folders_before(root: str | Path, current: Path) -> list[Path]:
    """The other stores that are on disk, the newest first."""
    return [folder for folder in reversed(published_folders(root)) if folder != current]


def is_published(root: str | Path) -> bool:
    """Whether any release was published into ``root``."""
    return (Path(root) / POINTER).is_file()


class CurrentStore:
    """The published store, opened anew within ``every_s`` seconds after another one was published.

    A new one that cannot be opened leaves the old one in use, and a warning in the log.
    """

    def __init__(self, root: str | Path, every_s: float = 1.0) -> None:
        self._root, self._every_s = root, every_s
        self._store: MemberStore | None = None
        self._looked_at = -math.inf

    def get(self) -> MemberStore:
        """Errors as of ``current_folder`` and ``MemberStore``, while there is none."""
        now = time.monotonic()
        if self._store is None or now - self._looked_at >= self._every_s:
            self._store = self._look(self._store)
            self._looked_at = now
        return self._store

    def _look(self, store: MemberStore | None) -> MemberStore:
        try:
            folder = current_folder(self._root)
            return store if store is not None and store.folder == folder else MemberStore(folder)
        except WrongInput as error:
            if store is None:
                raise
            log.warning("%s goes on being read: %s", store.folder, error)
            return store
