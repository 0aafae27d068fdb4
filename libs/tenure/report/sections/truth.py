"""How near everything came to what is true of a simulated shop."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from tenure.lifecycle.stages import STAGES
from tenure.report import svg
from tenure.report.facts import Facts
from tenure.report.html import card, cards, compare, legend, table
from tenure.report.judged import Judged
from tenure.report.sections.churn import SCORERS
from tenure.report.sections.recommendations import RECOMMENDERS
from tenure.report.truth import churn as best
from tenure.report.truth import cleaning as rules
from tenure.report.truth.churn import BestChurn, TrueEvent
from tenure.report.truth.cleaning import CleanRows, JudgedRule, Overlap, TrueCleaning
from tenure.report.truth.stages import TrueStages
from tenure.report.truth.tastes import TrueTastes
from tenure.report.truth.truth import Truth
from tenure.report.words import count, day, listed, rank, share, title

_PRECISION = ("of what it took, was wrong (precision)", "c0")
_RECALL = ("of what was wrong, it found (recall)", "c1")
_CURVE, _SHIPPED, _BEST = (
    ("as its limit moves", "c0"),
    ("the limit as shipped", "c1"),
    ("the best rule that reads the same number", "c2"),
)
_SHOWN_MORE_THAN = 0.01  # of a stage's members


def truth(facts: Facts, known: Truth) -> str:
    parts = []
    if known.cleaning:
        parts.append(_cleaning_cards(known.cleaning))
        parts.append(cards(*_overlap_cards(known.cleaning.rules), css="three"))
    judged = [
        _churn_card(facts.churn, known.churn) if known.churn else "",
        _tastes_card(known.tastes) if known.tastes else "",
    ]
    parts.append(cards(*judged))
    if known.stages:
        parts.append(cards(_stages_card(known.stages)))
    return (
        "<p>This shop is simulated, so it is known what was wrong with each row, who had left, and who likes what. "
        "Nothing above has read any of it; it was kept aside, to see here how much of it came to light. "
        "<b>No real shop has such a page</b>, and no real shop is as tidy as a simulated one.</p>"
        + '<div class="gap"></div>'.join(parts)
    )


def _cleaning_cards(cleaning: TrueCleaning) -> str:
    head = [
        ("rule", ""),
        ("what was done to the rows", "says"),
        ("rows", "n"),
        ("other rows it touched", "n"),
        ("was wrong, of what it took", "n"),
        ("found, of what was wrong", "n"),
        ("goal", "n"),
    ]
    body = [_rule_row(rule) for rule in cleaning.rules]
    drawn = legend((_PRECISION, _RECALL)) + _rules_chart(cleaning.rules)
    return cards(
        card(
            "Whether cleaning found what was wrong", table(head, body), _goals() + _consequences(cleaning), css="wide"
        ),
        card("The same, drawn", drawn, _kept(cleaning.clean), css="wide"),
    )


def _rule_row(rule: JudgedRule) -> Sequence[str]:
    met = '<span class="tag">met</span>' if rule.is_met else '<span class="tag warm">missed</span>'
    return (
        f"<code>{escape(rule.rule)}</code>",
        listed(title(fault) for fault in rule.faults),
        count(rule.injected),
        count(rule.false_positives),
        share(rule.precision, 1),
        share(rule.recall, 1),
        met,
    )


def _goals() -> str:
    return (
        f"What no honest row looks like should be found without fail: the goal is {share(rules.GOAL)} both ways. Bulk "
        "orders, orders placed twice and clocks a little wrong look alike whether they are honest or not; there the "
        f"shipped limit should be worth {share(rules.GOAL_OF_BEST)} of the best rule that reads the same number. Units "
        "held against the price, or the other lines of the same order, would tell more."
    )


def _consequences(cleaning: TrueCleaning) -> str:
    by_rule = {rule.rule: rule.consequences for rule in cleaning.rules if rule.consequences}
    if not by_rule:
        return ""
    return (
        " Honest returns that were taken because their sale had something wrong with it, and so could not be found, "
        f"count neither as found nor as other rows: {_by_rule(by_rule)}."
    )


def _rules_chart(judged: Sequence[JudgedRule]) -> str:
    rows = [
        svg.Dots(name=title(rule.rule), values=((rule.recall, _RECALL[1]), (rule.precision, _PRECISION[1])))
        for rule in judged
    ]
    return svg.dots(rows, svg.share_axis(), says="precision and recall of every rule")


def _kept(clean: CleanRows) -> str:
    lost = "none is lost" if not clean.lost else f"<b>{count(clean.lost)} are nowhere</b>"
    return (
        f"Nothing was wrong with {count(clean.landed)} rows. A rule took {_by_rule(clean.taken)} of them out all the "
        f"same, and {lost}. {count(clean.late)} of them came days late, which no rule should mind; a rule took "
        f"{_by_rule(clean.late_taken)} of those. {count(clean.sale_struck)} are returns whose sale had something wrong "
        f"with it; a rule took {_by_rule(clean.sale_struck_taken)} of those. A sale and a return that come to nothing "
        "together are taken out by design; they are right rows all the same where the return was of another, equal "
        "sale."
    )


def _by_rule(taken: dict[str, int]) -> str:
    """``12 (a 10 and b 2)``."""
    rules = listed(f"{title(rule)} {count(rows)}" for rule, rows in taken.items())
    return f"{count(sum(taken.values()))} ({rules})" if taken else "none"


def _overlap_cards(judged: Sequence[JudgedRule]) -> list[str]:
    return [_overlap_card(rule, rule.overlap) for rule in judged if rule.overlap]


def _overlap_card(rule: JudgedRule, overlap: Overlap) -> str:
    at = (
        svg.Line(
            name=_BEST[0], x=np.array([overlap.best_at[0]]), y=np.array([overlap.best_at[1]]), css=_BEST[1], dots=True
        ),
        svg.Line(name=_SHIPPED[0], x=np.array([rule.recall]), y=np.array([rule.precision]), css=_SHIPPED[1], dots=True),
    )
    curve = svg.Line(name=_CURVE[0], x=overlap.curve.x, y=overlap.curve.y, css=_CURVE[1])
    frame = svg.Frame(x=svg.share_axis("of what was wrong, found"), y=svg.share_axis())
    chart = svg.lines(frame, [curve, *at], says=f"precision by recall of {rule.rule}")
    note = (
        f"By {escape(overlap.says)}. The shipped limit has a precision of {share(rule.precision, 1)} and a recall of "
        f"{share(rule.recall, 1)}, together (F1) {rank(rule.f1)}. The best rule that reads the same number, made by "
        f"who knows the truth, has {share(overlap.best_at[1], 1)} and {share(overlap.best_at[0], 1)}, together "
        f"{rank(overlap.best)}; the shipped limit is worth <b>{share(rule.of_best or 0)}</b> of it."
    )
    return card(title(rule.rule).capitalize(), legend((_CURVE, _SHIPPED, _BEST)) + chart, note)


def _churn_card(model: Judged, found: BestChurn) -> str:
    bars: list[tuple[str, float, str, str, tuple[float, float] | None]] = [
        ("who knows all, and who has left", found.given_hidden, "c5", rank(found.given_hidden), None),
        ("who knows all that orders tell", found.given_history, "c4", rank(found.given_history), None),
    ]
    own = model.metric("roc_auc")
    if own:
        bars.append(("our model", own.value, "c0", rank(own.value), None))
    theirs = model.manifest.baselines.get("lightgbm", {}).get("roc_auc")
    if theirs is not None:
        bars.append((SCORERS["lightgbm"][0], theirs, "c1", rank(theirs), None))
    note = (
        f"ROC AUC on the {count(found.rows)} questions that the model was judged on; the bars start at 0.5, which is "
        "chance. Whether a member orders is partly luck, so nobody tells it perfectly. The first bar bounds every "
        "model, the second every model that reads orders alone. Who has left stops browsing, too: the events feed "
        "tells more, and no feature reads it yet."
    )
    reached = found.of_model
    if reached is not None:
        note += (
            f" Ours goes <b>{share(found.reached(reached), 1)}</b> of the way from chance to the first (the goal is "
            f"{share(best.GOAL)}), and {share(found.reached(reached, found.given_history), 1)} of that to the second."
        )
    if found.event:
        note += _event(found.event)
    return card("Who is about to leave, beside the best possible", compare(bars, low=0.5), note)


def _event(event: TrueEvent) -> str:
    """What the bars are of, and by how much the label is another event."""
    own = f" On the true event ours reaches {rank(event.scores['model'])}." if "model" in event.scores else ""
    return (
        " The two bounds are of whether an order is placed at all. The label that models learn asks for a visit of "
        f"which something is still kept today; it differs in {share(event.differ, 1)} of {count(event.rows)} "
        f"questions: {count(event.silent_by_label_alone)} ordered and are labelled silent, "
        f"{count(event.silent_in_truth_alone)} the other way round.{own}"
    )


def _tastes_card(tastes: TrueTastes) -> str:
    blocks = []
    for items, heading in (("new_items", "items that are new to the member"), ("all_items", "all items")):
        called, css = RECOMMENDERS["popularity"]
        bars: list[tuple[str, float, str, str, tuple[float, float] | None]] = [
            ("our model", tastes.recommended[items], "c0", rank(tastes.recommended[items]), None),
            (called, tastes.popular[items], css, rank(tastes.popular[items]), None),
        ]
        blocks.append(f'<h4 class="measure">{heading}</h4>{compare(bars)}')
    note = (
        f"Ten items for each of {count(tastes.members)} members, judged by how much of what the member truly wishes is "
        "of an item's category (NDCG@10). 1 would be ten items of everybody's own favourite category."
    )
    return card("What to offer, beside the true taste", "".join(blocks), note)


def _stages_card(stages: TrueStages) -> str:
    shown = [place for place in range(len(STAGES)) if stages.members[place].any() or stages.members[:, place].any()]
    members = stages.members[np.ix_(shown, shown)]
    of_true = members / np.maximum(members.sum(axis=1, keepdims=True), 1)
    written = [
        [f"{count(n)}, {share(part)}" if part > _SHOWN_MORE_THAN else count(n) for n, part in zip(*row, strict=True)]
        for row in zip(members, of_true, strict=True)
    ]
    names = [STAGES[place] for place in shown]
    chart = svg.heat(
        names, names, of_true, written, down="in truth", across="as told", says="stages told by true stage"
    )
    note = (
        f"On {day(stages.as_of)} <b>{share(stages.accuracy, 1)}</b> of {count(stages.members.sum())} members are told "
        "to be where they truly are. A row is all members of one true stage. In truth, lapsed is who has left for "
        "good; a shop sees only who has been silent for long. So it takes slow buyers for lapsed ones, and learns late "
        "of those who left."
    )
    return card("Where members stand, beside where they truly stand", chart, note, css="wide")
