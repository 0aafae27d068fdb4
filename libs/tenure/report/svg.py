"""A few kinds of charts as inline SVG. Colours and type come from the page's style sheet, by class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from tenure.report.curves import Floats

POINTS_A_LINE = 240


@dataclass(frozen=True, kw_only=True)
class Axis:
    """What an axis shows: from ``low`` to ``high``, marked at ``ticks``, each written by ``write``."""

    low: float
    high: float
    ticks: Sequence[float]
    write: Callable[[float], str]
    says: str = ""


@dataclass(frozen=True, kw_only=True)
class Line:
    """A named line; ``css`` is the class that colours it."""

    name: str
    x: Floats
    y: Floats
    css: str
    dots: bool = False


@dataclass(frozen=True, kw_only=True)
class Frame:
    """The plot's place in the drawing, in SVG units, and its axes."""

    x: Axis
    y: Axis
    width: int = 420
    height: int = 320
    left: int = 46
    right: int = 12
    top: int = 10
    bottom: int = 40

    def at_x(self, value: float) -> float:
        share = (value - self.x.low) / (self.x.high - self.x.low)
        return self.left + share * (self.width - self.left - self.right)

    def at_y(self, value: float) -> float:
        share = (value - self.y.low) / (self.y.high - self.y.low)
        return self.height - self.bottom - share * (self.height - self.top - self.bottom)

    def path(self, x: Floats, y: Floats) -> str:
        return " ".join(f"{self.at_x(a):.1f},{self.at_y(b):.1f}" for a, b in zip(x, y, strict=True))

    def grid(self) -> str:
        floor, right = self.height - self.bottom, self.width - self.right
        parts = []
        for tick in self.y.ticks:
            y = self.at_y(tick)
            parts.append(f'<line class="grid" x1="{self.left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
            parts.append(_text("tick", self.left - 8, y + 3.5, self.y.write(tick), anchor="end"))
        parts += [_text("tick", self.at_x(t), floor + 17, self.x.write(t)) for t in self.x.ticks]
        parts.append(f'<line class="axis" x1="{self.left}" x2="{right}" y1="{floor}" y2="{floor}"/>')
        parts.append(_text("says", (self.left + right) / 2, self.height - 4, self.x.says))
        return "".join(parts)


def percent(value: float) -> str:
    return f"{100 * value:.0f} %"


def share_axis(says: str = "", high: float = 1.0, step: float = 0.25) -> Axis:
    return Axis(low=0, high=high, ticks=np.arange(0, high + 1e-9, step).tolist(), write=percent, says=says)


def lines(frame: Frame, drawn: Sequence[Line], *, diagonal: bool = False, says: str) -> str:
    """Lines over a grid, the last one on top; ``says`` is read to those who do not see it."""
    parts = [frame.grid()]
    if diagonal:
        high = min(frame.x.high, frame.y.high)
        ends = frame.path(np.array([0.0, high]), np.array([0.0, high]))
        parts.append(f'<polyline class="diagonal" points="{ends}"/>')
    for line in drawn:
        x, y = _thinned(line)
        parts.append(
            f'<polyline class="line {line.css}" points="{frame.path(x, y)}"><title>{escape(line.name)}</title>'
        )
        parts.append("</polyline>")
        if line.dots:
            parts += [
                f'<circle class="dot {line.css}" cx="{frame.at_x(a):.1f}" cy="{frame.at_y(b):.1f}" r="4">'
                f"<title>{escape(frame.x.write(a))}: {escape(frame.y.write(b))}</title></circle>"
                for a, b in zip(x, y, strict=True)
            ]
    return _svg(frame.width, frame.height, "".join(parts), says)


def stacked(frame: Frame, x: Floats, layers: Sequence[Line], says: str) -> str:
    """Areas one on another, the first at the bottom; each layer's ``x`` is the common one."""
    parts, below = [], np.zeros(len(x))
    for layer in layers:
        above = below + layer.y
        outline = frame.path(np.concatenate([x, x[::-1]]), np.concatenate([above, below[::-1]]))
        parts.append(
            f'<polygon class="area {layer.css}" points="{outline}"><title>{escape(layer.name)}</title></polygon>'
        )
        below = above
    return _svg(frame.width, frame.height, "".join([*parts, frame.grid()]), says)


def spark(values: Floats, says: str, width: int = 132, height: int = 22) -> str:
    """Small bars, one a value, without axes."""
    high = max(float(values.max(initial=0)), 1.0)
    step = width / max(len(values), 1)
    bars = [
        f'<rect x="{place * step:.1f}" y="{height - size:.1f}" width="{step * 0.72:.1f}" height="{size:.1f}"/>'
        for place, value in enumerate(values)
        if (size := float(value) / high * (height - 2))
    ]
    floor = f'<line class="axis" x1="0" x2="{width}" y1="{height}" y2="{height}"/>'
    return _svg(width, height, "".join([*bars, floor]), says, css="spark")


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A number between its bounds, in a row of its own."""

    name: str
    value: float
    low: float
    high: float
    css: str


def intervals(rows: Sequence[Interval], axis: Axis, says: str, zero: float | None = None, width: int = 420) -> str:
    """A dot and its whisker a row; a line at ``zero``, where there is one."""
    height = 40 + 34 * len(rows)
    frame = Frame(x=axis, y=Axis(low=0, high=1, ticks=(), write=str), width=width, height=height, left=150, bottom=28)
    parts = [frame.grid()]
    if zero is not None:
        at = frame.at_x(zero)
        parts.append(f'<line class="zero" x1="{at:.1f}" x2="{at:.1f}" y1="4" y2="{height - frame.bottom}"/>')
    for place, row in enumerate(rows):
        y = 20 + 34 * place
        numbers = f"{row.value:+.4f} [{row.low:+.4f}, {row.high:+.4f}]"
        low, middle, high = (frame.at_x(value) for value in (row.low, row.value, row.high))
        parts += [
            _text("name", frame.left - 12, y + 4, row.name, anchor="end"),
            f'<line class="whisker {row.css}" x1="{low:.1f}" x2="{high:.1f}" y1="{y}" y2="{y}"/>',
            f'<circle class="dot {row.css}" cx="{middle:.1f}" cy="{y}" r="5"><title>{numbers}</title></circle>',
        ]
    return _svg(width, height, "".join(parts), says)


@dataclass(frozen=True, kw_only=True)
class Dots:
    """Values in a row of their own, each with the class that colours it; the last one on top."""

    name: str
    values: Sequence[tuple[float, str]]


def dots(rows: Sequence[Dots], axis: Axis, says: str, width: int = 960) -> str:
    """A line of dots a row."""
    step = 26
    height = 40 + step * len(rows)
    frame = Frame(x=axis, y=Axis(low=0, high=1, ticks=(), write=str), width=width, height=height, left=240, bottom=30)
    parts = [frame.grid()]
    for place, row in enumerate(rows):
        y = 14 + step * place
        parts.append(_text("name", frame.left - 16, y + 4, row.name, anchor="end"))
        parts.append(f'<line class="grid" x1="{frame.left}" x2="{width - frame.right}" y1="{y}" y2="{y}"/>')
        parts += [
            f'<circle class="dot {css}" cx="{frame.at_x(value):.1f}" cy="{y}" r="6"><title>{axis.write(value)}</title>'
            "</circle>"
            for value, css in row.values
        ]
    return _svg(width, height, "".join(parts), says)


def heat(
    down_names: Sequence[str],
    across_names: Sequence[str],
    shares: Floats,
    written: Sequence[Sequence[str]],
    *,
    down: str,
    across: str,
    says: str,
    width: int = 960,
) -> str:
    """A field a pair of names, the darker the larger its share (R, C) is, with what is written in it."""
    left, top, step = 150, 52, 40
    wide = (width - left) / max(len(across_names), 1)
    parts = [_text("says", left + (width - left) / 2, 14, across), _text("says", left - 14, 40, down, anchor="end")]
    parts += [_text("name", left + wide * (place + 0.5), 40, name) for place, name in enumerate(across_names)]
    for row, name in enumerate(down_names):
        y = top + step * row
        parts.append(_text("name", left - 14, y + step / 2 + 4, name, anchor="end"))
        for column, share in enumerate(shares[row]):
            x = left + wide * column
            css = "strong" if share > 0.5 else ""
            parts.append(
                f'<rect class="field c0" x="{x:.1f}" y="{y}" width="{wide:.1f}" height="{step}" '
                f'fill-opacity="{0.04 + 0.9 * float(share):.2f}"/>'
            )
            parts.append(_text(f"tick {css}", x + wide / 2, y + step / 2 + 4, written[row][column]))
    return _svg(width, top + step * len(down_names) + 4, "".join(parts), says)


def _text(css: str, x: float, y: float, text: str, anchor: str = "middle") -> str:
    return f'<text class="{css}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _thinned(line: Line) -> tuple[Floats, Floats]:
    """As many points as a screen can show."""
    if len(line.x) <= POINTS_A_LINE:
        return line.x, line.y
    kept = np.unique(np.linspace(0, len(line.x) - 1, POINTS_A_LINE).astype(int))
    return line.x[kept], line.y[kept]


def _svg(width: int, height: int, inside: str, says: str, css: str = "chart") -> str:
    return f'<svg class="{css}" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(says)}">{inside}</svg>'
