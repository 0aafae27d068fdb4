"""How good recommendations are, and a few of them."""

from __future__ import annotations

from tenure.report.facts import Facts
from tenure.report.html import card, cards, compare
from tenure.report.judged import Judged
from tenure.report.members import Offer
from tenure.report.sections.unanswered import unrecommended
from tenure.report.sections.verdict import verdict
from tenure.report.words import count, money, name, rank, share


def recommendations(facts: Facts) -> str:
    model = facts.recommender
    return (
        "<p>For each member everything is ranked that may be recommended and that enough members had bought (the "
        "training's <code>min_members</code>); what the member took home of it in the weeks that follow is the truth. "
        "<b>New items</b> leaves out what the member had bought before: that is where a recommendation says "
        "something. On <b>all items</b> a member's own favourites are hard to beat, "
        "and nobody needs to be told them.</p>"
        + verdict(model)
        + cards(_ranking_card(model, "new_items", "New items"), _ranking_card(model, "all_items", "All items"))
        + '<div class="gap"></div>'
        + (unrecommended(facts) or _offers(facts))
    )


def _offers(facts: Facts) -> str:
    return cards(*(_offer_card(offer, facts.release.shop.currency) for offer in facts.members.offers), css="three")


RECOMMENDERS = {"popularity": ("most popular", "c3"), "own_favourites": ("own favourites", "c4")}


def _ranking_card(model: Judged, items: str, heading: str) -> str:
    blocks = []
    for metric, says in (("ndcg_at_10", "NDCG@10"), ("hit_rate_at_10", "hit rate@10"), ("recall_at_10", "recall@10")):
        own = model.metric(f"{items}.{metric}")
        bars: list[tuple[str, float, str, str, tuple[float, float] | None]] = []
        if own:
            bounds = (own.low, own.high) if own.low is not None and own.high is not None else None
            bars.append(("our model", own.value, "c0", rank(own.value, 4), bounds))
        for who, (called, css) in RECOMMENDERS.items():
            value = model.manifest.baselines.get(who, {}).get(f"{items}.{metric}")
            if value is not None:
                bars.append((called, value, css, rank(value, 4), None))
        if bars:
            blocks.append(f'<h4 class="measure">{says}</h4>{compare(bars)}')
    return card(heading, "".join(blocks))


def _offer_card(offer: Offer, currency: str) -> str:
    member = offer.member
    bought = "".join(f"<li>{name(product)}<span>{times} times</span></li>" for product, times in offer.bought)
    items = "".join(f"<li>{name(product)}<span>{name(kind)}</span></li>" for product, kind in offer.items)
    risk = "" if member.score is None else f"; {share(member.score)} at risk"
    return (
        f'<div class="card offer"><h3><span class="key">{member.member_key}</span>'
        f'<span class="dotted {member.stage}">{member.stage}</span></h3>'
        f"<p>{count(member.visits)} visits, {money(member.spend_minor, currency)}"
        f"{risk}</p><h4>Buys most</h4><ol>{bought}</ol><h4>We would add</h4>"
        f'<ol class="new">{items}</ol></div>'
    )
