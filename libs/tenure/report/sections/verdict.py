"""What the gate decided, and why."""

from __future__ import annotations

from html import escape

from tenure.report.judged import Judged
from tenure.report.words import title


def verdict(model: Judged) -> str:
    """Who answers from now on, and why."""
    gate = model.manifest.gate
    if gate is None:
        return ""
    own = gate.champion == "model"
    tag = (
        '<span class="tag">our model answers</span>'
        if own
        else f'<span class="tag warm">{title(gate.champion)} answers</span>'
    )
    says = (
        "It passed its gate, so it answers from now on."
        if own
        else "Ours did not pass its gate, so the baseline answers from now on: the best there is always does."
    )
    reasons = "".join(f"<li>{escape(reason)}</li>" for reason in gate.reasons)
    return f'<div class="verdict">{tag}<span class="dim">{says}</span><ul class="reasons">{reasons}</ul></div>'
