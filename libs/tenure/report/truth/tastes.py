"""Whether members are recommended what they like: the true share of an item's category in the member's wishes.

Shapes: M members, C categories, I items, K = 10 places.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tenure.contracts.answers import RECOMMENDATIONS
from tenure.contracts.gold import interactions
from tenure.contracts.silver import PRODUCTS
from tenure.contracts.truth import TRUE_TASTES
from tenure.lake.query import read_current
from tenure.lake.release import Release
from tenure.report.curves import Floats
from tenure.report.truth.told import Told

K = 10
_NOTHING = -1  # the category of a place that was left empty
_MEMBERS_AT_A_TIME = 4096


@dataclass(frozen=True, kw_only=True)
class TrueTastes:
    """NDCG of ten items a member by true taste, by ``new_items`` and ``all_items``: what was recommended, and what most
    members bought."""

    members: int
    recommended: dict[str, float]
    popular: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class _Catalogue:
    """What can be recommended: ids (I,), the place of each item's category (I,), and what the categories are called."""

    product_ids: pa.Array
    category: np.ndarray
    categories: pa.Array

    @property
    def items(self) -> np.ndarray:
        """How many (C,) each category has."""
        return np.bincount(self.category, minlength=len(self.categories))


def taste_ndcg(share_MC: Floats, category_MK: np.ndarray, items_C: np.ndarray) -> Floats:
    """NDCG@K (M,) of items whose gain is the true share of their category, discounted by log2(1 + place).

    The ideal takes the K best items of the whole catalogue, so 1 means that all ten are of the category that the member
    likes best, as far as it has ten (Järvelin and Kekäläinen 2002, with graded gains).

    Args:
        share_MC: (M, C) shares of the member's wishes.
        category_MK: (M, K) places of the items' categories, -1 where there is no item.
        items_C: (C,) items that each category has.
    """
    discount_K = 1.0 / np.log2(np.arange(2, K + 2))
    gain_MK = np.where(category_MK >= 0, np.take_along_axis(share_MC, np.maximum(category_MK, 0), axis=1), 0.0)
    best_MC = np.argsort(-share_MC, axis=1, kind="stable")
    up_to = np.concatenate([[0.0], np.cumsum(discount_K)])  # what the first places weigh together
    last_MC = np.minimum(np.cumsum(items_C[best_MC], axis=1), K)
    first_MC = np.concatenate([np.zeros((len(last_MC), 1), int), last_MC[:, :-1]], axis=1)
    ideal_M = (np.take_along_axis(share_MC, best_MC, axis=1) * (up_to[last_MC] - up_to[first_MC])).sum(axis=1)
    found_M: Floats = gain_MK @ discount_K
    return np.divide(found_M, ideal_M, out=np.zeros_like(found_M), where=ideal_M > 0)


def true_tastes(told: Told, release: Release) -> TrueTastes | None:
    """Of everyone to whom items were recommended at the release's newest ``as_of``; None where nobody was."""
    catalogue = _catalogue(release)
    keys, share_MC = _shares(told, catalogue)
    answers = _answers(release)
    is_told = np.isin(keys, answers["member_key"].to_numpy())
    keys, share_MC = keys[is_told], share_MC[is_told]
    if not len(keys):
        return None
    bought = _bought(release, catalogue, keys)
    recommended, popular = {}, {}
    for name, include_bought in (("new_items", False), ("all_items", True)):
        mine = answers.filter(pc.equal(answers["include_bought"], include_bought))
        places_MK = _recommended(mine, keys, catalogue)
        recommended[name] = float(taste_ndcg(share_MC, places_MK, catalogue.items).mean())
        places_MK = _popular(bought, len(keys), catalogue, include_bought)
        popular[name] = float(taste_ndcg(share_MC, places_MK, catalogue.items).mean())
    return TrueTastes(members=len(keys), recommended=recommended, popular=popular)


def _catalogue(release: Release) -> _Catalogue:
    """As known last."""
    columns = ["product_id", "category"]
    rows = release.read(PRODUCTS, columns, where="is_recommendable and category is not null", order_by=["known_on"])
    newest = dict(zip(rows["product_id"].to_pylist(), rows["category"].to_pylist(), strict=True))
    categories = pa.array(sorted(set(newest.values())), pa.string())
    return _Catalogue(
        product_ids=pa.array(list(newest), pa.string()),
        category=pc.index_in(pa.array(list(newest.values()), pa.string()), categories).to_numpy(zero_copy_only=False),
        categories=categories,
    )


def _shares(told: Told, catalogue: _Catalogue) -> tuple[np.ndarray, Floats]:
    """Keys (M,), ascending, and shares (M, C) of the true tastes; a category without items is of no use to anyone."""
    rows = told.of_members(TRUE_TASTES, ["category", "share"])
    keys, member = np.unique(rows["member_key"].to_numpy(), return_inverse=True)
    category = pc.fill_null(pc.index_in(rows["category"], catalogue.categories), _NOTHING).to_numpy()
    is_sold = category != _NOTHING
    share_MC = np.zeros((len(keys), len(catalogue.categories)))
    share_MC[member[is_sold], category[is_sold]] = rows["share"].to_numpy()[is_sold]
    return keys, share_MC


def _answers(release: Release) -> pa.Table:
    return read_current(
        release.root,
        RECOMMENDATIONS,
        ["member_key", "include_bought", "rank", "product_id"],
        where=f"as_of = DATE '{release.newest_as_of}' and release_id = '{release.release_id}' and rank <= {K}",
        storage_options=release.storage_options,
    )


def _recommended(answers: pa.Table, keys: np.ndarray, catalogue: _Catalogue) -> np.ndarray:
    """The categories (M, K) of the items that each member was recommended."""
    answers = answers.filter(pc.is_in(answers["member_key"], pa.array(keys)))
    member = np.searchsorted(keys, answers["member_key"].to_numpy())
    item = pc.fill_null(pc.index_in(answers["product_id"], catalogue.product_ids), _NOTHING).to_numpy()
    places_MK = np.full((len(keys), K), _NOTHING)
    places_MK[member, answers["rank"].to_numpy() - 1] = np.where(item == _NOTHING, _NOTHING, catalogue.category[item])
    return places_MK


@dataclass(frozen=True, kw_only=True)
class _Bought:
    """Pairs (P,) of the places of members and of the items that they bought, each once."""

    member: np.ndarray
    item: np.ndarray


def _bought(release: Release, catalogue: _Catalogue, keys: np.ndarray) -> _Bought:
    as_of = f"DATE '{release.newest_as_of}'"
    where = f"known_on < {as_of} and day < {as_of}"
    parts = release.read(interactions(release.shop), ["member_key", "product_id", "times"], where=where)
    rows = parts.group_by(["member_key", "product_id"]).aggregate([("times", "sum")])
    rows = rows.filter(pc.greater(rows["times_sum"], 0))
    item = pc.fill_null(pc.index_in(rows["product_id"], catalogue.product_ids), _NOTHING).to_numpy()
    key = rows["member_key"].to_numpy()
    is_known = np.isin(key, keys) & (item != _NOTHING)
    size = len(catalogue.product_ids)
    pairs = np.sort(np.searchsorted(keys, key[is_known]) * size + item[is_known])
    return _Bought(member=pairs // size, item=pairs % size)


def _popular(bought: _Bought, members: int, catalogue: _Catalogue, include_bought: bool) -> np.ndarray:
    """The categories (M, K) of the items that most members bought; without those that the member bought, or with."""
    size = len(catalogue.product_ids)
    order_I = np.argsort(-np.bincount(bought.item, minlength=size), kind="stable")
    if include_bought:
        return np.tile(_padded(catalogue.category[order_I]), (members, 1))
    rank_I = np.argsort(order_I)
    parts = []
    for first in range(0, members, _MEMBERS_AT_A_TIME):
        last = min(first + _MEMBERS_AT_A_TIME, members)
        begin, end = np.searchsorted(bought.member, [first, last])
        is_new_MI = np.ones((last - first, size), dtype=bool)
        is_new_MI[bought.member[begin:end] - first, rank_I[bought.item[begin:end]]] = False
        place_MI = np.cumsum(is_new_MI, axis=1) - 1
        member, rank = np.nonzero(is_new_MI & (place_MI < K))
        places_MK = np.full((last - first, K), _NOTHING)
        places_MK[member, place_MI[member, rank]] = catalogue.category[order_I[rank]]
        parts.append(places_MK)
    return np.concatenate(parts)


def _padded(category: np.ndarray) -> np.ndarray:
    return np.concatenate([category[:K], np.full(max(0, K - len(category)), _NOTHING)])
