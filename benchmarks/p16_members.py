"""P16: all data jobs for half a million, one million and two million members at 20 order lines each, against itself.

    python -m benchmarks.p16_members --events 40000000
    make bench-data ONLY=P16

``--events`` is the size of the largest shop; the others are half and a quarter of it. Each pass is what a night is: one
``spark-submit jobs/refresh.py`` with 8 GiB of driver memory, from landing files to a release, and then
``jobs/publish_members.py``, which puts the release's members where they are served from. Cost is the jobs' own seconds
a member, without the start of Python and the JVM, which is told apart; memory is the most that the driver's JVM and any
Python ever held (VmHWM). No pass is for warmth: every one begins with processes of its own. What a shop of few members
did must stand unchanged in the larger one, whose first members are the same people.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import pyarrow as pa
from deltalake import DeltaTable, QueryBuilder

from benchmarks import machine, results, simulated_lake
from benchmarks.arguments import Arguments, benchmark
from benchmarks.measure import Load, Peer, at_most, introduce, shared
from benchmarks.neighbours import processes
from benchmarks.simulated_lake import Lake, Unequal
from benchmarks.turns import Side, result, take_turns
from tenure.contracts.control import JOB_RUNS
from tenure.contracts.gold import LABELS, gold_tables, member_features
from tenure.contracts.silver import MEMBER_IDENTITIES, SILVER_TABLES
from tenure.contracts.table import Table
from tenure.lake.layout import table_path
from tenure.lake.release import newest_release

LINES_A_MEMBER = 20
DAYS = 140
# With them, all members have registered before the last weeks, and have some 20 order lines each in so many days.
OVERRIDES = ("purchasing.mean_gap_days=16.5", "acquisition.within_days=100")
MEMORY = "8g"
SHARES = (4, 2, 1)  # of the largest shop: a quarter, a half, all
FLAT = 1.1
SECRET = "not a secret: the members are simulated"  # noqa: S105  one for all shops, so that members have one key
SAMPLE_S = 0.2
NIGHT = ("refresh", "publish_members")


@dataclass
class Held:
    """The most memory that each kind of process of a run ever held, in MiB."""

    peaks: dict[tuple[int, str], float] = field(default_factory=dict)

    def look(self, root: int) -> None:
        there = processes()
        for pid in {pid for pid in there if _descends(pid, root, {one.pid: one.parent for one in there.values()})}:
            name, mib = there[pid].name.rstrip("0123456789."), _high_water_mib(pid)
            self.peaks[pid, name] = max(mib, self.peaks.get((pid, name), 0.0))

    @property
    def by_kind(self) -> dict[str, float]:
        """Of each kind the largest process: beside the driver there are only short-lived ones."""
        kinds = {name for _, name in self.peaks}
        return {kind: max(mib for (_, name), mib in self.peaks.items() if name == kind) for kind in sorted(kinds)}

    @property
    def total(self) -> float:
        """The JVM and Python, each at its worst moment."""
        return sum(self.by_kind.get(kind, 0.0) for kind in ("java", "python"))


def _descends(pid: int, root: int, parents: Mapping[int, int]) -> bool:
    while pid in parents and pid != root:
        pid = parents[pid]
    return pid == root


def _high_water_mib(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)


@dataclass
class Shop:
    """One size: its landing files, and what passes over them took."""

    members: int
    lake: Lake
    jobs_s: list[dict[str, float]] = field(default_factory=list)
    held: list[Held] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{self.members:,} members"

    def run(self) -> float:
        """A night into an empty lake; the jobs' own seconds.

        Raises:
            Unequal: if it did not end with a release.
        """
        shutil.rmtree(self.lake.work, ignore_errors=True)
        self.held.append(_night(self.lake))
        runs = DeltaTable(table_path(self.lake.root, JOB_RUNS)).to_pyarrow_table(columns=["job", "seconds", "outcome"])
        self.jobs_s.append({row["job"]: row["seconds"] for row in runs.to_pylist()})
        newest_release(self.lake.root)
        print(f"P16: {self.name}: {self.held[-1].total:,.0f} MiB; {_in_words(self.jobs_s[-1])}", flush=True)
        return self.nights_s[-1]

    @property
    def nights_s(self) -> list[float]:
        """Seconds of each pass."""
        return [sum(jobs[job] for job in NIGHT) for jobs in self.jobs_s]


def _night(lake: Lake) -> Held:
    """``spark-submit jobs/refresh.py`` and ``jobs/publish_members.py`` as a night runs them, watched."""
    settings = [f"source={simulated_lake.SOURCE}", f"source.data={lake.landing}", f"env.work={lake.work}"]
    submit = Path(sys.executable).parent / "spark-submit"
    properties = ["--properties-file", "var/jars/spark.properties", "--driver-memory", MEMORY]
    scratch = ["--conf", f"spark.local.dir={lake.work.parent / 'spark'}"]
    said = [word for setting in settings for word in ("--set", setting)]
    refresh = [str(submit), *properties, *scratch, "jobs/refresh.py", *said]
    publish = [sys.executable, "jobs/publish_members.py", "--config", "conf/jobs/publish_members.yaml"]
    lake.work.mkdir(parents=True)
    held = Held()
    _watched(refresh, lake.work / "refresh.log", held)
    _watched([*publish, "--set", f"env.work={lake.work}"], lake.work / "publish_members.log", held)
    return held


def _watched(command: Sequence[str], log: Path, held: Held) -> None:
    """Raises ``Unequal`` where the command fails, with the end of what it said."""
    done = threading.Event()
    with log.open("w", encoding="utf-8") as file:
        environment = {**os.environ, "TENURE_MEMBER_KEY_SECRET": SECRET, "PYSPARK_PYTHON": sys.executable}
        running = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=environment)

        def watch() -> None:
            while not done.wait(SAMPLE_S):
                held.look(running.pid)

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        code = running.wait()
        done.set()
        watcher.join()
    if code:
        end = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-20:])
        raise Unequal(f"{' '.join(command)} ended with {code}; the end of {log}:\n{end}")


def shop(arguments: Arguments, share: int) -> Shop:
    members = max(1, arguments.events // LINES_A_MEMBER // share)
    folder = simulated_lake.simulated(arguments.work / f"members-{members}", members, DAYS, OVERRIDES)
    return Shop(members, Lake(work=folder / "refreshed", landing=folder / "landing"))


def run(arguments: Arguments) -> list[results.Result]:
    shops = [shop(arguments, share) for share in SHARES]
    settings = {"driver memory": MEMORY, "master": f"local[{machine.cores()}]"}
    sides = {each.members: Side(name=each.name, run=each.run, work=each.members, settings=settings) for each in shops}
    largest, load, packages = shops[-1], Load(arguments.noisy), ("pyspark", "delta-spark")
    introduce("P16", sides.values(), packages)
    load.before()
    take_turns("P16", list(sides.values()), arguments.rounds, load)
    found = []
    for small in shops[:-1]:
        hold_same_people(small, largest)
        cost = _cost(sides[largest.members], sides[small.members])
        found += [cost, _memory(cost, largest, small)]
    found.append(_further(found[0], *shops))
    said = shared(simulated_lake.order_lines(largest.lake.landing), load, packages)
    said["sizes"] = [_facts(each) for each in shops]
    found = [each | said for each in found]
    for each in found:
        print(results.sentence(each), flush=True)
    return found


def _in_words(jobs_s: Mapping[str, float]) -> str:
    return ", ".join(f"{job} {seconds:.1f} s" for job, seconds in jobs_s.items() if job != NIGHT[0])


def _cost(largest: Side, small: Side) -> results.Result:
    """Seconds a member."""
    peer = Peer(
        name=f"itself at {small.name}",
        run=small.run,
        work=small.work,
        ratio="ours/peer",
        goal=at_most(1.1),
        settings=small.settings,
    )
    return result("P16", largest, small, peer)


def _memory(cost: results.Result, largest: Shop, small: Shop) -> results.Result:
    """Peak memory."""
    pairs = [(a.total, b.total) for a, b in zip(largest.held, small.held, strict=True)]
    return _held_flat(cost, f"itself at {small.name}: peak memory, in MiB", "mib", pairs)


def _further(cost: results.Result, small: Shop, middle: Shop, large: Shop) -> results.Result:
    """What a further member costs between the larger two sizes, by what one costs between the smaller two: what every
    pass pays once, as a JVM that gets warm, hides no work that grows faster than members do."""
    pairs = [
        (1e3 * (c - b) / (large.members - middle.members), 1e3 * (b - a) / (middle.members - small.members))
        for a, b, c in zip(*(each.nights_s for each in (small, middle, large)), strict=True)
    ]
    return _held_flat(
        cost, f"itself: a further member beyond {middle.name}, and beyond {small.name}, in ms", "ms", pairs
    )


def _held_flat(cost: results.Result, peer: str, unit: str, pairs: Sequence[tuple[float, float]]) -> results.Result:
    """Each round's figure and the one that it may be ``FLAT`` times of, in the form of a result: in ``unit`` where
    others have seconds."""
    ratio = round(median(a / b for a, b in pairs), 3)
    return {
        **cost,
        "peer": peer,
        "ratio": ratio,
        "goal": FLAT,
        "met": at_most(FLAT).is_met_by(ratio),
        "rounds": [
            {f"ours_{unit}": round(a, 3), f"peer_{unit}": round(b, 3), "ratio": round(a / b, 3)} for a, b in pairs
        ],
        "seconds": {
            "ours": {"median": round(median(a for a, _ in pairs), 3)},
            "peer": {"median": round(median(b for _, b in pairs), 3)},
        },
    }


def _facts(shop: Shop) -> dict[str, object]:
    names = list(shop.jobs_s[0])
    return {
        "members": shop.members,
        "rows": {table.name: _rows(shop.lake, table) for table in _tables(shop.lake)},
        "jobs_s": {job: round(median(jobs[job] for jobs in shop.jobs_s), 1) for job in names},
        "peak_mib": {kind: round(mib) for kind, mib in shop.held[-1].by_kind.items()},
    }


def _tables(lake: Lake) -> Sequence[Table]:
    return (*SILVER_TABLES, *gold_tables(lake.source.shop))


def _rows(lake: Lake, table: Table) -> int:
    return int(DeltaTable(table_path(lake.root, table)).count())


def hold_same_people(small: Shop, large: Shop) -> None:
    """Raises where a row of the small shop's members, features or labels, is another in the large one in any column."""
    shop = large.lake.source.shop
    for table in (member_features(shop), LABELS):
        mine, theirs, other = (
            sum(found) for found in zip(*(_compared(small, large, table, n) for n in range(shop.buckets)), strict=True)
        )
        if other or mine != theirs:
            raise Unequal(
                f"{table.name}: the same people have {theirs:,} rows at {large.name} and {mine:,} at {small.name}; "
                f"{other:,} of these are not among those"
            )


def _compared(small: Shop, large: Shop, table: Table, bucket: int) -> tuple[int, int, int]:
    """How many rows the small shop's people have there and in the large shop, and how many only there, of a bucket."""
    columns = ", ".join(f'"{name}"' for name in table.names)
    of_people = "member_key in (select member_key from people)"
    query = f"""
        with mine as (select {columns} from small where bucket = {bucket}),
            theirs as (select {columns} from large where bucket = {bucket} and {of_people})
        select (select count(*) from mine) as mine, (select count(*) from theirs) as theirs,
            (select count(*) from (select * from mine except select * from theirs)) as other
    """
    tables = {"small": _released(small, table), "large": _released(large, table)}
    registered = QueryBuilder().register("people", _released(small, MEMBER_IDENTITIES))
    for name, delta in tables.items():
        registered = registered.register(name, delta)
    (found,) = pa.table(registered.execute(query).read_all()).to_pylist()
    return found["mine"], found["theirs"], found["other"]


def _released(shop: Shop, table: Table) -> DeltaTable:
    return DeltaTable(table_path(shop.lake.root, table), version=newest_release(shop.lake.root).tables[table.name])


if __name__ == "__main__":
    benchmark(run, says=__doc__ or "", events=40_000_000)
