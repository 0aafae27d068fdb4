from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from tests.unit.simulation.numbers import made_of
from tests.unit.simulation.small_shop import rows, small_shop, table

from tenure.errors import WrongInput
from tenure.simulation.faults import COPY
from tenure.simulation.simulate import Outcome, partitions, simulate, simulate_members

FEEDS = ("members", "orders", "touches", "controls", "events", "payments", "chargebacks", "messages", "consents")
TRUTHS = (
    "true_members",
    "true_tastes",
    "true_states",
    "true_outcomes",
    "true_leavers",
    "true_incidents",
    "true_effects",
    "true_payments",
    "true_faults",
)
NAMES = (*(f"landing/{feed}" for feed in FEEDS), *(f"truth/{name}" for name in TRUTHS))
SHARED_TOO = (*NAMES, "landing/products", "landing/campaigns", "truth/true_ceilings")
# Long enough for a randomised and a targeted campaign to be measured, with fraud enough that every table has rows.
STORY = (
    *("members=60", "days=90", "faults.strength=1"),
    *("fraud.takeover_a_day=0.01", "fraud.testers=0.1", "fraud.abusers=0.1"),
)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop") / "whole"
    simulate(small_shop(folder, *STORY))
    return folder


def assert_same(one: Path, other: Path, names: Sequence[str], *, before: str = "9999") -> None:
    for name in names:
        theirs = rows(one, name, before=before)
        assert theirs, f"{name}: nothing to compare"
        assert theirs == rows(other, name, before=before), name


@pytest.mark.parametrize("partitions", [4, *(pytest.param(many, marks=pytest.mark.long) for many in (20, 60))])
def test_the_story_is_the_same_in_any_number_of_partitions(shop: Path, tmp_path: Path, partitions: int) -> None:
    simulate(small_shop(tmp_path, *STORY, f"partitions={partitions}"))
    assert_same(shop, tmp_path, SHARED_TOO)


def test_a_member_simulated_alone_has_the_same_story(shop: Path, tmp_path: Path) -> None:
    number = _eventful(shop)
    simulate_members(small_shop(tmp_path, *STORY), np.array([number]), partition=1)
    for name in NAMES:
        together = [row for row in rows(shop, name) if number in _members_in(row)]
        alone = [row for row in rows(tmp_path, name) if number in _members_in(row)]
        assert together, f"{name}: nothing to compare"
        assert together == alone, name


def test_the_first_days_of_a_longer_story_are_the_shorter_one(shop: Path, tmp_path: Path) -> None:
    simulate(small_shop(tmp_path, *STORY, "days=62"))  # a campaign is told of on day 56
    assert_same(shop, tmp_path, SHARED_TOO, before="2025-03-04")


def test_members_of_a_smaller_shop_are_the_first_of_a_larger_one(shop: Path, tmp_path: Path) -> None:
    simulate(small_shop(tmp_path, *STORY, "members=15"))
    smaller = rows(tmp_path, "landing/orders")
    assert set(smaller) <= set(rows(shop, "landing/orders"))
    assert len(smaller) > 100


def test_no_more_members_are_in_memory_at_2_million_than_at_20_thousand(tmp_path: Path) -> None:
    shipped = small_shop(tmp_path, "processes=2")
    few, many = (partitions(shipped.model_copy(update={"members": members})) for members in (20_000, 2_000_000))
    assert max(map(len, few)) == max(map(len, many)) == 10_000
    assert np.array_equal(np.concatenate(many), np.arange(2_000_000))


def test_the_largest_partition_is_no_part_of_the_story(shop: Path, tmp_path: Path) -> None:
    simulate(small_shop(tmp_path, *STORY, "days=30", "largest_partition=25"))  # three of twenty
    quick = [name for name in SHARED_TOO if rows(tmp_path, name)]
    assert "landing/orders" in quick
    assert_same(shop, tmp_path, quick, before="2025-01-31")


def test_nights_hold_the_last_days_and_landing_the_others(shop: Path, tmp_path: Path) -> None:
    simulate(small_shop(tmp_path, *STORY, "nights=3"))
    nights = sorted(path.name for path in (tmp_path / "nights").iterdir())
    assert nights == ["2025-03-29", "2025-03-30", "2025-03-31"]
    for feed in FEEDS:
        landed = rows(tmp_path, f"landing/{feed}")
        assert landed == rows(shop, f"landing/{feed}", before="2025-03-29"), feed
        by_night = [row for night in nights for row in rows(tmp_path, f"nights/{night}/{feed}")]
        assert landed + by_night == rows(shop, f"landing/{feed}"), feed


def test_a_night_is_laid_out_as_the_source_expects(tmp_path: Path) -> None:
    simulate(small_shop(tmp_path, "days=20", "nights=1", "feeds=[orders]"))
    assert [*(tmp_path / "nights" / "2025-01-20").glob("orders/*/*.parquet")]


def test_there_are_fewer_nights_than_days(tmp_path: Path) -> None:
    with pytest.raises(WrongInput, match="nights must be less than days"):
        small_shop(tmp_path, "days=20", "nights=20")


def test_the_peak_is_that_of_the_largest_process() -> None:
    whole = Outcome(peak_bytes=5)
    for part in (Outcome(peak_bytes=9), Outcome(peak_bytes=7)):
        whole.add(part)
    assert whole.peak_bytes == 9


def test_another_seed_tells_another_story(shop: Path, tmp_path: Path) -> None:
    simulate(small_shop(tmp_path, *STORY, "days=20", "seed=2"))
    theirs = rows(tmp_path, "landing/orders")
    assert theirs
    assert not set(theirs) & set(rows(shop, "landing/orders"))


def test_two_processes_tell_the_same_story(shop: Path, tmp_path: Path) -> None:
    simulate(small_shop(tmp_path, *STORY, "processes=2"))
    assert_same(shop, tmp_path, SHARED_TOO)


def test_ids_are_unique_in_every_feed(shop: Path, tmp_path: Path) -> None:
    simulate(small_shop(tmp_path, "members=300"))
    for feed, key in (
        ("orders", "export_id"),
        ("events", "event_id"),
        ("payments", "payment_id"),
        ("messages", "message_id"),
    ):
        ids = table(tmp_path / "landing", feed)[key].to_numpy()
        assert len(np.unique(ids)) == len(ids) > 0, feed


def test_only_a_simulation_is_ever_replaced(tmp_path: Path) -> None:
    (tmp_path / "photographs").mkdir()
    with pytest.raises(WrongInput, match="something other than a simulation"):
        simulate(small_shop(tmp_path))


# A payment's or a line's number holds its order's, which holds its member's and its day.
_OF_A_MEMBER = {"payment_id": 64 * 4 * 4096, "export_id": 16 * 4 * 4096}


def _members_in(row: str) -> set[int]:
    """Numbers of the members whom a row is about, by the member's id or by that of a payment or a line."""
    named = {int(number) for number in re.findall(r"'(?:member|member_id)': 'M([0-9]{8})[0-9]{2}'", row)}
    found = {column: re.findall(rf"'{column}': '?([0-9]+)", row) for column in _OF_A_MEMBER}
    made = {column: made_of([int(number) for number in ids], column) % COPY for column, ids in found.items()}
    return named or {int(number) // _OF_A_MEMBER[column] for column, numbers in made.items() for number in numbers}


def _eventful(folder: Path) -> int:
    """A member about whom every feed and every table has something to say."""
    everywhere = set(range(60))
    for name in NAMES:
        everywhere &= {number for row in rows(folder, name) for number in _members_in(row)}
    assert everywhere, "nobody is in every table: another seed, or more members"
    return min(everywhere)
