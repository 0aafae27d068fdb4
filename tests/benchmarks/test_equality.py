"""Outputs that differ in one value, or in which two values changed places, are not equal."""

from __future__ import annotations

from datetime import date
from functools import partial

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from benchmarks import p16_members, simulated_lake
from benchmarks.equality import Differ, fingerprint, hold_equal
from benchmarks.p16_members import Shop
from benchmarks.simulated_lake import Lake, Unequal
from deltalake import DeltaTable, write_deltalake

from tenure.config.settings import read_yaml
from tenure.config.source import Source
from tenure.contracts.gold import LABELS, member_features
from tenure.contracts.silver import MEMBER_IDENTITIES
from tenure.lake.schema import arrow

KEYS = [11, -12, 13]


def rows(**changed):
    columns = {
        "member_key": KEYS,
        "spend": [100, 250, 900],
        "share": [0.5, None, 0.25],
        "points": [0, None, 7],
        "discount": [0.0, None, 0.5],
        "stage": ["loyalty", "lapsed", None],
        "day": [date(2024, 1, 1), date(2024, 1, 2), date(2024, 1, 3)],
        "is_back": [True, False, True],
        "flags": [["day_shifted", "near_duplicate"], [], None],
    }
    return pa.table({**columns, **changed})


def put(folder, table):
    folder.mkdir()
    pq.write_table(table, folder / "part-0.parquet")
    return fingerprint(folder, ["member_key"])


CHANGED = [
    {"spend": [100, 251, 900]},
    {"spend": [250, 100, 900]},
    {"spend": [100, None, 900]},
    {"share": [0.5, None, 0.26]},
    {"share": [0.25, None, 0.5]},
    {"share": [0.5, 0.0, 0.25]},
    {"points": [None, 0, 7]},
    {"discount": [None, 0.0, 0.5]},
    {"stage": ["loyalty", "activation", None]},
    {"stage": ["lapsed", "loyalty", None]},
    {"stage": ["loyalty", "lapsed", ""]},
    {"day": [date(2024, 1, 1), date(2024, 1, 2), date(2024, 1, 4)]},
    {"day": [date(2024, 1, 2), date(2024, 1, 1), date(2024, 1, 3)]},
    {"is_back": [False, True, True]},
    {"flags": [["day_shifted"], ["near_duplicate"], None]},
    {"flags": [[], ["day_shifted", "near_duplicate"], None]},
    {"flags": [["day_shifted", "near_duplicate"], None, []]},
    {"member_key": [11, -12, 14]},
]


@pytest.mark.parametrize("changed", CHANGED, ids=str)
def test_a_changed_or_a_swapped_value_is_told(tmp_path, changed):
    ours, theirs = put(tmp_path / "ours", rows()), put(tmp_path / "theirs", rows(**changed))
    with pytest.raises(Differ, match=f"the output of peer is not ours in .*{next(iter(changed))}"):
        hold_equal(ours, theirs, "peer")


def test_the_same_rows_in_another_order_and_in_two_files_are_equal(tmp_path):
    ours = put(tmp_path / "ours", rows())
    other = tmp_path / "theirs"
    other.mkdir()
    pq.write_table(rows().slice(2), other / "part-0.parquet")
    pq.write_table(rows().slice(0, 2), other / "part-1.parquet")
    theirs = fingerprint(other, ["member_key"])
    assert theirs == ours
    hold_equal(ours, theirs, "peer")  # raises where they are not


def test_flags_in_another_order_are_equal_whether_or_not_their_type_allows_nulls(tmp_path):
    never_null = pa.list_(pa.field("element", pa.string(), nullable=False))
    turned = rows(flags=pa.array([["near_duplicate", "day_shifted"], [], None], never_null))
    assert put(tmp_path / "theirs", turned) == put(tmp_path / "ours", rows())


def test_a_float_may_be_off_by_a_billionth_and_no_more():
    hold_equal({"sum": 1e12, "small": 0.0}, {"sum": 1e12 + 999, "small": 0.9e-9}, "peer")
    for ours, theirs in ((1e12, 1e12 + 1001), (0.0, 1.1e-9), (10**12, 10**12 + 1)):
        with pytest.raises(Differ, match="the output of peer is not ours in 1 of 1 sums"):
            hold_equal({"sum": ours}, {"sum": theirs}, "peer")


def test_a_row_more_and_a_column_less_are_told(tmp_path):
    ours, twice = put(tmp_path / "ours", rows()), put(tmp_path / "twice", pa.concat_tables([rows(), rows().slice(2)]))
    with pytest.raises(Differ, match="rows: 3 is not 4"):
        hold_equal(ours, twice, "peer")
    with pytest.raises(Differ, match="stage"):
        hold_equal(ours, put(tmp_path / "less", rows().drop_columns(["stage"])), "peer")


@pytest.mark.parametrize(
    "changed", [[(11, 100), (-12, 251), (13, 900)], [(11, 250), (-12, 100), (13, 900)], [(11, 100), (-12, 250)]]
)
def test_a_lake_s_fingerprint_tells_a_changed_a_swapped_and_a_missing_row(spark, changed):
    def of(values):
        return simulated_lake.fingerprint(spark.createDataFrame(values, "member_key bigint, spend bigint"))

    told = of([(11, 100), (-12, 250), (13, 900)])
    assert of([(13, 900), (11, 100), (-12, 250)]) == told
    assert of(changed) != told


def test_a_lake_s_fingerprint_tells_a_null_that_changed_its_column(spark):
    def of(row):
        return simulated_lake.fingerprint(spark.createDataFrame([row], "mean double, sd double"))

    assert of((None, 3.0)) == of((None, 3.0))
    assert of((None, 3.0)) != of((3.0, None))


def refuses(hold, *sides):
    try:
        hold(*sides)
    except Unequal:
        return True
    return False


FEATURES = member_features(Source.model_validate(read_yaml("conf/sources/simulated.yaml")).shop)


@pytest.fixture
def hold_same_people(tmp_path, monkeypatch):
    """Of a shop of three members and one of four, in which the first three have ``features`` and ``labels``."""

    def released(shop, table):
        return DeltaTable(tmp_path / str(shop.members) / table.name)

    def put(members, features, labels):
        of_tables = ((FEATURES, features), (LABELS, {"value": labels}), (MEMBER_IDENTITIES, {}))
        for table, values in of_tables:
            rows = {name: pa.nulls(members, arrow(table).field(name).type) for name in table.names}
            rows["member_key"] = pa.array([*KEYS, 14][:members], pa.int64())
            rows |= {"as_of": [date(2024, 1, 1)] * members, "bucket": [0, 1, 1, 1][:members]}
            rows |= {name: pa.array(told, rows[name].type) for name, told in values.items()}
            write_deltalake(tmp_path / str(members) / table.name, pa.table(rows))
        return Shop(members, Lake(work=tmp_path, landing=tmp_path))

    monkeypatch.setattr(p16_members, "_released", released)

    def hold(labels, before=(), **features):
        then = {name: told[:3] for name, told in (dict(features) | dict(before)).items()}
        small = put(3, then, [1.0, 0.0, 0.0])
        p16_members.hold_same_people(small, put(4, features, [*labels, 1.0]))

    return hold


def test_the_first_members_of_a_larger_shop_are_the_same_people_whatever_others_there_are(hold_same_people):
    spend, regions = [100, 250, 900, 7], ["n", None, "s", "w"]
    assert not refuses(partial(hold_same_people, lifetime_spend_minor=spend, region=regions), [1.0, 0.0, 0.0])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"lifetime_spend_minor": [100, 250, 900]}, {"lifetime_spend_minor": [100, 251, 900, 7]}),
        ({"lifetime_spend_minor": [100, 250, 900]}, {"lifetime_spend_minor": [250, 100, 900, 7]}),
        ({"lifetime_spend_minor": [100, 250, 900]}, {"lifetime_spend_minor": [100, 250, None, 7]}),
        ({"lifetime_spend_minor": [0, None, 900]}, {"lifetime_spend_minor": [None, 0, 900, 7]}),
        ({"overdue": [0.5, 1.0, None]}, {"overdue": [0.5, 1.0000001, None, None]}),
        ({"region": ["n", None, "s"]}, {"region": ["n", "s", None, "w"]}),
    ],
)
def test_people_of_whom_one_value_changed_or_two_changed_places_are_not_the_same(hold_same_people, before, after):
    with pytest.raises(Unequal, match="member_features: the same people have 3 rows at 4 members and 3 at 3 members"):
        hold_same_people([1.0, 0.0, 0.0], before=before, **after)


@pytest.mark.parametrize("labels", [[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
def test_people_with_other_labels_are_not_the_same(hold_same_people, labels):
    with pytest.raises(Unequal, match="labels: the same people have"):
        hold_same_people(labels)
