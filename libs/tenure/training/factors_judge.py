"""Recommenders against what members bought next: chosen on validation, judged on the test.

Everybody ranks the whole catalogue of the period: what may be recommended and enough members had bought. "All items"
counts what a member bought of it in the days after; "new items" leaves out what the member had bought before them.

Shapes: N members of this worker, I items of the catalogue, K = 10 items answered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tenure.models.factorization import Factorization
from tenure.models.histories import Histories, best
from tenure.models.recommender import MEMBERS_AT_ONCE
from tenure.training.catalogue import Catalogue
from tenure.training.exchange import total
from tenure.training.factors_settings import Choices
from tenure.training.group import Group, gathered
from tenure.training.ranking import ranking_metrics

K = 10
NDCG = f"ndcg_at_{K}"
Floats = npt.NDArray[np.float64]
Answer = Callable[[Histories], npt.NDArray[np.int64]]  # histories -> (N, K) places in the catalogue


@dataclass(frozen=True, kw_only=True)
class Truth:
    """Members who bought something to be found: what they had bought before, and what they bought next."""

    members: npt.NDArray[np.int64]  # member_keys
    before: Histories
    bought: Histories

    def judged(self, items_NK: npt.NDArray[np.int64]) -> dict[str, Floats]:
        return ranking_metrics(items_NK, self.bought)

    def slices(self) -> Iterator[Truth]:
        for start in range(0, len(self.members), MEMBERS_AT_ONCE):
            stop = start + MEMBERS_AT_ONCE
            yield Truth(
                members=self.members[start:stop],
                before=self.before.slice(start, stop),
                bought=self.bought.slice(start, stop),
            )


def truth(members: npt.NDArray[np.int64], before: Histories, bought: Histories) -> Truth:
    found = np.nonzero(np.diff(bought.offsets))[0]
    return Truth(members=members[found], before=before.take(found), bought=bought.take(found))


@dataclass(frozen=True, kw_only=True)
class FactorsJudge:
    """The purchases after a day, of all items and of those new to the member."""

    group: Group
    all_items: Truth
    new_items: Truth

    def choose(self, model: Factorization, items: Catalogue, choices: Choices) -> dict[str, float]:
        """What weighs how much beside the factors, by NDCG: popularity on new items, favourites on all of them; and
        the days over which the popularity baseline does best, for it is to be beaten at its best."""
        log_share = {days: torch.log(share).to(model.device) for days, share in items.share.items()}
        mixes = [*product(choices.popularity_days, choices.popularity_weights)]

        def new(part: Truth) -> Iterator[Tensor]:
            affinity_NI = model.affinity(part.before)
            hidden, never = part.before.places(model.device), affinity_NI.new_tensor(-torch.inf)
            for days, weight in mixes:
                yield (affinity_NI + weight * log_share[days]).index_put_(hidden, never)
            for days in choices.popularity_days:
                yield log_share[days].repeat(len(part.members), 1).index_put_(hidden, never)

        ndcg = self._ndcg(self.new_items, new, len(mixes) + len(choices.popularity_days))
        days, weight = mixes[int(np.argmax(ndcg[: len(mixes)]))]

        def every(part: Truth) -> Iterator[Tensor]:
            raw_NI = model.affinity(part.before) + weight * log_share[days]
            own = torch.log1p(torch.from_numpy(part.before.times).to(model.device))
            for favourites in choices.favourites_weights:
                yield raw_NI.index_put(part.before.places(model.device), favourites * own, accumulate=True)

        ndcg_by_favourites = self._ndcg(self.all_items, every, len(choices.favourites_weights))
        return {
            "popularity_days": days,
            "popularity_weight": weight,
            "favourites_weight": choices.favourites_weights[int(np.argmax(ndcg_by_favourites))],
            "baseline_days": choices.popularity_days[int(np.argmax(ndcg[len(mixes) :]))],
        }

    def _ndcg(self, truth: Truth, rankings: Callable[[Truth], Iterator[Tensor]], count: int) -> Floats:
        """(count,) the sum of NDCG over all workers' members, for each of the rankings."""
        sums = np.zeros(count)
        for part in truth.slices():
            sums += [part.judged(best(raw_NI, K)[0])[NDCG].sum() for raw_NI in rankings(part)]
        return total(torch.from_numpy(sums), self.group).numpy()

    def judged(self, answers: Mapping[str, Answer]) -> dict[str, Floats]:
        """A number a member of all workers, by ``model.items.metric``, members in the order of their keys.

        Args:
            answers: who answers, by ``model.items``.
        """
        found = {}
        for name, answer in answers.items():
            who = self.all_items if name.endswith(".all_items") else self.new_items
            numbers = who.judged(answer(who.before)) if len(who.members) else {}
            everyone = gathered((who.members, numbers))
            order = np.argsort(np.concatenate([members for members, _ in everyone]))
            for metric in sorted({metric for _, own in everyone for metric in own}):
                column = np.concatenate([own[metric] for _, own in everyone if own])
                found[f"{name}.{metric}"] = column[order]
        return found
