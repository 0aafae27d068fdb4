from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
import torch
from tests.visiting_shop import SOURCE, VisitingShop

from tenure.contracts.gold import LABELS
from tenure.errors import Refused
from tenure.models.batch import Batch
from tenure.models.inputs import fit_inputs
from tenure.tasks.churn import CHURN
from tenure.tasks.split import ByTime
from tenure.training.data import ExampleReader, _places, batch_count, batches, bucket_order
from tenure.training.shards import Shard

SPLIT = ByTime(train_until=SOURCE.split.train_until, validation=SOURCE.split.validation, test=SOURCE.split.test)


@pytest.fixture(scope="module")
def reader(shop: VisitingShop) -> ExampleReader:
    return ExampleReader(release=shop.release, task=CHURN, split=SPLIT, max_events=12)


def shard(reader: ExampleReader, rank: int = 0, size: int = 1, held: int = 4) -> Shard:
    fitted = fit_inputs(reader.read(0, "train").rows, reader.features, lacks=reader.release.shop.lacks, max_events=12)
    return Shard(reader=reader, inputs=fitted, part="train", rank=rank, size=size, held=held)


@pytest.mark.smoke
def test_a_bucket_holds_each_label_with_its_own_features_and_visits(reader: ExampleReader):
    found = reader.read(1, "train")
    where = f"bucket = 1 and as_of <= DATE '{SPLIT.train_until}'"
    labels = reader.release.read(LABELS, where=where, order_by=("member_key", "as_of"))
    assert found.rows.member_keys.tolist() == labels["member_key"].to_pylist()
    assert found.labels.tolist() == labels["value"].to_pylist()
    visits = np.minimum(found.rows.features["visits_84d"].to_numpy(), 12)
    assert (np.diff(found.rows.offsets) >= visits).all()


def test_only_columns_that_a_model_may_read_are_read(reader: ExampleReader):
    columns = reader.read(0, "train").rows.features.column_names
    assert "bucket" not in columns
    assert "age_band" not in columns  # the shop lacks demographics
    assert "newest_known_on" in columns  # for the leak gate


def test_a_label_without_features_is_refused():
    def keys(*members: int) -> pa.Table:
        return pa.table(
            {"member_key": pa.array(members, pa.int64()), "as_of": pa.array([9] * len(members), pa.date32())}
        )

    assert _places(keys(2, 5), keys(1, 2, 5), "churn").tolist() == [1, 2]
    with pytest.raises(Refused, match="1 labels of churn have no row in member_features"):
        _places(keys(2, 7), keys(1, 2, 5), "churn")


@pytest.mark.parametrize(("rows", "size"), [(0, 8), (1, 8), (8, 8), (9, 8), (700, 8)])
def test_batches_hold_every_row_once_and_differ_by_one_row_at_most(rows: int, size: int):
    drawn = batches(rows, size, seed=1, epoch=0, bucket=3)
    assert len(drawn) == batch_count(rows, size)
    assert sorted(np.concatenate([np.zeros(0, int), *drawn]).tolist()) == list(range(rows))
    sizes = [len(batch) for batch in drawn]
    assert not sizes or max(sizes) - min(sizes) <= 1


def test_the_order_is_a_function_of_seed_epoch_and_bucket():
    def order(**position: int) -> list[int]:
        drawn = batches(50, 8, **{"seed": 1, "epoch": 0, "bucket": 0, **position})
        return np.concatenate(drawn).tolist()

    assert order() == order()
    assert all(order() != order(**other) for other in ({"seed": 2}, {"epoch": 1}, {"bucket": 1}))


def test_workers_share_out_the_rows_between_them(reader: ExampleReader):
    ids = [
        tuple(row)
        for rank in range(2)
        for batch in shard(reader, rank, 2).batches(seed=1, epoch=0, batch_rows=32)
        for row in batch.ids.tolist()
    ]
    total = sum(reader.count(bucket, "train") for bucket in reader.buckets)
    assert len(ids) == len(set(ids)) == total


def test_an_epoch_goes_on_from_any_step(reader: ExampleReader):
    mine = shard(reader)
    whole = [batch.ids.tolist() for batch in mine.batches(seed=1, epoch=2, batch_rows=32)]
    assert len(whole) == mine.steps(32)
    for step in (1, 7, len(whole) - 1, len(whole)):
        rest = shard(reader).batches(seed=1, epoch=2, batch_rows=32, from_step=step)
        assert [batch.ids.tolist() for batch in rest] == whole[step:]


def test_no_more_buckets_are_held_than_allowed(reader: ExampleReader):
    mine = shard(reader, held=2)
    assert sum(len(batch) for batch in mine.in_order(64)) == sum(reader.count(b, "train") for b in reader.buckets)
    assert len(mine._read) == 2


def test_the_next_buckets_are_read_meanwhile_and_each_once_an_epoch(reader: ExampleReader, monkeypatch):
    """Also where an epoch was given up half-way."""
    mine, asked = shard(reader, held=1), []
    monkeypatch.setattr(Shard, "_encoded", _noting(Shard._encoded, asked))
    order = bucket_order(mine.buckets, seed=1, epoch=0)
    epoch = mine.batches(seed=1, epoch=0, batch_rows=32)
    next(epoch)
    for ahead in mine._ahead.values():
        ahead.result()
    assert asked == order[:3]
    assert len(list(epoch)) + 1 == mine.steps(32)
    assert sorted(asked) == sorted(order)
    next(mine.batches(seed=1, epoch=1, batch_rows=32))
    assert len(mine._ahead) == 2
    assert sum(map(len, mine.in_order(64))) == sum(map(mine._count, mine.buckets))
    assert mine._ahead == {}


def test_a_bucket_that_cannot_be_read_is_told_when_its_turn_comes(reader: ExampleReader, monkeypatch):
    mine = shard(reader)
    order = bucket_order(mine.buckets, seed=1, epoch=0)

    def fails(self: Shard, bucket: int, labels: pa.Table | None) -> Batch:
        raise Refused(f"bucket {bucket} is gone")

    epoch = mine.batches(seed=1, epoch=0, batch_rows=32)
    mine.bucket(order[0])
    monkeypatch.setattr(Shard, "_encoded", fails)
    for _ in range(batch_count(mine._count(order[0]), 32)):
        next(epoch)
    with pytest.raises(Refused, match=f"bucket {order[1]} is gone"):
        next(epoch)


def test_a_bucket_without_a_row_has_no_batch(reader: ExampleReader):
    mine = shard(reader, held=8)
    rows = sum(mine._count(bucket) for bucket in mine.buckets if bucket != 3)
    mine._counts[3], mine._read[3] = 0, mine.bucket(3).take(torch.zeros(0, dtype=torch.int64))
    assert sum(map(len, mine.batches(seed=1, epoch=0, batch_rows=32))) == rows
    assert sum(map(len, mine.in_order(32))) == rows


def _noting(read: Callable[..., Batch], asked: list[int]) -> Callable[..., Batch]:
    def noted(self: Shard, bucket: int, labels: pa.Table | None) -> Batch:
        asked.append(bucket)
        return read(self, bucket, labels)

    return noted
