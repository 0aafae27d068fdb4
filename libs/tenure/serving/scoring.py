"""All members of a release scored, some at a time, by what answers requests: the batch side of serving."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

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
from tenure.serving.point_in_time import MemberPart, in_catalogue, read_member_keys, read_purchases, read_rows

if TYPE_CHECKING:
    from tenure.models.recommender import Recommender
    from tenure.models.scorer import MemberScorer

log = logging.getLogger(__name__)

M = TypeVar("M")


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A version whose manifest fits a release; ``folder`` is its bundle, None where a server keeps it."""

    version: str
    folder: str | None


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """The versions that may answer for a release, the champion first; ``refused`` says why others may not."""

    task: str
    registry: str
    versions: tuple[Candidate, ...]
    refused: tuple[str, ...] = ()

    def first(self, load: Callable[[Path], M]) -> tuple[str, M]:
        """The first that loads, with its name as ``model_version`` of the contracts. All that open the same candidates
        should come to the same, as loading asks for nothing but the bundle; whoever gathers their answers looks.

        Raises:
            Refused: if none loads, with the reason of each.
        """
        refusals = list(self.refused)
        for candidate in self.versions:
            try:
                return f"{self.task}/{candidate.version}", load(self._folder(candidate))
            except TenureError as error:
                refusals.append(f"version {candidate.version}: {error}")
                log.warning("%s version %s is passed over: %s", self.task, candidate.version, error)
        raise Refused(f"no {self.task} model loads: {'; '.join(refusals)}")

    def _folder(self, candidate: Candidate) -> Path:
        if candidate.folder is not None:
            return Path(candidate.folder)
        return Registry(self.registry).folder(self.task, candidate.version)


def candidates(registry_root: str, task: str, release: Release) -> Candidates:
    """The champion and the versions before it that a gate had chosen, as far as they fit the release. Nothing is loaded
    here: a driver would import torch for it and hold what only its workers need.

    Raises:
        WrongInput: if there is no champion.
        Refused: if none fits, with the reason of each.
    """
    registry = Registry(registry_root)
    champion = registry.version(task, "champion")
    if champion is None:
        raise no_champion(registry_root, task)
    fitting, refusals = [], []
    for version in champion_and_before(registry, task, champion):
        try:
            folder = registry.folder(task, version)
            check_fits(read_manifest(folder), task, release.fingerprint, release.release_id)
            # Workers find the folder without MLflow, which takes seconds to import: only a server is asked again.
            fitting.append(Candidate(version=version, folder=None if registry.is_server else str(folder.absolute())))
        except TenureError as error:
            refusals.append(f"version {version}: {error}")
    if not fitting:
        raise Refused(f"no {task} model fits release {release.release_id}: {'; '.join(refusals)}")
    for refusal in refusals:
        log.warning("%s %s", task, refusal)
    return Candidates(task=task, registry=registry_root, versions=tuple(fitting), refused=tuple(refusals))


REFUSAL = "refusal"  # of a block: the only column, where there is nothing to answer with


class OfParts(ABC, Generic[M]):
    """Parts in, rows of ``table`` out. Loads its model once, when the first part comes: a worker that raised while it
    starts would be started again and again, and Ray passes on an error's text alone, so a refusal is a block."""

    table: Table

    def __init__(self, release: Release, candidates: Candidates, device: str = "cpu") -> None:
        self._release, self._candidates, self._device = release, candidates, device

    def __call__(self, parts: pa.Table) -> pa.Table:
        """Rows of the parts, each given as its fields."""
        try:
            name, model = self._named
        except TenureError as error:
            return pa.table({REFUSAL: [str(error)]})
        return pa.concat_tables(
            [rows for part in parts.to_pylist() for rows in self._answers(name, model, MemberPart(**part))]
        )

    @cached_property
    def _named(self) -> tuple[str, M]:
        return self._candidates.first(self._load)

    @abstractmethod
    def _load(self, folder: Path) -> M:
        """Imports what it needs by itself: torch is slow to import and the driver does without."""

    @abstractmethod
    def _answers(self, name: str, model: M, part: MemberPart) -> Iterator[pa.Table]:
        """A part's rows, as the model called ``name`` answers."""

    def _rows(self, name: str, count: int, **columns: Any) -> pa.Table:
        """Rows of the contract; a single value stands for all of them."""
        release = self._release
        columns |= {"as_of": release.newest_as_of, "model_version": name, "release_id": release.release_id}

        def column(field: pa.Field) -> pa.Array:
            value = columns[field.name]
            if isinstance(value, np.ndarray | pa.Array):
                return pa.array(value).cast(field.type)
            return pa.repeat(pa.scalar(value, field.type), count)

        schema = arrow(self.table)
        return pa.Table.from_arrays([column(field) for field in schema], schema=schema)


class ChurnOfParts(OfParts["MemberScorer"]):
    """Rows of ``member_scores``."""

    table = MEMBER_SCORES

    def _load(self, folder: Path) -> MemberScorer:
        from tenure.models.scorer import load_scorer

        return load_scorer(folder, self._device)

    def _answers(self, name: str, model: MemberScorer, part: MemberPart) -> Iterator[pa.Table]:
        visits = model.inputs.visits
        rows = read_rows(self._release, part, visits.max_events if visits else 1)
        keys, scores = rows.member_keys, model.score(rows)
        yield self._rows(name, len(rows), bucket=part.bucket, member_key=keys, task=self._candidates.task, score=scores)


class ItemsOfParts(OfParts["Recommender"]):
    """Rows of ``recommendations``: the best ``k`` new items, and the best of all."""

    table = RECOMMENDATIONS

    def __init__(self, release: Release, candidates: Candidates, k: int, device: str = "cpu") -> None:
        super().__init__(release, candidates, device)
        self._k = k

    def _load(self, folder: Path) -> Recommender:
        from tenure.models.recommender import load_recommender

        return load_recommender(folder, self._device)

    def _answers(self, name: str, model: Recommender, part: MemberPart) -> Iterator[pa.Table]:
        keys = read_member_keys(self._release, part)
        purchases, product_ids = read_purchases(self._release, part, keys)
        histories = in_items(purchases, in_catalogue(product_ids, model.product_ids))
        product_ids = pa.array(model.product_ids, pa.string())
        for include_bought in (False, True):
            items, scores = model.recommend(histories, self._k, include_bought)
            member, place = np.nonzero(items >= 0)
            yield self._rows(
                name,
                len(member),
                bucket=part.bucket,
                member_key=keys[member],
                include_bought=include_bought,
                rank=place + 1,
                product_id=product_ids.take(pa.array(items[member, place])),
                score=scores[member, place],
            )
