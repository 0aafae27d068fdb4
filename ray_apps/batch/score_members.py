"""Scores all members of the newest release: probabilities to churn, and recommendations, as Delta tables.

    python ray_apps/batch/score_members.py --config conf/batch/score_members.yaml --set env.work=var/demo
    ray job submit -- python ray_apps/batch/score_members.py --config conf/batch/score_members.yaml

Members are scored by Ray Data, some thousands at a time by each worker; the answers of a task and an ``as_of`` are
replaced in one commit, so a rerun changes nothing but the commit. Scores and recommendations are commits of their own:
where the one model cannot answer, the other's table is written and the run still fails. The run leaves a row in
``job_runs``.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from typing import Any

import pyarrow as pa
import ray
from deltalake import write_deltalake
from deltalake.exceptions import CommitFailedError
from pydantic import Field

from tenure.config.command import command
from tenure.config.env import Env
from tenure.config.settings import Settings
from tenure.contracts.answers import MEMBER_SCORES
from tenure.contracts.table import Table
from tenure.errors import Busy, Refused
from tenure.lake.layout import RETENTION, table_path
from tenure.lake.release import Release, release
from tenure.lake.runs import JobRun, job_run
from tenure.lake.schema import arrow
from tenure.serving.point_in_time import MemberPart, parts
from tenure.serving.scoring import REFUSAL, ChurnOfParts, ItemsOfParts, candidates

log = logging.getLogger("score_members")


class Workers(Settings):
    """How many processes score members, and what each may use; ``gpus`` is a share of one device."""

    at_least: int = Field(default=1, ge=1)
    at_most: int = Field(default=1, ge=1)
    cpus: float = Field(default=1, gt=0)
    gpus: float = Field(default=0, ge=0)


class ScoreMembers(Settings):
    """``release_id``: by default the newest. ``k``: items for each member."""

    env: Env
    release_id: str | None = None
    k: int = Field(default=10, ge=1, le=100)
    workers: Workers = Workers()


def run(config: ScoreMembers) -> None:
    env = config.env
    chosen = release(env.lake_root, config.release_id, env.storage_options)  # before the run: no lake, no row
    with job_run(env.lake_root, "score_members", env.storage_options) as job:
        _score(config, chosen, job)


def _score(config: ScoreMembers, chosen: Release, job: JobRun) -> None:
    env = config.env
    # Who may answer is decided once, here: processes that asked the registry could be told different champions.
    churn, recommender = (candidates(env.registry_root, task, chosen) for task in ("churn", "recommender"))
    _connect(env)
    device = "cuda" if config.workers.gpus else "cpu"
    everybody = parts(chosen)
    day = f"as_of = DATE '{chosen.newest_as_of}'"
    arguments: dict[str, Any] = {"release": chosen, "candidates": churn, "device": device}
    scores = partial(_replace, ChurnOfParts, arguments, everybody, config, job, where=f"task = 'churn' and {day}")
    arguments = {"release": chosen, "candidates": recommender, "k": config.k, "device": device}
    items = partial(_replace, ItemsOfParts, arguments, everybody, config, job, where=day)
    with ThreadPoolExecutor() as both:  # neither waits for the other's processes to start
        written = [both.submit(scores), both.submit(items)]
    failed = [error for each in written if (error := each.exception())]
    if len(failed) > 1 and all(isinstance(error, Refused) for error in failed):
        raise Refused("; ".join(map(str, failed)))
    for error in failed[1:]:
        log.error("also failed: %s", error)
    if failed:
        raise failed[0]
    job.read["member_features"] = job.wrote[MEMBER_SCORES.name]  # one score each


def _connect(env: Env) -> None:
    """The cluster that runs this job, the one that the settings name, or one of this process."""
    if not ray.is_initialized():
        address = None if os.environ.get("RAY_ADDRESS") else env.ray_address or "local"
        ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING)
    logging.getLogger("ray.data").setLevel(logging.WARNING)


def _replace(
    scorer: type[ChurnOfParts | ItemsOfParts],
    arguments: dict[str, Any],
    everybody: Sequence[MemberPart],
    config: ScoreMembers,
    job: JobRun,
    where: str,
) -> None:
    """Scores every part and puts the answers in the place of those that ``where`` describes, in one commit."""
    workers = config.workers
    # A block a part, made here: to cut them apart later takes workers of its own.
    rows = ray.data.from_items([asdict(part) for part in everybody], override_num_blocks=len(everybody))
    answers = rows.map_batches(
        scorer,
        fn_constructor_kwargs=arguments,
        batch_size=1,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(min_size=workers.at_least, max_size=max(workers.at_least, workers.at_most)),
        num_cpus=workers.cpus,
        num_gpus=workers.gpus,
    )
    counted = _Counted(answers, scorer.table)
    try:
        write_deltalake(
            table_path(config.env.lake_root, scorer.table),
            pa.RecordBatchReader.from_batches(counted.schema, iter(counted)),
            mode="overwrite",
            predicate=where,
            partition_by=list(scorer.table.partition_by),
            configuration=dict(RETENTION),
            storage_options=dict(config.env.storage_options) or None,
        )
    except CommitFailedError as error:
        raise Busy(f"{scorer.table.name} was written by another run meanwhile; run this one again ({error})") from None
    except Exception:
        if counted.refused is None:
            raise
        raise counted.refused from None
    job.wrote[scorer.table.name] = counted.rows
    log.info("%s: %d rows by %s, where %s", scorer.table.name, counted.rows, ", ".join(counted.models), where)


class _Counted:
    """Blocks as they come, how many rows they had and whose answers they are; at no time all of them.

    What was refused is kept in ``refused``: the writer that reads the blocks would pass on its text alone.
    """

    def __init__(self, answers: ray.data.Dataset, table: Table) -> None:
        self._answers, self._table, self.schema, self.rows = answers, table.name, arrow(table), 0
        self.models: set[str] = set()
        self.refused: Refused | None = None

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        for block in self._answers.iter_batches(batch_format="pyarrow", batch_size=None):
            self.refused = self._refusal(block)
            if self.refused is not None:
                raise self.refused
            self.rows += block.num_rows
            yield from block.cast(self.schema).to_batches()

    def _refusal(self, block: pa.Table) -> Refused | None:
        if REFUSAL in block.column_names:
            return Refused(block[REFUSAL][0].as_py())
        self.models.update(block["model_version"].unique().to_pylist())
        if len(self.models) > 1:
            return Refused(
                f"{' and '.join(sorted(self.models))} both answered, as not every worker could load the better one "
                f"(the workers' logs say why): {self._table} stands as it was; run this again"
            )
        return None


if __name__ == "__main__":
    command(ScoreMembers, run, says=__doc__, config="conf/batch/score_members.yaml")
