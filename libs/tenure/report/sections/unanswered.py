"""What the page says where a release came and nobody scored its members yet."""

from __future__ import annotations

from tenure.report.facts import Facts
from tenure.report.words import count

_HOW = "run <code>ray_apps/batch/score_members.py</code>, then <code>jobs/write_report.py</code> again."


def unscored(facts: Facts) -> str:
    """Empty where every active member has a score of this release."""
    who = facts.members
    if not who.unscored:
        return ""
    whom = f"{count(who.unscored)} of {count(who.active)} active members"
    return f"The churn model's scores of this release are missing for {whom}: {_HOW}"


def unrecommended(facts: Facts) -> str:
    """Empty where this release recommends something to somebody."""
    return "" if facts.members.recommended else f"<p>The recommendations of this release are missing: {_HOW}</p>"
