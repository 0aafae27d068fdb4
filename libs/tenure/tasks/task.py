"""What is learnt, as a value: the trainer and the evaluator never ask which task they hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec

from torch import Tensor
from torch.nn import functional as F

from tenure.contracts.shop import Shop
from tenure.contracts.table import Table
from tenure.errors import WrongInput
from tenure.models.network import Outputs
from tenure.tasks.metrics import Metric


@dataclass(frozen=True, kw_only=True)
class Blocks:
    """Which tables a row is made of; ``sequence`` is None for a task without one."""

    features: Callable[[Shop], Table]
    sequence: Callable[[Shop], Table] | None = None


class Binary:
    """A yes or a no: one logit a row, cross-entropy."""

    def loss(self, outputs: Outputs, labels: Tensor) -> Tensor:
        """(N,) every branch's own cross-entropy, added up, so that no branch leaves another without gradient."""
        said = outputs.branches.values()
        losses = [F.binary_cross_entropy_with_logits(logits, labels, reduction="none") for logits in said]
        return sum(losses[1:], losses[0])


@dataclass(frozen=True, kw_only=True)
class Gate:
    """What a model must show on test rows before it answers.

    Attributes:
        beats: the baseline that it must be better than.
        on: the metric, also of the comparison with the champion, below whom it must not be on the same rows.
        calibration_error_at_most: largest error of a model that counts as calibrated; None where a task's answers are
            no chances.
        telling_alone_at_most: a single number of a row that alone ranks training rows better than this is taken for
            the label in disguise.
    """

    beats: str
    on: Metric
    calibration_error_at_most: float | None
    telling_alone_at_most: float


@dataclass(frozen=True, kw_only=True)
class Task:
    """``examples`` names the rows of ``labels``; horizon and activity are the shop's."""

    name: str
    says: str
    examples: str
    inputs: Blocks
    model: str
    head: Binary
    metrics: tuple[Metric, ...]
    baselines: tuple[str, ...]
    recency: str  # the column whose value alone is the simplest baseline
    gate: Gate


def find_task(name: str) -> Task:
    """The task that ``tenure/tasks/<name>.py`` declares as ``TASK``.

    Raises:
        WrongInput: if there is none.
    """
    module = f"tenure.tasks.{name}"
    task = getattr(import_module(module), "TASK", None) if name.isidentifier() and find_spec(module) else None
    if not isinstance(task, Task):
        raise WrongInput(f"no task {name!r}: declare TASK in libs/tenure/tasks/{name}.py")
    return task
