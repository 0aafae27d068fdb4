"""Ours against its peers, in interleaved rounds.

    ours = Runner(name="tenure", run=features_by_spark, settings={"shuffle partitions": 4})
    duckdb = Peer(name="DuckDB", run=features_by_duckdb, ratio="ours/peer", goal=at_most(2.5), settings={"threads": 2})
    compare("P1", ours, [duckdb], rounds=3, prepare=empty_folders, equal=same_features, packages=("pyspark", "duckdb"))

Engines are started before, and their seconds told apart. Every runner makes one pass that counts for nothing but
warmth, and shows that its output equals ours; only then do rounds count: ours, each peer, ours again. What is compared
is the median over the rounds of the ratio within a round, so that a machine that slows down in the middle slows down
both sides of it. While others take more than half a core of the machine during a timed pass, nothing is reported,
unless the report shall say so (``noisy``).
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from statistics import median
from typing import Literal, Protocol

from benchmarks import machine, results
from benchmarks.neighbours import LOUD, Neighbours, Watch
from tenure.errors import Refused

Ratio = Literal["ours/peer", "peer/ours"]
BEFORE_S = 2.0  # how long the machine is watched before anything starts


@dataclass(frozen=True)
class Goal:
    """``at_most(2.5)`` or ``at_least(4)``."""

    comparison: Literal["at_most", "at_least"]
    value: float

    def is_met_by(self, ratio: float) -> bool:
        return ratio <= self.value if self.comparison == "at_most" else ratio >= self.value


def at_most(value: float) -> Goal:
    return Goal("at_most", value)


def at_least(value: float) -> Goal:
    return Goal("at_least", value)


@dataclass(frozen=True, kw_only=True)
class Runner:
    """One side: ``run`` does all of the work once.

    Args:
        start_s: seconds of what had to happen once before (a session, a connection, a preparation), reported apart.
        work: how much a pass does, in units that all sides share; ratios are of seconds for a unit.
        settings: whatever was tuned, for the reader.
    """

    name: str
    run: Callable[[], object]
    settings: Mapping[str, object] = field(default_factory=dict)
    start_s: float = 0.0
    work: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Peer(Runner):
    """What ours is measured against: ``ratio`` says which way up, of seconds for a unit of work."""

    ratio: Ratio
    goal: Goal


@dataclass
class Timed:
    """What one runner took: ``cold_s`` is the first pass, which counts for nothing."""

    start_s: float = 0.0
    cold_s: float = 0.0
    rounds_s: list[float] = field(default_factory=list)
    rounds_cpu_s: list[float] = field(default_factory=list)


def compare(
    id: str,
    ours: Runner,
    peers: Sequence[Peer],
    *,
    rounds: int = 3,
    prepare: Callable[[Runner], object] = lambda runner: None,
    equal: Callable[[Peer], object],
    noisy: bool = False,
    events: int | None = None,
    packages: Sequence[str] = (),
    facts: Callable[[Peer], Mapping[str, object]] = lambda peer: {},
) -> list[results.Result]:
    """Measures; one result a peer.

    Args:
        prepare: is called before each pass, outside of its time; it removes what the pass before left.
        equal: is called for each peer after the untimed passes; raises where the peer's output is not ours.
        noisy: report although others took more than half a core, and say so.
        facts: more that a result shall say of a peer, asked for after the rounds.

    Raises:
        Refused: if others took more than half a core, and it is not to be reported all the same.
    """
    runners: list[Runner] = [ours, *peers]
    timed = {runner.name: Timed(start_s=runner.start_s) for runner in runners}
    if len(timed) != len(runners):
        raise ValueError(f"{id}: two runners have one name among {', '.join(runner.name for runner in runners)}")
    introduce(id, runners, packages)
    load = Load(noisy)
    load.before()
    for runner in runners:
        _warm(id, runner, timed[runner.name], prepare)
    for peer in peers:
        equal(peer)
        print(f"{id}: the output of {peer.name} is equal to ours", flush=True)
    _rounds(id, runners, rounds, timed, prepare, load)
    said = shared(events, load, packages)
    found = [{**_result(id, ours, peer, timed), **said, **facts(peer)} for peer in peers]
    for result in found:
        print(results.sentence(result), flush=True)
    return found


class HasSettings(Protocol):
    """A side, for whoever reads what it was."""

    @property
    def name(self) -> str: ...

    @property
    def settings(self) -> Mapping[str, object]: ...


def introduce(id: str, sides: Iterable[HasSettings], packages: Sequence[str]) -> None:
    """Prints the versions, and the settings of all sides, before anything is measured."""
    print(f"{id}: {results.in_words(machine.versions(*packages))}", flush=True)
    for side in sides:
        print(f"{id}: {side.name}: {results.in_words(side.settings) or 'no settings'}", flush=True)


def _rounds(
    id: str,
    runners: Sequence[Runner],
    rounds: int,
    timed: Mapping[str, Timed],
    prepare: Callable[[Runner], object],
    load: Load,
) -> None:
    """All runners in turn, so many times."""
    for number in range(1, rounds + 1):
        for runner in runners:
            prepare(runner)
            seconds, neighbours = timed_pass(runner.run)
            timed[runner.name].rounds_s.append(seconds)
            timed[runner.name].rounds_cpu_s.append(neighbours.ours_s)
            took = f"{seconds:.2f} s, others {neighbours.cores:.2f} cores"
            print(f"{id}: round {number}, {runner.name}: {took}", flush=True)
            load.during(runner.name, neighbours)


def shared(events: int | None, load: Load, packages: Sequence[str]) -> dict[str, object]:
    """What every result of a run says alike."""
    return {
        "events": events,
        "versions": machine.versions(*packages),
        "machine": machine.machine(),
        "load": load.said,
        "noisy": load.is_noisy,
        "date": datetime.now(UTC).date().isoformat(),
    }


def _warm(id: str, runner: Runner, timed: Timed, prepare: Callable[[Runner], object]) -> None:
    prepare(runner)
    timed.cold_s, _ = timed_pass(runner.run)
    print(f"{id}: {runner.name} started in {timed.start_s:.2f} s, first pass {timed.cold_s:.2f} s", flush=True)


def timed_pass(run: Callable[[], object]) -> tuple[float, Neighbours]:
    """Seconds of one pass, and what others took meanwhile."""
    gc.collect()
    os.sync()  # what one side wrote must not be on its way to the disk while the other is timed
    with Watch() as watch:
        began = time.perf_counter()
        run()
        seconds = time.perf_counter() - began
    return seconds, watch.seen


def _result(id: str, ours: Runner, peer: Peer, timed: Mapping[str, Timed]) -> results.Result:
    mine, theirs = timed[ours.name], timed[peer.name]
    rounds = [
        {"ours_s": round(a, 3), "peer_s": round(b, 3), "ratio": round(ratio_of(ours, peer, a, b), 3)}
        for a, b in zip(mine.rounds_s, theirs.rounds_s, strict=True)
    ]
    ratio = round(_ratio(ours, peer, mine.rounds_s, theirs.rounds_s), 3)
    # What the work costs rather than how long it takes: others on the machine change it less. Not known of sides that
    # tell their own seconds.
    are_clocked = bool(mine.rounds_cpu_s and theirs.rounds_cpu_s)
    cpu = {"cpu_ratio": round(_ratio(ours, peer, mine.rounds_cpu_s, theirs.rounds_cpu_s), 3)} if are_clocked else {}
    return {
        "id": id,
        "peer": peer.name,
        "ratio": ratio,
        "ratio_of": peer.ratio,
        "goal": peer.goal.value,
        "comparison": peer.goal.comparison,
        "met": peer.goal.is_met_by(ratio),
        "rounds": rounds,
        **cpu,
        "seconds": {"ours": _seconds(mine), "peer": _seconds(theirs)},
        "work": {"ours": ours.work, "peer": peer.work},
        "settings": {"ours": dict(ours.settings), "peer": dict(peer.settings)},
    }


def _ratio(ours: Runner, peer: Peer, mine: Sequence[float], theirs: Sequence[float]) -> float:
    return median(ratio_of(ours, peer, a, b) for a, b in zip(mine, theirs, strict=True))


def ratio_of(ours: Runner, peer: Peer, ours_s: float, peer_s: float) -> float:
    """The ratio of one round, the way up that the peer says, in seconds for a unit of work."""
    mine, theirs = ours_s / ours.work, peer_s / peer.work
    above, below = (mine, theirs) if peer.ratio == "ours/peer" else (theirs, mine)
    return above / below if below else float("inf")


def _seconds(timed: Timed) -> dict[str, float]:
    return {
        "median": round(median(timed.rounds_s), 3),
        **({"cpu": round(median(timed.rounds_cpu_s), 3)} if timed.rounds_cpu_s else {}),
        "start": round(timed.start_s, 3),
        "first_pass": round(timed.cold_s, 3),
    }


class Load:
    """What others and the host took, over a whole measurement."""

    def __init__(self, noisy: bool) -> None:
        self._is_wanted = noisy
        self._worst = Neighbours(0.0, "", 0.0)
        self._stolen = 0.0
        self._average_before = machine.load_average()

    def before(self) -> None:
        """Refuses early: a minute of warming up is wasted on a machine that is not ours."""
        if not self._is_wanted:
            with Watch() as watch:
                time.sleep(BEFORE_S)
            self._hold("before it began", watch.seen)

    def during(self, name: str, neighbours: Neighbours) -> None:
        self._worst = max(self._worst, neighbours, key=lambda seen: seen.cores)
        self._stolen = max(self._stolen, neighbours.stolen)
        self._hold(f"while {name} was timed", neighbours)

    def _hold(self, when: str, neighbours: Neighbours) -> None:
        if neighbours.are_loud and not self._is_wanted:
            raise Refused(
                f"nothing is reported: other processes took {neighbours.cores:.1f} cores {when} (most of it "
                f"{neighbours.busiest!r}), {LOUD} is the limit; wait for a quiet machine, or say --noisy (NOISY=1)"
            )

    @property
    def is_noisy(self) -> bool:
        return self._worst.are_loud

    @property
    def said(self) -> dict[str, object]:
        return {
            "others_cores": round(self._worst.cores, 2),  # of the worst pass
            "busiest": self._worst.busiest,
            "busiest_cores": round(self._worst.busiest_cores, 2),
            "steal": round(self._stolen, 3),  # of the machine's time, in the pass with the largest share
            "load_average_before": self._average_before,
            "load_average_after": machine.load_average(),
        }
