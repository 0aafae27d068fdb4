"""Who bought what, as a worker reads it from a release: its own buckets only, summed as known before a day.

Shapes: R signed rows of the worker's buckets, N members of theirs, P products of the shop, M members' items.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tenure.contracts.gold import interactions
from tenure.contracts.silver import PRODUCTS
from tenure.lake.release import Release

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
FIRST_DAY = date(1970, 1, 1)


@dataclass(frozen=True, kw_only=True)
class Products:
    """The shop's products with all their versions; a product's number is the same on every worker."""

    product_ids: pa.StringArray  # (P,) ascending
    version_of: Ints  # the product of each version, versions by age
    known_on: Ints  # days since 1970
    is_recommendable: npt.NDArray[np.bool_]

    def recommendable(self, known_before: date) -> npt.NDArray[np.bool_]:
        """(P,) whether the newest version known before a day says that it makes sense to recommend the product."""
        is_known = self.known_on < number(known_before)
        found = np.zeros(len(self.product_ids), bool)
        found[self.version_of[is_known]] = self.is_recommendable[is_known]  # of several versions the newest stays
        return found


@dataclass(frozen=True, kw_only=True)
class Net:
    """What was kept of what was bought: M members' items, by member and product, each once, ``times`` above zero."""

    member: Ints
    product: Ints
    times: Floats

    def within(self, place: Ints, members: int) -> tuple[Ints, Ints, Floats]:
        """Offsets (members + 1,), places and counts of the products that have a ``place`` of zero or more."""
        keep = place[self.product] >= 0
        order = np.lexsort((place[self.product[keep]], self.member[keep]))
        offsets = np.concatenate([[0], np.cumsum(np.bincount(self.member[keep], minlength=members))])
        return offsets, place[self.product[keep]][order], self.times[keep][order]


@dataclass(frozen=True, kw_only=True)
class Purchases:
    """Signed purchases of the members of some buckets."""

    member_keys: Ints  # (N,) ascending
    member: Ints  # (R,) place in member_keys
    product: Ints  # (R,) number of the product
    day: Ints
    known_on: Ints
    times: Floats

    def __len__(self) -> int:
        return len(self.member_keys)

    def net(self, known_before: date, *, since: date | None = None, until: date | None = None) -> Net:
        """What was bought and kept on ``since <= day < until``, as it was known before a day; nothing of that day or
        later."""
        end = min(until or known_before, known_before)
        keep = (self.known_on < number(known_before)) & (self.day < number(end))
        if since is not None:
            keep &= self.day >= number(since)
        width = int(self.product.max(initial=0)) + 1
        pairs, place = np.unique(self.member[keep] * width + self.product[keep], return_inverse=True)
        times = np.bincount(place, self.times[keep], len(pairs)).astype(np.float64)
        kept = times > 0
        return Net(member=pairs[kept] // width, product=pairs[kept] % width, times=times[kept])


def number(day: date) -> int:
    return (day - FIRST_DAY).days


def read_products(release: Release) -> Products:
    names = ("product_id", "known_on", "is_recommendable")
    rows = release.read(PRODUCTS, names, order_by=("product_id", "known_on", "batch_no"))
    product_ids = pc.unique(rows["product_id"])
    return Products(
        product_ids=product_ids,
        version_of=_place(rows["product_id"], product_ids),
        known_on=_days(rows["known_on"]),
        is_recommendable=rows["is_recommendable"].to_numpy(),
    )


def read_purchases(release: Release, buckets: Sequence[int], products: Products) -> Purchases:
    """Purchases of the catalogue's products by the members of ``buckets``, one bucket in memory as text at a time."""
    table = interactions(release.shop)
    names = ("member_key", "product_id", "day", "known_on", "times")
    parts = [[np.empty(0, np.int64)] * len(names)]
    for bucket in buckets:
        rows = release.read(table, names, where=f"bucket = {bucket}")
        product = _place(rows["product_id"], products.product_ids)
        keep = product >= 0  # lines of products that the catalogue never held stay out
        columns = (rows["member_key"].to_numpy(), product, _days(rows["day"]), _days(rows["known_on"]))
        parts.append([column[keep] for column in (*columns, rows["times"].to_numpy())])
    keys, product, day, known_on, times = (np.concatenate(column) for column in zip(*parts, strict=True))
    member_keys, member = np.unique(keys, return_inverse=True)
    return Purchases(
        member_keys=member_keys, member=member, product=product, day=day, known_on=known_on, times=times.astype(float)
    )


def _place(values: pa.ChunkedArray, among: pa.Array) -> Ints:
    return pc.fill_null(pc.index_in(values, value_set=among), -1).to_numpy().astype(np.int64)


def _days(column: pa.ChunkedArray) -> Ints:
    return column.cast(pa.int32()).to_numpy().astype(np.int64)
