from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.report.conftest import AS_OF, BEFORE, KNOWN, source, write

import write_report
from tenure.config.env import Env
from tenure.config.source import Known
from tenure.contracts.control import CONSERVATION, QUARANTINE, REPLACED
from tenure.errors import Refused, WrongInput
from tenure.lake.release import Release
from tenure.registry.registry import Registry
from tenure.report.facts import Facts
from tenure.report.landed import RuleCount, landed, refuse_other_counts
from tenure.report.members import members
from tenure.report.summary import summary
from write_report import WriteReport


def test_rows_add_up_by_table(found: Facts) -> None:
    (orders,) = found.landed.rows
    assert (orders.landed, orders.silver, orders.duplicates, orders.quarantined, orders.netted) == (10, 6, 1, 2, 1)
    assert orders.add_up


def test_a_rule_says_what_became_of_its_rows(found: Facts) -> None:
    assert {(rule.rule, rule.fate): rule.rows for rule in found.landed.rules} == {
        ("return_without_sale", "quarantined"): 2,
        ("exact_duplicate", "duplicate"): 1,
        ("nothing_moved", "netted"): 1,
        ("fuel", "kept, flagged"): 2,
        ("fuel", "flagged, then quarantined"): 1,
    }
    assert found.landed.rules[0] == RuleCount(
        table="raw_orders", rule="fuel", fate="kept, flagged", rows=2, says="sold by the gallon"
    )


def test_what_each_rule_took_adds_up_to_the_rows_of_that_fate(found: Facts) -> None:
    (orders,) = found.landed.rows
    taken = {
        fate: sum(rule.rows for rule in found.landed.rules if rule.fate == fate)
        for fate in ("duplicate", "quarantined", "netted")
    }
    assert taken == {"duplicate": orders.duplicates, "quarantined": orders.quarantined, "netted": orders.netted}


def test_what_others_counted_stands_beside_what_is_here(found: Facts) -> None:
    held = {figure.says: (figure.theirs, figure.ours, figure.is_explained) for figure in found.landed.held}
    assert held == {
        "lines of fuel": (3, 3, True),  # by a rule
        "products": (4, 3, True),  # by a query, with a reason
        "coupons": (9, None, True),  # not counted, with a reason
        "silent members": (7, 1, False),  # by a query, without one
    }


def _report(shop: tuple[Release, Registry, Path], to: Path, figures: tuple[Known, ...], known_in: str | None) -> None:
    env = Env(work=str(shop[2].parent))
    told = source(figures, known_in)
    write_report.run(WriteReport.model_construct(env=env, source=told, folder=str(to), truth=None, at_risk=1, offers=1))


def test_other_counts_in_the_same_files_are_refused_once_the_report_is_written(
    shop: tuple[Release, Registry, Path], tmp_path: Path
) -> None:
    moved = Known(says="products", rows=4, sql="select count(*) from products", here=2, why="two are no products")
    only = "says: lines of fuel: 3, not 5; products: 3, not 2. Mend"
    with pytest.raises(Refused, match=only) as refused:
        _report(shop, tmp_path, (*KNOWN[1:3], Known(says="lines of fuel", rows=5, rule="fuel"), moved), "b1")
    assert refused.value.exit_code == 3
    assert {path.name for path in tmp_path.iterdir()} == {"report.html", "summary.json"}


@pytest.mark.parametrize("known_in", [None, "of other files"])
def test_figures_of_other_files_refuse_nothing(
    shop: tuple[Release, Registry, Path], tmp_path: Path, known_in: str | None
) -> None:
    _report(shop, tmp_path, KNOWN, known_in)
    assert "not known to have counted in just these files" in (tmp_path / "report.html").read_text()


def test_another_shops_source_is_refused_before_anything_is_written(
    shop: tuple[Release, Registry, Path], tmp_path: Path
) -> None:
    told = source().model_copy(update={"name": "another"})
    env = Env(work=str(shop[2].parent))
    with pytest.raises(WrongInput, match="is of corner_shop, the settings say another: give the same --set source="):
        write_report.run(WriteReport.model_construct(env=env, source=told, folder=str(tmp_path), truth=None))
    assert not list(tmp_path.iterdir())


def test_a_folder_without_a_lake_stays_as_it_is(tmp_path: Path) -> None:
    env = Env(work=str(tmp_path / "misspelt"))
    with pytest.raises(WrongInput, match=r"holds no release yet; run jobs/refresh\.py first"):
        write_report.run(WriteReport.model_construct(env=env, source=source(), folder=None, truth=None))
    assert not list(tmp_path.iterdir())


def test_figures_that_hold_refuse_nothing(shop: tuple[Release, Registry, Path], tmp_path: Path) -> None:
    _report(shop, tmp_path, KNOWN[:3], "b1")
    assert "not known to have counted" not in (tmp_path / "report.html").read_text()


def test_figures_are_not_held_to_once_another_night_landed(
    shop: tuple[Release, Registry, Path], tmp_path: Path
) -> None:
    root, counts = str(tmp_path), {"table": "raw_orders", "landed": 3, "silver": 3, "silver_by_rule": {"fuel": 3}}
    write(root, CONSERVATION, {**counts, "batch_id": "b1"}, {**counts, "batch_id": "b2"})
    write(root, QUARANTINE)
    write(root, REPLACED)
    grown = landed(replace(shop[0], root=root), str, KNOWN[:1], "b1")
    assert [(figure.ours, figure.is_explained) for figure in grown.held] == [(6, False)]
    refuse_other_counts(grown)


def test_a_query_that_gives_no_one_number_is_wrong_input(shop: tuple[Release, Registry, Path]) -> None:
    with pytest.raises(WrongInput, match="not one number"):
        shop[0].figure("select product_id from products")
    with pytest.raises(WrongInput, match="is no query over"):
        shop[0].figure("select count(*) from produce")


def test_members_are_counted_by_stage_at_each_as_of(found: Facts) -> None:
    history = found.members.history
    assert history.as_of == (BEFORE, AS_OF)
    assert history.members["loyalty"].tolist() == [1, 1]
    assert history.newest["conversion"] == 0


def test_members_at_risk_are_active_and_come_highest_score_first(found: Facts) -> None:
    # Member 3 has the highest score, but has been silent for longer than the activity window.
    assert [member.member_key for member in found.members.at_risk] == [4, 2]


def test_expected_leavers_and_spend_at_risk_sum_the_scores_of_the_active(found: Facts) -> None:
    assert (found.members.active, found.members.unscored) == (3, 0)
    assert found.members.expected_to_leave == pytest.approx(0.1 + 0.4 + 0.8)
    assert found.members.spend_at_risk_minor == pytest.approx(0.1 * 10_000 + 0.4 * 20_000 + 0.8 * 40_000)


def test_the_active_are_counted_by_the_release_whoever_has_been_scored(shop: tuple[Release, Registry, Path]) -> None:
    # The answers that are there were written for the release before.
    newer = members(replace(shop[0], release_id="r2"), at_risk=2, offers=3)
    assert (newer.active, newer.unscored, newer.expected_to_leave) == (3, 3, 0)
    assert (newer.at_risk, newer.recommended, newer.offers) == ((), 0, ())


def test_the_last_week_before_as_of_is_the_last_bar(found: Facts) -> None:
    assert found.members.at_risk[1].visits_by_week[-1] == 1
    assert found.members.at_risk[0].visits_by_week.sum() == 0


def test_an_offer_names_products_that_can_be_recommended(found: Facts) -> None:
    (offer,) = found.members.offers
    assert offer.member.member_key == 1
    assert offer.bought == (("OAT MILK", 3),)
    assert offer.items == (("Rye & malt bread", "BAKERY"),)


def test_the_summary_has_these_keys_and_no_others(found: Facts) -> None:
    told = summary(found)
    assert set(told) == {"source", "release", "rows", "models", "serving", "seconds"}
    assert set(told["models"]) == {"churn", "recommender"}
    of_churn = {"version", "rows_train", "rows_test", "metrics", "baselines", "minus_lightgbm", "gate"}
    assert set(told["models"]["churn"]) == of_churn
    assert set(told["models"]["recommender"]) == {"version", "metrics", "baselines", "gate"}


def test_the_summary_has_what_programs_read(found: Facts) -> None:
    told = summary(found)
    assert told["rows"]["raw_orders"] == {"landed": 10, "silver": 6, "duplicates": 1, "quarantined": 2, "netted": 1}
    churn, recommender = told["models"]["churn"], told["models"]["recommender"]
    assert churn["metrics"] == {"roc_auc": 0.75, "average_precision": 0.8, "expected_calibration_error": 0.02}
    assert churn["baselines"] == {"lightgbm": {"roc_auc": 0.76, "average_precision": 0.79}}
    assert churn["minus_lightgbm"] == {"roc_auc": [-0.03, 0.01], "average_precision": [-0.01, 0.02]}
    assert churn["gate"]["champion"] == "logistic_regression"
    assert recommender["metrics"]["new_items"]["ndcg_at_10"] == 0.2
    assert recommender["baselines"]["own_favourites"] == {
        "all_items": {"hit_rate_at_10": 0.3, "ndcg_at_10": 0.3, "recall_at_10": 0.3}
    }
    assert told["serving"] == {"requests": 20, "errors": 0, "p50_ms": 7.5}
    assert told["seconds"] == {"refresh": 80.0, "churn": 61.5}
