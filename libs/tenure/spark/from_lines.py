"""Gold that is made of order lines, each member-day by itself."""

from __future__ import annotations

from collections.abc import Callable

from pyspark.sql import DataFrame

from tenure.contracts.silver import ORDER_LINES
from tenure.contracts.table import Table
from tenure.lake.job_run import JobRun
from tenure.spark.kept import Kept
from tenure.spark.news import days_with_news, news
from tenure.spark.night import Night
from tenure.spark.parts import MEMBER_DAY
from tenure.spark.runs import described


def build_from_lines(
    build: Night, table: Table, rows_of: Callable[[DataFrame, str], DataFrame], job: JobRun, *, called: str
) -> None:
    """Makes the table's rows of every member-day of which a line is new to the table.

    Args:
        rows_of: from the lines of whole member-days to the rows of ``table``; its second argument is a SQL condition
            on ``day`` which holds for all of them, so that files of other tables are skipped.
        called: what people call its rows.
    """
    after = build.opened(table).through_batch
    lines = build.read(ORDER_LINES)
    with described(build.spark, f"{job.job}: look for lines after batch {after}"):
        fresh = news((lines,), after)
    job.read["order_lines"] = fresh.rows
    if not fresh:
        job.nothing_new("no lines that the table does not hold")
        return
    what = f"{job.job}: {len(fresh.known_on)} days with {fresh.rows:,} new lines"
    with described(build.spark, what), Kept() as kept:
        within = fresh.within("day") if after else "true"
        if after:
            lines = lines.where(within)
            lines = lines.join(kept.at_hand(days_with_news(lines, after)), list(MEMBER_DAY), "left_semi")
        written = build.put(rows_of(lines, within), table, after, fresh)
    job.wrote[table.name] = written
    job.says(f"{written:,} {called} from {fresh.rows:,} new lines of {len(fresh.known_on)} days")
