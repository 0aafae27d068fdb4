from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import torch
from tests.unit.models.encoded import encoded

from tenure.models.encoding import Number, Words, fit_number, fit_words
from tenure.models.pieces import Pieces, bins

NUMBER = Number(name="visits", edges=(0.0, 2.0, 10.0), mean=0.0, sd=1.0, tells_missing=True)


def test_piecewise_encoding_fills_bins_from_the_left():
    block = encoded(NUMBER, np.array([0.0, 1.0, 2.0, 6.0, 10.0]), "piecewise")
    assert block.tolist() == [[0, 0, 0], [0.5, 0, 0], [1, 0, 0], [1, 0.5, 0], [1, 1, 0]]


def test_values_beyond_the_edges_are_held_at_them():
    assert encoded(NUMBER, np.array([-5.0, 99.0]), "piecewise").tolist() == [[0, 0, 0], [1, 1, 0]]


def test_a_missing_value_is_told_and_is_no_value():
    assert encoded(NUMBER, np.array([np.nan]), "piecewise").tolist() == [[0, 0, 1]]
    assert encoded(NUMBER, np.array([np.nan]), "standard").tolist() == [[0, 1]]


def test_codes_name_bins_from_one_and_tell_the_highest_edge_apart():
    assert NUMBER.code(np.array([np.nan, -1, 0, 1.9, 2, 10, 99])).tolist() == [0, 1, 1, 1, 2, 3, 3]
    assert NUMBER.codes == 4


def test_the_bin_of_a_place_is_the_code_and_what_follows_from_the_inputs_is_not_kept_with_the_weights():
    x = np.array([np.nan, -5.0, 0.0, 1.0, 1.9, 2.0, 9.99, 10.0, 99.0])
    places = torch.from_numpy(NUMBER.place(x).astype(np.float32))
    assert bins(places[:, None])[:, 0].tolist() == NUMBER.code(x).tolist()
    assert Pieces([NUMBER]).state_dict() == {}


def test_edges_are_the_values_where_they_are_few_and_quantiles_else():
    assert fit_number("x", np.array([1.0, 1.0, 4.0]), bins=8).edges == (1.0, 4.0)
    assert fit_number("x", np.arange(101.0), bins=4).edges == (0.0, 25.0, 50.0, 75.0, 100.0)


def test_a_constant_tells_nothing():
    assert fit_number("x", np.array([3.0, np.nan, 3.0]), bins=8) is None
    assert fit_words("x", pa.array(["a", None, "a"]), at_most=9) is None


def test_a_new_word_is_no_word():
    words = Words(name="stage", words=("loyalty", "retention"))
    codes = words.code(pa.array(["retention", "new", None]))
    block = Pieces([NUMBER], [words])(torch.from_numpy(np.stack([np.zeros(3), codes], axis=1).astype(np.float32)))
    assert block[:, 3:].tolist() == [[0, 1], [0, 0], [0, 0]]


@pytest.mark.parametrize("size", [1, 3])
def test_the_most_frequent_words_are_kept(size):
    column = pa.array(["a"] * 3 + ["b"] * 2 + ["c"])
    fitted = fit_words("x", column, at_most=size)
    assert (fitted.words if fitted else ()) == (() if size == 1 else ("a", "b", "c"))
