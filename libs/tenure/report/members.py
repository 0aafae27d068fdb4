"""Where the members stand, who is about to leave, and what to offer them. Members go by ``member_key`` alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tenure.contracts.answers import MEMBER_SCORES, RECOMMENDATIONS
from tenure.contracts.gold import interactions, member_days, member_features
from tenure.contracts.silver import PRODUCTS
from tenure.lake.query import read_current
from tenure.lake.release import Release
from tenure.lifecycle.stages import CONVERSION, LOYALTY, RETENTION, STAGES
from tenure.report.curves import Floats

WEEKS_SHOWN = 26
ITEMS_SHOWN = 6


@dataclass(frozen=True, kw_only=True)
class StageHistory:
    """Members in each stage at each ``as_of``, (A,) and a row (A,) for each stage."""

    as_of: tuple[date, ...]
    members: dict[str, Floats]

    @property
    def newest(self) -> dict[str, int]:
        return {stage: int(counts[-1]) for stage, counts in self.members.items()}


@dataclass(frozen=True, kw_only=True)
class Member:
    """A member at the release's newest ``as_of``; ``visits_by_week`` (W,) ends with the last week before it."""

    member_key: int
    stage: str
    score: float | None
    days_since_last_visit: int | None
    visits: int
    spend_minor: int
    visits_by_week: Floats


@dataclass(frozen=True, kw_only=True)
class Offer:
    """What a member buys most of what can be recommended, as (name, times), and what the recommender adds to it, as
    (name, kind of product)."""

    member: Member
    bought: tuple[tuple[str, int], ...]
    items: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Members:
    """``at_risk`` come highest score first; ``expected_to_leave`` sums the scores of the ``active`` ones, and
    ``spend_at_risk_minor`` their spend in the longest window, each weighed by its score. All three say nothing of the
    ``unscored``: active members to whom no score was written for this release. ``recommended`` counts the members to
    whom it recommends something."""

    history: StageHistory
    active: int
    unscored: int
    expected_to_leave: float
    spend_at_risk_minor: float
    at_risk: tuple[Member, ...]
    recommended: int
    offers: tuple[Offer, ...]


def members(release: Release, *, at_risk: int, offers: int) -> Members:
    """As the release and the answers that were written for it say."""
    now = _with_scores(release)
    answers = _recommendations(release)
    active = _active(release, now)
    scored = active.filter(pc.is_valid(active["score"]))
    riskiest = scored.sort_by([("score", "descending"), ("member_key", "ascending")]).slice(0, at_risk)
    return Members(
        history=_history(release),
        active=active.num_rows,
        unscored=active.num_rows - scored.num_rows,
        expected_to_leave=float(pc.sum(scored["score"]).as_py() or 0),
        spend_at_risk_minor=float(pc.sum(pc.multiply(scored["score"], scored["spend_minor"])).as_py() or 0),
        at_risk=_members(release, riskiest),
        recommended=pc.count_distinct(answers["member_key"]).as_py(),
        offers=_offers(release, now, answers, offers),
    )


def _history(release: Release) -> StageHistory:
    rows = release.read(member_features(release.shop), ["as_of", "stage"])
    counted = rows.group_by(["as_of", "stage"]).aggregate([([], "count_all")]).to_pylist()
    members = {(row["as_of"], row["stage"]): row["count_all"] for row in counted}
    days = tuple(sorted({as_of for as_of, _ in members}))
    return StageHistory(
        as_of=days,
        members={stage: np.array([members.get((day, stage), 0) for day in days], float) for stage in STAGES},
    )


def _with_scores(release: Release) -> pa.Table:
    """Everyone at the newest as_of; ``score`` is null for whom nothing was scored."""
    longest = max(release.shop.windows_days)
    names = ("member_key", "stage", "days_since_last_visit", f"visits_{longest}d", f"spend_minor_{longest}d")
    at = f"as_of = DATE '{release.newest_as_of}'"
    rows = release.read(member_features(release.shop), names, where=at)
    rows = rows.rename_columns(["member_key", "stage", "days_since_last_visit", "visits", "spend_minor"])
    scores = read_current(
        release.root,
        MEMBER_SCORES,
        ["member_key", "score"],
        where=f"{at} and task = 'churn' and release_id = '{release.release_id}'",
        storage_options=release.storage_options,
    )
    return rows.join(scores, "member_key", join_type="left outer")


def _active(release: Release, now: pa.Table) -> pa.Table:
    """Those of whom the churn model speaks, scored or not: they came within the activity window."""
    return now.filter(pc.less_equal(now["days_since_last_visit"], release.shop.activity_days))


def _members(release: Release, rows: pa.Table) -> tuple[Member, ...]:
    visits = _visits_by_week(release, rows["member_key"].to_pylist())
    return tuple(Member(**row, visits_by_week=visits[row["member_key"]]) for row in rows.to_pylist())


def _visits_by_week(release: Release, keys: list[int]) -> dict[int, Floats]:
    weeks = {key: np.zeros(WEEKS_SHOWN) for key in keys}
    if keys:
        first = release.newest_as_of - timedelta(weeks=WEEKS_SHOWN)
        where = f"{_among(keys)} and day >= DATE '{first}' and superseded_on is null"
        days = release.read(member_days(release.shop), ["member_key", "day", "visits"], where=where)
        for row in days.to_pylist():
            week = (row["day"] - first).days // 7
            if week < WEEKS_SHOWN:
                weeks[row["member_key"]][week] += row["visits"]
    return weeks


def _recommendations(release: Release) -> pa.Table:
    """The new items that were recommended to each member, best first."""
    return read_current(
        release.root,
        RECOMMENDATIONS,
        ["member_key", "rank", "product_id"],
        where=f"as_of = DATE '{release.newest_as_of}' and release_id = '{release.release_id}' and not include_bought",
        order_by=["member_key", "rank"],
        storage_options=release.storage_options,
    )


def _offers(release: Release, now: pa.Table, answers: pa.Table, count: int) -> tuple[Offer, ...]:
    answered = now.filter(pc.is_in(now["member_key"], answers["member_key"].combine_chunks()))
    shown = _members(release, _three_kinds(answered, count))
    catalogue = _catalogue(release)
    return tuple(_offer(release, member, answers, catalogue) for member in shown)


def _three_kinds(rows: pa.Table, count: int) -> pa.Table:
    """The best customer of each of a few stages, then of what is left."""
    rows = rows.sort_by([("spend_minor", "descending"), ("member_key", "ascending")])
    stages = rows["stage"].to_pylist()
    best = [stages.index(stage) for stage in (LOYALTY, RETENTION, CONVERSION) if stage in stages]
    rest = [place for place in range(len(stages)) if place not in best]
    return rows.take(pa.array((best + rest)[:count], pa.int64()))


def _offer(release: Release, member: Member, answers: pa.Table, catalogue: dict[str, tuple[str, str]]) -> Offer:
    as_of = f"DATE '{release.newest_as_of}'"
    bought = release.read(
        interactions(release.shop),
        ["product_id", "times"],
        where=f"{_among([member.member_key])} and known_on < {as_of} and day < {as_of}",
    )
    known = bought.filter(pc.is_in(bought["product_id"], pa.array(catalogue, pa.string())))
    most = known.group_by("product_id").aggregate([("times", "sum")])
    most = most.sort_by([("times_sum", "descending"), ("product_id", "ascending")]).slice(0, ITEMS_SHOWN)
    items = answers.filter(pc.equal(answers["member_key"], member.member_key))["product_id"].to_pylist()
    unknown = ("a product without a name", "")
    return Offer(
        member=member,
        bought=tuple((catalogue[r["product_id"]][0], r["times_sum"]) for r in most.to_pylist()),
        # Products that differ in their number alone are one line to a reader.
        items=tuple(dict.fromkeys(catalogue.get(item, unknown) for item in items))[:ITEMS_SHOWN],
    )


def _catalogue(release: Release) -> dict[str, tuple[str, str]]:
    """Name and kind of every product that can be recommended, as known last."""
    columns = ["product_id", "product_name", "product_type", "category"]
    rows = release.read(PRODUCTS, columns, where="is_recommendable", order_by=["known_on", "batch_no"]).to_pylist()
    return {
        row["product_id"]: (
            row["product_name"] or row["product_type"] or row["product_id"],
            row["category"] or "",
        )
        for row in rows
    }


def _among(keys: list[int]) -> str:
    return f"member_key in ({', '.join(map(str, keys))})"
