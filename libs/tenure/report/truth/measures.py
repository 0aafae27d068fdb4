"""How far a landed order line goes beyond what is usual: the number that a rule's limit is set on.

Only for faults that reach among honest rows. Sizes are read off what landed, of honest and of faulty rows alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tenure.lake.release import Release
from tenure.report.curves import Floats
from tenure.report.truth.lines import landed

_DAY_MINUTES = 24 * 60


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Rows (n,) that a limit could take: the higher ``size`` is, the further out a row lies. Rows of the same ``cell``
    cannot be told apart by what the measure reads. A row that is not among them is never taken."""

    export_id: np.ndarray
    size: Floats
    cell: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Measure:
    """``says`` what the limit is set on."""

    says: str
    of: Callable[[Release], Measured]


def units(release: Release) -> Measured:
    """Units of a sale, in cells that widen by a twelfth of a doubling."""
    of = {"export_id": "landed['export_id']", "size": "try_cast(landed['units'] as double)"}
    rows = landed(release, of, where="try_cast(landed['units'] as double) > 0")
    size = rows["size"].to_numpy()
    return Measured(export_id=rows["export_id"].to_numpy(), size=size, cell=np.rint(12 * np.log2(size)))


_SAME = ", ".join(f"landed['{name}']" for name in ("member", "sku", "units", "amount", "is_return"))
_IN_TIME = f"over (partition by {_SAME} order by try_cast(landed['sold_at'] as timestamp), landed['order_no'])"
_SECONDS = (
    f"(cast(try_cast(landed['sold_at'] as timestamp) as bigint) - "
    f"cast(lag(try_cast(landed['sold_at'] as timestamp)) {_IN_TIME} as bigint)) / 1e9"
)
_IS_ANOTHER = f"lag(landed['order_no']) {_IN_TIME} <> landed['order_no']"


def seconds_since_the_same(release: Release) -> Measured:
    """Seconds since the same was bought under another order's number, the fewer the further out, in cells of half a
    minute."""
    of = {"export_id": "landed['export_id']", "seconds": _SECONDS, "is_another": _IS_ANOTHER}
    rows = landed(release, of, where="not landed['is_return']")
    is_near = pc.and_(rows["is_another"], pc.less(rows["seconds"], _DAY_MINUTES * 60.0))
    rows = rows.filter(is_near)
    seconds = rows["seconds"].to_numpy()
    return Measured(export_id=rows["export_id"].to_numpy(), size=-seconds, cell=np.floor(seconds / 30))


def minutes_before_closing(release: Release) -> Measured:
    """How early in the shop's day a sale is said to have been; a whole day for one after the day of its export.

    Cells are an hour of the day and how many days the sale waited for its export."""
    of = {
        "export_id": "landed['export_id']",
        "sold_at": "try_cast(landed['sold_at'] as timestamp)",
        "exported_on": "cast(landed['exported_on'] as date)",
    }
    rows = landed(release, of, where="try_cast(landed['sold_at'] as timestamp) is not null")
    moment = pc.cast(rows["sold_at"], pa.timestamp("us"), safe=False)
    local = pc.local_timestamp(pc.cast(moment, pa.timestamp("us", tz=release.shop.calendar)))
    hour, minute = pc.hour(local).to_numpy(), pc.minute(local).to_numpy()
    waited = _days(rows["exported_on"]) - _days(pc.cast(local, pa.date32(), safe=False))
    is_ahead = waited < 0
    # Days one by one for two weeks, then ever more of them together: so late, each day has few rows.
    wait = np.where(waited <= 14, waited, 14 + np.ceil(np.log2(np.maximum(waited, 1))))
    return Measured(
        export_id=rows["export_id"].to_numpy(),
        size=np.where(is_ahead, _DAY_MINUTES, _DAY_MINUTES - (hour * 60 + minute)).astype(np.float64),
        cell=np.where(is_ahead, -1, wait * 24 + hour),
    )


def _days(dates: pa.ChunkedArray) -> np.ndarray:
    numbers: np.ndarray = pc.cast(dates, pa.int32()).to_numpy().astype(np.int64)
    return numbers


# By the fault that a limit is to find.
MEASURES: Mapping[str, Measure] = {
    "out_of_range": Measure(says="units of a line", of=units),
    "near_duplicate": Measure(says="seconds since the same was bought", of=seconds_since_the_same),
    "clock_skew": Measure(says="hour of the sale", of=minutes_before_closing),
}
