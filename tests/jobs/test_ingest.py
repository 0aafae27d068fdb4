"""Everything that lands is in bronze, once, behind the envelope that says where it came from and when."""

from __future__ import annotations

import bz2
import contextvars
import datetime
import gzip
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from delta.tables import DeltaTable
from tests.jobs import market

import ingest
from tenure.config.env import Env
from tenure.contracts.control import BATCHES, JOB_RUNS
from tenure.errors import Busy, WrongInput
from tenure.spark import delta
from tenure.spark.lock import lock_path, only_writer

ORDER = f"o0,{market.ANNA},apple,2026-03-01 10:00:00,2,200,s1"


def orders_from(pattern: str) -> dict[str, object]:
    """The market's feeds, with its orders in other files."""
    feeds = market.SOURCE["feeds"]
    return feeds | {"orders": feeds["orders"] | {"files": [pattern]}}


@pytest.fixture(scope="module")
def lake(spark, tmp_path_factory):
    work = tmp_path_factory.mktemp("ingest")
    market.write_orders(work / "landing" / "orders_2.csv", [ORDER.replace("o0", f"o{n}") for n in range(3)])
    market.write_orders(work / "landing" / "orders_10.csv", [ORDER.replace("o0", f"o{n}") for n in range(3, 5)])
    market.write_products(work / "landing" / "products.parquet", market.PRODUCTS)
    assert market.landed(spark, work, work / "landing")
    return work


@pytest.mark.smoke
def test_rows_land_as_they_came_behind_their_envelope(spark, lake):
    first, *_ = market.bronze(spark, lake, "orders")
    assert first["landed"]["paid"] == "200"
    assert (first["source_file"], first["position"], first["batch_no"]) == ("orders_10.csv", 0, 1)
    assert first["arrived_on"] is None


def test_bronze_keeps_the_versions_that_releases_name_for_more_than_a_year(spark, lake):
    detail = DeltaTable.forPath(spark, f"{lake}/lake/bronze/raw_orders").detail().first()
    assert detail["properties"]["delta.logRetentionDuration"] == "interval 400 days"
    assert detail["properties"]["delta.deletedFileRetentionDuration"] == "interval 400 days"


def test_a_position_is_a_rows_place_in_its_batch(spark, lake):
    placed = [(row["position"], row["landed"]["order_id"]) for row in market.bronze(spark, lake, "orders")]
    assert placed == [(0, "o3"), (1, "o4"), (2, "o0"), (3, "o1"), (4, "o2")]


def test_the_same_batch_again_leaves_the_same_table(spark, lake):
    before = market.bronze(spark, lake, "orders")
    assert not market.landed(spark, lake, lake / "landing")
    assert market.bronze(spark, lake, "orders") == before
    assert len(market.rows(spark, lake, BATCHES)) == 1
    assert {row["outcome"] for row in market.rows(spark, lake, JOB_RUNS)} == {"done", "nothing_new"}


TODAY = datetime.date(2026, 5, 1)


@pytest.mark.parametrize(
    ("told", "of_source", "is_first", "day"),
    [
        ({}, True, True, None),
        ({}, True, False, TODAY),  # the hundredth night of a source that began with its history
        ({}, False, True, TODAY),
        ({"historical": True}, False, False, None),
        ({"historical": False}, True, True, TODAY),
        ({"arrived_on": datetime.date(2026, 4, 30)}, True, True, datetime.date(2026, 4, 30)),
        ({"arrived_on": TODAY}, True, False, TODAY),
    ],
)
def test_only_a_lakes_first_batch_is_a_load_of_the_past_because_its_source_is(tmp_path, told, of_source, is_first, day):
    source = market.source(tmp_path, historical=of_source)
    found, why = ingest.day_of_arrival(ingest.Ingest(env=Env(), source=source, **told), TODAY, is_first=is_first)
    assert found == day
    assert ("load of the past, as" in why) == (day is None)
    assert bool(told) or "--set arrived_on=DATE" in why  # how to say otherwise


def test_an_order_of_long_ago_that_comes_today_is_known_from_today(spark, tmp_path, caplog):
    caplog.set_level("INFO")
    for number in (1, 2, 3):
        market.write_orders(tmp_path / str(number) / "orders.csv", [ORDER.replace("o0", f"o{number}")])
    zone = ZoneInfo(market.SOURCE["calendar"])
    before = datetime.datetime.now(zone).date()
    assert market.landed(spark, tmp_path, tmp_path / "1")
    assert market.landed(spark, tmp_path, tmp_path / "2", historical=False)
    assert not market.landed(spark, tmp_path, tmp_path / "1")  # the first load again: nothing is new
    assert market.landed(spark, tmp_path, tmp_path / "3", historical=True)
    arrived = {row["batch_no"]: row["arrived_on"] for row in market.rows(spark, tmp_path, BATCHES)}
    assert (arrived[1], arrived[3]) == (None, None)
    assert before <= arrived[2] <= datetime.datetime.now(zone).date()
    assert "batch 1 is a load of the past, as the source says of a lake's first one" in caplog.text
    assert f"batch 2 arrived today, {arrived[2]}, and is known from then on" in caplog.text


def test_a_day_of_arrival_that_has_not_come_is_refused(spark, tmp_path):
    market.write_orders(tmp_path / "landing" / "orders.csv", [ORDER])
    later = datetime.datetime.now(ZoneInfo(market.SOURCE["calendar"])).date() + datetime.timedelta(days=2)
    market.assert_refused(
        spark, tmp_path, rf"arrived_on={later} is after .*, which is today in Europe/Paris", arrived_on=later
    )


def test_another_sources_batch_is_refused_also_by_a_lake_whose_first_ones_name_none(spark, tmp_path):
    for number in (1, 2, 3):
        market.write_orders(tmp_path / str(number) / "orders.csv", [ORDER.replace("o0", f"o{number}")])
    market.landed(spark, tmp_path, tmp_path / "1")
    of_old = delta.read(spark, str(tmp_path / "lake"), BATCHES).drop("source")
    path = str(market.path_of(tmp_path, BATCHES))
    of_old.write.format("delta").mode("overwrite").option("overwriteSchema", True).save(path)

    assert market.landed(spark, tmp_path, tmp_path / "2")
    with pytest.raises(WrongInput, match=r"this lake holds market, not another: name its source, as in --set source="):
        market.landed(spark, tmp_path, tmp_path / "3", name="another")
    with pytest.raises(WrongInput, match="this lake holds market, not another"):
        market.cleaned(spark, tmp_path, name="another")

    batches = {row["batch_no"]: row["source"] for row in market.rows(spark, tmp_path, BATCHES)}
    assert batches == {1: None, 2: "market"}
    assert len(market.bronze(spark, tmp_path, "orders")) == 2


def test_a_relative_folder_lies_below_where_the_command_was_typed(spark, tmp_path, monkeypatch):
    market.write_orders(tmp_path / "landing" / "orders.csv", [ORDER])
    monkeypatch.chdir(tmp_path)  # Spark's own process stays where it was started
    assert market.landed(spark, Path("shop"), tmp_path / "landing")
    assert len(market.bronze(spark, tmp_path / "shop", "orders")) == 1
    assert (tmp_path / "shop" / "lake" / "control" / "job_runs").is_dir()


def test_a_killed_ingest_is_replaced_by_the_next_also_where_a_file_was_withdrawn(spark, tmp_path, monkeypatch):
    market.write_orders(tmp_path / "landing" / "orders.csv", [ORDER])
    market.write_products(tmp_path / "landing" / "products.parquet", market.PRODUCTS)
    with monkeypatch.context() as patch:
        patch.setattr("ingest.delta.append", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            market.landed(spark, tmp_path, tmp_path / "landing")
    assert market.number_of_rows(spark, tmp_path, BATCHES) == 0
    assert market.bronze(spark, tmp_path, "products")
    market.write_orders(tmp_path / "landing" / "orders.csv", [ORDER, ORDER])
    (tmp_path / "landing" / "products.parquet").unlink()
    assert market.landed(spark, tmp_path, tmp_path / "landing")
    assert len(market.bronze(spark, tmp_path, "orders")) == 2
    assert market.bronze(spark, tmp_path, "products") == []
    assert market.rows(spark, tmp_path, BATCHES)[0]["landed"]["raw_orders"] == 2


def test_times_of_nanoseconds_and_names_with_blanks_land(spark, tmp_path):
    at = datetime.datetime(2026, 3, 1, 10, 0, 0, 123456)
    table = pa.table({"Order No.": ["o0"], "at": pa.array([at], pa.timestamp("ns"))})
    (tmp_path / "landing").mkdir()
    pq.write_table(table, tmp_path / "landing" / "orders.parquet")
    feed = market.SOURCE["feeds"]["orders"]
    columns = feed["columns"] | dict.fromkeys(("member_id", "product_id", "store_id"), "'x'")
    columns |= {"order_id": "`Order No.`", "quantity": "1", "paid_minor": "1", "is_return": "false"}
    feeds = market.SOURCE["feeds"] | {"orders": feed | {"files": ["orders*.parquet"], "columns": columns}}
    assert market.landed(spark, tmp_path, tmp_path / "landing", feeds=feeds)
    (row,) = market.bronze(spark, tmp_path, "orders")
    assert row["landed"] == {"Order No.": "o0", "at": at}


@pytest.mark.parametrize(("suffix", "compress"), [(".gz", gzip.compress), (".bz2", bz2.compress)])
def test_a_compressed_csv_lands_as_the_plain_one_does(spark, tmp_path, suffix, compress):
    (tmp_path / "landing").mkdir()
    plain = f"{market.HEADER}{ORDER}\n".encode()
    (tmp_path / "landing" / f"orders.csv{suffix}").write_bytes(compress(plain))
    orders = market.SOURCE["feeds"]["orders"] | {"files": [f"*.csv{suffix}"], "format": "by_suffix"}
    assert market.landed(spark, tmp_path, tmp_path / "landing", feeds=market.SOURCE["feeds"] | {"orders": orders})
    (row,) = market.bronze(spark, tmp_path, "orders")
    assert (row["landed"]["order_id"], row["landed"]["store"]) == ("o0", "s1")
    assert row["source_file"] == f"orders.csv{suffix}"


def test_one_job_at_a_time_writes_to_a_lake(spark, tmp_path):
    market.write_orders(tmp_path / "landing" / "orders.csv", [ORDER])
    another = contextvars.Context()  # nothing of what this run holds
    with only_writer(spark, Env(work=str(tmp_path))):
        for run in (market.landed, market.cleaned):
            with pytest.raises(Busy, match="another job is writing to this lake"):
                another.run(run, spark, tmp_path, *([tmp_path / "landing"] if run is market.landed else []))
        assert market.landed(spark, tmp_path, tmp_path / "landing")  # as a refresh does, which holds the lake


def test_two_work_folders_with_one_lake_wait_for_each_other(spark, tmp_path):
    lake, link = tmp_path / "lake", tmp_path / "link"
    lake.mkdir()
    link.symlink_to(lake)

    def hold(place: str) -> None:
        with only_writer(spark, Env(work=str(tmp_path / "b"), lake=place)):
            pass

    for place in (str(lake), str(link), lake.as_uri()):
        held = only_writer(spark, Env(work=str(tmp_path / "a"), lake=str(lake)))
        with held, pytest.raises(Busy, match="another job is writing to this lake"):
            contextvars.Context().run(hold, place)
        contextvars.Context().run(hold, place)  # let go of


def test_the_lock_of_a_lake_in_an_object_store_lies_in_the_work_folder(tmp_path):
    assert lock_path(Env(work=str(tmp_path), lake="s3a://tenure/lake")) == f"{tmp_path}/writer.lock"


def test_files_may_differ_in_columns_that_the_feed_does_not_read(spark, tmp_path):
    market.write_orders(tmp_path / "landing" / "orders_1.csv", [ORDER])
    (tmp_path / "landing" / "orders_2.csv").write_text(
        market.HEADER.replace("order_id", "till,ORDER_ID") + ORDER.replace("o0", "t1,o1") + "\n"
    )
    assert market.landed(spark, tmp_path, tmp_path / "landing")
    assert [row["landed"]["till"] for row in market.bronze(spark, tmp_path, "orders")] == [None, "t1"]


def test_a_key_that_no_line_of_json_has_tonight_is_null_and_told(spark, tmp_path, caplog):
    caplog.set_level("INFO")
    for number, members in ((1, market.MEMBERS), (2, '{"id":"m9"}\n')):
        market.write_orders(tmp_path / str(number) / "orders.csv", [ORDER.replace("o0", f"o{number}")])
        (tmp_path / str(number) / "members.jsonl").write_text(members)
        assert market.landed(spark, tmp_path, tmp_path / str(number), historical=True)
    *_, newest = market.bronze(spark, tmp_path, "members")
    assert (newest["landed"]["id"], newest["landed"]["age"]) == ("m9", None)
    assert "batch 2: no line of members has what age_band is made of" in caplog.text


def test_an_empty_file_brings_no_rows_in_any_format(spark, tmp_path, caplog):
    caplog.set_level("INFO")
    landing = tmp_path / "landing"
    market.write_orders(landing / "orders_1.csv", [ORDER])
    market.write_products(landing / "products_1.parquet", market.PRODUCTS)
    (landing / "members_1.jsonl").write_text(market.MEMBERS)
    empty = {"orders_2.csv": b"", "products_2.parquet": b"", "members_2.jsonl": b"\n", "orders_3.csv": b"\xef\xbb\xbf"}
    for name, content in empty.items():
        (landing / name).write_bytes(content)
    assert market.landed(spark, tmp_path, landing)
    (batch,) = market.rows(spark, tmp_path, BATCHES)
    assert batch["landed"] == {"raw_orders": 1, "raw_products": 2, "raw_members": 3}
    assert [name for name in empty if f"{name} is empty" not in caplog.text] == []


def test_a_feed_of_empty_files_only_says_so_and_the_others_land(spark, tmp_path, caplog):
    caplog.set_level("INFO")
    market.write_orders(tmp_path / "landing" / "orders.csv", [ORDER])
    (tmp_path / "landing" / "members.jsonl").touch()
    assert market.landed(spark, tmp_path, tmp_path / "landing")
    assert "no rows of members landed, as all of its files are empty" in caplog.text
    assert market.rows(spark, tmp_path, BATCHES)[0]["landed"] == {"raw_orders": 1, "raw_products": 0, "raw_members": 0}


def test_a_name_with_brackets_and_blanks_lands(spark, tmp_path):
    names = ("orders [1].csv", "orders {a,b}.csv", "orders\\d.csv")
    for number, name in enumerate(names):
        market.write_orders(tmp_path / "landing [new]" / name, [ORDER.replace("o0", f"o{number}")])
    market.write_products(tmp_path / "landing [new]" / "products [1].parquet", market.PRODUCTS)
    (tmp_path / "landing [new]" / "members [1].jsonl").write_text(market.MEMBERS)
    assert market.landed(spark, tmp_path, tmp_path / "landing [new]")
    found = {row["source_file"]: row["landed"]["order_id"] for row in market.bronze(spark, tmp_path, "orders")}
    assert found == {name: f"o{number}" for number, name in enumerate(names)}
    assert market.bronze(spark, tmp_path, "products")[0]["source_file"] == "products [1].parquet"
    assert market.bronze(spark, tmp_path, "members")[0]["source_file"] == "members [1].jsonl"


def test_a_file_that_is_still_being_written_waits_for_its_name(spark, tmp_path, caplog):
    caplog.set_level("INFO")
    landing = tmp_path / "landing"
    market.write_orders(landing / "_orders_2.csv", [ORDER.replace("o0", "o1")])
    with pytest.raises(WrongInput, match=r"holds none of .* but _orders_2\.csv, whose names begin as"):
        market.landed(spark, tmp_path, landing, feeds=orders_from("*orders*.csv"))
    market.write_orders(landing / "orders.csv", [ORDER])
    assert market.landed(spark, tmp_path, landing, feeds=orders_from("*orders*.csv"))
    assert "_orders_2.csv is passed over" in caplog.text
    assert [row["source_file"] for row in market.bronze(spark, tmp_path, "orders")] == ["orders.csv"]
    (landing / "_orders_2.csv").rename(landing / "orders_2.csv")
    assert market.landed(spark, tmp_path, landing, feeds=orders_from("*orders*.csv"))
    assert [row["landed"]["order_id"] for row in market.bronze(spark, tmp_path, "orders")] == ["o0", "o0", "o1"]


def test_a_file_is_named_below_a_folder_that_is_a_link(spark, tmp_path):
    market.write_orders(tmp_path / "2026-03-01" / "north" / "orders.csv", [ORDER])
    (tmp_path / "current").symlink_to(tmp_path / "2026-03-01")
    assert market.landed(spark, tmp_path, tmp_path / "current", feeds=orders_from("*/orders.csv"))
    assert [row["source_file"] for row in market.bronze(spark, tmp_path, "orders")] == ["north/orders.csv"]
