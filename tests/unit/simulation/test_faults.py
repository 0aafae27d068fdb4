from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from tests.unit.simulation.small_shop import rows, small_shop, table

from tenure.simulation.faults import KINDS
from tenure.simulation.simulate import simulate

SIZE = ("members=400", "days=50", "faults.return_without_sale=0.004", "faults.negative_price=0.004")


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clean")
    simulate(small_shop(folder, *SIZE))
    return folder


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faulty")
    simulate(small_shop(folder, *SIZE, "faults.strength=1"))
    return folder


@pytest.fixture(scope="module")
def told(faulty: Path) -> pd.DataFrame:
    return table(faulty / "truth", "true_faults").to_pandas()


def landed(folder: Path) -> pd.DataFrame:
    lines = table(folder / "landing", "orders").to_pandas()
    return lines.assign(
        units=pd.to_numeric(lines.units, errors="coerce"), amount=pd.to_numeric(lines.amount, errors="coerce")
    )


def test_every_kind_of_fault_is_told(told: pd.DataFrame) -> None:
    assert set(told.fault) == set(KINDS)


def test_rows_of_which_no_fault_is_told_are_the_clean_ones(clean: Path, faulty: Path, told: pd.DataFrame) -> None:
    columns = ["export_id", "order_no", "member", "sku", "units", "amount", "store", "is_return", "exported_on"]
    honest = landed(clean)[columns]
    spoiled = landed(faulty)[columns]
    untouched = spoiled[~spoiled.export_id.isin(told.export_id)].sort_values("export_id", ignore_index=True)
    theirs = honest[~honest.export_id.isin(told.export_id)].sort_values("export_id", ignore_index=True)
    pd.testing.assert_frame_equal(untouched, theirs, check_dtype=False, check_categorical=False)


def test_everything_but_the_orders_is_as_it_was(clean: Path, faulty: Path) -> None:
    assert rows(clean, "landing/events") == rows(faulty, "landing/events")
    assert rows(clean, "truth/true_states") == rows(faulty, "truth/true_states")


def of(faulty: Path, told: pd.DataFrame, fault: str) -> pd.DataFrame:
    mine = told[told.fault == fault]
    return landed(faulty).merge(mine[["export_id", "magnitude", "rule", "column"]], on="export_id")


def test_exact_duplicates_are_equal_in_every_column(faulty: Path, told: pd.DataFrame) -> None:
    twice = of(faulty, told, "exact_duplicate")
    assert (twice.groupby("export_id").size() == 2).all()
    assert len(twice.drop_duplicates()) * 2 == len(twice)


def test_key_duplicates_differ_in_the_amount_alone(faulty: Path, told: pd.DataFrame) -> None:
    twice = of(faulty, told, "key_duplicate")
    assert (twice.groupby("export_id").amount.nunique() == 2).all()
    assert (twice.groupby("export_id")[["order_no", "sku"]].nunique() == 1).all(axis=None)


def test_gaps_and_slips_of_the_pen_cannot_be_read(faulty: Path, told: pd.DataFrame) -> None:
    for fault in ("gap", "mistyped"):
        for column in ("units", "amount"):
            struck = of(faulty, told, fault)
            assert struck[struck.column == column][column].isna().all()


def test_units_out_of_range_reach_among_honest_ones(clean: Path, faulty: Path, told: pd.DataFrame) -> None:
    struck = of(faulty, told, "out_of_range")
    assert struck.units.min() < landed(clean).units.max() < struck.units.max()


def test_late_rows_land_on_the_day_on_which_they_come(faulty: Path, told: pd.DataFrame) -> None:
    late = of(faulty, told, "late_file")
    delay = pd.to_datetime(late.exported_on) - pd.to_datetime(late.sold_at).dt.tz_localize(None).dt.normalize()
    assert ((delay.dt.days - late.magnitude).abs() <= 1).all()  # the local day may be the one after UTC's
    folders = {row[:10] for row in rows(faulty, "landing/orders")}
    assert set(late.exported_on.astype(str)) <= folders


def test_unknown_members_have_numbers_that_do_not_fit(faulty: Path, told: pd.DataFrame) -> None:
    struck = of(faulty, told, "unknown_member")
    assert (struck.member.str[1:9].astype(int) % 97 != struck.member.str[9:].astype(int)).all()
    honest = landed(faulty)
    rest = honest[~honest.export_id.isin(struck.export_id)]
    assert (rest.member.str[1:9].astype(int) % 97 == rest.member.str[9:].astype(int)).all()


def test_lines_that_come_back_are_only_ever_sent_twice(clean: Path, told: pd.DataFrame) -> None:
    lines = landed(clean)
    back = lines[lines.is_return].export_id - 16
    assert set(told[told.export_id.isin(back)].fault) <= {"exact_duplicate", "near_duplicate"}
