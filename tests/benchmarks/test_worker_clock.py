"""What a worker's clock tells, and that it leaves the work as it is."""

from __future__ import annotations

import time
from types import ModuleType, SimpleNamespace

import pytest

pytest.importorskip("ray")

from benchmarks import worker_clock


@pytest.fixture
def module():
    module = ModuleType("module")
    module.fit = lambda rows: (time.sleep(0.02), rows)[1]
    module.judge = lambda: time.sleep(0.02)
    return module


def test_calls_are_timed_within_and_the_module_is_as_before_after(module):
    fit = module.fit
    with worker_clock.timed_calls(module, ["fit"]) as seconds:
        assert [module.fit(7), module.fit(8)] == [7, 8]
        module.judge()
    assert len(seconds) == 2
    assert min(seconds) >= 0.02
    assert module.fit is fit


def test_the_slowest_worker_is_told_of_the_whole_and_of_the_fits(tmp_path, monkeypatch, module):
    monkeypatch.setattr(worker_clock, "factors", module)
    monkeypatch.setattr(worker_clock, "OF_A_FIT", ("fit",))
    for rank in range(2):
        worker_clock.clocked(lambda group: group.rank and module.fit(1), tmp_path, SimpleNamespace(rank=rank))
    whole, fits = (worker_clock.slowest(tmp_path, what) for what in (worker_clock.WHOLE, worker_clock.FITS))
    assert whole >= fits >= 0.02
