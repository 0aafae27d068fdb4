"""How long each stage took."""

from __future__ import annotations

from tenure.report.facts import Facts
from tenure.report.html import card, cards, compare
from tenure.report.words import duration


def time(facts: Facts) -> str:
    if not facts.seconds and not facts.job_seconds:
        return "<p>No times were noted for this run.</p>"
    parts = []
    if facts.seconds:
        total = sum(facts.seconds.values())
        stages = [(stage, seconds, "c0", duration(seconds), None) for stage, seconds in facts.seconds.items()]
        parts.append(card(f"Stages, {duration(total)} in all", compare(stages)))
    if facts.job_seconds:
        jobs = [
            (job.replace("_", " "), seconds, "c2", duration(seconds), None)
            for job, seconds in facts.job_seconds.items()
        ]
        parts.append(card("The newest run of each job", compare(jobs)))
    return "<p>From the landing files to the answers.</p>" + cards(*parts)
