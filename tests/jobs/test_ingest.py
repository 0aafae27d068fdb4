"""Everything that lands is in bronze, once; what cannot be read is refused with a sentence, and nothing is lost."""

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
    assert_refused(
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


def test_a_killed_ingest_is_replaced_by_the_next(spark, tmp_path, monkeypatch):
    market.write_orders(tmp_path / "landing" / "orders.csv", [ORDER])
    with monkeypatch.context() as patch:
        patch.setattr("ingest.delta.append", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            market.landed(spark, tmp_path, tmp_path / "landing")
    assert market.number_of_rows(spark, tmp_path, BATCHES) == 0
    market.write_orders(tmp_path / "landing" / "orders.csv", [ORDER, ORDER])
    assert market.landed(spark, tmp_path, tmp_path / "landing")
    assert len(market.bronze(spark, tmp_path, "orders")) == 2
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


def assert_refused(spark, work: Path, match: str, **settings) -> None:
    """The landing is refused with that sentence; no batch arrived, and the landing files are as they were."""
    before = {path: path.read_bytes() for path in (work / "landing").rglob("*") if path.is_file()}
    batches = market.number_of_rows(spark, work, BATCHES)
    with pytest.raises(WrongInput, match=match):
        market.landed(spark, work, work / "landing", **settings)
    assert market.number_of_rows(spark, work, BATCHES) == batches
    assert {path: path.read_bytes() for path in before} == before


def test_an_empty_folder_says_which_files_it_wants(spark, tmp_path):
    (tmp_path / "landing").mkdir()
    assert_refused(spark, tmp_path, r"holds none of members\*\.jsonl, .*orders\*\.csv: put the landing files there")


def test_no_folder_at_all_says_so(spark, tmp_path):
    assert_refused(spark, tmp_path, r"landing is no folder; name the folder of its landing files")


def test_a_missing_column_is_named_beside_those_that_landed(spark, tmp_path):
    (tmp_path / "landing").mkdir()
    (tmp_path / "landing" / "orders.csv").write_text("order_id,product_id,at,quantity,paid,store\n")
    assert_refused(
        spark, tmp_path, r"member_id cannot be made of 'member_id' .*these columns landed: order_id, product_id, at"
    )


def test_a_column_that_one_of_several_files_lacks_is_named_with_the_file(spark, tmp_path):
    market.write_orders(tmp_path / "landing" / "orders_1.csv", [ORDER])
    (tmp_path / "landing" / "orders_2.csv").write_text("order_id,product_id,at,quantity,paid,store\n")
    sentence = r"orders_2\.csv has other columns than the files beside it. feed orders: member_id cannot be made of"
    assert_refused(spark, tmp_path, sentence)


def test_a_parquet_file_that_lacks_a_column_is_named_too(spark, tmp_path):
    market.write_orders(tmp_path / "landing" / "orders.csv", [ORDER])
    market.write_products(tmp_path / "landing" / "products_1.parquet", market.PRODUCTS)
    pq.write_table(pa.table({"id": ["fig"], "name": ["Fig"]}), tmp_path / "landing" / "products_2.parquet")
    assert_refused(spark, tmp_path, r"products_2\.parquet has other columns than the files beside it")


def test_files_may_differ_in_columns_that_the_feed_does_not_read(spark, tmp_path):
    market.write_orders(tmp_path / "landing" / "orders_1.csv", [ORDER])
    (tmp_path / "landing" / "orders_2.csv").write_text(
        market.HEADER.replace("order_id", "till,ORDER_ID") + ORDER.replace("o0", "t1,o1") + "\n"
    )
    assert market.landed(spark, tmp_path, tmp_path / "landing")
    assert [row["landed"]["till"] for row in market.bronze(spark, tmp_path, "orders")] == [None, "t1"]


def test_a_key_that_no_line_of_json_has_tonight_is_null(spark, tmp_path):
    for number, members in ((1, market.MEMBERS), (2, '{"id":"m9"}\n')):
        market.write_orders(tmp_path / str(number) / "orders.csv", [ORDER.replace("o0", f"o{number}")])
        (tmp_path / str(number) / "members.jsonl").write_text(members)
        assert market.landed(spark, tmp_path, tmp_path / str(number), historical=True)
    *_, newest = market.bronze(spark, tmp_path, "members")
    assert (newest["landed"]["id"], newest["landed"]["age"]) == ("m9", None)


def test_old_orders_that_nobody_says_anything_of_land_only_when_somebody_does(spark, tmp_path):
    market.write_orders(tmp_path / "1" / "orders.csv", [ORDER])
    assert market.landed(spark, tmp_path, tmp_path / "1")
    market.write_orders(tmp_path / "landing" / "orders.csv", [ORDER.replace("o0", "o1")])
    unsaid = ingest.Ingest(env=Env(work=str(tmp_path)), source=market.source(tmp_path / "landing"))
    with pytest.raises(
        WrongInput, match=r"half of these orders are of 2026-03-01 or before, .*say --set historical=tr"
    ):
        ingest.run(spark, unsaid)
    assert market.number_of_rows(spark, tmp_path, BATCHES) == 1
    assert market.landed(spark, tmp_path, tmp_path / "landing", historical=False)


def test_a_day_of_arrival_and_a_load_of_the_past_are_not_said_together(spark, tmp_path):
    market.write_orders(tmp_path / "landing" / "orders.csv", [ORDER])
    assert_refused(spark, tmp_path, "contradict each other", historical=True, arrived_on=datetime.date(2026, 4, 1))


def test_a_feed_that_landed_under_another_name_is_asked_for_before_anything_lands(spark, tmp_path):
    market.write_orders(tmp_path / "1" / "orders.csv", [ORDER])
    assert market.landed(spark, tmp_path, tmp_path / "1")
    market.write_orders(tmp_path / "landing" / "orders.csv", [ORDER.replace("o0", "o1")])
    feeds = {"sales" if name == "orders" else name: feed for name, feed in market.SOURCE["feeds"].items()}
    assert_refused(spark, tmp_path, "feed orders landed in batch 1 and is no longer in", feeds=feeds, historical=False)


INVOICE = "536365,85123A,WHITE HANGING HEART T-LIGHT HOLDER,6,12/1/2010 8:26,2.55,17850,United Kingdom"


@pytest.mark.parametrize(
    ("line", "raw", "sentence"),
    [
        (ORDER, market.ANNA, "seem to hold data where the names of columns should be"),
        (INVOICE, "17850", "seem to hold data where the names of columns should be"),
        (INVOICE.replace(",6,", ",17850,"), "17850", "first line seems to hold data, not names"),
        (f"order,sku,at,pieces,paid,{market.ANNA}", market.ANNA, "columns landed: order, .*, 1 not shown for looking"),
    ],
    ids=["order", "invoice", "the same twice", "one of many"],
)
def test_a_first_line_of_data_is_told_and_not_quoted(spark, tmp_path, caplog, line, raw, sentence):
    caplog.set_level("INFO")
    (tmp_path / "landing").mkdir()
    (tmp_path / "landing" / "orders.csv").write_text(f"{line}\n{line}\n")
    with pytest.raises(WrongInput, match=sentence) as refused:
        market.landed(spark, tmp_path, tmp_path / "landing")
    (run,) = market.rows(spark, tmp_path, JOB_RUNS)
    assert run["message"] == str(refused.value)
    assert raw not in str(refused.value) + caplog.text


def test_a_truncated_parquet_file_is_named(spark, tmp_path):
    market.write_products(tmp_path / "landing" / "products.parquet", market.PRODUCTS)
    whole = (tmp_path / "landing" / "products.parquet").read_bytes()
    (tmp_path / "landing" / "products.parquet").write_bytes(whole[: len(whole) // 2])
    assert_refused(
        spark, tmp_path, r"products\.parquet is no whole Parquet file, it may have been cut off: bring it again"
    )


@pytest.mark.parametrize(
    ("kept", "sentence"),
    [
        (15, r"orders\.csv\.gz is no whole \.gz file, it may have been cut off: bring it again"),
        (-12, r"feed orders \(orders\.csv\.gz\): a file cannot be read; repair it or take it away"),
    ],
    ids=["within its first line", "behind it"],
)
def test_a_truncated_compressed_csv_is_named(spark, tmp_path, kept, sentence):
    (tmp_path / "landing").mkdir()
    lines = "".join(f"{ORDER.replace('o0', f'o{n}')}{n * 7919}\n" for n in range(20_000))
    whole = gzip.compress(f"{market.HEADER}{lines}".encode())
    (tmp_path / "landing" / "orders.csv.gz").write_bytes(whole[:kept])
    orders = market.SOURCE["feeds"]["orders"] | {"files": ["*.csv.gz"]}
    assert_refused(spark, tmp_path, sentence, feeds=market.SOURCE["feeds"] | {"orders": orders})


def test_a_damaged_parquet_page_is_refused(spark, tmp_path):
    path = tmp_path / "landing" / "products.parquet"
    market.write_products(path, market.PRODUCTS)
    whole = bytearray(path.read_bytes())
    whole[4:60] = b"\xff" * 56
    path.write_bytes(bytes(whole))
    assert_refused(
        spark, tmp_path, r"feed products \(products\.parquet\): a file cannot be read; repair it or take it away"
    )


def test_another_encoding_is_asked_for(spark, tmp_path):
    market.write_orders(tmp_path / "landing" / "orders.csv", [ORDER.replace("s1", "caf\udce9")] * 3)
    assert_refused(
        spark, tmp_path, r"3 of 3 rows hold bytes that are no UTF-8; say the files' encoding", quarantine_limit=0.05
    )
    feed = market.SOURCE["feeds"]["orders"] | {"encoding": "ISO-8859-1"}
    assert market.landed(spark, tmp_path, tmp_path / "landing", feeds=market.SOURCE["feeds"] | {"orders": feed})
    assert market.bronze(spark, tmp_path, "orders")[0]["landed"]["store"] == "café"


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


@pytest.mark.parametrize("name", ["orders.csv", "members.jsonl", "products.parquet"])
def test_a_folder_of_empty_files_only_is_refused(spark, tmp_path, name):
    (tmp_path / "landing").mkdir()
    (tmp_path / "landing" / name).touch()
    assert_refused(spark, tmp_path, rf"landing holds only empty files \({name}\): bring them again")


def test_a_blank_first_line_is_told(spark, tmp_path):
    (tmp_path / "landing").mkdir()
    (tmp_path / "landing" / "orders.csv").write_text(f"\n{ORDER}\n")
    assert_refused(spark, tmp_path, r"orders\.csv: its first line is blank; name the columns in it")


def test_a_column_of_another_type_than_before_is_refused(spark, tmp_path):
    market.write_products(tmp_path / "landing" / "products.parquet", market.PRODUCTS)
    assert market.landed(spark, tmp_path, tmp_path / "landing")
    names = {"name": ["Apple"], "kind": ["sweet"], "since": ["2026-01-01"]}
    pq.write_table(pa.table({"id": [7.5], **names}), tmp_path / "landing" / "products.parquet")
    assert_refused(spark, tmp_path, r"a column has another type than before; convert the file to the earlier type")


def test_an_expression_of_a_wrong_type_is_refused(spark, tmp_path):
    market.write_orders(tmp_path / "landing" / "orders.csv", [ORDER])
    feed = market.SOURCE["feeds"]["orders"]
    wrong = feed | {"columns": feed["columns"] | {"is_return": "array(at)"}}
    feeds = market.SOURCE["feeds"] | {"orders": wrong}
    assert_refused(spark, tmp_path, r"is_return cannot be made of 'array\(at\)'", feeds=feeds)


RULE = {"name": "odd", "table": "raw_orders", "says": "odd", "when": "quantity = 3"}
GAP = {"table": "raw_orders", "column": "store_id", "rule": "odd"}


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"rules": [RULE | {"when": "quantty = 3"}]},
            r"'quantty = 3' .*\(unresolved column `quantty`\); there are order_id",
        ),
        ({"rules": [RULE | {"when": "quantity = = 3"}]}, r"'quantity = = 3' .*\(parse syntax error\)"),
        ({"rules": [RULE | {"when": "quantity + 1"}]}, r"'quantity \+ 1' .*\(datatype mismatch\)"),
        ({"rules": [RULE | {"when": "sum(quantity) > 3"}]}, r"'sum\(quantity\) > 3' .*\(missing group by\)"),
        ({"rules": [RULE | {"set": {"quantity": "quanty * 2"}}]}, r"'quanty \* 2' .*`quanty`"),
        ({"rules": [RULE | {"set": {"quantity": "array(1)"}}]}, r"'array\(1\)' .*\(datatype mismatch\)"),
        ({"gaps": [GAP | {"fill": "online"}]}, r"'online' .*`online`"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_rule_that_cannot_be_evaluated_is_refused_before_anything_is_written(spark, tmp_path, settings, sentence):
    market.write_orders(tmp_path / "landing" / "orders.csv", [ORDER])
    assert_refused(spark, tmp_path, rf"^rule odd: {sentence}.*; correct it in the source's YAML$", **settings)
    assert not (tmp_path / "lake" / "bronze").exists()


def test_rules_of_order_lines_may_read_what_is_known_of_day_and_product(spark, tmp_path):
    market.write_orders(tmp_path / "landing" / "orders.csv", [ORDER])
    when = "day < known_on and hour < 6 and category = product_type and is_product_known and member_id is null"
    assert market.landed(spark, tmp_path, tmp_path / "landing", rules=[RULE | {"when": when}])


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
