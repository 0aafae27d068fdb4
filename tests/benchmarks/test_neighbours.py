"""Whose time is whose."""

from __future__ import annotations

import os
from shutil import rmtree

import pytest
from benchmarks.neighbours import MARK, Watch, parsed

TICKS = os.sysconf("SC_CLK_TCK")


@pytest.fixture
def proc(tmp_path, monkeypatch):
    """A machine of processes typed in the test: ``proc(pid, parent, cpu_s)``; ``reaped`` seconds are of children."""
    monkeypatch.setenv(MARK, "the-mark")

    def put(pid, parent, cpu_s, name="name", environ=b"", started=1, reaped=0.0):
        folder = tmp_path / str(pid)
        folder.mkdir(exist_ok=True)
        fields = ["S", parent, *[0] * 9, int(cpu_s * TICKS), 0, int(reaped * TICKS), 0, *[0] * 4, started, *[0] * 10]
        (folder / "stat").write_text(f"{pid} ({name}) {' '.join(map(str, fields))}\n")
        (folder / "environ").write_bytes(environ)

    put.folder = tmp_path
    return put


def others(proc, before, *later, seconds=10.0, ended=()):
    """What is seen of processes that had ``before`` and have each of ``later``; we are process 100.

    ``ended`` are the pids of which nothing is there at the last look.
    """
    watch = Watch(proc.folder, own=100)
    for look in (before, *later):
        if look is later[-1]:
            for pid in ended:
                rmtree(proc.folder / str(pid))
        for each in look:
            proc(*each[:3], **(each[3] if len(each) > 3 else {}))
        watch.look(is_first=look is before)
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


def test_children_that_no_sample_saw_count_for_whoever_waited_for_them(proc):
    make = {"name": "make", "reaped": 500.0}
    seen = others(proc, [(100, 1, 0), (7, 1, 1.0, make)], [(7, 1, 1.0, {**make, "reaped": 506.0})])
    assert (seen.cores, seen.busiest) == (0.6, "make")
    assert seen.are_loud


def test_ours_that_no_sample_saw_are_ours(proc):
    seen = others(proc, [(100, 1, 0)], [(100, 1, 1.0, {"reaped": 6.0})])
    assert (seen.cores, seen.ours_s) == (0.0, 7.0)


def test_one_that_ends_counts_once_and_what_it_took_before_not_at_all(proc):
    # The child took 4 s while it was seen and 1 s more, and had reaped 50 s of its own.
    before = [(100, 1, 0), (7, 1, 0), (8, 7, 1000.0, {"reaped": 50.0})]
    then = [(7, 1, 0), (8, 7, 1004.0, {"reaped": 50.0})]
    seen = others(proc, before, then, [(7, 1, 0, {"reaped": 1055.0})], ended=[8])
    assert seen.cores == 0.5


def test_a_whole_family_that_ends_counts_once(proc):
    before = [(100, 1, 0), (1, 0, 0), (7, 1, 10.0), (8, 7, 20.0)]
    seen = others(proc, before, [(1, 0, 0, {"reaped": 32.0})], ended=[7, 8])
    assert seen.cores == 0.2


def test_children_that_nobody_waited_for_take_nothing_off_what_their_parent_took(proc):
    seen = others(proc, [(100, 1, 0), (7, 1, 0), (8, 7, 90.0)], [(7, 1, 4.0)], ended=[8])
    assert seen.cores == 0.4


def stat(proc, steal, idle):
    """All cores' ticks: one each of five kinds, the idle ones, the stolen ones, and a guest's, which are users' too."""
    (proc.folder / "stat").write_text(f"cpu  1 1 1 {idle} 1 1 0 {steal} 1 0\ncpu0 9 9 9 9 9 9 9 9 9 9\n")


@pytest.mark.parametrize("others_there", [[], [(7, 1, 0)]])
def test_what_the_host_took_meanwhile_is_its_share_of_all_time(proc, others_there):
    proc(100, 1, 0)
    for each in others_there:
        proc(*each)
    watch = Watch(proc.folder, own=100)
    for steal, idle in ((1000, 500), (1003, 540), (1005, 595)):
        stat(proc, steal, idle)
        watch.look(is_first=idle == 500)
    assert watch.seen.stolen == 0.05


def test_where_nothing_tells_of_the_host_it_took_nothing(proc):
    assert others(proc, [(100, 1, 0)], [(100, 1, 1.0)]).stolen == 0.0
