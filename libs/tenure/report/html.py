"""The few shapes that the page is made of, as HTML."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape


@dataclass(frozen=True)
class Section:
    anchor: str
    heading: str
    body: str

    def html(self) -> str:
        return f'<section id="{self.anchor}"><h2>{escape(self.heading)}</h2>\n{self.body}\n</section>'


def card(heading: str, body: str, note: str = "", css: str = "") -> str:
    """A framed part with its heading, and a sentence below it that says how to read it."""
    below = f"<p>{note}</p>" if note else ""
    return f'<div class="card {css}"><h3>{heading}</h3>{body}{below}</div>'


def cards(*inside: str, css: str = "") -> str:
    return f'<div class="cards {css}">{"".join(inside)}</div>'


def table(head: Sequence[tuple[str, str]], body: Iterable[Sequence[str]], row_css: Sequence[str] = ()) -> str:
    """``head`` holds each column's name and class (``n`` for numbers)."""
    header = "".join(f'<th class="{css}">{text}</th>' for text, css in head)
    rows = []
    for place, cells in enumerate(body):
        css = row_css[place] if row_css else ""
        inside = "".join(f'<td class="{css}">{cell}</td>' for cell, (_, css) in zip(cells, head, strict=True))
        rows.append(f'<tr class="{css}">{inside}</tr>')
    return f'<div class="scroll"><table><thead><tr>{header}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def legend(entries: Iterable[tuple[str, str]]) -> str:
    inside = "".join(f'<span class="dotted {css}">{escape(text)}</span>' for text, css in entries)
    return f'<div class="legend">{inside}</div>'


def compare(
    bars: Sequence[tuple[str, float, str, str, tuple[float, float] | None]], low: float = 0.0, ours: str = "our model"
) -> str:
    """Named bars: name, value, colour, how the value is written, and its bounds."""
    high = max(max(value, *(bounds or (value,))) for _, value, _, _, bounds in bars)
    reach = max(high - low, 1e-9)  # where nobody is above ``low``, every bar is empty
    parts = []
    for says, value, css, written, bounds in bars:
        whisker = ""
        if bounds:
            left, right = (100 * (bound - low) / reach for bound in bounds)
            whisker = f'<u style="left:{left:.1f}%;width:{right - left:.1f}%"></u>'
        width = max(0.0, 100 * (value - low) / reach)
        own = "ours" if says == ours else ""
        parts.append(
            f'<span class="{own}">{escape(says)}</span>'
            f'<span class="track {css}"><i style="width:{width:.1f}%"></i>{whisker}</span>'
            f'<span class="n {own}">{written}</span>'
        )
    return f'<div class="compare">{"".join(parts)}</div>'
