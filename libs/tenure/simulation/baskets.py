"""Baskets: how many lines, of what, how many of each, at what price.

A line's category follows the member's taste; its product is the best of a few candidates drawn by popularity, by
latent taste plus Gumbel noise (a random utility, McFadden 1974), or one of the member's favourites.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tenure.simulation.aligned import Aligned
from tenure.simulation.catalogue import Catalogue, Shelf, places_in_rows
from tenure.simulation.chance import Chance, Flags, Floats, Ints
from tenure.simulation.members import Members
from tenure.simulation.settings import Story

IN_STOCK = -1


@dataclass(frozen=True)
class Lines(Aligned):
    """L basket lines, by order. Money in minor units."""

    order: Ints  # place of the order
    chance: Chance
    product: Ints
    units: Ints
    list_minor: Ints
    discount_minor: Ints
    coupon_minor: Ints
    wanted: Ints  # the product that was out of stock, or IN_STOCK
    is_bad: Flags

    def __len__(self) -> int:
        return len(self.order)

    @property
    def paid_minor(self) -> Ints:
        return self.list_minor - self.discount_minor - self.coupon_minor


def fill(
    story: Story,
    catalogue: Catalogue,
    shelf: Shelf,
    members: Members,
    owner: Ints,
    orders: Chance,
    off: Floats,
    coupon: Floats,
) -> Lines:
    """The lines of n orders.

    Args:
        owner: (n,) place of the member who orders.
        orders: (n,) the orders' own chance.
        off: (n,) share that the member's tier takes off.
        coupon: (n,) share that a coupon takes off.
    """
    baskets = story.baskets
    counts = 1 + orders.poisson(members.mean_lines[owner], "lines", most=baskets.most_lines - 1)
    order = np.repeat(np.arange(len(owner)), counts)
    position = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    chance = orders.take(order).split("line", position)
    wanted, product = _choose(story, catalogue, shelf, members, owner[order], chance)
    kept = _first_of_each(order * len(catalogue) + product)
    order, chance, wanted, product = order[kept], chance.take(kept), wanted[kept], product[kept]
    units = _units(story, chance)
    list_minor = np.rint(shelf.prices[product] * 100.0).astype(np.int64) * units
    discount_minor = np.floor(list_minor * np.maximum(shelf.discounts[product], off[order])).astype(np.int64)
    coupon_minor = np.floor((list_minor - discount_minor) * coupon[order]).astype(np.int64)
    is_bad = chance.happens(catalogue.defect_share[product], "bad")
    return Lines(order, chance, product, units, list_minor, discount_minor, coupon_minor, wanted, is_bad)


def _first_of_each(keys: Ints) -> Ints:
    """Places, ascending, of the first of every key: a basket names a product once."""
    return np.sort(np.unique(keys, return_index=True)[1])


def _units(story: Story, chance: Chance) -> Ints:
    baskets = story.baskets
    few = 1 + np.floor(chance.exponential(baskets.more_units, "units")).astype(np.int64)
    is_bulk = np.flatnonzero(chance.happens(baskets.bulk_share, "bulk"))
    many = baskets.bulk_median_units * np.exp(baskets.bulk_sd * chance.take(is_bulk).normal("bulk units"))
    few[is_bulk] = np.maximum(1, np.rint(many)).astype(np.int64)
    return few


def _choose(
    story: Story, catalogue: Catalogue, shelf: Shelf, members: Members, owner: Ints, chance: Chance
) -> tuple[Ints, Ints]:
    """Which product was wanted and out of stock (or IN_STOCK), and which was taken, both (L,)."""
    category = places_in_rows(members.taste_below[:, owner], chance.uniform("category"))
    best = np.full(len(owner), -np.inf)
    best_there = np.full(len(owner), -np.inf)
    wanted = np.zeros(len(owner), dtype=np.int64)
    taken = np.zeros(len(owner), dtype=np.int64)
    for candidate in range(story.tastes.candidates):
        product = shelf.draw(category, chance.uniform("candidate", candidate))
        utility = _liking(story, catalogue, members, owner, product)
        utility -= np.log(-np.log(chance.uniform("gumbel", candidate)))
        if candidate == 0:
            product, utility = _by_habit(story, members, owner, chance, product, utility)
        is_there = ~shelf.is_out[product]
        is_better = utility > best
        wanted, best = np.where(is_better, product, wanted), np.where(is_better, utility, best)
        is_better_there = (utility > best_there) & is_there
        taken, best_there = np.where(is_better_there, product, taken), np.where(is_better_there, utility, best_there)
    is_nothing_there = np.isneginf(best_there)  # then the last one in the shop is found after all
    taken = np.where(is_nothing_there, wanted, taken)
    return np.where(taken == wanted, IN_STOCK, wanted), taken


def _by_habit(
    story: Story, members: Members, owner: Ints, chance: Chance, product: Ints, utility: Floats
) -> tuple[Ints, Floats]:
    is_habit = chance.happens(story.tastes.habit, "habit")
    skewed = chance.uniform("which favourite") ** story.tastes.favourite_skew
    which = np.floor(skewed * story.tastes.favourites).astype(np.int64)
    favourite = members.favourites[which, owner]
    return np.where(is_habit, favourite, product), np.where(is_habit, 1e3, utility)


def wanted_shares(story: Story, catalogue: Catalogue, members: Members) -> Floats:
    """The chances (C, N) that what a line is meant to be is of each category: by taste, or by habit a favourite's."""
    tastes = story.tastes
    below = (np.arange(tastes.favourites + 1) / tastes.favourites) ** (1.0 / tastes.favourite_skew)
    shares = (1.0 - tastes.habit) * members.taste
    everyone = np.arange(len(members))
    for favourite, weight in zip(members.favourites, np.diff(below), strict=True):
        shares[catalogue.category[favourite], everyone] += tastes.habit * weight
    return shares


def _liking(story: Story, catalogue: Catalogue, members: Members, owner: Ints, product: Ints) -> Floats:
    liking = np.zeros(len(owner))
    for dimension, of_products in enumerate(catalogue.latent):
        liking += of_products[product] * members.latent[dimension][owner]
    liking *= story.tastes.strength / np.sqrt(len(catalogue.latent))
    return liking
