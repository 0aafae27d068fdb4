"""What the sides run on."""

from __future__ import annotations

import time

from benchmarks import engines


def test_an_engine_comes_with_the_seconds_until_it_was_there():
    def make():
        time.sleep(0.05)
        return "engine"

    engine, start_s = engines.started(make)
    assert engine == "engine"
    assert start_s >= 0.05
