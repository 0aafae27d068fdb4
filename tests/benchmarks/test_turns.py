"""Sides that tell their own seconds."""

from __future__ import annotations

import pytest
from benchmarks import turns
from benchmarks.measure import Load, Peer, at_most
from benchmarks.neighbours import Neighbours
from benchmarks.turns import Side, result, take_turns


@pytest.fixture
def walls(monkeypatch):
    """Passes take as long as this list says, in turn, whatever the sides tell."""
    seconds = []

    def timed_pass(run):
        run()
        return seconds.pop(0), Neighbours(0.1, "sshd", 0.1, 2.0)

    monkeypatch.setattr(turns, "timed_pass", timed_pass)
    return seconds


def test_what_a_side_does_not_tell_as_its_own_is_its_start_and_the_ratio_is_of_what_it_tells(walls):
    walls += [7.0, 2.0, 9.0, 2.0]
    ours, theirs = Side(name="ours", run=iter([3.0, 4.0]).__next__), Side(name="a", run=iter([1.0, 2.0]).__next__)
    take_turns("P0", [ours, theirs], 2, Load(noisy=True))
    found = result("P0", ours, theirs, Peer(name="a", run=lambda: None, ratio="ours/peer", goal=at_most(2)))
    assert [each["ratio"] for each in found["rounds"]] == [3.0, 2.0]
    assert found["seconds"]["ours"] == {"median": 3.5, "start": 4.5, "first_pass": 3.0}
    assert found["ratio"] == 2.5
