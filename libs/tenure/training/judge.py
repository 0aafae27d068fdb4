"""Every model on the same test rows, and what follows from it: the gate's verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tenure.errors import TenureError
from tenure.lake.release import Release
from tenure.models.rows import MemberRows
from tenure.models.scorer import MemberScorer, load_scorer
from tenure.registry.gate import CHAMPION, reads_other_rows
from tenure.registry.registry import Registry
from tenure.tasks.split import EPOCH
from tenure.tasks.task import Task
from tenure.training.data import ExampleReader
from tenure.training.evaluation import Comparison, Judged, compare

Score = Callable[[MemberRows], np.ndarray]
FEATURES_ONLY = "features_only"
SEQUENCE_ONLY = "sequence_only"


@dataclass(frozen=True)
class Verdict:
    """Test rows, (N,) scores of every model by seed, and their comparison."""

    judged: Judged
    scores: dict[str, Sequence[np.ndarray]]
    comparison: Comparison


def score_test(
    reader: ExampleReader, models: Mapping[str, Sequence[Score]]
) -> tuple[Judged, dict[str, list[np.ndarray]]]:
    """Scores of every model, one a seed, bucket by bucket."""
    parts: list[Judged] = []
    scores: dict[str, list[list[np.ndarray]]] = {name: [[] for _ in seeds] for name, seeds in models.items()}
    for bucket in reader.buckets:
        examples = reader.read(bucket, "test")
        keys = examples.rows.member_keys
        is_unseen = ~np.isin(keys, reader.member_keys(bucket, "train"))  # a member's rows are all in one bucket
        parts.append(Judged(keys, examples.rows.as_of, examples.labels, is_unseen))
        for name, seeds in models.items():
            for seed, score in enumerate(seeds):
                scores[name][seed].append(score(examples.rows))
    judged = Judged(*(np.concatenate(blocks) for blocks in zip(*(vars(p).values() for p in parts), strict=True)))
    return judged, {name: [np.concatenate(seed) for seed in seeds] for name, seeds in scores.items()}


def judge(task: Task, judged: Judged, scores: Mapping[str, Sequence[np.ndarray]], resamples: int, seed: int) -> Verdict:
    return Verdict(judged, dict(scores), compare(task.metrics, judged, scores, resamples, seed))


@dataclass(frozen=True)
class Champion:
    """Who answers now: its version, and its scorer where it may be compared; ``says`` why not.

    ``split`` is that of the model which it is compared with.
    """

    version: str
    scorer: MemberScorer | None
    says: str
    split: Mapping[str, object]

    def may_judge(self, judged: Judged) -> np.ndarray:
        """(N,) which test rows the champion did not learn from either."""
        learnt_by = self.scorer.manifest.split if self.scorer else {}
        drawn = {name: said for name, said in self.split.items() if name in ("drawn", "shares")}
        if drawn and drawn.items() <= learnt_by.items():
            return np.ones(len(judged.labels), bool)  # the same draw kept the same members from it
        learnt_until = str(learnt_by.get("learnt_until", ""))
        if not learnt_until:
            return np.zeros(len(judged.labels), bool)
        day = (np.datetime64(learnt_until) - np.datetime64(EPOCH)).astype(int)
        return judged.as_of > day


def find_champion(registry: Registry, task: Task, chosen: Release, split: Mapping[str, object]) -> Champion | None:
    """The version that answers now; it is not compared where it cannot be loaded, or was made for other rows than the
    release's: of another shop, or of tables under another contract."""
    version = registry.version(task.name, CHAMPION)
    if version is None:
        return None
    try:
        scorer = load_scorer(registry.folder(task.name, version))
    except TenureError as error:
        return Champion(version, None, str(error), split)
    if (why := reads_other_rows(scorer.manifest, chosen)) is not None:
        return Champion(version, None, why, split)
    return Champion(version, scorer, "", split)
