"""Where members stand by what the shop sees, and where they stand in truth."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tenure.contracts.gold import member_features
from tenure.contracts.truth import TRUE_STATES
from tenure.lake.release import Release
from tenure.lifecycle.stages import STAGES
from tenure.report.truth.told import Told


@dataclass(frozen=True, kw_only=True)
class TrueStages:
    """``members`` (S, S) in each true stage (row) and told one (column), S stages in the order of ``STAGES``."""

    as_of: date
    members: np.ndarray

    @property
    def accuracy(self) -> float:
        """The share of members whose stage is the true one."""
        return float(np.trace(self.members) / max(self.members.sum(), 1))


def true_stages(told: Told, release: Release) -> TrueStages | None:
    """At the newest ``as_of`` of which both tell; None where there is none."""
    features = member_features(release.shop)
    for day in reversed(told.days(TRUE_STATES)):
        ours = release.read(features, ["member_key", "stage"], where=f"as_of = DATE '{day}'")
        if ours.num_rows:
            true = told.of_members(TRUE_STATES, ["stage"], [day]).rename_columns({"stage": "true_stage"})
            return _confused(day, ours.join(true, "member_key", join_type="inner"))  # one state a member
    return None


def _confused(day: date, rows: pa.Table) -> TrueStages:
    true, ours = (_place(rows[name]) for name in ("true_stage", "stage"))
    size = len(STAGES)
    return TrueStages(as_of=day, members=np.bincount(true * size + ours, minlength=size * size).reshape(size, size))


def _place(stages: pa.ChunkedArray) -> np.ndarray:
    return pc.index_in(stages, pa.array(STAGES)).to_numpy()
