"""Questions about members answered by what is in service, several at a time: what a replica does between two calls.

Members are asked for by ``member_key``; shop ids stay with whoever was asked over HTTP.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tenure.serving.loading import InService, Loaded, LoadedChurn, LoadedRecommender, NotReady
from tenure.serving.store import MemberStore


@dataclass(frozen=True, kw_only=True)
class By:
    """What answered: a model, and the members of a release."""

    model: str
    architecture: str
    release_id: str
    as_of: str
    horizon_days: int


@dataclass(frozen=True)
class ChurnQuestion:
    member_keys: np.ndarray  # (N,) int64


@dataclass(frozen=True)
class Scores:
    """(N,) each: a probability, and whether the member is active; NaN and False where there is no such member."""

    by: By
    scores: np.ndarray
    is_active: np.ndarray
    is_known: np.ndarray


@dataclass(frozen=True)
class ItemsQuestion:
    member_keys: np.ndarray  # (N,) int64
    k: int
    include_bought: bool


@dataclass(frozen=True)
class Items:
    """For each of N members the items, best first (id, name, category, score); None where there is no such member."""

    by: By
    items: list[list[dict[str, Any]] | None]


@dataclass(frozen=True)
class Unavailable:
    """Nothing can answer; one sentence why."""

    says: str


def answer_churn(service: InService[LoadedChurn], questions: Sequence[ChurnQuestion]) -> list[Scores | Unavailable]:
    """One answer a question, all of them scored together."""
    try:
        loaded = service.loaded
    except NotReady as error:
        return [Unavailable(str(error))] * len(questions)
    keys = np.concatenate([question.member_keys for question in questions])
    _, is_known = loaded.store.find(keys)
    scores, is_active = np.full(len(keys), np.nan), np.zeros(len(keys), dtype=bool)
    scores[is_known] = loaded.score(keys[is_known])
    is_active[is_known] = active(loaded.store, keys[is_known])
    ends = np.cumsum([len(question.member_keys) for question in questions])[:-1]
    parts = (np.split(of_all, ends) for of_all in (scores, is_active, is_known))
    return [Scores(_by(loaded), *part) for part in zip(*parts, strict=True)]


def answer_items(
    service: InService[LoadedRecommender], questions: Sequence[ItemsQuestion]
) -> list[Items | Unavailable]:
    """One answer a question; those that agree on ``include_bought`` are ranked together."""
    try:
        loaded = service.loaded
    except NotReady as error:
        return [Unavailable(str(error))] * len(questions)
    answers: list[Items | Unavailable] = [Unavailable("not asked")] * len(questions)
    for include_bought in (False, True):
        places = [place for place, asked in enumerate(questions) if asked.include_bought is include_bought]
        if places:
            found = _items(loaded, [questions[place] for place in places], include_bought)
            for place, items in zip(places, found, strict=True):
                answers[place] = Items(_by(loaded), items)
    return answers


def _items(
    loaded: LoadedRecommender, questions: Sequence[ItemsQuestion], include_bought: bool
) -> list[list[list[dict[str, Any]] | None]]:
    keys = np.concatenate([question.member_keys for question in questions])
    _, is_known = loaded.store.find(keys)
    most = max(question.k for question in questions)
    rows, scores = loaded.recommend(keys[is_known], most, include_bought)
    ranked = iter(zip(rows, scores, strict=True))
    answers = []
    of_all = iter(is_known)
    for question in questions:
        mine = (next(ranked) if next(of_all) else None for _ in question.member_keys)
        answers.append([_named(loaded, *one, question.k) if one is not None else None for one in mine])
    return answers


def _named(loaded: LoadedRecommender, rows: np.ndarray, scores: np.ndarray, k: int) -> list[dict[str, Any]]:
    """The first ``k`` items with what the catalogue calls them; -1 stands behind the last one that there is."""
    return [
        {**loaded.item(int(row)), "score": float(score)}
        for row, score in zip(rows[:k], scores[:k], strict=True)
        if row >= 0
    ]


def active(store: MemberStore, member_keys: np.ndarray) -> np.ndarray:
    """(N,) whether the last visit lies within the shop's activity window, as with those whom churn learns from."""
    silent_days = store.feature(member_keys, "days_since_last_visit").to_numpy(zero_copy_only=False)
    with np.errstate(invalid="ignore"):  # null, here NaN: never visited, not active
        return np.asarray(silent_days <= store.label.shop.activity_days)


def _by(loaded: Loaded) -> By:
    label = loaded.store.label
    return By(
        model=loaded.name,
        architecture=loaded.manifest.model,
        release_id=label.release_id,
        as_of=label.as_of.isoformat(),
        horizon_days=label.shop.horizon_days,
    )
