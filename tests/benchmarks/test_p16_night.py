"""A night's commands, watched from outside."""

from __future__ import annotations

import sys

import pytest
from benchmarks.p16_members import Held, _watched
from benchmarks.simulated_lake import Unequal

HOLDS = "import time; held = bytearray({mib} << 20); held[::4096] = b'x' * len(held[::4096]); time.sleep(1)"


def test_the_most_that_any_command_of_a_night_held_is_its_peak(tmp_path):
    held = Held()
    for mib in (300, 20):
        _watched([sys.executable, "-c", HOLDS.format(mib=mib)], tmp_path / "log", held)
    assert 300 <= held.by_kind["python"] < 400
    assert held.total == held.by_kind["python"]


def test_a_command_that_fails_is_told_with_the_end_of_what_it_said(tmp_path):
    with pytest.raises(Unequal, match=r"(?s)ended with 7.*no lake there"):
        _watched([sys.executable, "-c", "print('no lake there'); exit(7)"], tmp_path / "log", Held())
