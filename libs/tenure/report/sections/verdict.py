"""What the gate decided, and why."""

from __future__ import annotations

from html import escape

from tenure.report.judged import Judged


def verdict(model: Judged) -> str:
    """Who answers from now on, and why."""
    gate = model.manifest.gate
    if gate is None:
        return ""
    own = gate.champion == "model"
    tag = f'<span class="tag{"" if own else " warm"}">{model.who_answers} answers</span>'
    says = (
        "It passed its gate, so it answers from now on."
        if own
        else f"The newest model did not pass its gate, so {model.who_answers} answers from now on: the best there is "
        "always does."
    )
    reasons = "".join(f"<li>{escape(reason)}</li>" for reason in gate.reasons)
    return f'<div class="verdict">{tag}<span class="dim">{says}</span><ul class="reasons">{reasons}</ul></div>'
