"""What landed, what became of it, and by which rule."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from tenure.report.facts import Facts
from tenure.report.html import card, cards, legend, table
from tenure.report.landed import KEPT, Held, Landed, Rows, RuleCount
from tenure.report.words import count, title

FATES = ("silver", "duplicates", "quarantined", "netted")


def rows(facts: Facts) -> str:
    landed = facts.landed
    head = [("table", ""), ("landed", "n"), *((fate, "n") for fate in ("kept", *FATES[1:])), ("", ""), ("adds up", "n")]
    body = [_fates_row(table) for table in landed.rows]
    colours = zip(("kept", *FATES[1:]), FATES, strict=True)
    return (
        "<p>Every row that landed is kept, stands behind an equal one, is in quarantine, or came to nothing together "
        "with another. The five numbers of each table are counted apart, each in the pass that wrote it; they have to "
        "add up, or nothing is released.</p>"
        + cards(
            card("Rows", legend(colours) + table(head, body), css="wide"),
            card("By rule", _rules_table(landed.rules), css="wide"),
            _held_card(landed) if landed.held else "",
        )
    )


def _fates_row(rows: Rows) -> Sequence[str]:
    counts = [getattr(rows, fate) for fate in FATES]
    total = max(rows.landed, 1)
    bar = "".join(
        f'<i class="{fate}" style="width:{100 * value / total:.2f}%" title="{fate}: {count(value)}"></i>'
        for fate, value in zip(FATES, counts, strict=True)
        if value
    )
    mark = '<span class="tag">yes</span>' if rows.add_up else '<span class="tag warm">no</span>'
    return (
        title(rows.table),
        count(rows.landed),
        *(_or_none(value) for value in counts),
        f'<div class="bar">{bar}</div>',
        mark,
    )


def _or_none(value: int) -> str:
    return count(value) if value else '<span class="mute">0</span>'


def _rules_table(rules: Sequence[RuleCount]) -> str:
    head = [("table", ""), ("rule", ""), ("rows", "n"), ("became", ""), ("what it means", "says")]
    body = [
        (
            title(rule.table),
            f"<code>{escape(rule.rule)}</code>",
            count(rule.rows),
            _fate_tag(rule.fate),
            escape(rule.says),
        )
        for rule in rules
    ]
    return table(head, body)


def _held_card(landed: Landed) -> str:
    note = "" if landed.is_held else "They are not known to have counted in just these files, so more may differ."
    return card("Held against what others counted", _held_table(landed.held), note, css="wide")


def _held_table(held: Sequence[Held]) -> str:
    head = [("what", ""), ("theirs", "n"), ("here", "n"), ("", ""), ("why it differs", "says")]
    body = [
        (
            escape(figure.says),
            count(figure.theirs),
            "–" if figure.ours is None else count(figure.ours),
            _held_tag(figure),
            escape(figure.why),
        )
        for figure in held
    ]
    return table(head, body)


def _held_tag(figure: Held) -> str:
    if figure.ours == figure.theirs:
        return '<span class="tag">equal</span>'
    if figure.ours is None:
        return '<span class="tag plain">not counted</span>'
    return (
        '<span class="tag plain">explained</span>' if figure.is_explained else '<span class="tag warm">differs</span>'
    )


def _fate_tag(fate: str) -> str:
    css = {"quarantined": "warm", KEPT: ""}.get(fate, "plain")
    return f'<span class="tag {css}">{escape(fate)}</span>'
