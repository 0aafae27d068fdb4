from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from tests.unit.simulation.small_shop import rows, small_shop, table

from tenure.errors import WrongInput
from tenure.simulation.members import member_id
from tenure.simulation.simulate import simulate, simulate_members

FEEDS = ("members", "orders", "touches", "events", "payments", "chargebacks", "messages", "consents")
TRUTHS = (
    "true_members",
    "true_tastes",
    "true_states",
    "true_leavers",
    "true_incidents",
    "true_effects",
    "true_payments",
)
NAMES = (*(f"landing/{feed}" for feed in FEEDS), *(f"truth/{name}" for name in TRUTHS))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop") / "whole"
    simulate(small_shop(folder, "faults.strength=1"))
    return folder


def assert_same(one: Path, other: Path, names: Sequence[str], *, before: str = "9999") -> None:
    for name in names:
        assert rows(one, name, before=before) == rows(other, name, before=before), name


@pytest.mark.parametrize("partitions", [4, pytest.param(40, marks=pytest.mark.long)])
def test_the_story_is_the_same_in_any_number_of_partitions(shop: Path, tmp_path: Path, partitions: int) -> None:
    simulate(small_shop(tmp_path, "faults.strength=1", f"partitions={partitions}"))
    assert_same(shop, tmp_path, (*NAMES, "landing/products", "landing/campaigns", "truth/true_faults"))


def test_a_member_simulated_alone_has_the_same_story(shop: Path, tmp_path: Path) -> None:
    busiest = member_id(_busiest(shop))
    simulate_members(small_shop(tmp_path, "faults.strength=1"), np.array([_busiest(shop)]), partition=1)
    for name in NAMES:
        assert rows(shop, name, member=busiest) == rows(tmp_path, name, member=busiest), name
    assert len(rows(tmp_path, "landing/orders")) > 10


def test_the_first_days_of_a_longer_story_are_the_shorter_one(shop: Path, tmp_path: Path) -> None:
    simulate(small_shop(tmp_path, "faults.strength=1", "days=40"))
    names = (*NAMES, "landing/products", "landing/campaigns", "truth/true_faults")
    assert_same(shop, tmp_path, names, before="2025-02-10")


def test_members_of_a_smaller_shop_are_the_first_of_a_larger_one(shop: Path, tmp_path: Path) -> None:
    simulate(small_shop(tmp_path, "faults.strength=1", "members=15"))
    smaller = rows(tmp_path, "landing/orders")
    assert set(smaller) <= set(rows(shop, "landing/orders"))
    assert len(smaller) > 100


def test_another_seed_tells_another_story(shop: Path, tmp_path: Path) -> None:
    simulate(small_shop(tmp_path, "faults.strength=1", "seed=2"))
    assert rows(shop, "landing/orders") != rows(tmp_path, "landing/orders")


def test_two_processes_tell_the_same_story(shop: Path, tmp_path: Path) -> None:
    simulate(small_shop(tmp_path, "faults.strength=1", "processes=2"))
    assert_same(shop, tmp_path, NAMES)


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


def _busiest(folder: Path) -> int:
    members = table(folder / "landing", "orders")["member"].to_pylist()
    return int(max(set(members), key=members.count)[1:9])
