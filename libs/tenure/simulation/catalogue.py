"""What the shop sells: categories, brands, prices, titles, quality; what is new, dearer, out of stock or on offer.

Products are shared facts: a function of the seed, the product and the day, whoever asks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tenure.simulation.calendar import Calendar
from tenure.simulation.chance import Chance, Flags, Floats, Ints
from tenure.simulation.settings import Story

_FIRST_WORDS = (
    "Alpine",
    "Bright",
    "Classic",
    "Daily",
    "Easy",
    "Fresh",
    "Golden",
    "Happy",
    "Little",
    "Pure",
    "Quiet",
    "True",
)
_BRAND_HEADS = ("Nor", "Vel", "Kar", "Mil", "Tas", "Ber", "Lun", "Osk", "Ril", "Dan", "Fen", "Gal")
_BRAND_TAILS = ("dic", "via", "lo", "ka", "mond", "nex", "tara", "wick", "sen", "bury")


@dataclass(frozen=True)
class Shelf:
    """One day's products to draw from: cumulated popularity (P,) that runs from c to c + 1 within category c."""

    below: Floats
    first: Ints  # (C,) first product of a category
    last: Ints  # (C,)
    prices: Floats  # (P,)
    discounts: Floats  # (P,) share taken off
    is_out: Flags  # (P,)

    def draw(self, category: Ints, u: Floats) -> Ints:
        """Products (N,) of the given categories by popularity."""
        place = np.searchsorted(self.below, category + u, side="right")
        return np.clip(place, self.first[category], self.last[category])


class Catalogue:
    """P products, numbered by category."""

    def __init__(self, story: Story, calendar: Calendar) -> None:
        self._settings, self._incidents, self._calendar = story.catalogue, story.incidents, calendar
        self.categories = tuple(story.catalogue.categories)
        self.chance = Chance.of(story.seed, "product", np.arange(story.catalogue.products))
        self._facts = Chance.of(story.seed, "category", np.arange(len(self.categories)))
        self._kinds = tuple(story.catalogue.categories.values())
        self.category = self._categories()
        self.first = np.searchsorted(self.category, np.arange(len(self.categories)), side="left")
        self.last = np.searchsorted(self.category, np.arange(len(self.categories)), side="right") - 1
        self.launched = self._launch_days()
        self._popularity = self.chance.uniform("popularity") ** (-1.0 / story.catalogue.popularity_tail)
        medians = np.array([kind.median_price for kind in self._kinds])
        self._price = medians[self.category] * np.exp(story.catalogue.price_sd * self.chance.normal("price"))
        spread = story.incidents.defect_sd
        self.defect_share = np.minimum(
            0.9, story.incidents.defect_share * np.exp(spread * self.chance.normal("defects") - spread * spread / 2)
        )
        self.latent = tuple(self.chance.normal("taste", d) for d in range(story.tastes.dimensions))
        self.brand = self.chance.one_of(1.0 / np.arange(1.0, story.catalogue.brands + 1.0), "brand")
        self.type_no = self._types()

    def __len__(self) -> int:
        return len(self.category)

    def _shares(self) -> Floats:
        return np.array([kind.share for kind in self._kinds])

    @property
    def shares(self) -> Floats:
        """How much of all tastes each category has (C,), before members differ."""
        shares = self._shares()
        return shares / shares.sum()

    def _categories(self) -> Ints:
        """Each product's category (P,), ascending: one of each, so that none stands empty, the others by shares."""
        category = self.chance.one_of(self._shares(), "category")
        category[: len(self.categories)] = np.arange(len(self.categories))
        return np.sort(category)

    def _launch_days(self) -> Ints:
        day = 1 + (self.chance.uniform("launch day") * self._settings.launched_within_days).astype(np.int64)
        is_new = self.chance.happens(self._settings.new_share, "is new")
        is_new[self.first] = False  # nor does one on any day
        return np.where(is_new, day, 0)

    def _types(self) -> Ints:
        choices = np.array([len(kind.types) for kind in self._kinds])
        return (self.chance.uniform("type") * choices[self.category]).astype(np.int64)

    def shelf(self, day: int) -> Shelf:
        """What can be bought on a day, at which prices."""
        since = day - self.launched
        novelty = 1.0 + self._settings.novelty_lift * np.exp(-since / self._settings.novelty_days) * (self.launched > 0)
        weight = np.where(since >= 0, self._popularity * novelty, 0.0)
        total = np.add.reduceat(weight, self.first)
        share = weight / total[self.category]
        below = np.cumsum(share)
        below = below - (below[self.first] - share[self.first])[self.category] + self.category
        return Shelf(
            below=below,
            first=self.first,
            last=self.last,
            prices=np.round(self._price * self.price_level(day)[self.category], 2),
            discounts=self.discounts(day)[self.category],
            is_out=self.is_out_of_stock(day),
        )

    def is_out_of_stock(self, day: int) -> Flags:
        return self.chance.happens(self._incidents.stock_out_share, "out of stock", day // 7)

    def discounts(self, day: int) -> Floats:
        """Share (C,) that the shop takes off: its sale, or the category's promotion of the week."""
        low, high = self._settings.promotion_discount
        is_on = self._facts.happens(self._settings.promotion_share, "promotion", day // 7)
        depth = low + (high - low) * self._facts.uniform("promotion depth", day // 7)
        sale = self._calendar.seasons.sale_discount if self._calendar.is_sale(day) else 0.0
        return np.maximum(np.round(np.where(is_on, depth, 0.0), 2), sale)

    def price_rises(self, day: int) -> Floats:
        """By how much (C,) each category becomes dearer on this day; 0 on most days."""
        if day == 0 or day % self._incidents.price_rise_every_days:
            return np.zeros(len(self.categories))
        low, high = self._incidents.price_rise
        is_on = self._facts.happens(self._incidents.price_rise_share, "price rise", day)
        return np.where(is_on, low + (high - low) * self._facts.uniform("rise", day), 0.0)

    def price_level(self, day: int) -> Floats:
        """Prices (C,) relative to those of the first day."""
        level = np.ones(len(self.categories))
        for rise_day in range(self._incidents.price_rise_every_days, day + 1, self._incidents.price_rise_every_days):
            level = level * (1.0 + self.price_rises(rise_day))
        return level

    def product_ids(self) -> list[str]:
        return [f"P{number:06d}" for number in range(len(self))]

    def brand_names(self) -> list[str]:
        return [_brand(number) for number in range(self._settings.brands)]

    def types(self) -> list[str]:
        return [self._kinds[c].types[t] for c, t in zip(self.category, self.type_no, strict=True)]

    def titles(self, products: Ints) -> list[str]:
        """What customers would call these products."""
        chance, types = self.chance.take(products), self.types()
        word = (chance.uniform("title") * len(_FIRST_WORDS)).astype(np.int64)
        sizes = (1 + chance.uniform("size") * 12).astype(np.int64)
        parts = zip(self.brand[products], word, (types[p] for p in products), sizes, strict=True)
        return [f"{_brand(int(b))} {_FIRST_WORDS[w]} {kind}, no. {size}" for b, w, kind, size in parts]


def _brand(number: int) -> str:
    head, tail = _BRAND_HEADS[number % len(_BRAND_HEADS)], _BRAND_TAILS[number // len(_BRAND_HEADS) % len(_BRAND_TAILS)]
    rest = number // (len(_BRAND_HEADS) * len(_BRAND_TAILS))
    return f"{head}{tail}" + (f" {rest + 1}" if rest else "")


def favourites(story: Story, catalogue: Catalogue, chance: Chance, below: Floats, number: int) -> Ints:
    """A member's own favourite (N,) with this number: of a category by taste, of those sold from the first day."""
    category = places_in_rows(below, chance.uniform("favourite's category", number))
    return catalogue.shelf(0).draw(category, chance.uniform("favourite", number))


def places_in_rows(below: Floats, u: Floats) -> Ints:
    """For each column of cumulated shares (K, N) the place that ``u`` (N,) falls into."""
    place = np.zeros(len(u), dtype=np.int64)
    for row in below[:-1]:
        place += u > row
    return place
