"""From settings to rows that a training may learn from: release, split and inputs, after every check."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from tenure.config.version import code_version
from tenure.errors import Refused
from tenure.lake.release import Release, release
from tenure.models.build import architecture_of
from tenure.models.inputs import Inputs, fit_inputs
from tenure.privacy.secrets import MEMBER_KEY, read_secret
from tenure.registry.manifest import Manifest
from tenure.tasks.split import ByBoth, ByMember, ByTime, Split, refuse_overlap
from tenure.tasks.task import Task, find_task
from tenure.training.clock import say
from tenure.training.data import ExampleReader, labelled_days
from tenure.training.leaks import refuse_foreign_scaling, refuse_telling
from tenure.training.settings import FitTask
from tenure.training.survey import Survey, survey


@dataclass(frozen=True, kw_only=True)
class Ready:
    """A training whose rows were looked at and not refused; there is none whose inputs know other rows than these.

    Raises:
        Refused: where the inputs are not those of the training rows.
    """

    config: FitTask
    task: Task
    reader: ExampleReader
    survey: Survey
    inputs: Inputs

    def __post_init__(self) -> None:
        refuse_foreign_scaling(
            self.inputs, self.survey.train, self.reader, self.config.reading.bins, _max_events(self.config, self.task)
        )

    @property
    def release(self) -> Release:
        return self.reader.release

    def manifest(self, seed: int) -> Manifest:
        """All that is known of a model before it is judged."""
        config, chosen = self.config, self.release
        settings = config.model_dump(mode="json", exclude={"env", "source", "again"})
        return Manifest(
            task=self.task.name,
            model=self.task.model,
            architecture=config.architecture,
            inputs=self.inputs.model_dump(mode="json"),
            release_id=chosen.release_id,
            source=chosen.source,
            fingerprint=chosen.fingerprint,
            code_version=code_version(),
            config={**settings, "lacks": [has.value for has in chosen.shop.lacks]},
            split={**self.reader.split.says(), "learnt_until": str(self.survey.learnt_until)},
            seed=seed,
            rows={str(part): rows for part, rows in self.survey.rows.items()},
            created_at=datetime.now(UTC),
        )


def prepare(config: FitTask) -> Ready:
    """The release, split and inputs, after every check that must hold before anything is learnt.

    Raises:
        WrongInput: where the settings do not fit the task's network or the release.
        Refused: where a row, a window, a number or the scaling would let the model see the future.
    """
    task = find_task(config.task)
    architecture_of(task.model, config.architecture)  # refused here, not by every worker after minutes
    chosen = release(config.env.lake_root, config.release, config.env.storage_options)
    chosen.refuse_another_source(config.source.name)
    reading = config.reading
    as_of = labelled_days(chosen, task)
    split = _split(config, as_of, chosen.shop.horizon_days)
    # Every visit of the longest window, so that windows can be checked; the model cuts to its own max_events.
    seen_events = max(reading.max_events, *chosen.shop.windows_days)
    reader = ExampleReader(release=chosen, task=task, split=split, max_events=seen_events)
    refuse_overlap(split, as_of, chosen.shop.horizon_days)
    seen = survey(reader, reading.sample_rows, config.seed)
    say(f"release {chosen.release_id}: " + ", ".join(f"{rows:,} {part}" for part, rows in seen.rows.items()) + " rows")
    _refuse_one_outcome(seen, task)
    inputs = fit_inputs(
        seen.train.rows,
        reader.features,
        lacks=chosen.shop.lacks,
        bins=reading.bins,
        max_events=_max_events(config, task),
    )
    refuse_telling(seen.train, inputs, task)
    return Ready(config=config, task=task, reader=reader, survey=seen, inputs=inputs)


def _refuse_one_outcome(seen: Survey, task: Task) -> None:
    """Before minutes of training: nothing can be learnt, chosen or judged by rows that all come to the same.

    Raises:
        Refused: naming the part.
    """
    for part, rows in seen.rows.items():
        if seen.positive[part] in (0, rows):
            raise Refused(
                f"all {rows:,} {part} rows of {task.name} have the same outcome: let the part hold more days in the "
                "source's split, or train when there is more of the shop"
            )


def _max_events(config: FitTask, task: Task) -> int | None:
    return config.reading.max_events if task.inputs.sequence else None


def _split(config: FitTask, as_of: Sequence[date], horizon_days: int) -> Split:
    days = config.source.split.among(as_of, horizon_days)
    by_time = ByTime(train_until=days.train_until, validation=days.validation, test=days.test)
    if config.split.by == "time":
        return by_time
    # Workers get a key of its own, so that the secret behind all member keys stays in the driver.
    secret = read_secret(MEMBER_KEY, config.env.secrets_folder).encode()
    by_member = ByMember(salt=hmac.digest(secret, b"split", "sha256").hex())
    return by_member if config.split.by == "member" else ByBoth(time=by_time, member=by_member)
