"""All members of a release scored, a bucket at a time, by what answers requests: the batch side of serving."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tenure.contracts.answers import MEMBER_SCORES, RECOMMENDATIONS
from tenure.contracts.table import Table
from tenure.errors import Refused, TenureError
from tenure.lake.release import Release
from tenure.lake.schema import arrow
from tenure.registry.manifest import read_manifest
from tenure.registry.registry import Registry
from tenure.serving.loading import champion_and_before, check_fits, in_items, no_champion
from tenure.serving.point_in_time import in_catalogue, read_member_keys, read_purchases, read_rows


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The version that answers for a release, to be opened where it is needed."""

    task: str
    version: str
    registry: str

    @property
    def name(self) -> str:
        return f"{self.task}/{self.version}"

    def folder(self) -> str:
        return str(Registry(self.registry).folder(self.task, self.version))


def choose(registry_root: str, task: str, release: Release) -> Chosen:
    """The champion, or the newest version before it that a gate had chosen, whichever fits the release and loads first.

    Raises:
        WrongInput: if there is no champion.
        Refused: if none fits, with the reason of each.
    """
    registry = Registry(registry_root)
    champion = registry.version(task, "champion")
    if champion is None:
        raise no_champion(registry_root, task)
    refusals = []
    for version in champion_and_before(registry, task, champion):
        try:
            folder = registry.folder(task, version)
            check_fits(read_manifest(folder), task, release.fingerprint, release.release_id)
            _loads(task, folder)
            return Chosen(task=task, version=version, registry=registry_root)
        except TenureError as error:
            refusals.append(f"version {version}: {error}")
    raise Refused(f"no {task} model fits release {release.release_id}: {'; '.join(refusals)}")


def _loads(task: str, folder: Path) -> None:
    """Refuses a bundle whose weights are not those of its architecture."""
    from tenure.models.recommender import load_recommender
    from tenure.models.scorer import load_scorer

    {"churn": load_scorer, "recommender": load_recommender}[task](folder)


class ChurnOfBuckets:
    """Buckets in, rows of ``member_scores`` out; loads its model once."""

    table = MEMBER_SCORES

    def __init__(self, release: Release, chosen: Chosen, device: str = "cpu") -> None:
        from tenure.models.scorer import load_scorer  # by the worker alone: torch is slow to import

        self._release, self._chosen = release, chosen
        self._scorer = load_scorer(chosen.folder(), device)
        visits = self._scorer.inputs.visits
        self._max_events = visits.max_events if visits else 1

    def __call__(self, buckets: pa.Table) -> pa.Table:
        return pa.concat_tables([self._score(bucket) for bucket in buckets["bucket"].to_pylist()])

    def _score(self, bucket: int) -> pa.Table:
        rows = read_rows(self._release, bucket, self._max_events)
        scores = self._scorer.score(rows)
        return _table(
            self.table,
            self._release,
            self._chosen,
            len(rows),
            bucket=bucket,
            member_key=rows.member_keys,
            task=self._chosen.task,
            score=scores,
        )


class ItemsOfBuckets:
    """Buckets in, rows of ``recommendations`` out: the best new items, and the best of all; loads its model once."""

    table = RECOMMENDATIONS

    def __init__(self, release: Release, chosen: Chosen, k: int, device: str = "cpu") -> None:
        from tenure.models.recommender import load_recommender

        self._release, self._chosen, self._k = release, chosen, k
        self._recommender = load_recommender(chosen.folder(), device)

    def __call__(self, buckets: pa.Table) -> pa.Table:
        parts = [
            self._rank(bucket, include_bought)
            for bucket in buckets["bucket"].to_pylist()
            for include_bought in (False, True)
        ]
        return pa.concat_tables(parts)

    def _rank(self, bucket: int, include_bought: bool) -> pa.Table:
        keys = read_member_keys(self._release, bucket)
        purchases, product_ids = read_purchases(self._release, bucket, keys)
        histories = in_items(purchases, in_catalogue(product_ids, self._recommender.product_ids))
        items, scores = self._recommender.recommend(histories, self._k, include_bought)
        member, place = np.nonzero(items >= 0)
        names = pa.array(self._recommender.product_ids, pa.string()).take(pa.array(items[member, place]))
        return _table(
            self.table,
            self._release,
            self._chosen,
            len(member),
            bucket=bucket,
            member_key=keys[member],
            include_bought=include_bought,
            rank=place + 1,
            product_id=names,
            score=scores[member, place],
        )


def _table(table: Table, release: Release, chosen: Chosen, rows: int, **columns: Any) -> pa.Table:
    """Rows of the contract; a single value stands for all of them."""
    columns |= {"as_of": release.newest_as_of, "model_version": chosen.name, "release_id": release.release_id}

    def column(field: pa.Field) -> pa.Array:
        value = columns[field.name]
        if isinstance(value, np.ndarray | pa.Array):
            return pa.array(value).cast(field.type)
        return pa.repeat(pa.scalar(value, field.type), rows)

    schema = arrow(table)
    return pa.Table.from_arrays([column(field) for field in schema], schema=schema)
