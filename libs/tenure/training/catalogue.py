"""What may be recommended on a day, and how popular it was by then: counted by all workers together.

Shapes: P products of the shop, I items of the catalogue.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tenure.errors import Refused
from tenure.training.exchange import total
from tenure.training.factors_settings import FitFactors
from tenure.training.group import Group
from tenure.training.purchases import Net, Products, Purchases


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """The items of a period, most bought first."""

    product: npt.NDArray[np.int64]  # (I,) number of each item's product
    place: npt.NDArray[np.int64]  # (P,) place of each product, -1 where it is no item
    share: Mapping[int, Tensor]  # by days looked back: (I,) part of the members that bought it, above 0, below 1
    members: int  # who bought anything before, of all workers


def catalogue(config: FitFactors, products: Products, purchases: Purchases, before: date, group: Group) -> Catalogue:
    """Items that make sense to recommend and that enough members bought, counted over all workers.

    Raises:
        Refused: if there is none.
    """
    size = len(products.product_ids)
    net = purchases.net(before)
    members = int(total(torch.tensor([len(np.unique(net.member))]), group)[0])
    bought = _buyers(net, size, group)
    is_item = products.recommendable(before) & (bought >= config.min_members)
    product = np.nonzero(is_item)[0]
    product = product[np.argsort(-bought[product], kind="stable")]
    if not len(product):
        raise Refused(f"no product was bought by {config.min_members} members before {before}: lower min_members")
    place = np.full(size, -1, np.int64)
    place[product] = np.arange(len(product))
    share = {}
    for days in config.choices.popularity_days:
        lately = _buyers(purchases.net(before, since=before - timedelta(days)), size, group)
        share[days] = torch.from_numpy((lately[product] + 0.5) / (members + 1))
    return Catalogue(product=product, place=place, share=share, members=members)


def _buyers(net: Net, size: int, group: Group) -> npt.NDArray[np.int64]:
    """(P,) how many members of all workers kept each product; a member is one worker's."""
    return total(torch.from_numpy(np.bincount(net.product, minlength=size)), group).numpy()
