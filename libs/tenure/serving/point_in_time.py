"""The members of one bucket as a release knows them on its newest ``as_of``: what is published and what is scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tenure.contracts.gold import interactions, member_events, member_features
from tenure.contracts.silver import PRODUCTS
from tenure.contracts.store import STORE_PRODUCTS
from tenure.lake.release import Release
from tenure.lake.schema import arrow
from tenure.models.rows import MemberRows, cut_events


@dataclass(frozen=True)
class Purchases:
    """What N members bought before ``as_of`` and kept: member i bought ``products[offsets[i]:offsets[i + 1]]``.

    ``products`` (M,) are rows of a catalogue, ``times`` (M,) net bought counts, ``offsets`` is (N + 1,) int64.
    """

    offsets: np.ndarray
    products: np.ndarray
    times: np.ndarray


@dataclass(frozen=True)
class Bucket:
    """The N members of a bucket, sorted by key: their rows, and what they bought as rows of ``product_ids``."""

    rows: MemberRows
    purchases: Purchases
    product_ids: pa.Array

    @property
    def member_keys(self) -> np.ndarray:
        """(N,) int64, ascending."""
        return self.rows.member_keys


def read_bucket(release: Release, bucket: int, max_events: int) -> Bucket:
    """The bucket's members on the release's newest ``as_of``; nothing learnt on that day or later is in it."""
    rows = read_rows(release, bucket, max_events)
    purchases, product_ids = read_purchases(release, bucket, rows.member_keys)
    return Bucket(rows, purchases, product_ids)


def read_rows(release: Release, bucket: int, max_events: int) -> MemberRows:
    """Features and events of the bucket's members, by key."""
    as_of, key = f"as_of = DATE '{release.newest_as_of}'", ("member_key",)
    features = release.read(member_features(release.shop), where=f"bucket = {bucket} and {as_of}", order_by=key)
    by_version = ("member_key", "day", "known_on")
    events = release.read(member_events(release.shop), where=_known(release, bucket), order_by=by_version)
    cut, offsets = cut_events(events, features["member_key"].to_numpy(), release.newest_as_of, max_events)
    return MemberRows(features=features, held=cut, offsets=offsets)


def read_member_keys(release: Release, bucket: int) -> np.ndarray:
    """(N,) keys of the bucket's members, ascending."""
    where = f"bucket = {bucket} and as_of = DATE '{release.newest_as_of}'"
    features = member_features(release.shop)
    return release.read(features, ("member_key",), where=where, order_by=("member_key",))["member_key"].to_numpy()


def read_purchases(release: Release, bucket: int, member_keys: np.ndarray) -> tuple[Purchases, pa.Array]:
    """What the members bought and kept, as rows of the product ids beside it."""
    names = ("member_key", "product_id", "times")
    return _net(release.read(interactions(release.shop), names, where=_known(release, bucket)), member_keys)


def _known(release: Release, bucket: int) -> str:
    as_of = f"DATE '{release.newest_as_of}'"
    return f"bucket = {bucket} and known_on < {as_of} and day < {as_of}"


def _net(parts: pa.Table, keys: np.ndarray) -> tuple[Purchases, pa.Array]:
    """The signed parts summed by member and product, without what was wholly taken back."""
    net = parts.group_by(["member_key", "product_id"]).aggregate([("times", "sum")])
    is_kept = pc.and_(pc.greater(net["times_sum"], 0), pc.is_in(net["member_key"], value_set=pa.array(keys)))
    net = net.filter(is_kept).sort_by([("member_key", "ascending"), ("product_id", "ascending")])
    product_ids = net["product_id"].unique()
    products = in_catalogue(net["product_id"], product_ids)
    owners = net["member_key"].to_numpy()
    offsets = np.append(np.searchsorted(owners, keys), len(owners)).astype(np.int64)
    return Purchases(offsets, products, net["times_sum"].to_numpy()), product_ids


def read_catalogue(release: Release) -> pa.Table:
    """Every product as it was known before the newest ``as_of``, sorted by its id (columns of ``STORE_PRODUCTS``)."""
    names = (*STORE_PRODUCTS.names, "known_on")
    known = f"known_on < DATE '{release.newest_as_of}'"
    versions = release.read(PRODUCTS, names, where=known, order_by=("product_id", "known_on", "batch_no"))
    ids = versions["product_id"].to_numpy(zero_copy_only=False)
    is_newest = np.append(ids[1:] != ids[:-1], [True]) if len(ids) else np.zeros(0, dtype=bool)
    return versions.filter(pa.array(is_newest)).select(STORE_PRODUCTS.names).cast(arrow(STORE_PRODUCTS))


def in_catalogue(product_ids: pa.Array | pa.ChunkedArray, catalogue: Sequence[str] | pa.Array) -> np.ndarray:
    """The row of each product in ``catalogue`` (P,) int64, -1 where it is not in it."""
    places = pc.index_in(product_ids, value_set=pa.array(catalogue, pa.string()))
    return pc.fill_null(places, -1).cast(pa.int64()).to_numpy(zero_copy_only=False)
