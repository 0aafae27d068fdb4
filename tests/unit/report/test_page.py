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
    kept = replace(found.churn, manifest=found.churn.manifest.model_copy(update={"gate": gate}))
    told = page(replace(found, churn=kept))
    assert "the model before it answers" in told
    assert "baseline answers" not in told


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
