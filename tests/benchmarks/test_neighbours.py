"""Whose time is whose."""

from __future__ import annotations

import os

import pytest
from benchmarks.neighbours import MARK, Watch, parsed

TICKS = os.sysconf("SC_CLK_TCK")


@pytest.fixture
def proc(tmp_path, monkeypatch):
    """A machine of processes typed in the test: ``proc(pid, parent, cpu_s)``."""
    monkeypatch.setenv(MARK, "the-mark")

    def put(pid, parent, cpu_s, name="name", environ=b"", started=1):
        folder = tmp_path / str(pid)
        folder.mkdir(exist_ok=True)
        fields = ["S", parent, *[0] * 9, int(cpu_s * TICKS), 0, 0, 0, *[0] * 4, started, *[0] * 10]
        (folder / "stat").write_text(f"{pid} ({name}) {' '.join(map(str, fields))}\n")
        (folder / "environ").write_bytes(environ)

    put.folder = tmp_path
    return put


def others(proc, before, after, seconds=10.0):
    """What is seen of processes that had ``before`` and have ``after``; we are process 100."""
    for each in before:
        proc(*each[:3], **(each[3] if len(each) > 3 else {}))
    watch = Watch(proc.folder, own=100)
    watch.look(is_first=True)
    for each in after:
        proc(*each[:3], **(each[3] if len(each) > 3 else {}))
    watch.look()
    watch._began, watch._ended = 0.0, seconds
    return watch.seen


def test_a_stat_line_is_read_whatever_the_name_holds():
    stat = parsed("7 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 100 50 0 0 20 0 1 0 12345 0\n")
    assert (stat.pid, stat.name, stat.parent, stat.started, stat.cpu_s) == (7, "a) b (c)", 1, 12345, 150 / TICKS)


def test_what_another_took_meanwhile_is_its_share(proc):
    seen = others(proc, [(100, 1, 0), (7, 1, 1000.0)], [(7, 1, 1008.0)])
    assert (seen.cores, seen.busiest, seen.busiest_cores) == (0.8, "name", 0.8)
    assert seen.are_loud


def test_children_and_their_children_are_ours(proc):
    seen = others(proc, [(100, 1, 0), (101, 100, 0), (102, 101, 0)], [(101, 100, 9.0), (102, 101, 9.0)])
    assert (seen.cores, seen.ours_s) == (0.0, 18.0)


def test_a_daemon_that_carries_our_mark_is_ours(proc):
    environ = {"environ": f"PATH=/bin\0{MARK}=the-mark\0".encode()}
    assert others(proc, [(100, 1, 0), (50, 1, 0, environ)], [(50, 1, 9.0, environ)]).cores == 0.0


def test_threads_of_the_kernel_are_nobodys(proc):
    assert others(proc, [(100, 1, 0), (2, 0, 0), (30, 2, 0)], [(30, 2, 9.0)]).cores == 0.0


def test_one_that_came_meanwhile_counts_from_its_first_second(proc):
    assert others(proc, [(100, 1, 0)], [(9, 1, 4.0)]).cores == 0.4


def test_two_small_ones_are_loud_together(proc):
    seen = others(proc, [(100, 1, 0), (8, 1, 0), (9, 1, 0)], [(8, 1, 3.0), (9, 1, 4.0, {"name": "cc"})])
    assert (round(seen.cores, 6), seen.busiest) == (0.7, "cc")
    assert seen.are_loud


def test_a_pid_that_is_used_again_is_another_process(proc):
    seen = others(proc, [(100, 1, 0), (9, 1, 500.0)], [(9, 1, 1.0, {"started": 77})])
    assert seen.cores == 0.1
