"""What cannot land is refused with a sentence that says what to do; nothing arrives, and nothing is lost."""

from __future__ import annotations

import datetime
import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.jobs import market
from tests.jobs.market import assert_refused

import ingest
from tenure.config.env import Env
from tenure.contracts.control import BATCHES, JOB_RUNS
from tenure.errors import WrongInput

ORDER = f"o0,{market.ANNA},apple,2026-03-01 10:00:00,2,200,s1"


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


def test_a_csv_file_that_lacks_a_column_beside_lines_of_json_is_named_too(spark, tmp_path):
    names = market.HEADER.strip().split(",")
    (tmp_path / "landing").mkdir()
    (tmp_path / "landing" / "a.jsonl").write_text(json.dumps(dict(zip(names, ORDER.split(","), strict=True))) + "\n")
    (tmp_path / "landing" / "b.csv").write_text("order_id,product_id,at,quantity,paid,store\n")
    feeds = market.SOURCE["feeds"] | {"orders": market.SOURCE["feeds"]["orders"] | {"files": ["a.jsonl", "b.csv"]}}
    sentence = r"b\.csv has other columns than the files beside it. feed orders: member_id cannot be made of"
    assert_refused(spark, tmp_path, sentence, feeds=feeds)


def test_a_renamed_key_of_json_is_no_missing_one_where_no_row_can_do_without(spark, tmp_path):
    for number, members in ((1, market.MEMBERS), (2, '{"member":"m9","age":"30"}\n')):
        folder = tmp_path / ("landing" if number == 2 else "1")
        market.write_orders(folder / "orders.csv", [ORDER.replace("o0", f"o{number}")])
        (folder / "members.jsonl").write_text(members)
    assert market.landed(spark, tmp_path, tmp_path / "1")
    sentence = r"member_id cannot be made of 'id' .*Lines of earlier batches had it.*write the key with null"
    assert_refused(spark, tmp_path, sentence, historical=True)


def test_nothing_of_any_feed_is_written_where_one_is_refused(spark, tmp_path):
    market.write_products(tmp_path / "landing" / "products.parquet", market.PRODUCTS)
    (tmp_path / "landing" / "orders.csv").write_text("order_id,product_id,at,quantity,paid,store\n")
    (tmp_path / "landing" / "members.jsonl").write_text(market.MEMBERS)
    assert_refused(spark, tmp_path, "member_id cannot be made of")
    assert not (tmp_path / "lake" / "bronze").exists()


def test_a_few_old_orders_in_a_feed_of_their_own_are_no_load_of_the_past(spark, tmp_path):
    market.write_orders(tmp_path / "1" / "orders.csv", [ORDER])
    feeds = market.SOURCE["feeds"] | {"late": market.SOURCE["feeds"]["orders"] | {"files": ["late*.csv"]}}
    assert market.landed(spark, tmp_path, tmp_path / "1", feeds=feeds)
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    fresh = [ORDER.replace("o0", f"o{number}").replace("2026-03-01", today) for number in (1, 2)]
    market.write_orders(tmp_path / "landing" / "orders.csv", fresh)
    market.write_orders(tmp_path / "landing" / "late.csv", [ORDER.replace("o0", "o3")])
    source = market.source(tmp_path / "landing", feeds=feeds)
    assert ingest.run(spark, ingest.Ingest(env=Env(work=str(tmp_path)), source=source))


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
