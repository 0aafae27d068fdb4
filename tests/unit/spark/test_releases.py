"""The way back to a release is gone once, and a release follows the one that its night began with."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, Row, SparkSession
from tests.jobs.kiosk import SOURCE

from tenure.config.source import Source
from tenure.contracts.dictionary import SHOP
from tenure.contracts.gold import LABELS
from tenure.contracts.silver import MEMBER_IDENTITIES
from tenure.errors import Busy
from tenure.lake.release import newest_release
from tenure.spark import delta
from tenure.spark.night import Night
from tenure.spark.releases import last_release, roll_back, write_release
from tenure.spark.schema import struct


def put(spark: SparkSession, root: str, member_key: int) -> None:
    delta.append(spark.createDataFrame([(member_key, "m", 1)], struct(MEMBER_IDENTITIES)), root, MEMBER_IDENTITIES)


def keys(spark: SparkSession, root: str) -> list[int]:
    return sorted(row["member_key"] for row in delta.read(spark, root, MEMBER_IDENTITIES).collect())


def test_what_went_back_once_does_not_go_back_again(spark: SparkSession, tmp_path: Path) -> None:
    root, tables = str(tmp_path), (MEMBER_IDENTITIES,)
    put(spark, root, 1)
    release = Row(tables={MEMBER_IDENTITIES.name: delta.version(spark, root, MEMBER_IDENTITIES)})
    for member_key in (2, 3):
        put(spark, root, member_key)
        assert roll_back(spark, root, tables, release) == (MEMBER_IDENTITIES.name,)
        assert roll_back(spark, root, tables, release) == ()
        assert keys(spark, root) == [1]


@pytest.mark.long
def test_what_was_changed_after_it_went_back_goes_back_again(spark: SparkSession, tmp_path: Path) -> None:
    root, as_of = str(tmp_path), date(2026, 6, 1)
    night = Night(spark=spark, root=root, shop=SHOP, last_complete_day=as_of, through_batch=1)

    def labelled(value: float) -> DataFrame:
        return spark.createDataFrame([(0, 1, as_of, "churn", value, 28, as_of, as_of)], struct(LABELS))

    def values() -> list[float]:
        return [row["value"] for row in delta.read(spark, root, LABELS).collect()]

    night.append(labelled(1.0), LABELS)
    release = Row(tables={LABELS.name: delta.version(spark, root, LABELS)})
    night.append(labelled(0.5), LABELS)
    assert roll_back(spark, root, (LABELS,), release) == (LABELS.name,)
    # The next night changes a row and is killed before the table is built.
    night.replace_members(labelled(0.0), LABELS, labelled(0.0).select("member_key"), [as_of], is_last=False)
    assert values() == [0.0]
    assert roll_back(spark, root, (LABELS,), release) == (LABELS.name,)
    assert values() == [1.0]
    assert roll_back(spark, root, (LABELS,), release) == ()


def test_a_table_that_no_release_knows_is_emptied_once(spark: SparkSession, tmp_path: Path) -> None:
    root, tables = str(tmp_path), (MEMBER_IDENTITIES,)
    put(spark, root, 1)
    assert roll_back(spark, root, tables, None) == (MEMBER_IDENTITIES.name,)
    assert roll_back(spark, root, tables, None) == ()
    assert keys(spark, root) == []


def test_a_night_during_which_another_one_released_is_not_released(spark: SparkSession, tmp_path: Path) -> None:
    root, source = str(tmp_path), Source.model_validate(SOURCE)
    night = Night(spark=spark, root=root, shop=source.shop, last_complete_day=date(2026, 6, 1), through_batch=1)
    first = write_release(night, source, datetime(2026, 6, 2, 1, tzinfo=UTC), after=None)
    began_with = last_release(spark, root)
    second = write_release(night, source, datetime(2026, 6, 2, 2, tzinfo=UTC), after=began_with)
    for after in (None, began_with):
        with pytest.raises(Busy, match=rf"another job wrote release {second} .* this one is not released"):
            write_release(night, source, datetime(2026, 6, 2, 3, tzinfo=UTC), after=after)
    stands = last_release(spark, root)
    assert stands is not None
    assert stands["release_id"] == second > first


def test_a_night_on_a_slow_clock_is_still_the_newest(spark: SparkSession, tmp_path: Path) -> None:
    """The one before was released by a host whose clock is a year ahead."""
    root, source = str(tmp_path), Source.model_validate(SOURCE)
    night = Night(spark=spark, root=root, shop=source.shop, last_complete_day=date(2026, 6, 1), through_batch=1)
    ahead = write_release(night, source, datetime(2027, 6, 2, 1, tzinfo=UTC), after=None)
    for _ in range(2):
        written = write_release(night, source, datetime(2026, 6, 3, 1, tzinfo=UTC), after=last_release(spark, root))
        stands = last_release(spark, root)
        assert stands is not None
        assert stands["release_id"] == newest_release(root).release_id == written > ahead
