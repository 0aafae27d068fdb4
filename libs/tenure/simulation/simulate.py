"""Runs the story: partition by partition, day by day, in as many processes as asked for."""

from __future__ import annotations

import json
import multiprocessing
import resource
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tenure.contracts.truth import TRUE_CEILINGS
from tenure.errors import WrongInput
from tenure.simulation.block import Block
from tenure.simulation.calendar import Calendar
from tenure.simulation.chance import Ints
from tenure.simulation.comparison import Comparison
from tenure.simulation.landing import Files, days
from tenure.simulation.life import Life, World
from tenure.simulation.members import members
from tenure.simulation.registers import joiners, shared_rows
from tenure.simulation.settings import FEEDS, SimulateShop
from tenure.simulation.telling import Teller
from tenure.simulation.truths import Ceilings, Truthteller

_MARK = "simulation.json"
# Raised when the same settings come to land something else, so that nobody lands both in one lake.
STORY_VERSION = 3


@dataclass
class Outcome:
    """What was written: rows by feed and truth table, the best that could be known, what each campaign did. It took
    ``seconds``, and ``peak_bytes`` of memory in the process that took most."""

    rows: Counter[str] = field(default_factory=Counter)
    ceilings: Ceilings = field(default_factory=Ceilings)
    comparisons: dict[int, Comparison] = field(default_factory=dict)
    seconds: float = 0.0
    peak_bytes: int = 0

    def add(self, other: Outcome) -> None:
        self.rows.update(other.rows)
        self.ceilings.add(other.ceilings)
        self.peak_bytes = max(self.peak_bytes, other.peak_bytes)
        for number, comparison in other.comparisons.items():
            self.comparisons.setdefault(number, Comparison()).add(comparison)

    @property
    def landed(self) -> int:
        return sum(self.rows[feed] for feed in FEEDS)

    @property
    def speed(self) -> str:
        rate, peak = self.landed / self.seconds, self.peak_bytes / 2**20
        return (
            f"{self.landed:,} rows of all feeds landed in {self.seconds:.1f} s, {rate:,.0f} rows/s;"
            f" at most {peak:,.0f} MiB of memory in one process"
        )


def simulate(config: SimulateShop) -> Outcome:
    """Writes landing files and truth below ``config.folder``, in place of an earlier simulation's.

    Raises:
        WrongInput: if the folder holds anything but a simulation.
    """
    _clear(Path(config.folder))
    _mark(config)
    started = time.perf_counter()
    outcome = Outcome()
    for part in _partitions(config):
        outcome.add(part)
    _tell_ceilings(config, outcome.ceilings)
    outcome.seconds = time.perf_counter() - started
    _mark(config, outcome)
    return outcome


def partitions(config: SimulateShop) -> list[Ints]:
    """The members' numbers, in blocks of about the same size."""
    least = max(config.processes, -(-config.members // config.largest_partition))
    return np.array_split(np.arange(config.members), min(config.partitions or least, config.members))


def simulate_members(config: SimulateShop, numbers: Ints, partition: int) -> Outcome:
    """The story of these members alone, from the first day to the last. Partition 0 also writes what all share."""
    world = World(config)
    block = Block(world, members(config, world.catalogue, numbers))
    life = Life(world, block.members)
    first_night = world.calendar.date(config.days - config.nights)
    files = Files(config.folder, partition, config.format, first_night)
    teller = Teller(block, files, config)
    truthteller = Truthteller(block, life, files, config.truth, config.days - 1)
    state = life.fresh()
    for number in range(config.days):
        truthteller.before(state, number)
        before = state.copy() if world.campaigns.starting(number) is not None else None
        day = life.live(state, number)
        new = joiners(block, number)
        if partition == 0:
            teller.tell_shared(shared_rows(world, number), number)
        teller.tell(state, day, new)
        truthteller.after(state, before, day, new)
    truthteller.before(state, config.days)
    told = truthteller.ceilings, truthteller.comparisons
    return Outcome(Counter(files.rows), *told, peak_bytes=_peak_bytes())


def _partitions(config: SimulateShop) -> Iterator[Outcome]:
    blocks = partitions(config)
    if config.processes == 1 or len(blocks) == 1:
        for partition, numbers in enumerate(blocks):
            yield simulate_members(config, numbers, partition)
        return
    # Spawned, not forked: Arrow's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(config.processes, mp_context=context, initializer=_one_thread) as pool:
        count = range(len(blocks))
        yield from pool.map(simulate_members, [config] * len(blocks), blocks, count)


def _peak_bytes() -> int:
    """The most memory that this process ever held."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # Linux counts in KiB


def _one_thread() -> None:
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)


def _clear(folder: Path) -> None:
    """Makes the folder an empty one that is marked as a simulation's."""
    is_ours = (folder / _MARK).exists()
    if folder.exists() and any(folder.iterdir()) and not is_ours:
        raise WrongInput(f"{folder} holds something other than a simulation; name another folder with --set folder=")
    if is_ours:
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)


def simulated(folder: Path) -> dict[str, Any] | None:
    """The settings of the simulation that a folder holds, and its ``story_version``; None where it holds none."""
    mark = folder / _MARK
    if not mark.is_file():
        return None
    notes = json.loads(mark.read_text(encoding="utf-8"))
    return {**notes["settings"], "story_version": notes.get("story_version", 1)}


def _mark(config: SimulateShop, outcome: Outcome | None = None) -> None:
    """Notes in the folder how it came about, and what is in it once all of it is there."""
    notes = {
        "settings": config.model_dump(mode="json"),
        "story_version": STORY_VERSION,
        "rows": dict(outcome.rows) if outcome else None,
    }
    (Path(config.folder) / _MARK).write_text(json.dumps(notes, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _tell_ceilings(config: SimulateShop, ceilings: Ceilings) -> None:
    files, calendar = Files(Path(config.folder), 0), Calendar(config)
    for day, hidden in ceilings.given_hidden.items():
        columns = {
            "as_of": days(np.array([calendar.epoch_days(day)])),
            "members": pa.array([hidden.members], pa.int64()),
            "silent": pa.array([hidden.silent], pa.float64()),
            "best_auc_given_hidden": pa.array([hidden.auc], pa.float64()),
            "best_auc_given_history": pa.array([ceilings.given_history[day].auc], pa.float64()),
        }
        files.tell(TRUE_CEILINGS, calendar.date(day), columns)
