"""Sides that tell their own seconds: what they have to start first is told apart from what is compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from benchmarks import measure, results
from benchmarks.measure import Load, Peer, Runner, Timed, timed_pass


@dataclass(kw_only=True)
class Side:
    """``run`` does all of the work once, and returns the seconds of the part that is compared."""

    name: str
    run: Callable[[], float]
    work: float = 1.0
    settings: Mapping[str, object] = field(default_factory=dict)
    own_s: list[float] = field(default_factory=list)
    wall_s: list[float] = field(default_factory=list)

    def turn(self) -> None:
        self.own_s.append(self.run())

    @property
    def timed(self) -> Timed:
        """The rest of a pass is its start."""
        start = median(wall - own for wall, own in zip(self.wall_s, self.own_s, strict=True))
        return Timed(start_s=start, cold_s=self.own_s[0], rounds_s=self.own_s)


def take_turns(id: str, sides: Sequence[Side], rounds: int, load: Load) -> None:
    """All sides, one after the other, so many times; no pass is for warmth, for each starts what it needs."""
    for number in range(1, rounds + 1):
        for side in sides:
            wall, neighbours = timed_pass(side.turn)
            side.wall_s.append(wall)
            own = f"{side.own_s[-1]:.2f} s and {wall - side.own_s[-1]:.2f} s of starting"
            print(f"{id}: round {number}, {side.name}: {own}, others {neighbours.cores:.2f} cores", flush=True)
            load.during(side.name, neighbours)


def result(id: str, ours: Side, theirs: Side, peer: Peer) -> results.Result:
    """The median ratio over the rounds of what the sides told."""
    runner = Runner(name=ours.name, run=ours.run, work=ours.work, settings=ours.settings)
    return measure._result(id, runner, peer, {ours.name: ours.timed, peer.name: theirs.timed})
