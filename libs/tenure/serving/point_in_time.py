"""Some members as a release knows them on its newest ``as_of``: what is published and what is scored."""

from __future__ import annotations

import math
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


MEMBERS_AT_ONCE = 50_000  # all that is read of so many is held in memory, less than a gigabyte


@dataclass(frozen=True)
class MemberPart:
    """Some of a bucket's members: those whose keys lie in range ``number`` of the ``of`` equal ranges of all keys.

    Keys are hashes, so the parts of a bucket are about equal; in their order they are the bucket sorted by key.
    """

    bucket: int
    number: int = 0
    of: int = 1

    @property
    def where(self) -> str:
        """The SQL condition on the rows of its members."""
        first = _first_keys(self.of)
        low = [f"member_key >= {first[self.number - 1]}"] if self.number else []
        high = [f"member_key < {first[self.number]}"] if self.number < self.of - 1 else []
        return " and ".join([f"bucket = {self.bucket}", *low, *high])


def _first_keys(of: int) -> list[int]:
    """The smallest key of each part but the first."""
    return [number * 2**64 // of - 2**63 for number in range(1, of)]


def numbers_of(member_keys: np.ndarray, of: int) -> np.ndarray:
    """(N,) the ``number`` of the part that each key belongs to."""
    return np.searchsorted(np.array(_first_keys(of), dtype=np.int64), member_keys, side="right")


def parts(release: Release) -> list[MemberPart]:
    """All members in parts that fit in memory, bucket by bucket; every bucket has as many."""
    of = max(1, math.ceil(len(read_member_keys(release, MemberPart(0))) / MEMBERS_AT_ONCE))
    return [MemberPart(bucket, number, of) for bucket in range(release.shop.buckets) for number in range(of)]


@dataclass(frozen=True)
class Members:
    """The N members of a part, sorted by key: their rows, and what they bought as rows of ``product_ids``."""

    rows: MemberRows
    purchases: Purchases
    product_ids: pa.Array

    @property
    def member_keys(self) -> np.ndarray:
        """(N,) int64, ascending."""
        return self.rows.member_keys


def read_members(release: Release, part: MemberPart, max_events: int) -> Members:
    """The part's members on the release's newest ``as_of``; nothing learnt on that day or later is in it."""
    rows = read_rows(release, part, max_events)
    purchases, product_ids = read_purchases(release, part, rows.member_keys)
    return Members(rows, purchases, product_ids)


def read_rows(release: Release, part: MemberPart, max_events: int) -> MemberRows:
    """Features and events of the part's members, by key."""
    features = release.read(member_features(release.shop), where=_newest(release, part), order_by=("member_key",))
    by_version = ("member_key", "day", "known_on")
    events = release.read(member_events(release.shop), where=_known(release, part), order_by=by_version)
    cut, offsets = cut_events(events, features["member_key"].to_numpy(), release.newest_as_of, max_events)
    return MemberRows(features=features, held=cut, offsets=offsets)


def read_member_keys(release: Release, part: MemberPart) -> np.ndarray:
    """(N,) keys of the part's members, ascending."""
    features, key = member_features(release.shop), ("member_key",)
    return release.read(features, key, where=_newest(release, part), order_by=key)["member_key"].to_numpy()


def read_purchases(release: Release, part: MemberPart, member_keys: np.ndarray) -> tuple[Purchases, pa.Array]:
    """What the members bought and kept, as rows of the product ids beside it."""
    names = ("member_key", "product_id", "times")
    return _net(release.read(interactions(release.shop), names, where=_known(release, part)), member_keys)


def _newest(release: Release, part: MemberPart) -> str:
    return f"{part.where} and as_of = DATE '{release.newest_as_of}'"


def _known(release: Release, part: MemberPart) -> str:
    as_of = f"DATE '{release.newest_as_of}'"
    return f"{part.where} and known_on < {as_of} and day < {as_of}"


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
