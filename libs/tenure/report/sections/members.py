"""Where the members stand, and who is most at risk."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tenure.lifecycle.stages import STAGES
from tenure.report import svg
from tenure.report.facts import Facts
from tenure.report.html import card, cards, legend, table
from tenure.report.members import Member
from tenure.report.sections.unanswered import unscored
from tenure.report.words import count, day, money, share

STAGE_SAYS = {
    "acquisition": "known, never visited",
    "activation": "came once",
    "conversion": "came again, still new",
    "retention": "established, still comes",
    "loyalty": "established, comes often",
    "lapsed": "silent for long",
}


def stages(facts: Facts) -> str:
    history = facts.members.history
    shown = [stage for stage in STAGES if history.members[stage].any()]
    at = np.array([as_of.toordinal() for as_of in history.as_of], float)
    high = float(np.sum([history.members[stage] for stage in shown], axis=0).max())
    frame = svg.Frame(x=_days_axis(facts), y=_counts_axis(high), width=960, height=316, left=56, bottom=26)
    layers = [svg.Line(name=stage, x=at, y=history.members[stage], css=stage) for stage in reversed(shown)]
    newest, before = history.newest, {stage: int(history.members[stage][0]) for stage in shown}
    rows = [
        (
            f'<span class="dotted {stage}">{stage}</span>',
            STAGE_SAYS[stage],
            count(newest[stage]),
            share(newest[stage] / max(sum(newest.values()), 1), 1),
            f"{newest[stage] - before[stage]:+,d}",
        )
        for stage in shown
    ]
    head = [
        ("stage", ""),
        ("what it means", "says"),
        ("members", "n"),
        ("share", "n"),
        (f"since {day(history.as_of[0])}", "n"),
    ]
    chart = svg.stacked(frame, at, layers, says="members by lifecycle stage over time")
    shop = facts.release.shop
    return (
        f"<p>Each member is in one stage on each day, told by the shop's own rhythm: {shop.activity_days} days of "
        f"silence are a lapse, four visits in {shop.horizon_days} days are loyalty. Every point is what was known on "
        "that morning, and nothing later.</p>"
        + cards(
            card("Members by stage", legend((stage, stage) for stage in shown) + chart, css="wide"),
            card(f"On {day(facts.release.newest_as_of)}", table(head, rows), css="wide"),
        )
    )


def _days_axis(facts: Facts) -> svg.Axis:
    days = facts.members.history.as_of
    chosen = days[:: max(1, round(len(days) / 8))]
    by_place = {float(as_of.toordinal()): f"{as_of.day} {as_of:%b}" for as_of in days}
    low, high = days[0].toordinal(), days[-1].toordinal()
    return svg.Axis(
        low=low,
        high=max(high, low + 1),
        ticks=[d.toordinal() for d in chosen],
        write=lambda t: by_place.get(float(t), ""),
    )


def _counts_axis(high: float) -> svg.Axis:
    step = _round_step(high / 4)
    top = step * np.ceil(high / step)
    return svg.Axis(low=0, high=top, ticks=np.arange(0, top + 1, step).tolist(), write=count)


def _round_step(about: float) -> float:
    """1, 2 or 5 times a power of ten, not below ``about``."""
    power = 10.0 ** np.floor(np.log10(max(about, 1)))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= about)


def at_risk(facts: Facts) -> str:
    if missing := unscored(facts):
        return f"<p>{missing}</p>"
    shop = facts.release.shop
    longest = max(shop.windows_days)
    head = [
        ("", "n"),
        ("member", ""),
        (f"probability to stay away {shop.horizon_days} days", ""),
        ("stage", ""),
        ("last visit", "n"),
        (f"visits in {longest} days", "n"),
        (f"spent in {longest} days", "n"),
        ("visits by week, half a year", ""),
    ]
    who = facts.churn.who_answers if facts.churn.answering else "the model that scored them"
    rows = [_risk_row(place, member, shop.currency) for place, member in enumerate(facts.members.at_risk, 1)]
    return (
        f"<p>The {len(rows)} of {count(facts.members.active)} active members whom {who} expects "
        f"least to see again within {shop.horizon_days} days. Members who have lapsed already are not among them.</p>"
        + card("Highest probability first", table(head, rows))
    )


def _risk_row(place: int, member: Member, currency: str) -> Sequence[str]:
    score = member.score or 0.0
    since = member.days_since_last_visit
    return (
        f'<span class="mute">{place}</span>',
        f'<span class="key">{member.member_key}</span>',
        f'<b>{share(score)}</b><span class="meter"><i style="width:{100 * score:.0f}%"></i></span>',
        f'<span class="dotted {member.stage}">{member.stage}</span>',
        "never" if since is None else "yesterday" if since == 1 else f"{since} days ago",
        count(member.visits),
        money(member.spend_minor, currency),
        svg.spark(member.visits_by_week, says="visits by week"),
    )
