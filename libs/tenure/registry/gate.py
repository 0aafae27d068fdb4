"""Who answers from now on: the model that was just trained, the baseline, or the champion before it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tenure.errors import Busy
from tenure.registry.manifest import Gate, Manifest
from tenure.registry.registry import Registry

if TYPE_CHECKING:
    from tenure.lake.release import Release

log = logging.getLogger(__name__)

MODEL: Final = "model"
CHAMPION: Final = "champion"
ROUNDING = 1e-9  # of a metric: sums over the same rows in another order are equal


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Ours against theirs on the same test rows; ``low`` and ``high`` bound ours minus theirs, members resampled."""

    against: str
    metric: str
    ours: float
    theirs: float
    low: float
    high: float

    def says(self, verdict: str) -> str:
        return (
            f"{self.metric}: {self.ours:.4f}, {self.against} {self.theirs:.4f}; "
            f"difference {self.ours - self.theirs:+.4f} [{self.low:+.4f}, {self.high:+.4f}]: {verdict}"
        )


def decide(
    baseline: str,
    *,
    beats: Sequence[Difference],
    not_worse_than: Sequence[Difference] = (),
    holds: Mapping[str, bool] | None = None,
    notes: Sequence[str] = (),
    stays: str | None = None,
) -> Gate:
    """The verdict on a model.

    Args:
        baseline: who answers where the model does not pass.
        beats: differences whose whole interval must lie above zero.
        not_worse_than: differences to whoever answers now, none of which may be below zero. The interval does not
            decide here: of two that can hardly be told apart the better one answers, or a row of trainings, each a
            little worse than the one before, would lead downhill.
        holds: further conditions, each as a sentence, with whether it holds.
        notes: what else is to be known of the verdict, as that the champion could not be asked; decides nothing.
        stays: why whoever answers now goes on, as it could be asked about other rows, though not about these.
    """
    judged = [(d.low > 0, d.says("better" if d.low > 0 else "not shown to be better")) for d in beats]
    judged += [(_is_not_worse(d), d.says(_against_who_answers(d))) for d in not_worse_than]
    judged += [(ok, f"{condition}: {'yes' if ok else 'no'}") for condition, ok in (holds or {}).items()]
    passed = all(ok for ok, _ in judged) and stays is None
    reasons = (*(says for _, says in judged), *notes, *((stays,) if stays else ()))
    return Gate(passed=passed, champion=MODEL if passed else CHAMPION if stays else baseline, reasons=reasons)


def _is_not_worse(difference: Difference) -> bool:
    return difference.ours >= difference.theirs - ROUNDING


def _against_who_answers(difference: Difference) -> str:
    if _is_not_worse(difference):
        return "not worse"
    return "worse" if difference.high < 0 else "below it, and who answers gives way to its equal only"


def reads_other_rows(manifest: Manifest, chosen: Release) -> str | None:
    """Why a model cannot be asked about the rows of a release; None where it can."""
    if manifest.source != chosen.source:
        return f"it was trained for {manifest.source}"
    if manifest.fingerprint != chosen.fingerprint:
        return f"it was trained on tables of fingerprint {manifest.fingerprint}, these are of {chosen.fingerprint}"
    return None


def not_compared(version: str, why: str) -> str:
    """The note that a champion has no part in the verdict."""
    return f"the champion (version {version}) is not compared: {why}"


def cannot_be_met(version: str, why: str) -> str:
    """Why a champion goes on that could not be asked about the rows of this test."""
    return (
        f"the champion (version {version}) goes on: {why}, so nobody can say who is better; judge on later days, or "
        "set the alias yourself"
    )


def announce(task: str, gate: Gate) -> None:
    """The verdict with its reasons, for whoever watches the training."""
    for reason in gate.reasons:
        log.info("%s gate: %s", task, reason)
    log.info("%s gate: %s; from now on %s answers", task, "passed" if gate.passed else "not passed", gate.champion)


def promote(registry: Registry, task: str, *, candidate: str, champion: str, before: str | None) -> None:
    """``candidate`` is the model just trained; ``champion`` the version that answers: its own, or a baseline's.

    Args:
        before: the champion that took part in the verdict.

    Raises:
        Busy: if another one answers by now, which the model has not met.
    """
    try:
        registry.set_alias(task, "champion", champion, before=before)
    except Busy as busy:
        raise Busy(
            f"{busy}; version {candidate}, which was just trained, has not met it: run this training again"
        ) from None
    # Last: an equal training is not run again once its candidate stands (ADR 15), so all must be done by then.
    registry.set_alias(task, "candidate", candidate)
