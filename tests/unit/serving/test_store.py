"""What is published, and how it is found."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from tests.corner_shop import AS_OF, MEMBER_IDS, PRODUCT_IDS, SHOP, CornerShop
from tests.small_lake import NEWEST, product, purchase, small_lake

from tenure.contracts.gold import interactions
from tenure.errors import Busy, WrongInput
from tenure.lake.release import newest_release
from tenure.serving import point_in_time
from tenure.serving.point_in_time import MemberPart, numbers_of, parts, read_members, read_purchases, read_rows
from tenure.serving.publishing import _alone, publish
from tenure.serving.store import CurrentStore, MemberStore, current_folder


def test_members_are_found_by_key_and_strangers_are_not(open_shop: CornerShop) -> None:
    store = open_shop.published()
    _, is_known = store.find(np.append(open_shop.keys(*MEMBER_IDS), [0, 2**63 - 1, -(2**63)]))
    assert is_known.tolist() == [True] * len(MEMBER_IDS) + [False] * 3


def test_rows_come_in_the_order_asked_for_and_twice_where_asked_twice(open_shop: CornerShop) -> None:
    keys = open_shop.keys("m7", "m1", "m30", "m7")
    rows = open_shop.published().rows(keys)
    assert rows.member_keys.tolist() == keys.tolist()
    owners = np.repeat(keys, np.diff(rows.offsets))
    assert rows.events["member_key"].to_pylist() == owners.tolist()


def test_the_store_holds_what_the_release_says_row_by_row(open_shop: CornerShop) -> None:
    store, chosen = open_shop.published(), newest_release(open_shop.lake)
    for number in range(SHOP.buckets):
        told = read_members(chosen, MemberPart(number), 16)
        rows, purchases = store.rows(told.member_keys), store.purchases(told.member_keys)
        assert rows.features.equals(told.rows.features.cast(rows.features.schema))
        assert rows.events.equals(told.rows.events.cast(rows.events.schema))
        assert rows.offsets.tolist() == told.rows.offsets.tolist()
        names = store.product_ids.take(pa.array(purchases.products)).to_pylist()
        assert names == told.product_ids.take(pa.array(told.purchases.products)).to_pylist()
        assert purchases.times.tolist() == told.purchases.times.tolist()


@pytest.mark.parametrize("of", [1, 3])
def test_every_key_lies_in_one_part_whichever_way_it_is_asked(open_shop: CornerShop, of: int) -> None:
    chosen, everybody = newest_release(open_shop.lake), []
    for bucket in range(SHOP.buckets):
        for number in range(of):
            keys = read_rows(chosen, MemberPart(bucket, number, of), 1).member_keys
            assert set(numbers_of(keys, of)) <= {number}
            everybody += keys.tolist()
    assert sorted(everybody) == sorted(open_shop.keys(*MEMBER_IDS).tolist())
    ends = np.array([-(2**63), 2**63 - 1])
    assert numbers_of(ends, of).tolist() == [0, of - 1]


def test_a_store_in_parts_says_what_one_in_whole_buckets_says(
    own_shop: CornerShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory is bounded by the parts: a bucket of many members is published in several."""
    chosen = own_shop.release()
    whole = MemberStore(publish(chosen, own_shop.store, max_events=16))
    monkeypatch.setattr(point_in_time, "MEMBERS_AT_ONCE", 2)
    assert len(parts(chosen)) > 2 * SHOP.buckets
    cut = MemberStore(publish(chosen, own_shop.store, max_events=16))
    assert (whole.label.parts, cut.label.parts) == (1, parts(chosen)[0].of)
    assert cut.label.members == whole.label.members == len(MEMBER_IDS)
    keys = own_shop.keys(*reversed(MEMBER_IDS))
    for store in (whole, cut):
        assert store.find(np.append(keys, [0, 2**63 - 1, -(2**63)]))[1].tolist() == [True] * len(keys) + [False] * 3
    assert cut.rows(keys).features.equals(whole.rows(keys).features)
    assert cut.rows(keys).events.equals(whole.rows(keys).events)
    bought = [
        (store.product_ids.take(pa.array(of.products)).to_pylist(), of.offsets.tolist(), of.times.tolist())
        for store in (whole, cut)
        for of in [store.purchases(keys)]
    ]
    assert bought[0] == bought[1]
    assert sorted(cut.some_members(len(keys)).tolist()) == sorted(keys.tolist())


def test_what_was_wholly_taken_back_is_not_in_a_history(open_shop: CornerShop) -> None:
    bought = open_shop.published().purchases(open_shop.keys("m0"))
    assert bought.times.min() > 0
    parts = newest_release(open_shop.lake).read(interactions(SHOP), where=f"member_key = {open_shop.key('m0')}")
    assert len(set(parts["product_id"].to_pylist())) == len(bought.products) + 1


def test_what_is_bought_on_the_day_itself_is_in_no_history_though_it_was_known_before(tmp_path: Path) -> None:
    yesterday = NEWEST - timedelta(days=1)
    bought = [purchase(1, "milk", yesterday), purchase(1, "tea", NEWEST, known_on=yesterday)]
    chosen = small_lake(tmp_path / "lake", bought, [product("milk"), product("tea")])
    purchases, product_ids = read_purchases(chosen, MemberPart(1), np.array([1]))
    assert product_ids.take(pa.array(purchases.products)).to_pylist() == ["milk"]


def test_columns_lie_in_mapped_pages_not_on_the_heap(open_shop: CornerShop) -> None:
    store = open_shop.published()
    before = pa.total_allocated_bytes()
    store.find(open_shop.keys(*MEMBER_IDS))
    assert [store.product(row)["product_id"] for row in (0, 11)] == [PRODUCT_IDS[0], PRODUCT_IDS[11]]
    assert len(store.product_ids) == len(PRODUCT_IDS)
    assert pa.total_allocated_bytes() == before


def test_nobody_sees_half_a_store_and_the_old_one_stays_readable(own_shop: CornerShop) -> None:
    first = publish(own_shop.release(), own_shop.store, max_events=16, keep=1)
    old = MemberStore(first)
    own_shop.spend_of = {"m3": 99_999_999}
    second = publish(own_shop.release(), own_shop.store, max_events=16, keep=1)
    assert current_folder(own_shop.store) == second
    assert not first.exists()
    assert old.profile(own_shop.key("m3"))["lifetime_spend_minor"] < 99_999_999
    assert MemberStore(second).profile(own_shop.key("m3"))["lifetime_spend_minor"] == 99_999_999


def test_a_publication_that_was_killed_leaves_the_published_one_and_is_cleared_away(own_shop: CornerShop) -> None:
    chosen = newest_release(own_shop.lake)
    first = publish(chosen, own_shop.store, max_events=16)
    left_over = Path(own_shop.store) / ".writing-abc"
    left_over.mkdir()
    (left_over / "members.arrow").write_bytes(b"half")
    assert own_shop.published().folder == first
    publish(chosen, own_shop.store, max_events=16)
    assert not left_over.exists()


def test_two_publications_at_once_are_refused_in_a_sentence(own_shop: CornerShop) -> None:
    Path(own_shop.store).mkdir()
    with _alone(Path(own_shop.store)), pytest.raises(Busy, match="published by another run"):
        publish(newest_release(own_shop.lake), own_shop.store)


def test_a_reader_sees_a_newer_store_without_being_told(own_shop: CornerShop) -> None:
    current = CurrentStore(own_shop.store, every_s=0)
    with pytest.raises(WrongInput, match=r"no release was published yet; run jobs/publish_members\.py"):
        current.get()
    publish(own_shop.release(), own_shop.store, max_events=16)
    old = current.get()
    assert current.get() is old
    publish(own_shop.release(), own_shop.store, max_events=16)
    assert current.get().label.release_id > old.label.release_id


@pytest.mark.parametrize("spoilt", ["members.arrow", "events.arrow", "histories.arrow", "products.arrow"])
def test_a_file_that_is_cut_off_is_named_in_a_sentence(own_shop: CornerShop, spoilt: str) -> None:
    folder = publish(newest_release(own_shop.lake), own_shop.store, max_events=16)
    os.truncate(folder / spoilt, (folder / spoilt).stat().st_size // 2)
    with pytest.raises(WrongInput, match=rf"{spoilt} is cut off .* run jobs/publish_members.py"):
        own_shop.published()


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("store.json", "{", "store.json is not readable"),
        ("store.json", None, "there is no MemberStore"),
        ("members.arrow", None, "members.arrow is missing"),
    ],
)
def test_a_store_that_is_not_whole_is_refused_in_a_sentence(
    own_shop: CornerShop, name: str, text: str | None, says: str
) -> None:
    folder = publish(newest_release(own_shop.lake), own_shop.store, max_events=16)
    if text is None:
        (folder / name).unlink()
    else:
        (folder / name).write_text(text)
    with pytest.raises(WrongInput, match=says):
        own_shop.published()


def test_nothing_known_on_the_day_itself_is_published(open_shop: CornerShop) -> None:
    store = open_shop.published()
    assert store.label.as_of == AS_OF
    rows = store.rows(open_shop.keys(*MEMBER_IDS))
    assert max(rows.events["known_on"].to_pylist()) < AS_OF
