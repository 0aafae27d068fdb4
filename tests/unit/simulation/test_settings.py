"""What no shop can be simulated with is refused, in a sentence that says why."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.unit.simulation.small_shop import small_shop

from tenure.errors import WrongInput
from tenure.simulation.calendar import Calendar
from tenure.simulation.catalogue import Catalogue
from tenure.simulation.faults import STRAY_ORDER, TWIN_ORDER
from tenure.simulation.numbering import BITS, DAYS_AN_ORDER_NO

FOLDER = Path("unused")


@pytest.mark.parametrize(
    ("asked", "works", "refused", "sentence"),
    [
        ("baskets.most_lines", 16, 17, "most_lines must be 16 or fewer: an order has numbers for no more lines"),
        ("days", 4096, 4097, "days must be 4096 or fewer: orders have numbers for no more days"),
        ("truth.horizon_days", 28, 29, "truth.horizon_days must not be longer than campaigns.every_days"),
        ("catalogue.products", 12, 11, "products must be 12 or more: each category has one"),
    ],
)
def test_the_last_value_that_works_is_taken_and_the_next_one_refused(
    asked: str, works: int, refused: int, sentence: str
) -> None:
    small_shop(FOLDER, f"{asked}={works}")
    with pytest.raises(WrongInput, match=sentence):
        small_shop(FOLDER, f"{asked}={refused}")


@pytest.mark.parametrize("seed", range(5))
def test_every_category_has_a_product_from_the_first_day_on(seed: int) -> None:
    story = small_shop(FOLDER, "catalogue.products=12", "catalogue.new_share=0.99", f"seed={seed}")
    catalogue = Catalogue(story, Calendar(story))
    category = np.arange(12)
    for u in (0.0, 0.5, 0.999):
        assert np.array_equal(catalogue.category[catalogue.shelf(0).draw(category, np.full(12, u))], category)


def test_orders_that_are_made_up_have_numbers_of_their_own_in_the_largest_shop() -> None:
    story = small_shop(FOLDER, "members=90000000", f"days={DAYS_AN_ORDER_NO}")
    orders = story.members * story.days * 4
    assert orders <= TWIN_ORDER
    assert TWIN_ORDER + orders <= STRAY_ORDER
    assert STRAY_ORDER + orders <= 1 << BITS["order_no"]
