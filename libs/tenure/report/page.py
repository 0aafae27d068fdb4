"""``report.html``: one page that needs nothing but itself, without scripts, in the reader's light or dark."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib.resources import files

from tenure.report.facts import Facts
from tenure.report.html import Section
from tenure.report.sections import churn, members, recommendations, rows, time, truth
from tenure.report.sections.unanswered import unscored
from tenure.report.words import count, day, money, rank, share, title


def page(facts: Facts) -> str:
    """The whole page."""
    parts = (
        Section("members", "Where the members stand", members.stages(facts)),
        Section("churn", "Who is about to leave", churn.churn(facts)),
        Section("risk", "The members most at risk", members.at_risk(facts)),
        Section("recommendations", "What to offer whom", recommendations.recommendations(facts)),
        Section("rows", "What landed, and what became of it", rows.rows(facts)),
        *([Section("truth", "How near the truth", truth.truth(facts, facts.truth))] if facts.truth else []),
        Section("time", "How long it took", time.time(facts)),
    )
    style = files("tenure.report").joinpath("page.css").read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>Tenure: {title(facts.release.source)}, {day(facts.release.newest_as_of)}</title>"
        f"<style>\n{style}</style></head>\n<body>\n{_header(facts, parts)}\n<main>\n"
        + "\n".join(part.html() for part in parts)
        + f"\n</main>\n{_footer(facts)}\n</body></html>\n"
    )


def _header(facts: Facts, parts: Sequence[Section]) -> str:
    release, who = facts.release, facts.members
    everyone = sum(who.history.newest.values())
    lead = (
        f"<b>{count(who.active)}</b> of them came in the last {release.shop.activity_days} days. "
        f"{unscored(facts) or _leaving(facts)} "
        f"Everything here was computed from <b>{count(facts.landed.kept)}</b> of <b>{count(facts.landed.landed)}</b> "
        "rows that landed; the others are accounted for below, rule by rule."
    )
    links = "".join(f'<a href="#{part.anchor}">{escape(part.heading)}</a>' for part in parts)
    return (
        '<header><div class="mark">Tenure</div>'
        f"<h1>{count(everyone)} members of {title(release.source)}, on the morning of {day(release.newest_as_of)}</h1>"
        f'<p class="lead">{lead}</p><nav>{links}</nav>{_figures(facts)}</header>'
    )


def _leaving(facts: Facts) -> str:
    return (
        f"Of these, about <b>{count(facts.members.expected_to_leave)}</b> will not be seen in the next "
        f"{facts.release.shop.horizon_days}, if nothing is done."
    )


def _figures(facts: Facts) -> str:
    recommender, who = facts.recommender, facts.members
    auc, ndcg = facts.churn.metric("roc_auc"), recommender.metric("new_items.ndcg_at_10")
    popular = recommender.manifest.baselines.get("popularity", {}).get("new_items.ndcg_at_10")
    figures = [
        (
            "–" if who.unscored else share(who.expected_to_leave / max(who.active, 1), 1),
            "of active members expected to leave",
        ),
        (rank(auc.value if auc else None), "ROC AUC of the churn model on members' later months"),
        (
            f"{ndcg.value / popular - 1:+.0%}".replace("%", " %") if ndcg and popular else "–",
            "NDCG@10 on new items, against the most popular ones",
        ),
        (
            "–" if who.unscored else money(who.spend_at_risk_minor, facts.release.shop.currency),
            f"of the last {max(facts.release.shop.windows_days)} days' spend is at risk: each member's times the score",
        ),
    ]
    if facts.serving:
        asked = (
            f"median answer over HTTP, {count(facts.serving['requests'])} requests, {facts.serving['errors']} errors"
        )
        figures.append((f"{facts.serving['p50_ms']:.0f} ms", asked))
    boxes = "".join(f'<div class="figure"><b>{value}</b><span>{escape(says)}</span></div>' for value, says in figures)
    return f'<div class="figures">{boxes}</div>'


def _footer(facts: Facts) -> str:
    release = facts.release
    lacks = ", ".join(release.shop.lacks) or "nothing"
    entries = {
        "Release": f"{release.release_id}, complete through {day(release.last_complete_day)}, {facts.landed.batches} "
        f"batch{'es' if facts.landed.batches != 1 else ''}",
        "Contract": f"fingerprint {release.fingerprint}, code {release.code_version}",
        "Churn model": facts.churn.versions,
        "Recommender": facts.recommender.versions,
        "The source lacks": f"{lacks}; models do not read what is missing",
        "Members": "appear by their pseudonym (member_key); only silver/member_identities leads back to the shop's ids",
    }
    listed = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in entries.items())
    return f"<footer><dl>{listed}</dl></footer>"
