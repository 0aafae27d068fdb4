"""What the report says of a shop whose truth is known; expected values are counted by hand from simulated_shop.py."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from math import log2
from pathlib import Path

import numpy as np
import pytest
from tests.unit.report.conftest import AS_OF, BEFORE, PERSON, models, source
from tests.unit.report.simulated_shop import lake, truth

from tenure.contracts.truth import TRUE_STATES
from tenure.errors import WrongInput
from tenure.lifecycle.stages import STAGES
from tenure.report.facts import Facts, facts
from tenure.report.judged import Predictions
from tenure.report.page import page
from tenure.report.summary import summary
from tenure.report.truth.churn import BestChurn, best_churn, expected_auc
from tenure.report.truth.cleaning import JudgedRule, TrueCleaning, overlap
from tenure.report.truth.measures import Measured, minutes_before_closing, seconds_since_the_same
from tenure.report.truth.tastes import taste_ndcg
from tenure.report.truth.told import Told
from tenure.simulation.foresight import Ceiling


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Facts:
    work = tmp_path_factory.mktemp("simulated_shop")
    release, folder = lake(str(work / "lake")), truth(work / "truth")
    registry = models(work / "registry", work / "bundles")
    return facts(release, registry, work, source(), at_risk=1, offers=1, truth_folder=folder)


@pytest.fixture(scope="module")
def told(found: Facts, tmp_path_factory: pytest.TempPathFactory) -> Told:
    return Told(truth(tmp_path_factory.mktemp("truth")), found.release)


@pytest.fixture(scope="module")
def cleaning(found: Facts) -> TrueCleaning:
    assert found.truth
    assert found.truth.cleaning
    return found.truth.cleaning


def rule(cleaning: TrueCleaning, name: str) -> JudgedRule:
    return next(judged for judged in cleaning.rules if judged.rule == name)


def test_of_two_equal_rows_one_is_to_be_taken_and_an_honest_one_is_not(cleaning: TrueCleaning) -> None:
    judged = rule(cleaning, "exact_duplicate")
    assert (judged.injected, judged.touched, judged.found) == (3, 4, 3)
    assert (judged.precision, judged.recall) == (3 / 4, 1.0)
    assert judged.separable
    assert not judged.is_met


def test_a_fault_that_stayed_in_silver_was_not_found(cleaning: TrueCleaning) -> None:
    judged = rule(cleaning, "product_unknown")
    assert (judged.precision, judged.recall) == (1.0, 2 / 3)


def test_an_honest_return_is_no_false_positive_where_its_sale_was_struck(cleaning: TrueCleaning) -> None:
    judged = rule(cleaning, "return_without_sale")
    # 160 came back without a sale, 170 without its own, which was struck, 190 though all was well.
    assert (judged.injected, judged.touched, judged.found, judged.consequences) == (1, 3, 1, 1)
    assert (judged.false_positives, judged.precision, judged.recall) == (1, 1 / 2, 1.0)
    assert all(other.consequences == 0 for other in cleaning.rules if other is not judged)


def test_a_rule_that_only_marks_is_judged_by_its_marks(cleaning: TrueCleaning) -> None:
    judged = rule(cleaning, "quantity_beyond_reason")
    assert (judged.injected, judged.touched, judged.found) == (2, 2, 1)  # 50 units of a fault, 40 of an honest line
    assert not judged.separable
    assert judged.f1 == 0.5


def test_a_limit_on_units_is_a_trade(cleaning: TrueCleaning) -> None:
    curve = rule(cleaning, "quantity_beyond_reason").overlap
    assert curve
    assert curve.curve.x.tolist()[:3] == [0.5, 0.5, 1.0]  # above 50, above 40, above 5 units
    assert curve.curve.y.tolist()[:3] == pytest.approx([1, 1 / 2, 2 / 3])


def test_what_no_rule_is_for_has_none(cleaning: TrueCleaning) -> None:
    assert {judged.rule for judged in cleaning.rules} == {
        *("exact_duplicate", "product_unknown", "quantity_beyond_reason", "near_duplicate", "clock_wrong"),
        "return_without_sale",
    }


def test_rows_in_which_nothing_is_wrong_are_followed(cleaning: TrueCleaning) -> None:
    clean = cleaning.clean
    # 10, 30, 80, 90, 100, 120, 180, 190, and one of each two that are 20, 150 and 170
    assert clean.landed == 11
    assert clean.taken == {"exact_duplicate": 1, "return_without_sale": 2, "taken_back_same_day": 1}
    assert clean.lost == 1
    assert (clean.late, clean.late_taken) == (1, {})
    assert (clean.sale_struck, clean.sale_struck_taken) == (2, {"return_without_sale": 1})  # 200 is wrong itself


def test_seconds_run_from_the_same_line_of_another_order(found: Facts) -> None:
    near = seconds_since_the_same(found.release)
    # 110 a minute after 10, 120 another 200 s after 90; 50 two hours after 40.
    assert dict(zip(near.export_id.tolist(), near.size.tolist(), strict=True)) == {110: -60, 120: -200, 50: -7200}


def test_the_hour_is_the_shop_s_own(found: Facts) -> None:
    early = minutes_before_closing(found.release)
    size = dict(zip(early.export_id.tolist(), early.size.tolist(), strict=True))
    assert size[130] == 21 * 60  # one o'clock in UTC is three in Berlin
    assert size[10] == 12 * 60


def test_the_best_rule_knows_what_looks_alike() -> None:
    # Two faulty rows and two honest ones: cell 7 is all faulty, cell 8 half, cell 9 not at all.
    measured = Measured(
        export_id=np.array([1, 2, 3, 4]), size=np.array([1.0, 2.0, 3.0, 0.0]), cell=np.array([7, 8, 8, 9])
    )
    found = overlap("anything", measured, np.array([1, 2]))
    assert found.best == pytest.approx(2 * (2 / 3) / (2 / 3 + 1))  # both faulty ones for one honest one
    assert found.best_at == pytest.approx((1, 2 / 3))


def test_a_faulty_row_that_no_limit_reaches_counts_as_missed() -> None:
    measured = Measured(export_id=np.array([1]), size=np.array([1.0]), cell=np.array([0]))
    assert overlap("anything", measured, np.array([1, 2])).curve.x.tolist() == [0.5]


def test_expected_auc_weighs_pairs_by_how_likely_they_come_apart() -> None:
    # Silent and talking: .8 and .6 the right way round, .4 and .2 the other.
    assert expected_auc(np.array([0.8, 0.4])) == pytest.approx(0.48 / 0.56)
    assert expected_auc(np.array([0.5, 0.5])) == pytest.approx(0.5)
    assert expected_auc(np.array([1.0, 0.0])) == 1
    assert expected_auc(np.ones(3)) == 0.5


def test_expected_auc_is_the_simulation_s_ceiling() -> None:
    chance = np.random.default_rng(3).beta(0.5, 1.5, 4000).round(3)
    ceiling = Ceiling()
    ceiling.add(chance)
    assert expected_auc(chance) == pytest.approx(ceiling.auc, abs=1e-4)


def test_the_best_auc_is_of_the_judged_rows(found: Facts) -> None:
    assert found.truth
    best = found.truth.churn
    assert best
    assert (best.rows, best.of) == (4, 4)
    # Four pairs of .6 and .4, right by .6 * .6 and wrong by .4 * .4; two of equal chances, either way round, half.
    assert best.given_history == pytest.approx((4 * 0.36 + 0.48) / (4 * 0.36 + 4 * 0.16 + 4 * 0.24))
    # Chances .8 .4 1 0: silent and talking pairs (1: .2 .6 1, .8: .6 1, .4: 1 right; .4 and .8, .08 wrong).
    right = 1 * (0.2 + 0.6 + 1) + 0.8 * (0.6 + 1) + 0.4 * 1
    assert best.given_hidden == pytest.approx(right / (right + 0.4 * 0.2))
    assert best.scores["given_hidden"] == pytest.approx(1.0)  # members 1 and 3 were silent
    assert best.scores["model"] == pytest.approx(0.75)


def test_the_true_event_stands_beside_the_label(found: Facts) -> None:
    assert found.truth
    assert found.truth.churn
    event = found.truth.churn.event
    assert event
    assert (event.rows, event.silent_by_label_alone, event.silent_in_truth_alone) == (4, 1, 0)  # member 3 ordered
    assert event.differ == 0.25
    assert event.scores["model"] == pytest.approx(1.0)  # member 1, whom the model puts first
    assert event.scores["given_hidden"] == pytest.approx(2 / 3)  # below member 3, above 2 and 4


def test_a_model_is_held_against_the_bounds_on_their_own_rows(found: Facts) -> None:
    assert found.truth
    best = found.truth.churn
    assert best
    assert best.event
    assert best.of_model == pytest.approx(1.0)
    part = replace(best, event=replace(best.event, rows=3))
    assert part.of_model == pytest.approx(0.75)  # on the label, which all four rows have


def test_rows_without_a_true_state_are_left_out(told: Told) -> None:
    predicted = Predictions(
        member_key=np.array([9, 4, 3, 2, 1]),  # 9 is nobody
        as_of=np.full(5, (BEFORE - date(1970, 1, 1)).days),
        label=np.array([0.0, 0.0, 1.0, 0.0, 1.0]),
        is_unseen=np.zeros(5, dtype=bool),
        scores={"model": np.array([0.9, 0.8, 0.3, 0.2, 0.4])},
    )
    best = best_churn(told, predicted)
    assert best
    assert (best.rows, best.of) == (4, 5)
    assert best.scores["given_hidden"] == pytest.approx(1.0)
    assert best.scores["model"] == pytest.approx(0.5)  # 4 above 1 and 3, which are above 2


def test_how_far_a_model_came_starts_from_chance() -> None:
    best = BestChurn(rows=1, of=1, given_hidden=0.9, given_history=0.8, scores={})
    assert best.reached(0.7) == pytest.approx(0.5)
    assert best.reached(0.8, best.given_history) == pytest.approx(1)


def test_stages_are_counted_by_the_true_one_and_the_one_told(found: Facts) -> None:
    assert found.truth
    stages = found.truth.stages
    assert stages
    assert stages.as_of == AS_OF
    assert stages.members.sum() == 4
    assert stages.members[STAGES.index("retention"), STAGES.index("lapsed")] == 1
    assert stages.accuracy == 0.75


def test_taste_is_graded_by_the_share_of_an_item_s_category() -> None:
    share = np.array([[0.75, 0.25], [0.75, 0.25]])
    items = np.array([1, 1])  # in each category
    ideal = 0.75 + 0.25 / log2(3)
    asked = np.array([[1, *[-1] * 9], [0, 1, *[-1] * 8]])
    assert taste_ndcg(share, asked, items).tolist() == pytest.approx([0.25 / ideal, 1])


def test_ten_of_the_favourite_category_are_the_ideal_where_it_has_ten() -> None:
    share = np.array([[0.6, 0.4]])
    assert taste_ndcg(share, np.zeros((1, 10), int), np.array([10, 10])).tolist() == pytest.approx([1])
    assert taste_ndcg(share, np.ones((1, 10), int), np.array([10, 10])).tolist() == pytest.approx([0.4 / 0.6])


def test_recommendations_stand_beside_what_most_members_bought(found: Facts) -> None:
    assert found.truth
    tastes = found.truth.tastes
    assert tastes
    first, second = 1.0, 1 / log2(3)
    ideals = (0.75 * first + 0.25 * second, 0.5 * first + 0.5 * second)
    # New: member 1 is offered the bakery's p2, which is also the most popular item that is new to them; member 2 has
    # bought all there is, and is offered nothing.
    assert tastes.members == 2
    assert tastes.recommended["new_items"] == pytest.approx((0.25 / ideals[0] + 0) / 2)
    assert tastes.popular["new_items"] == pytest.approx((0.25 / ideals[0] + 0) / 2)
    assert tastes.recommended["all_items"] == pytest.approx((1 + 0.5 / ideals[1]) / 2)
    assert tastes.popular["all_items"] == pytest.approx(1)


def test_the_summary_tells_the_truth_s_figures(found: Facts) -> None:
    told = json.loads(json.dumps(summary(found)))["truth"]
    assert told["best_roc_auc"] == found.truth.churn.given_hidden
    assert told["cleaning"]["product_unknown"] == {
        "separable": True, "injected": 3, "consequences": 0, "false_positives": 0, "precision": 1.0, "recall": 2 / 3,
        "goal_met": False,
    }  # fmt: skip
    of_units = told["cleaning"]["quantity_beyond_reason"]
    assert (of_units["precision"], of_units["recall"], of_units["f1_of_best"]) == (0.5, 0.5, 0.5)
    assert (of_units["best_precision"], of_units["best_recall"], of_units["best_f1"]) == (1.0, 1.0, 1.0)
    assert of_units["false_positives"] == 1  # 40 honest units
    assert told["cleaning"]["return_without_sale"]["consequences"] == 1
    assert told["clean_rows"]["taken"] == {"exact_duplicate": 1, "return_without_sale": 2, "taken_back_same_day": 1}
    assert told["clean_rows"]["sale_struck_taken"] == {"return_without_sale": 1}
    assert told["stages"] == {
        "as_of": str(AS_OF),
        "accuracy": 0.75,
        "members": {
            "activation": {"activation": 1}, "retention": {"lapsed": 1},
            "loyalty": {"loyalty": 1}, "lapsed": {"lapsed": 1},
        },
    }  # fmt: skip
    assert told["churn"]["true_event"]["differ"] == 0.25
    assert told["churn"]["true_event"]["roc_auc"]["model"] == pytest.approx(1.0)
    assert told["taste_ndcg_at_10"] == found.truth.tastes.recommended["new_items"]
    assert told["clean_rows"]["lost"] == 1
    assert PERSON not in json.dumps(summary(found))


def test_the_page_has_a_section_on_truth_and_no_raw_id(found: Facts) -> None:
    html = page(found)
    assert '<section id="truth">' in html
    assert "count neither as found nor as other rows: 1 (return without sale 1)" in html
    assert PERSON not in html
    assert "nan" not in html.lower()
    assert "None" not in html


def test_members_go_by_their_pseudonym_alone(told: Told) -> None:
    rows = told.of_members(TRUE_STATES, ["stage"], [AS_OF])
    assert sorted(rows.column_names) == ["member_key", "stage"]
    assert sorted(rows["member_key"].to_pylist()) == [1, 2, 3, 4]


def test_a_folder_without_truth_is_refused(found: Facts, tmp_path: Path) -> None:
    with pytest.raises(WrongInput, match="holds no truth"):
        Told(tmp_path, found.release)
