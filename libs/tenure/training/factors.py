"""Factors, fitted by workers that each hold the members of some buckets and every so-manieth item.

Three times over: on what was known before validation, to choose how factors, popularity and favourites are mixed; on
what was known before the test, to judge; on everything known at the release, to serve.

Shapes: N members of this worker, I items of the catalogue, D factors.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc
import torch
from torch import Tensor

from tenure.errors import Refused
from tenure.lake.release import Release
from tenure.models.factorization import Architecture, Factorization, Observed, gram, loss, observed, solve
from tenure.models.histories import Histories
from tenure.models.popularity import Popularity
from tenure.models.recommender import Recommender
from tenure.training.catalogue import Catalogue, catalogue
from tenure.training.exchange import deal, gathered_rows, total
from tenure.training.factors_judge import Answer, FactorsJudge, K, truth
from tenure.training.factors_progress import PERIODS, Fitted, Progress
from tenure.training.factors_settings import Als, FitFactors
from tenure.training.group import Group, decided, gathered
from tenure.training.purchases import Net, Products, Purchases, read_products, read_purchases

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Period:
    """What is learnt (everything known before a day) and what it is judged by (purchases of the days after it)."""

    name: str
    known_before: date
    until: date | None


def periods(release: Release, test_days: int | None) -> tuple[Period, ...]:
    """Validation, test and what is served; each part is known before the next one's purchases begin."""
    days = timedelta(test_days or release.shop.horizon_days)
    end = release.newest_as_of
    return (
        Period(name=PERIODS[0], known_before=end - 2 * days, until=end - days),
        Period(name=PERIODS[1], known_before=end - days, until=end),
        Period(name=PERIODS[2], known_before=end, until=None),
    )


@dataclass(frozen=True, kw_only=True)
class Shard:
    """A worker's part of the observed entries, by its own members and by its own items."""

    members: Observed
    items: Observed
    slots: int  # of all workers' members: worker r's member n has slot n size + r
    items_total: int


def shard(histories: Histories, als: Als, items_total: int, group: Group) -> Shard:
    """The members' entries as they are; the items' from whichever worker holds the member."""
    most = max(gathered(len(histories)))  # members of the worker that has most
    slot = histories.member_index * group.size + group.rank
    entries = torch.from_numpy(np.stack([histories.item_index, slot, histories.times], 1).astype(np.float64))
    mine = deal(entries, entries[:, 0].long() % group.size, group).numpy()
    item = mine[:, 0].astype(np.int64) // group.size
    order = np.lexsort((mine[:, 1], item))
    count = len(range(group.rank, items_total, group.size))
    by_item = Histories(
        offsets=np.concatenate([[0], np.cumsum(np.bincount(item, minlength=count))]).astype(np.int64),
        item_index=mine[order, 1].astype(np.int64),
        times=mine[order, 2],
    )
    return Shard(
        members=_on(group, observed(histories, als.weighting, als.alpha)),
        items=_on(group, observed(by_item, als.weighting, als.alpha)),
        slots=most * group.size,
        items_total=items_total,
    )


def _on(group: Group, rows: Observed) -> Observed:
    return rows.to(group.device, torch.float32)  # no setting: see FitFactors


def first_factors(items: int, als: Als, seed: int) -> Tensor:
    """(I, D), the same on every worker."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(items, als.factors, generator=generator) * 0.01


def sweep(shard: Shard, factors_ID: Tensor, regularization: float, group: Group) -> Tensor:
    """(I, D) item factors after the members were solved for the old ones, and the items for the members."""
    members = solve(shard.members, factors_ID, gram(factors_ID), regularization)
    members_all = gathered_rows(members, shard.slots, group)
    items = solve(shard.items, members_all, gram(members_all), regularization)
    return gathered_rows(items, shard.items_total, group)


def objective(shard: Shard, factors_ID: Tensor, regularization: float, group: Group) -> float:
    """The regularised loss of all workers, with the members solved for these item factors."""
    members = solve(shard.members, factors_ID, gram(factors_ID), regularization)
    own = loss(shard.members, members, factors_ID) + regularization * (members**2).sum()
    return float(total(own[None].double(), group)[0] + regularization * (factors_ID**2).sum())


@dataclass(frozen=True, kw_only=True)
class Worker:
    """One worker's view: its members' purchases, and the others to work with."""

    config: FitFactors
    release: Release
    group: Group
    products: Products
    purchases: Purchases
    champion: Recommender | None = None  # who answers so far, where the test's days are unknown to it

    @classmethod
    def of(cls, config: FitFactors, release: Release, group: Group, champion: Recommender | None = None) -> Worker:
        """The worker that reads every so-manieth bucket, from its rank on."""
        products = read_products(release)
        purchases = read_purchases(release, range(group.rank, release.shop.buckets, group.size), products)
        return cls(
            config=config, release=release, group=group, products=products, purchases=purchases, champion=champion
        )

    def fit(self) -> Progress:
        """All periods, from the newest checkpoint on."""
        with self.group.latest() as folder:
            progress = Progress.read(folder) if folder else Progress()
        for period in periods(self.release, self.config.test_days)[len(progress.fitted) :]:
            progress = self._fit_period(period, progress)
        return progress

    def _fit_period(self, period: Period, progress: Progress) -> Progress:
        items = catalogue(self.config, self.products, self.purchases, period.known_before, self.group)
        histories = self._histories(self.purchases.net(period.known_before), items)
        part = shard(histories, self.config.als, len(items.product), self.group)
        saved_at = time.monotonic()
        for step in self._sweeps(part, progress):
            progress = step
            is_last = progress.sweeps == self.config.als.sweeps  # it is saved with what it came to
            if not is_last and decided(time.monotonic() - saved_at >= self.config.checkpoint_seconds):
                self.group.save({"period": period.name, "sweep": progress.sweeps}, progress.write)
                saved_at = time.monotonic()
        done = self._fitted(period, items, histories, part, progress)
        progress = Progress((*progress.fitted, done))
        self.group.save({"period": period.name, "objective": done.objective}, progress.write)
        return progress

    def _sweeps(self, part: Shard, progress: Progress) -> Iterator[Progress]:
        als = self.config.als
        start = progress.factors
        factors_ID = first_factors(part.items_total, als, self.config.seed) if start is None else start
        factors_ID = factors_ID.to(self.group.device)
        for number in range(progress.sweeps, als.sweeps):
            factors_ID = sweep(part, factors_ID, als.regularization, self.group)
            yield replace(progress, sweeps=number + 1, factors=factors_ID)

    def _histories(self, net: Net, items: Catalogue) -> Histories:
        offsets, places, times = net.within(items.place, len(self.purchases))
        return Histories(offsets=offsets, item_index=places, times=times)

    def _fitted(
        self, period: Period, items: Catalogue, histories: Histories, part: Shard, progress: Progress
    ) -> Fitted:
        factors_ID = progress.factors
        if factors_ID is None:
            raise ValueError(f"{period.name}: no sweep was done")
        chosen, judged = self._judged(period, items, histories, factors_ID, progress)
        done = Fitted(
            product=items.product,
            factors=factors_ID.cpu(),
            share=items.share[int(chosen["popularity_days"])],
            baseline_share=items.share[int(chosen["baseline_days"])],
            objective=objective(part, factors_ID, self.config.als.regularization, self.group),
            members=items.members,
            pairs=int(total(torch.tensor([len(histories.times)]), self.group)[0]),
            chosen=chosen,
            judged=judged,
        )
        if self.group.rank == 0:
            says = "%s: %d members, %d items, objective %.0f, chosen %s"
            log.info(says, period.name, done.members, len(done.product), done.objective, chosen)
        return done

    def _judged(
        self, period: Period, items: Catalogue, histories: Histories, factors_ID: Tensor, progress: Progress
    ) -> tuple[dict[str, float], dict[str, npt.NDArray[np.float64]]]:
        """What validation chooses, and how the test judges it."""
        if period.until is None:
            return dict(progress.fitted[0].chosen), {}
        next_bought = self.purchases.net(period.until, since=period.known_before, until=period.until)
        bought = self._histories(next_bought, items)
        keys = self.purchases.member_keys
        judge = FactorsJudge(
            group=self.group,
            all_items=truth(keys, histories, bought),
            new_items=truth(keys, histories, bought.without(histories)),
        )
        if not total(torch.tensor([len(judge.new_items.members)]), self.group)[0]:
            days = f"{period.known_before} and {period.until}"
            raise Refused(
                f"no member bought an item new to them between {days}: set test_days higher, or bring more days"
            )
        if not progress.fitted:
            bare = self._model(items, factors_ID, {"popularity_days": self.config.choices.popularity_days[0]})
            return judge.choose(bare, items, self.config.choices), {}
        chosen = dict(progress.fitted[0].chosen)
        return chosen, judge.judged(self._answers(items, factors_ID, chosen))

    def _model(self, items: Catalogue, factors_ID: Tensor, chosen: dict[str, float]) -> Factorization:
        return Factorization(
            product_ids=[],
            factors_ID=factors_ID,
            share_I=items.share[int(chosen["popularity_days"])],
            architecture=architecture(self.config.als, chosen),
            device=self.group.device,
        )

    def _answers(self, items: Catalogue, factors_ID: Tensor, chosen: dict[str, float]) -> dict[str, Answer]:
        ours = self._model(items, factors_ID, chosen)
        bare = self._model(items, factors_ID, {"popularity_days": chosen["popularity_days"]})
        popular = Popularity([], items.share[int(chosen["baseline_days"])], self.group.device)
        answers = {
            "model.new_items": _answer(ours, include_bought=False),
            "model.all_items": _answer(ours, include_bought=True),
            "factors_alone.new_items": _answer(bare, include_bought=False),
            "factors_alone.all_items": _answer(bare, include_bought=True),
            "popularity.new_items": _answer(popular, include_bought=False),
            "popularity.all_items": _most_popular(popular),
            "own_favourites.all_items": _answer(popular, include_bought=True),
        }
        return answers | ({"champion.new_items": self._champions_answer(items)} if self.champion else {})

    def _champions_answer(self, items: Catalogue) -> Answer:
        """The champion knows a catalogue of its own: what it answers that is no item here is never bought."""
        champion = self.champion
        if champion is None:
            raise ValueError("there is no champion to ask")
        theirs = _numbers(champion.product_ids, self.products)
        to_ours = np.append(np.where(theirs >= 0, items.place[theirs], -1), -1)  # the last for "nothing"
        to_theirs = np.full(len(items.product), -1, np.int64)
        to_theirs[to_ours[:-1][to_ours[:-1] >= 0]] = np.nonzero(to_ours[:-1] >= 0)[0]

        def answer(histories: Histories) -> npt.NDArray[np.int64]:
            return to_ours[champion.recommend(histories.renamed(to_theirs), K, include_bought=False)[0]]

        return answer


def _numbers(product_ids: list[str], products: Products) -> npt.NDArray[np.int64]:
    found = pc.index_in(np.array(product_ids, dtype=object), value_set=products.product_ids)
    return pc.fill_null(found, -1).to_numpy().astype(np.int64)


def _answer(recommender: Recommender, *, include_bought: bool) -> Answer:
    return lambda histories: recommender.recommend(histories, K, include_bought)[0]


def _most_popular(recommender: Popularity) -> Answer:
    """Popular items whether bought or not, the same for everyone."""

    def answer(histories: Histories) -> npt.NDArray[np.int64]:
        nobody = Histories(offsets=np.zeros(2, np.int64), item_index=np.empty(0, np.int64), times=np.empty(0))
        return np.repeat(recommender.recommend(nobody, K)[0], len(histories), axis=0)

    return answer


def architecture(als: Als, chosen: dict[str, float]) -> Architecture:
    return Architecture(
        factors=als.factors,
        weighting=als.weighting,
        alpha=als.alpha,
        regularization=als.regularization,
        popularity_weight=chosen.get("popularity_weight", 0.0),
        favourites_weight=chosen.get("favourites_weight", 0.0),
    )
