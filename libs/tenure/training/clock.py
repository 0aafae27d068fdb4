"""What a training is at and how long its stages took, for whoever watches it."""

from __future__ import annotations

import time


class Clock:
    """Seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._since = time.monotonic()

    def lap(self, stage: str) -> None:
        now = time.monotonic()
        self.seconds[stage] = round(now - self._since, 1)
        self._since = now
        say(f"{stage}: {self.seconds[stage]:.1f} s")


def say(line: str) -> None:
    print(line, flush=True)
