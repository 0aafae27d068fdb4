"""Writes a release into a MemberStore, some members at a time, and lets readers see it in one step."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import numpy as np
import pyarrow as pa

from tenure.contracts.store import STORE_HISTORIES, STORE_PRODUCTS, store_events, store_members
from tenure.contracts.table import Table
from tenure.errors import Busy
from tenure.lake.release import Release
from tenure.lake.schema import arrow
from tenure.serving.point_in_time import MemberPart, Members, in_catalogue, parts, read_catalogue, read_members
from tenure.serving.store import LABEL_FILE, POINTER, Label, published_folders

log = logging.getLogger(__name__)


def publish(
    release: Release, root: str | Path, *, max_events: int = 64, keep: int = 2, keyed_by: str | None = None
) -> Path:
    """The members of ``release`` as a new store below ``root``, which is the current one from then on.

    Holds one part of the members (``parts``) and the catalogue in memory. A rerun writes the same again beside it and
    switches over.

    Args:
        max_events: newest events kept of each member; as many as the models read.
        keyed_by: what tells the secret of the member keys (``pseudonyms.told_apart``): a service that has another one
            says so then, instead of knowing nobody.
        keep: how many published stores stay on disk. A reader of an older one keeps its mapped pages.

    Raises:
        Busy: if another publication into ``root`` is under way.
    """
    root = Path(root)
    root.mkdir(parents=True, exist_ok=True)
    with _alone(root):
        for left_over in root.glob(".writing-*"):
            shutil.rmtree(left_over)
        writing = root / f".writing-{uuid4().hex[:8]}"
        writing.mkdir()
        label = _write(release, writing, max_events, keyed_by)
        folder = root / f"{release.release_id}-{uuid4().hex[:8]}"
        writing.rename(folder)
        _point_to(root, folder)
        _forget_old(root, keep)
    log.info("published %d members of release %s as of %s: %s", label.members, label.release_id, label.as_of, folder)
    return folder


def _write(release: Release, folder: Path, max_events: int, keyed_by: str | None) -> Label:
    catalogue, all_parts = _Catalogue(read_catalogue(release)), parts(release)
    count = 0
    with (
        _file(folder, store_members(release.shop)) as members_file,
        _file(folder, store_events(release.shop)) as events_file,
        _file(folder, STORE_HISTORIES) as histories_file,
    ):
        for part in all_parts:
            members = read_members(release, part, max_events)
            members_file.write_batch(_members(members, release))
            events_file.write_batch(_batch(members.rows.events, store_events(release.shop)))
            histories_file.write_batch(_histories(members, part, catalogue))
            count += len(members.rows)
    with _file(folder, STORE_PRODUCTS) as products_file:
        products_file.write_batch(_batch(catalogue.rows, STORE_PRODUCTS))
    label = Label(
        release_id=release.release_id,
        source=release.source,
        fingerprint=release.fingerprint,
        as_of=release.newest_as_of,
        shop=release.shop,
        max_events=max_events,
        members=count,
        parts=all_parts[0].of,
        keyed_by=keyed_by,
        bytes={path.stem: path.stat().st_size for path in sorted(folder.glob("*.arrow"))},
    )
    (folder / LABEL_FILE).write_text(label.to_json(), encoding="utf-8")
    return label


def _members(members: Members, release: Release) -> pa.RecordBatch:
    table = store_members(release.shop)
    rows = members.rows.features
    for what, offsets in (("events", members.rows.offsets), ("history", members.purchases.offsets)):
        rows = rows.append_column(f"{what}_from", pa.array(offsets[:-1], pa.int64()))
        rows = rows.append_column(f"{what}_to", pa.array(offsets[1:], pa.int64()))
    return _batch(rows, table)


def _histories(members: Members, part: MemberPart, catalogue: _Catalogue) -> pa.RecordBatch:
    bought = members.purchases
    columns = {
        "bucket": np.full(len(bought.products), part.bucket, dtype=np.int64),
        "member_key": np.repeat(members.member_keys, np.diff(bought.offsets)),
        "product": catalogue.places(members.product_ids)[bought.products],
        "times": bought.times,
    }
    return _batch(pa.table(columns), STORE_HISTORIES)


class _Catalogue:
    """The products, sorted by id, and behind them what was bought without being among them."""

    def __init__(self, rows: pa.Table) -> None:
        self.rows = rows

    def places(self, product_ids: pa.Array) -> np.ndarray:
        """The row of each product, (P,) int64; unknown ones are added with null names."""
        unknown = product_ids.filter(pa.array(in_catalogue(product_ids, self._ids) < 0))
        if len(unknown):
            nothing = pa.nulls(len(unknown), pa.string())
            columns = [unknown, *[nothing] * (self.rows.num_columns - 1)]
            self.rows = pa.concat_tables([self.rows, pa.table(columns, schema=self.rows.schema)])
        return in_catalogue(product_ids, self._ids)

    @property
    def _ids(self) -> pa.Array:
        return self.rows["product_id"].combine_chunks()


@contextmanager
def _file(folder: Path, table: Table) -> Iterator[pa.RecordBatchFileWriter]:
    path = folder / f"{table.name}.arrow"
    with path.open("wb") as file:
        with pa.ipc.new_file(file, arrow(table)) as writer:
            yield writer
        file.flush()
        os.fsync(file.fileno())


def _batch(rows: pa.Table, table: Table) -> pa.RecordBatch:
    """One batch of the contract's columns and types, also where there are no rows."""
    schema = arrow(table)
    columns = [rows[field.name].cast(field.type).combine_chunks() for field in schema]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _point_to(root: Path, folder: Path) -> None:
    new = root / f"{POINTER}.new"
    new.write_text(folder.name, encoding="utf-8")
    new.replace(root / POINTER)


def _forget_old(root: Path, keep: int) -> None:
    for old in published_folders(root)[: -max(keep, 1)]:
        shutil.rmtree(old)


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    with (root / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy(f"{root} is being published by another run; try again when it is done") from None
        yield
