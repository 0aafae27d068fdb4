"""P15's order lines are kept and set aside alike on both sides, and no column is passed over unsaid."""

from __future__ import annotations

import pytest
from deltalake import write_deltalake

pl = pytest.importorskip("polars")

from benchmarks.data_by_hand import FILE  # noqa: E402
from benchmarks.equality import Differ, hold_equal  # noqa: E402
from benchmarks.simulated_lake import Unequal  # noqa: E402
from benchmarks.whole_path_data import LEFT_OUT, fates, fates_by_hand, told_by_both  # noqa: E402

from tenure.contracts.control import QUARANTINE, REPLACED  # noqa: E402
from tenure.contracts.gold import LABELS  # noqa: E402
from tenure.contracts.silver import ORDER_LINES  # noqa: E402
from tenure.lake.layout import table_path  # noqa: E402

OURS = {
    ORDER_LINES: {"line_key": [1, 2]},
    QUARANTINE: {
        "table": ["raw_orders"] * 3 + ["raw_members"],
        "rule": ["missing_quantity", "missing_paid_minor", "quantity_out_of_range", "missing_quantity"],
    },
    REPLACED: {"table": ["raw_orders"] * 3, "rule": ["exact_duplicate", "key_duplicate", "taken_back_same_day"]},
}


@pytest.mark.parametrize(
    ("aside", "is_alike"),
    [
        (["missing", "missing", "out_of_range", "duplicate", "duplicate", "taken_back_same_day"], True),
        (["missing", "clock_wrong", "out_of_range", "duplicate", "duplicate", "taken_back_same_day"], False),
        (["missing", "missing", "out_of_range", "duplicate", "duplicate"], False),
    ],
)
def test_lines_are_counted_by_the_rule_that_took_them_out(tmp_path, aside, is_alike):
    for table, columns in OURS.items():
        write_deltalake(table_path(str(tmp_path), table), pl.DataFrame(columns).to_arrow())
    for name, columns in (("order_lines", {"order_id": ["a", "b"]}), ("quarantine", {"rule": aside})):
        pl.DataFrame(columns).write_parquet(tmp_path / "hand" / name / FILE, mkdir=True)
    sides = fates(str(tmp_path)), fates_by_hand(tmp_path / "hand")
    if is_alike:
        hold_equal(*sides, "Polars")
    else:
        with pytest.raises(Differ, match=r"missing|taken_back_same_day"):
            hold_equal(*sides, "Polars")


def test_a_column_that_is_missing_by_hand_is_refused_unless_it_is_stated(tmp_path):
    there = [name for name in LABELS.names if name not in LEFT_OUT["labels"]]
    for names in (there, there[1:], [*there, "task"]):
        pl.DataFrame({name: [1] for name in names}).write_parquet(tmp_path / FILE)
        if names == there:
            assert told_by_both(LABELS, tmp_path / FILE) == there
        else:
            with pytest.raises(Unequal, match="labels by hand lacks"):
                told_by_both(LABELS, tmp_path / FILE)
