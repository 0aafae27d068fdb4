from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from tests.unit.report.conftest import PERSON

from tenure.registry.manifest import Gate
from tenure.report.facts import Facts
from tenure.report.html import compare
from tenure.report.page import page

VOID = {"meta", "br", "img", "input", "link", "hr"}


@pytest.fixture(scope="module")
def html(found: Facts) -> str:
    return page(found)


class _Balance(HTMLParser):
    """Which elements stand open."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        """Closed in itself, as many of SVG's elements are."""

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.smoke
def test_the_page_is_whole(html: str) -> None:
    balance = _Balance()
    balance.feed(html)
    assert balance.open == []
    assert len(re.findall(r"<section ", html)) == 6


def test_the_page_needs_nothing_but_itself(html: str) -> None:
    assert not re.search(r"""(src|href)=["'](?!#)|url\(|@import|<script""", html)


def test_no_raw_id_is_on_the_page(html: str) -> None:
    assert PERSON not in html


def test_the_page_says_so_where_the_model_before_it_answers(found: Facts) -> None:
    gate = Gate(passed=False, champion="champion", reasons=("roc_auc: worse",))
    manifest = found.churn.manifest.model_copy(update={"gate": gate})
    kept = replace(found.churn, answering="0", answering_model=manifest.model, manifest=manifest)
    told = page(replace(found, churn=kept))
    assert "the model of version 0 answers" in told
    assert "baseline answers" not in told


def test_the_page_says_who_was_let_answer_in_the_place_of_the_newest(found: Facts) -> None:
    """Somebody went back to a version, or forward to one that did not pass: the registry says so, not the gate."""
    of = found.recommender
    assert of.is_answering
    back = replace(of, answering="0", answering_model=of.manifest.model)
    told = page(replace(found, recommender=back))
    assert "passed its gate; since then somebody let the model of version 0 answer." in told
    forward = replace(found.churn, answering=found.churn.version, answering_model=found.churn.manifest.model)
    told = page(replace(found, churn=forward))
    assert "did not pass its gate; since then somebody let it answer." in told
    assert "active members whom our model expects" in told


def test_the_page_says_that_nobody_answers(found: Facts) -> None:
    told = page(replace(found, churn=replace(found.churn, answering=None, answering_model=None)))
    assert "nobody answers" in told
    assert "version None" not in told
    assert "whom the model that scored them expects" in told


def test_the_page_says_what_is_a_mean_over_seeds(found: Facts, html: str) -> None:
    assert "are means of" not in html
    config = {**found.churn.manifest.config, "seeds": 3}
    three = replace(found.churn, manifest=found.churn.manifest.model_copy(update={"config": config}))
    assert "are means of 3 trainings" in page(replace(found, churn=three))


def test_a_release_that_nobody_scored_yet_says_so_instead_of_a_number(found: Facts, html: str) -> None:
    assert "<b>3</b> of them came in the last 84 days. Of these, about <b>1</b> will not be seen" in html
    nobody = {"unscored": 3, "expected_to_leave": 0.0, "spend_at_risk_minor": 0.0, "at_risk": ()}
    told = page(replace(found, members=replace(found.members, **nobody, recommended=0, offers=())))
    assert "<b>3</b> of them came in the last 84 days. The churn model's scores of this release are missing" in told
    assert "missing for 3 of 3 active members: run <code>ray_apps/batch/score_members.py</code>" in told
    assert "The recommendations of this release are missing: run" in told
    assert "will not be seen" not in told
    assert "<b>–</b><span>of active members expected to leave</span>" in told


def _sequence_card(found: Facts, **changes: object) -> str:
    told = page(replace(found, branches=replace(found.branches, **changes)))
    return re.sub("<[^>]+>", " ", told.partition("What the sequence of visits adds")[2].partition("</div></div>")[0])


def test_the_page_says_what_each_branch_weighs_and_what_the_sequence_adds(found: Facts) -> None:
    told = _sequence_card(found)
    assert re.search(r"factorization machine\s+features\s+0\.60\s+soft trees\s+features\s+0\.15\s+BERT .* 0\.25", told)
    assert re.search(r"our model\s+0\.750\s*0\.700 to 0\.800", told)
    assert re.search(r"our model without the sequence\s+0\.710\s*0\.660 to 0\.760", told)
    assert "+0.0200 to +0.0600 (95 %, members resampled), which shows a gain" in told


def test_a_sequence_without_weight_is_told_plainly(found: Facts) -> None:
    none, some = {"features": 1.0, "sequence": 0.0}, {"features": 0.95, "sequence": 0.05}
    assert re.search(r"no weight\s*, so the answer rests on the features", _sequence_card(found, weights=[none]))
    told = _sequence_card(found, weights=[none, some])
    assert re.search(r"no weight\s*\(under other seeds 0\.05\), so the answer rests on the features", told)


def test_a_model_that_reads_no_sequence_has_no_such_card(found: Facts) -> None:
    branches = replace(found.branches, weights=[{"features": 1.0}])
    assert "What the sequence of visits adds" not in page(replace(found, branches=branches))


def test_bars_of_nothing_are_empty() -> None:
    assert "width:0.0%" in compare([("ours", 0.0, "c0", "0", (0.0, 0.0))])
    assert "width:0.0%" in compare([("ours", 0.5, "c0", "0.5", None)], low=0.5)


def test_a_difference_to_what_others_counted_is_explained_or_shown(html: str) -> None:
    assert "one is no product" in html
    assert '<span class="tag warm">differs</span>' in html


def test_text_from_the_data_is_escaped(html: str) -> None:
    assert "Rye &amp; malt bread" in html


def test_the_page_says_who_answers_when_the_gate_is_not_passed(html: str) -> None:
    assert "logistic regression answers" in html
    assert "roc_auc: not shown to be better" in html


def test_no_number_of_the_page_is_missing(html: str) -> None:
    assert "nan" not in html.lower().replace("nanum", "")
    assert "None" not in html
