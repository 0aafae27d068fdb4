"""What the gate decided, and why."""

from __future__ import annotations

from html import escape

from tenure.report.judged import Judged

_SAYS = {  # by whether the newest model passed, and whether it answers
    (True, True): "It passed its gate, so it answers from now on.",
    (False, False): "The newest model did not pass its gate, so {who} answers from now on: the best there is always "
    "does.",
    (True, False): "The newest model passed its gate; since then somebody let {who} answer.",
    (False, True): "The newest model did not pass its gate; since then somebody let it answer.",
}


def verdict(model: Judged) -> str:
    """Who answers from now on, and why."""
    gate = model.manifest.gate
    if gate is None:
        return ""
    own = model.is_answering
    tag = f'<span class="tag{"" if own else " warm"}">{model.who_answers} answers</span>'
    says = _SAYS[gate.passed, own].format(who=model.who_answers)
    reasons = "".join(f"<li>{escape(reason)}</li>" for reason in gate.reasons)
    return f'<div class="verdict">{tag}<span class="dim">{says}</span><ul class="reasons">{reasons}</ul></div>'
