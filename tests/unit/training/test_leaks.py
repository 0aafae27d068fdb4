"""Every leak here is planted: each test first sees the honest rows pass."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tests.visiting_shop import GRID, SHOP, Row, VisitingShop, open_shop

from tenure.contracts.table import Table
from tenure.errors import Refused
from tenure.models.inputs import Inputs, fit_inputs
from tenure.models.rows import MemberRows, joined
from tenure.tasks.churn import CHURN
from tenure.training.data import Examples
from tenure.training.leaks import refuse_future, refuse_other_inputs, refuse_telling, refuse_wide_windows
from tenure.training.prepare import Ready, prepare

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def honest(shop: VisitingShop) -> Ready:
    return prepare(shop.settings())


def spoiled(folder: Path, **columns: Any) -> VisitingShop:
    """The shop with columns of features computed anew from the honest row, which knows its label."""

    def change(row: Row) -> Row:
        return {**row, **{name: compute(row) for name, compute in columns.items()}}

    return open_shop(folder, change=change)


def test_honest_rows_pass(honest: Ready):
    assert honest.survey.rows["train"] > 1000


def test_the_label_copied_into_a_feature_is_refused_by_its_name(tmp_path: Path):
    shop = spoiled(tmp_path, mean_basket_minor=lambda row: row["label"])
    with pytest.raises(Refused, match=r"mean_basket_minor alone ranks the training rows with a ROC AUC of 1\.000"):
        prepare(shop.settings())


@pytest.mark.parametrize("noise", [0.2, 0.4])
def test_the_label_with_noise_is_refused_by_its_name(tmp_path: Path, noise: float):
    shop = spoiled(tmp_path, mean_basket_minor=lambda row: row["label"] + RNG.normal(0, noise))
    with pytest.raises(Refused, match="mean_basket_minor alone ranks the training rows"):
        prepare(shop.settings())


def test_a_label_hidden_in_a_word_is_refused_by_its_name(tmp_path: Path):
    shop = spoiled(tmp_path, stage=lambda row: "lapsed" if row["label"] else "loyalty")
    with pytest.raises(Refused, match="stage alone ranks the training rows"):
        prepare(shop.settings())


@pytest.mark.parametrize("column", ["visits_28d", "spend_minor_28d"])
def test_a_window_one_day_too_long_is_refused(honest: Ready, column: str):
    rows = honest.survey.train.rows
    more = np.zeros(len(rows), np.int64)
    more[5] = 1  # of the day of as_of itself
    place = rows.features.column_names.index(column)
    longer = rows.features.set_column(place, column, pa.array(rows.features[column].to_numpy() + more))
    undone = MemberRows(rows.features, rows.events.slice(0, 0), np.zeros(len(rows) + 1, np.int64))
    refuse_wide_windows(rows, undone, SHOP.windows_days)
    with pytest.raises(Refused, match=rf"1 of .* rows have another {column} than visits in those days"):
        refuse_wide_windows(MemberRows(longer, rows.events, rows.offsets), undone, SHOP.windows_days)


@pytest.mark.parametrize("window", SHOP.windows_days)
def test_money_of_a_window_one_day_too_long_stops_a_training(tmp_path: Path, window: int):
    name = f"spend_minor_{window}d"
    shop = spoiled(tmp_path, **{name: lambda row: row[name] + 500 * (row["visits_7d"] == 2)})
    with pytest.raises(Refused, match=f"have another {name} than visits in those days"):
        prepare(shop.settings())


def test_a_window_that_says_what_it_knew_is_refused_for_that(tmp_path: Path):
    shop = spoiled(tmp_path, newest_known_on=lambda row: row["as_of"])
    with pytest.raises(Refused, match=r"became known on their as_of or later \(newest_known_on\)"):
        prepare(shop.settings())


def test_a_last_visit_on_the_day_itself_is_refused(tmp_path: Path):
    shop = spoiled(tmp_path, days_since_last_visit=lambda row: row["days_since_last_visit"] - (row["visits_7d"] > 2))
    with pytest.raises(Refused, match="have a days_since_last_visit that is not that of their last visit"):
        prepare(shop.settings())


def test_a_leak_in_test_rows_is_refused_as_well(tmp_path: Path):
    def newest(row: Row) -> date:
        return row["as_of"] if row["as_of"] == GRID[14] else row["newest_known_on"]

    with pytest.raises(Refused, match="newest_known_on"):
        prepare(spoiled(tmp_path, newest_known_on=newest).settings())


def test_labels_beyond_the_last_complete_day_are_refused(honest: Ready):
    examples = honest.survey.train
    day = date(1970, 1, 1) + timedelta(days=int(examples.matured_at.max()))
    refuse_future(examples, day)
    with pytest.raises(Refused, match="look past the last complete day"):
        refuse_future(examples, day - timedelta(days=1))


def test_visits_known_on_the_day_itself_are_refused(honest: Ready):
    examples = honest.survey.train
    place = examples.rows.events.column_names.index("known_on")
    late = pa.array([date(2025, 12, 31)] * len(examples.rows.events), pa.date32())
    rows = MemberRows(
        examples.rows.features, examples.rows.events.set_column(place, "known_on", late), examples.rows.offsets
    )
    with pytest.raises(Refused, match="hold visits that became known on their as_of or later"):
        refuse_future(type(examples)(rows, examples.labels, examples.matured_at), date(2026, 12, 31))


@pytest.mark.parametrize("by", ["time", "member"])
def test_a_scaler_fitted_on_all_rows_is_refused(
    shop: VisitingShop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, by: str
):
    (tmp_path / "member_key_secret").write_text("a secret")
    settings = shop.settings(split={"by": by}, env={**shop.env.model_dump(), "secrets": str(tmp_path)})
    validation = prepare(settings).survey.validation.rows

    def on_all_rows(rows: MemberRows, table: Table, **how: Any) -> Inputs:
        return fit_inputs(joined([rows, validation]), table, **how)

    monkeypatch.setattr("tenure.training.prepare.fit_inputs", on_all_rows)
    says = {
        "time": f"as late as {GRID[11]}, validation begins {GRID[10]}",
        "member": "rows, numbers, visits of the inputs are not those of the training rows",
    }
    with pytest.raises(Refused, match=says[by]):
        prepare(settings)


def test_rows_of_validation_among_those_that_scaling_is_fitted_on_are_refused(honest: Ready):
    both = (honest.survey.train, honest.survey.validation)
    mixed = Examples(
        joined([part.rows for part in both]),
        np.concatenate([part.labels for part in both]),
        np.concatenate([part.matured_at for part in both]),
    )
    with pytest.raises(Refused, match="that scaling and words are fitted on do not belong to the training part"):
        replace(honest, survey=replace(honest.survey, train=mixed))


def test_a_bundle_with_other_scaling_than_was_checked_is_refused(honest: Ready):
    baseline = honest.inputs.model_copy(update={"encoding": "standard", "visits": None})
    refuse_other_inputs(baseline, honest.inputs)
    narrower = baseline.model_copy(update={"numbers": baseline.numbers[1:]})
    with pytest.raises(Refused, match="numbers of a bundle's inputs are not those that were checked"):
        refuse_other_inputs(narrower, honest.inputs)


def test_nothing_fitted_reads_validation_or_test(honest: Ready, tmp_path: Path):
    later = GRID[10]

    def change(row: Row) -> Row:
        return {**row, "mean_basket_minor": 1e9, "stage": "never seen"} if row["as_of"] >= later else row

    assert prepare(open_shop(tmp_path, change=change).settings()).inputs == honest.inputs


def test_one_outcome_alone_cannot_be_learnt(honest: Ready):
    examples = honest.survey.train
    quiet = type(examples)(examples.rows, np.zeros(len(examples)), examples.matured_at)
    with pytest.raises(Refused, match="one outcome only"):
        refuse_telling(quiet, honest.inputs, CHURN)


def test_few_rows_are_not_accused(tmp_path: Path):
    assert prepare(open_shop(tmp_path, members=6, seed=4).settings()).survey.rows["train"] < 60
