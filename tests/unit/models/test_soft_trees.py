from __future__ import annotations

from datetime import date

import numpy as np
import torch
from tests.unit.models.encoded import encoded

from tenure.models.batch import Batch
from tenure.models.encoding import Words, fit_number
from tenure.models.inputs import Inputs
from tenure.models.soft_trees import SoftTrees, split_values


def inputs(encoding: str = "piecewise") -> Inputs:
    full = fit_number("full", np.arange(101.0), bins=4)
    gappy = fit_number("gappy", np.array([np.nan, *range(9)]), bins=2)
    assert full is not None
    assert gappy is not None
    words = (Words(name="word", words=("a", "b")),)
    return Inputs(newest_as_of=date(2026, 1, 1), rows=101, encoding=encoding, numbers=(full, gappy), words=words)


def block_of(how: Inputs, full: float, gappy: float) -> torch.Tensor:
    parts = [encoded(n, np.array([x]), how.encoding) for n, x in zip(how.numbers, (full, gappy), strict=True)]
    return torch.from_numpy(np.concatenate([*parts, np.array([[0.0, 1.0]])], axis=1, dtype=np.float32))


def test_a_number_is_its_place_among_the_quantiles_and_a_missing_one_stands_in_the_middle() -> None:
    how = inputs()
    matrix, start = split_values(how)
    for full, gappy, expected in [
        (0.0, 8.0, [-2, 2, 0, 0, 1]),
        (50.0, 4.0, [0, 0, 0, 0, 1]),
        (75.0, np.nan, [1, 0, 1, 0, 1]),
    ]:
        torch.testing.assert_close(block_of(how, full, gappy) @ matrix + start, torch.tensor([expected]).float())


def test_standardised_numbers_are_split_as_they_are() -> None:
    how = inputs("standard")
    matrix, start = split_values(how)
    row = block_of(how, 10.0, np.nan)
    assert not start.any()
    torch.testing.assert_close(row @ matrix, row)


def test_soft_trees_learn_what_no_sum_of_single_features_can_say() -> None:
    rng = np.random.default_rng(1)
    how = Inputs(
        newest_as_of=date(2026, 1, 1),
        rows=512,
        numbers=tuple(n for n in (fit_number(name, rng.random(512), bins=4) for name in "xy") if n),
    )
    x = rng.random((512, 2))
    blocks = [encoded(n, x[:, i], "piecewise") for i, n in enumerate(how.numbers)]
    batch = Batch(ids=torch.zeros(512, 2, dtype=torch.int64), encoded=torch.from_numpy(np.concatenate(blocks, axis=1)))
    labels = torch.from_numpy(((x[:, 0] > 0.5) != (x[:, 1] > 0.5)).astype(np.float32))
    torch.manual_seed(1)
    trees = SoftTrees(how, trees=32, depth=2)
    optimizer = torch.optim.AdamW(trees.parameters(), lr=0.03)
    for _ in range(300):
        loss = torch.nn.functional.binary_cross_entropy_with_logits(trees(batch), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert ((trees(batch) > 0) == labels.bool()).float().mean() > 0.95
