"""P4d's batches hold what the scanned columns tell, and what says so notices where they do not."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pyarrow as pa
import pytest
import torch
from benchmarks.scanned_rows import hold_same, of_batches, of_scan, visits_seen
from benchmarks.simulated_lake import Unequal

from tenure.models.encoding import Number, Words
from tenure.models.inputs import Inputs
from tenure.models.rows import cut
from tenure.models.tokens import VisitInputs

FIRST, SECOND = date(2024, 3, 1), date(2024, 3, 15)


def number(name, *edges):
    return Number(name=name, edges=edges, mean=0.0, sd=1.0, tells_missing=True)


INPUTS = Inputs(
    newest_as_of=SECOND,
    rows=3,
    numbers=(number("spend", 0.0, 10.0, 100.0),),
    words=(Words(name="stage", words=("lapsed", "loyalty")),),
    visits=VisitInputs(max_events=2, parts=(number("days_ago", 1.0, 10.0, 40.0),), categories=()),
)
FEATURES = pa.table(  # the last row has no label
    {
        "member_key": [11, 11, 12, 13],
        "as_of": [FIRST, SECOND, FIRST, FIRST],
        "spend": [5.0, None, 55.0, 1.0],
        "stage": ["loyalty", None, "new", "lapsed"],
    }
)
LABELS = pa.table({"member_key": [12, 11, 11], "as_of": [FIRST, FIRST, SECOND], "value": [1.0, 0.0, 1.0]})
EVENTS = pa.table(
    {
        "member_key": [11, 11, 11, 11, 13],
        "day": [date(2024, 2, 1), date(2024, 2, 10), date(2024, 2, 10), date(2024, 3, 10), date(2024, 2, 1)],
        "known_on": [date(2024, 2, 1), date(2024, 2, 10), date(2024, 3, 5), date(2024, 3, 10), date(2024, 2, 1)],
        "kind": ["visit", "visit", "none", "visit", "visit"],  # the second one is taken back between the two days
        "categories": [[]] * 5,
        "category_shares": pa.array([[]] * 5, pa.list_(pa.float64())),
    }
)


@pytest.fixture
def batch():
    """Ours, of the labelled rows."""
    rows = INPUTS.batch(cut(FEATURES.slice(0, 3), EVENTS, 2))
    return rows.with_labels(torch.tensor([0.0, 1.0, 1.0]))


@pytest.fixture
def scanned():
    return of_scan(LABELS, FEATURES, EVENTS, INPUTS)


def test_batches_in_any_order_and_cut_are_what_was_scanned(batch, scanned):
    hold_same(of_batches([batch.take(torch.tensor([2, 0])), batch.take(torch.tensor([1]))]), scanned)
    assert scanned.visits.tolist() == [2, 2, 0]
    np.testing.assert_array_equal(scanned.features, [[0.5, 2], [np.nan, 0], [1.5, 0]])


def test_a_visit_counts_once_it_is_known_and_until_it_is_taken_back():
    days = [date(2024, 2, 10), date(2024, 2, 11), date(2024, 3, 5), date(2024, 3, 6), SECOND]
    ids = np.array([[11, (day - date(1970, 1, 1)).days] for day in days])
    assert visits_seen(EVENTS, ids).tolist() == [1, 2, 2, 1, 2]


@pytest.mark.parametrize(
    ("rows", "labels"),
    [
        ([0, 1, 2], [0.0, 1.0, 0.0]),  # one value changed
        ([0, 1, 2], [1.0, 0.0, 1.0]),  # two changed places
        ([0, 0, 2], [0.0, 0.0, 1.0]),  # one twice, another not at all
        ([0, 1], [0.0, 1.0]),  # one missing
    ],
)
def test_other_labels_than_those_scanned_are_told(batch, scanned, rows, labels):
    wrong = batch.take(torch.tensor(rows)).with_labels(torch.tensor(labels))
    with pytest.raises(Unequal, match=r"in batches are not those scanned|2 rows in batches, 3 labels scanned"):
        hold_same(of_batches([wrong]), scanned)


def test_another_feature_and_another_number_of_visits_are_told(batch, scanned):
    features = batch.features.clone()
    features[1, 0] = 0.0  # where it is missing
    with pytest.raises(Unequal, match="1 features in batches are not those scanned"):
        hold_same(of_batches([replace(batch, features=features)]), scanned)
    fewer = INPUTS.batch(cut(FEATURES.slice(0, 3), EVENTS, 1)).with_labels(batch.labels)
    with pytest.raises(Unequal, match="2 visits in batches are not those scanned"):
        hold_same(of_batches([fewer]), scanned)


def test_a_label_without_features_is_told():
    with pytest.raises(Unequal, match=r"no features were scanned of member_key and as_of \[12, "):
        of_scan(LABELS, FEATURES.slice(0, 2), EVENTS, INPUTS)
