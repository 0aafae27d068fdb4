from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.unit.simulation.numbers import made_of
from tests.unit.simulation.small_shop import rows, small_shop, table

from tenure.config.usual_rules import MISREAD
from tenure.contracts.truth import LATE_FILE, SALE_STRUCK
from tenure.simulation.calendar import Calendar
from tenure.simulation.catalogue import Catalogue
from tenure.simulation.faults import COPY, KINDS, STRAY, TWIN, _Bought
from tenure.simulation.numbering import LINES_AN_ORDER
from tenure.simulation.simulate import simulate

SIZE = (
    *("members=400", "days=50", "returns.share=0.2"),
    *("faults.return_without_sale=0.01", "faults.negative_price=0.004", "faults.late_day=0.05"),
    *("faults.near_duplicate=0.006", "faults.key_duplicate=0.006"),
)
ON_SALES_ALONE = {"near_duplicate", "out_of_range", "negative_price", "return_without_sale"}
# Faults after which a sale is not found where it was, or not in time.
MOVING = {
    *("gap", "out_of_range", "negative_price", "mistyped", "broken_encoding", LATE_FILE, "clock_skew"),
    *("unknown_member", "unknown_product"),
}


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clean")
    simulate(small_shop(folder, *SIZE))
    return folder


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faulty")
    simulate(small_shop(folder, *SIZE, "faults.strength=2"))
    return folder


@pytest.fixture(scope="module")
def told(faulty: Path) -> pd.DataFrame:
    return table(faulty / "truth", "true_faults").to_pandas()


def test_a_small_catalogue_is_spoiled_like_a_large_one(tmp_path: Path) -> None:
    more = [f"faults.{kind}=0.05" for kind in ("gap", "unknown_product", "return_without_sale")]
    simulate(small_shop(tmp_path, "days=20", "catalogue.products=100", "faults.strength=1", *more))
    told = table(tmp_path / "truth", "true_faults").to_pandas()
    assert {"gap", "unknown_product", "return_without_sale"} <= set(told.fault)
    struck = of(tmp_path, told, "unknown_product")
    assert struck.sku.str.startswith("P9").all()


def landed(folder: Path) -> pd.DataFrame:
    lines = table(folder / "landing", "orders").to_pandas()
    return lines.assign(
        units=pd.to_numeric(lines.units, errors="coerce"), amount=pd.to_numeric(lines.amount, errors="coerce")
    )


def test_every_kind_of_fault_is_told(told: pd.DataFrame) -> None:
    assert set(told.fault) == {*KINDS, SALE_STRUCK}


def test_rows_of_which_no_fault_is_told_are_the_clean_ones(clean: Path, faulty: Path, told: pd.DataFrame) -> None:
    columns = ["export_id", "order_no", "member", "sku", "units", "amount", "store", "is_return", "exported_on"]
    told = told[told.fault != SALE_STRUCK]  # nothing is wrong with those
    honest = landed(clean)[columns]
    spoiled = landed(faulty)[columns]
    on_their_way = ~honest.export_id.isin(spoiled.export_id)  # late, and due after the last day
    assert on_their_way.mean() < 0.02
    assert honest[on_their_way].exported_on.astype(str).min() > "2025-02-01"
    untouched = spoiled[~spoiled.export_id.isin(told.export_id)].sort_values("export_id", ignore_index=True)
    theirs = honest[~honest.export_id.isin(told.export_id) & ~on_their_way].sort_values("export_id", ignore_index=True)
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


def pairs_with_their_first(faulty: Path, told: pd.DataFrame, fault: str, beyond: int) -> pd.DataFrame:
    """The rows that a fault made up, each with the honest row that it repeats under ``_first``."""
    made_up = of(faulty, told, fault).assign(made=lambda rows: made_of(rows.export_id, "export_id") - beyond)
    lines = landed(faulty).assign(made=lambda rows: made_of(rows.export_id, "export_id"))
    pairs = made_up.merge(lines, on="made", suffixes=("", "_first"))
    assert len(pairs) == len(made_up) >= 10
    return pairs


def test_key_duplicates_differ_in_the_amount_alone_and_the_dearer_one_is_told(faulty: Path, told: pd.DataFrame) -> None:
    pairs = pairs_with_their_first(faulty, told, "key_duplicate", COPY)
    for column in ("order_no", "member", "sku", "units", "sold_at", "store", "is_return", "exported_on"):
        assert (pairs[column].astype(str) == pairs[f"{column}_first"].astype(str)).all(), column
    assert (pairs.amount.abs() > pairs.amount_first.abs()).all()
    assert ((pairs.amount < 0) == pairs.is_return).all()
    assert set(told[told.export_id.isin(pairs.export_id_first)].fault) <= {LATE_FILE, SALE_STRUCK}  # right ones


@pytest.mark.parametrize(
    ("fault", "column"),
    [
        *(("gap", column) for column in ("sku", "units", "amount", "sold_at")),
        *(("mistyped", column) for column in ("units", "amount", "sold_at")),
    ],
)
def test_gaps_and_slips_of_the_pen_cannot_be_read(faulty: Path, told: pd.DataFrame, fault: str, column: str) -> None:
    struck = of(faulty, told, fault)
    values = struck[struck.column == column][column]
    assert len(values)
    read = pd.to_datetime(values, utc=True, format="ISO8601", errors="coerce") if column == "sold_at" else values
    assert read.isna().all()


def test_units_out_of_range_reach_among_honest_ones(clean: Path, faulty: Path, told: pd.DataFrame) -> None:
    struck = of(faulty, told, "out_of_range")
    assert struck.units.min() < landed(clean).units.max() < struck.units.max()


# What each letter beyond ASCII becomes.
MISREADINGS = {
    "UTF-8 as Windows-1252": {"ü": "Ã¼", "ö": "Ã¶", "ß": "ÃŸ"},
    "the same twice over": {"ü": "ÃƒÂ¼", "ö": "ÃƒÂ¶", "ß": "ÃƒÅ¸"},
    "Latin-1 as UTF-8": {"ü": "\ufffd", "ö": "\ufffd", "ß": "\ufffd"},
}


def beside_honest(clean: Path, faulty: Path, told: pd.DataFrame, fault: str) -> pd.DataFrame:
    """The struck lines, each with its honest self under ``_honest``."""
    return of(faulty, told, fault).merge(landed(clean), on="export_id", suffixes=("", "_honest"))


def test_a_negative_price_is_the_honest_one_turned_round(clean: Path, faulty: Path, told: pd.DataFrame) -> None:
    struck = beside_honest(clean, faulty, told, "negative_price")
    assert len(struck) > 10
    assert np.allclose(struck.amount, -struck.amount_honest.clip(lower=0.01))


def test_a_broken_text_is_the_honest_one_with_letters_that_were_misread(
    clean: Path, faulty: Path, told: pd.DataFrame
) -> None:
    struck = beside_honest(clean, faulty, told, "broken_encoding")
    seen = set()
    for store, honest in zip(struck.store.astype(str), struck.store_honest.astype(str), strict=True):
        (way,) = {name for name, letters in MISREADINGS.items() if honest.translate(str.maketrans(letters)) == store}
        seen.add(way)
        assert re.search(MISREAD, store)
    assert seen == set(MISREADINGS)


def test_a_name_of_plain_letters_cannot_break(tmp_path: Path) -> None:
    plain = ("sessions.stores={web: 0.5, Blüte: 0.5}", "faults.broken_encoding=0.2", "feeds=[orders]", "days=20")
    simulate(small_shop(tmp_path, *plain, "faults.strength=1"))
    struck = of(tmp_path, table(tmp_path / "truth", "true_faults").to_pandas(), "broken_encoding")
    assert len(struck)
    assert not struck.store.isin({"web", "Blüte"}).any()
    assert struck.store.str.startswith("Bl").all()


def test_a_wrong_clock_is_wrong_by_what_is_told_to_either_side(clean: Path, faulty: Path, told: pd.DataFrame) -> None:
    struck = beside_honest(clean, faulty, told, "clock_skew")
    off = pd.to_datetime(struck.sold_at, utc=True, format="ISO8601") - pd.to_datetime(struck.sold_at_honest, utc=True)
    assert np.allclose(off.dt.total_seconds() / 60, struck.magnitude, atol=1e-3)
    assert struck.magnitude.min() < -60 < 60 < struck.magnitude.max()
    assert struck.magnitude.abs().min() < 60  # less than an hour, which no rule could tell


def test_a_near_duplicate_is_the_same_line_a_little_later_under_another_number(
    faulty: Path, told: pd.DataFrame
) -> None:
    pairs = pairs_with_their_first(faulty, told, "near_duplicate", TWIN)
    for column in ("member", "sku", "units", "amount", "store"):
        assert (pairs[column].astype(str) == pairs[f"{column}_first"].astype(str)).all(), column
    assert (pairs.order_no != pairs.order_no_first).all()
    later = pd.to_datetime(pairs.sold_at, utc=True, format="ISO8601") - pd.to_datetime(
        pairs.sold_at_first, utc=True, format="ISO8601"
    )
    seconds = later.dt.total_seconds()
    assert seconds.between(0, 3600).all()
    assert (seconds <= pairs.magnitude + 1e-3).all()  # never after midnight
    assert np.isclose(seconds, pairs.magnitude, atol=1e-3).mean() > 0.9


def test_late_rows_land_on_the_day_on_which_they_come(faulty: Path, told: pd.DataFrame) -> None:
    late = of(faulty, told, LATE_FILE)
    delay = pd.to_datetime(late.exported_on) - pd.to_datetime(late.sold_at).dt.tz_localize(None).dt.normalize()
    assert ((delay.dt.days - late.magnitude).abs() <= 1).all()  # the local day may be the one after UTC's
    folders = {row[:10] for row in rows(faulty, "landing/orders")}
    assert set(late.exported_on.astype(str)) <= folders


def test_only_what_landed_is_told_and_on_its_day(faulty: Path, told: pd.DataFrame) -> None:
    lines = landed(faulty)
    there = set(zip(lines.export_id, lines.exported_on, strict=True))
    assert set(zip(told.export_id, told.landed_on, strict=True)) <= there
    assert told.landed_on.astype(str).max() == "2025-02-19"  # the last day


def test_a_stores_whole_file_of_a_day_may_come_later(clean: Path, faulty: Path, told: pd.DataFrame) -> None:
    honest = landed(clean).set_index("export_id")[["store", "exported_on"]].astype(str)
    came = landed(faulty).drop_duplicates("export_id").set_index("export_id").exported_on.astype(str)
    lines = honest.join(came.rename("came"), how="inner")
    late = lines.assign(is_late=lines.came > lines.exported_on).groupby(["store", "exported_on"])
    whole = late.is_late.agg(["all", "size"]).query("all and size > 20")
    assert len(whole) > 0
    struck = told[told.export_id.isin(lines[lines.came > lines.exported_on].index)]
    assert len(set(struck.fault) - {LATE_FILE, SALE_STRUCK}) > 1  # what is wrong in the file comes later with it


def test_what_comes_back_without_a_sale_was_never_bought_and_looks_like_other_returns(
    clean: Path, faulty: Path, told: pd.DataFrame
) -> None:
    stray, honest = of(faulty, told, "return_without_sale"), landed(clean)
    sales = honest[~honest.is_return]
    day = sales.set_index(made_of(sales.export_id, "export_id")).exported_on  # a stray one is of the day of a sale
    on = day.loc[made_of(stray.export_id, "export_id") - STRAY]
    for member, sku, came in zip(stray.member, stray.sku, on, strict=True):
        assert (sales[(sales.member == member) & (sales.sku == sku)].exported_on > came).all()
    assert stray.is_return.all()
    assert (stray.units == -stray.magnitude).all()
    assert (stray.units == -1).mean() > 0.5
    assert stray.units.min() < -4
    assert (stray.amount / stray.units).between(0.5, 1000).all()
    catalogue = set(table(faulty / "landing", "products")["sku"].to_pylist())
    assert set(stray.sku) <= catalogue


def test_what_was_ever_bought_is_remembered_once(tmp_path: Path) -> None:
    story = small_shop(tmp_path)
    bought = _Bought(Catalogue(story, Calendar(story)))
    for _ in range(3):
        bought.add(np.array([7, 2, 7, 7]), np.array([5, 0, 5, 299]))
    asked = bought.has(np.array([2, 7, 7, 2, 7]), np.array([0, 5, 299, 5, 0]))
    assert asked.tolist() == [True, True, True, False, False]
    assert len(bought._pairs) == 3 + 1  # and one beyond all


def test_nobody_has_the_number_of_an_unknown_member_whether_its_check_digits_fit_or_not(
    faulty: Path, told: pd.DataFrame
) -> None:
    struck = of(faulty, told, "unknown_member")
    registered = set(table(faulty / "landing", "members")["member"].to_pylist())
    assert registered.isdisjoint(struck.member)
    fits = struck.member.str[1:9].astype(int) % 97 == struck.member.str[9:].astype(int)
    assert 0.3 < fits.mean() < 0.7
    honest = landed(faulty)
    assert registered.issuperset(honest[~honest.export_id.isin(struck.export_id)].member)


def numbers(export_ids: pd.Series) -> np.ndarray:
    """The lines that rows are about, made up ones too, by their numbers within the simulation."""
    return made_of(export_ids, "export_id") % COPY


def test_lines_that_come_back_are_struck_as_often_as_others(clean: Path, told: pd.DataFrame) -> None:
    lines = landed(clean)
    line = numbers(lines.export_id)
    comes_back = np.isin(line + LINES_AN_ORDER, line[lines.is_return])[~lines.is_return]
    single = told[~told.fault.isin({LATE_FILE, SALE_STRUCK})]  # a store's late file strikes many at once
    is_struck = np.isin(line[~lines.is_return], numbers(single.export_id))
    share, other = is_struck[comes_back].mean(), is_struck[~comes_back].mean()
    assert comes_back.sum() > 500
    assert abs(share - other) < 3 * np.sqrt(other * (1 - other) / comes_back.sum())


def test_returns_are_struck_by_what_can_strike_a_return(faulty: Path, told: pd.DataFrame) -> None:
    lines = landed(faulty)
    honest = lines[lines.is_return & ~lines.export_id.isin(told[told.fault == "return_without_sale"].export_id)]
    struck = set(told[told.export_id.isin(honest.export_id)].fault) - {SALE_STRUCK}
    assert {"gap", "unknown_member", LATE_FILE} < struck
    assert struck.isdisjoint(ON_SALES_ALONE)


def test_exactly_the_returns_of_struck_sales_are_told_so(tmp_path: Path) -> None:
    simulate(small_shop(tmp_path, *SIZE, "faults.late_day=0", "faults.strength=3", "returns.share=0.5"))
    told, lines = table(tmp_path / "truth", "true_faults").to_pandas(), landed(tmp_path)
    moved = numbers(told[told.fault.isin(MOVING)].export_id)
    back = lines[lines.is_return & (made_of(lines.export_id, "export_id") < COPY)]  # none that was made up
    orphans = told[told.fault == SALE_STRUCK]
    sale = numbers(back.export_id) - LINES_AN_ORDER
    is_on_its_way = ~np.isin(sale, numbers(lines.export_id))  # due after the last day
    assert set(orphans.export_id) == set(back[np.isin(sale, moved) | is_on_its_way].export_id)
    assert len(orphans) > 20
    assert set(orphans.rule) == {"none"}
    assert not orphans.is_separable.any()
    others = told[told.fault != SALE_STRUCK].export_id
    assert orphans.export_id.isin(others).any()  # with a fault of its own beside it


def test_a_return_in_a_stores_late_file_is_told_of_its_struck_sale_there(tmp_path: Path) -> None:
    simulate(small_shop(tmp_path, *SIZE, "faults.late_day=0.5", "faults.strength=1"))
    told, lines = table(tmp_path / "truth", "true_faults").to_pandas(), landed(tmp_path)
    orphans = told[told.fault == SALE_STRUCK]
    late = orphans[orphans.export_id.isin(told[told.fault == LATE_FILE].export_id)]
    assert len(late)
    came = lines.drop_duplicates("export_id").set_index("export_id").exported_on
    assert (late.landed_on.to_numpy() == came.loc[late.export_id].to_numpy()).all()
