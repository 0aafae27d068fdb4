"""How much of the machine other processes and its host take while something is measured, told from /proc.

Ours are this process, its children, and whoever else carries our mark in the environment: a daemon that left its parent
still does. Threads of the kernel are nobody's: they mostly write what we wrote. A process that lives shorter than a
sample counts for whoever waited for its end, as a compiler does for ``make``.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

MARK = "TENURE_BENCHMARK"
SAMPLE_S = 0.25
KERNEL = 2  # the parent of all its threads
STEAL = 7  # its place among the numbers of /proc/stat

_TICKS = os.sysconf("SC_CLK_TCK")
Process = tuple[int, int]  # pid and start time: pids are used again


@dataclass(frozen=True)
class Neighbours:
    """Cores that others took on average, all together, and the one that took most.

    ``stolen`` is the share of the machine's time that its host gave to others while there was work here.
    """

    cores: float
    busiest: str
    busiest_cores: float
    ours_s: float = 0.0  # CPU seconds of ours meanwhile, all cores together
    stolen: float = 0.0

    @property
    def are_loud(self) -> bool:
        return self.cores > LOUD


LOUD = 0.5  # cores; below it, what one process takes is within the scatter of three rounds


@dataclass(frozen=True)
class Stat:
    """What /proc/PID/stat says: ``cpu_s`` of the process itself and of children that it has waited for."""

    pid: int
    name: str
    parent: int
    started: int
    cpu_s: float
    reaped_s: float


def parsed(text: str) -> Stat:
    """A line of /proc/PID/stat. The name stands in brackets and may hold brackets and blanks itself."""
    pid, rest = text.split(" (", 1)
    name, fields = rest.rsplit(") ", 1)
    values = fields.split()
    own, reaped = (sum(int(values[place]) for place in places) / _TICKS for places in ((11, 12), (13, 14)))
    return Stat(int(pid), name, int(values[1]), int(values[19]), own, reaped)


def processes(proc: Path = Path("/proc")) -> dict[int, Stat]:
    found = {}
    for folder in proc.iterdir():
        if folder.name.isdigit():
            try:
                found[int(folder.name)] = parsed((folder / "stat").read_text(encoding="utf-8", errors="replace"))
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ended while we looked
    return found


def ticks(proc: Path = Path("/proc")) -> tuple[int, int]:
    """Of all cores since the machine started: ticks that the host took, and all of them; 0 where nothing tells."""
    try:
        line = (proc / "stat").read_text(encoding="utf-8").splitlines()[0]
    except FileNotFoundError:
        return 0, 0
    values = [int(value) for value in line.split()[1:9]]  # guests' ticks, which follow, are among the users'
    return values[STEAL], sum(values)


def mark() -> str:
    """Marks this process, so that whatever it starts from now on is known as ours."""
    return os.environ.setdefault(MARK, f"{os.getpid()}-{time.time_ns()}")


class Watch:
    """``with Watch() as watch``: samples others until the end of the block; then ``watch.seen`` tells."""

    def __init__(self, proc: Path = Path("/proc"), own: int | None = None) -> None:
        self._proc, self._own, self._mark = proc, own or os.getpid(), mark().encode()
        self._is_ours: dict[Process, bool] = {}
        self._first: dict[Process, tuple[float, float]] = {}  # own and reaped seconds that are none of ours to count
        self._last: dict[Process, Stat] = {}
        self._there: dict[Process, Stat] = {}
        self._ended_s: dict[Process, float] = {}  # by who reaped them: seconds of the ended that were seen already
        self._began = self._ended = 0.0
        self._ticks = self._ticks_before = (0, 0)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Watch:
        self._began = time.monotonic()
        self.look(is_first=True)
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._stop.set()
        self._thread.join()
        self.look()
        self._ended = time.monotonic()

    def _sample(self) -> None:
        while not self._stop.wait(SAMPLE_S):
            self.look()

    def look(self, *, is_first: bool = False) -> None:
        """One sample; a process that was not there at the first took all its time since."""
        self._ticks = ticks(self._proc)
        self._ticks_before = self._ticks if is_first else self._ticks_before
        there = processes(self._proc)
        now = {(stat.pid, stat.started): stat for stat in there.values() if KERNEL not in (stat.pid, stat.parent)}
        for process, stat in now.items():
            self._belongs(stat, there)
            self._first.setdefault(process, (stat.cpu_s, stat.reaped_s) if is_first else (0.0, 0.0))
        self._note_ended(now)
        self._last |= now
        self._there = now

    def _note_ended(self, now: Mapping[Process, Stat]) -> None:
        """All seconds of those that ended become reaped ones of the nearest that lives on; what was seen is no news."""
        before = {stat.pid: stat for stat in self._there.values()}
        for ended in (stat for process, stat in self._there.items() if process not in now):
            heir = before.get(ended.parent)
            while heir is not None and (heir.pid, heir.started) not in now:
                heir = before.get(heir.parent)
            if heir is not None:
                process = (heir.pid, heir.started)
                self._ended_s[process] = self._ended_s.get(process, 0.0) + ended.cpu_s + ended.reaped_s

    def _belongs(self, stat: Stat, there: dict[int, Stat]) -> bool:
        process = (stat.pid, stat.started)
        if process not in self._is_ours:
            self._is_ours[process] = self._descends(stat, there) or self._is_marked(stat.pid)
        return self._is_ours[process]

    def _descends(self, stat: Stat, there: dict[int, Stat]) -> bool:
        at: Stat | None = stat
        while at is not None and at.pid != self._own:
            at = there.get(at.parent)
        return at is not None

    def _is_marked(self, pid: int) -> bool:
        try:
            return self._mark in (self._proc / str(pid) / "environ").read_bytes()
        except OSError:
            return False  # not ours to read, so not ours

    @property
    def seen(self) -> Neighbours:
        seconds = max((self._ended or time.monotonic()) - self._began, 1e-9)
        took = {process: self._took(process) for process in self._last}
        ours_s = sum(cpu_s for process, cpu_s in took.items() if self._is_ours[process])
        others = {process: cpu_s / seconds for process, cpu_s in took.items() if not self._is_ours[process]}
        busiest = max(others, key=lambda process: others[process], default=None)
        if busiest is None:
            return Neighbours(0.0, "", 0.0, ours_s, self._stolen)
        return Neighbours(sum(others.values()), self._last[busiest].name, others[busiest], ours_s, self._stolen)

    @property
    def _stolen(self) -> float:
        stolen, passed = (now - before for now, before in zip(self._ticks, self._ticks_before, strict=True))
        return stolen / passed if passed else 0.0

    def _took(self, process: Process) -> float:
        """Seconds of a process meanwhile, and of its children that ended and were not seen."""
        (own, reaped), last = self._first[process], self._last[process]
        unseen = last.reaped_s - reaped - self._ended_s.get(process, 0.0)
        # Less than nothing where nobody waits: the system then adds the children's time to no one's.
        return last.cpu_s - own + max(unseen, 0.0)
