"""What P15 makes by hand is what ships, and what says so notices where it is not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
import torch

from tenure.models.encoding import Number, Words
from tenure.models.inputs import Inputs
from tenure.models.rows import cut
from tenure.models.tokens import VisitInputs

pl = pytest.importorskip("polars")

from benchmarks import batches_by_hand, clean_by_hand, tensors_by_hand  # noqa: E402
from benchmarks.simulated_lake import Unequal  # noqa: E402

FIRST, SECOND = date(2024, 3, 1), date(2024, 3, 15)


def number(name, *edges, tells_missing=False):
    return Number(name=name, edges=edges, mean=0.0, sd=1.0, tells_missing=tells_missing)


INPUTS = Inputs(
    newest_as_of=SECOND,
    rows=3,
    numbers=(number("spend", 0.0, 10.0, 100.0, tells_missing=True), number("visits", 0.0, 2.0)),
    words=(Words(name="stage", words=("lapsed", "loyalty")),),
    visits=VisitInputs(
        max_events=2,
        parts=(
            number("days_ago", 1.0, 10.0, 40.0),
            number("gap_days", 1.0, 20.0, tells_missing=True),
            number("spend_minor", 0.0, 500.0, 1000.0),
            number("discount_share", 0.0, 0.5, tells_missing=True),
        ),
        categories=("bread", "milk"),
    ),
)
FEATURES = pl.DataFrame(
    {"member_key": [11, 11, 12], "as_of": [FIRST, SECOND, FIRST], "spend": [5.0, None, 70.0], "visits": [1, 3, 0],
     "stage": ["loyalty", None, "new"]}
)  # fmt: skip
VISITS = pl.DataFrame(
    [  # the second one is taken back as a whole between the two days
        (11, date(2024, 2, 1), date(2024, 2, 1), "visit", 900, 0, ["milk", "beer"], [0.75, 0.25]),
        (11, date(2024, 2, 10), date(2024, 2, 10), "visit", 200, 50, ["bread"], [1.0]),
        (11, date(2024, 2, 10), date(2024, 3, 5), "none", 0, 0, [], []),
        (11, date(2024, 2, 20), date(2024, 2, 21), "visit", 0, 0, ["milk"], [1.0]),
        (11, date(2024, 3, 10), date(2024, 3, 10), "visit", 1500, 500, ["milk", "bread"], [0.5, 0.5]),
        (13, date(2024, 3, 10), date(2024, 3, 10), "visit", 1, 1, ["milk"], [1.0]),
    ],
    orient="row",
    schema=["member_key", "day", "known_on", "kind", "spend_minor", "discount_minor", "categories", "category_shares"],
).with_columns(coupon_minor=pl.lit(0))  # fmt: skip


@pytest.fixture
def tensors(tmp_path):
    """Ours and those by hand, of the same tables."""
    labels = FEATURES.select("member_key", "as_of", value=pl.Series([1.0, 0.0, 1.0]))
    for name, rows in (("member_features", FEATURES), ("member_events", VISITS), ("labels", labels)):
        rows.write_parquet(tmp_path / name / tensors_by_hand.FILE, mkdir=True)
    ours = INPUTS.batch(cut(FEATURES.to_arrow(), VISITS.to_arrow(), 2)).with_labels(torch.tensor([1.0, 0.0, 1.0]))
    return ours, tensors_by_hand.encoded(tmp_path, INPUTS, [FIRST, SECOND])


def test_tensors_by_hand_are_those_of_the_shipped_inputs(tensors):
    ours, by_hand = tensors
    assert ours.visits.lengths.tolist() == [2, 2, 0]
    tensors_by_hand.hold_same_tensors([ours.take(torch.tensor([2])), ours.take(torch.tensor([0, 1]))], by_hand, "train")


@pytest.mark.parametrize("block", ["features", "labels", "places", "category_ids", "category_weights"])
def test_another_value_in_any_block_is_told(tensors, block):
    ours, by_hand = tensors
    holder = by_hand if block in ("features", "labels") else by_hand.visits
    changed = getattr(holder, block).clone()
    changed.view(-1)[0] += 1
    visits = by_hand.visits if holder is by_hand else replace(by_hand.visits, **{block: changed})
    other = replace(by_hand, visits=visits, **({block: changed} if holder is by_hand else {}))
    with pytest.raises(Unequal, match=f"train: {block} by hand"):
        tensors_by_hand.hold_same_tensors([ours], other, "train")


def test_a_row_less_on_either_side_is_told(tensors):
    ours, by_hand = tensors
    two = torch.tensor([0, 1])
    with pytest.raises(Unequal, match="2 rows, by hand 3"):
        tensors_by_hand.hold_same_tensors([ours.take(two)], by_hand, "train")
    with pytest.raises(Unequal, match="there is no row"):
        tensors_by_hand.hold_same_tensors([ours], batches_by_hand.taken(by_hand, two), "train")


def line(position, hour, quantity, paid, *, is_return=False, known=1):
    at = datetime(2024, 1, 1, hour, tzinfo=UTC)
    return (position, 11, "milk", at, at.date(), date(2024, 1, known), quantity, paid, is_return, None)


NAMES = (
    *("position", "member_key", "product_id", "occurred_at", "day", "known_on", "quantity", "paid_minor"),
    *("is_return", "rule"),
)


def paired(*lines):
    """Of each kept return the sale; of each line that is not kept, why."""
    kinds = {"position": pl.UInt32, "rule": pl.String}
    rows = pl.DataFrame(lines, orient="row", schema=list(NAMES), schema_overrides=kinds)
    kept, aside = clean_by_hand.paired(rows)
    return dict(kept.filter("is_return").select("position", "corrects").iter_rows()), dict(
        aside.select("position", "rule").iter_rows()
    )


def test_a_return_takes_back_the_newest_sale_of_which_enough_is_left_and_the_next_one_what_that_left():
    sales = [line(0, 8, 2.0, 200), line(1, 9, 3.0, 300)]
    back = [line(2, 10, -2.0, -200, is_return=True, known=2), line(3, 11, -2.0, -150, is_return=True, known=2)]
    # The first one is just the older sale; the second finds that one empty and takes of the newer.
    assert paired(*sales, *back) == ({2: 0, 3: 1}, {})


def test_a_sale_that_is_taken_back_as_a_whole_when_it_is_told_goes_with_its_return():
    whole = [line(0, 8, 2.0, 200), line(1, 9, -2.0, -200, is_return=True)]
    assert paired(*whole) == ({}, {0: "taken_back_same_day", 1: "taken_back_same_day"})


def test_a_return_before_any_sale_or_of_more_than_is_left_has_none():
    lines = [line(0, 8, -1.0, -100, is_return=True), line(1, 9, 1.0, 100), line(2, 10, -2.0, -200, is_return=True)]
    assert paired(*lines) == ({}, {0: "return_without_sale", 2: "return_without_sale"})
