"""What the harness says of times; no test here asserts how long anything takes."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import pytest
from benchmarks import measure, results, table
from benchmarks.measure import Load, Peer, Runner, at_least, at_most, compare, ratio_of
from benchmarks.neighbours import Neighbours
from benchmarks.table import BEGINS, ENDS, inserted

from tenure.errors import Refused

QUIET = Neighbours(0.1, "sshd", 0.1, 2.0)
LOUD = Neighbours(0.9, "cc1plus", 0.8, 2.0)


@pytest.fixture
def clock(monkeypatch):
    """Passes take as long as ``seconds`` says, in turn; what others take comes from ``others``."""

    class Clock:
        seconds: ClassVar[list[float]] = []
        others = QUIET

    def timed_pass(run):
        run()
        return Clock.seconds.pop(0), Clock.others

    monkeypatch.setattr(measure, "timed_pass", timed_pass)
    monkeypatch.setattr(measure, "BEFORE_S", 0.0)
    return Clock


def of(name, ran, **more):
    return Runner(name=name, run=lambda: ran.append(name), **more)


def against(name, ran, ratio="ours/peer", goal=None, **more):
    goal = goal or at_most(2)
    return Peer(name=name, run=lambda: ran.append(name), ratio=ratio, goal=goal, **more)


def watched(monkeypatch, neighbours):
    """The machine before a measurement, as ``Watch`` would tell of it."""
    monkeypatch.setattr(measure.Watch, "seen", property(lambda watch: neighbours))


def test_rounds_are_interleaved_after_one_pass_each_and_the_outputs_are_held_equal_before(clock):
    clock.seconds = [1.0] * 9
    ran = []
    peers = [against("a", ran), against("b", ran)]
    compare("P0", of("ours", ran), peers, rounds=2, equal=lambda peer: ran.append(f"equal {peer.name}"), noisy=True)
    assert ran == ["ours", "a", "b", "equal a", "equal b", "ours", "a", "b", "ours", "a", "b"]


def test_the_ratio_is_the_median_of_the_ratios_within_rounds(clock):
    clock.seconds = [9.0, 9.0, 2.0, 1.0, 6.0, 2.0, 5.0, 2.0]  # a pass each, then rounds of 2, 3 and 2.5
    (result,) = compare("P0", of("ours", []), [against("a", [])], equal=lambda peer: None, noisy=True)
    assert result["ratio"] == 2.5
    assert [each["ratio"] for each in result["rounds"]] == [2.0, 3.0, 2.5]
    assert result["seconds"]["ours"] == {"median": 5.0, "cpu": 2.0, "start": 0.0, "first_pass": 9.0}


@pytest.mark.parametrize(
    ("goal", "ratio", "is_met"),
    [
        (at_most(2.5), 2.5, True),
        (at_most(2.5), 2.51, False),
        (at_least(4), 4.0, True),
        (at_least(4), 3.99, False),
    ],
)
def test_a_goal_is_met_at_its_own_value(goal, ratio, is_met):
    assert goal.is_met_by(ratio) is is_met


def test_a_ratio_is_of_seconds_for_a_unit_of_work_the_way_up_that_the_peer_says():
    ours = of("ours", [], work=10.0)
    assert ratio_of(ours, against("a", [], work=5.0), 20.0, 5.0) == 2.0
    assert ratio_of(ours, against("a", [], work=5.0, ratio="peer/ours"), 20.0, 5.0) == 0.5


def test_starts_are_reported_apart(clock):
    clock.seconds = [1.0, 1.0, 1.0, 1.0]
    peer = against("a", [], start_s=7.0)
    (result,) = compare("P0", of("ours", []), [peer], rounds=1, equal=lambda peer: None, noisy=True)
    assert result["seconds"]["peer"] == {"median": 1.0, "cpu": 2.0, "start": 7.0, "first_pass": 1.0}
    assert result["ratio"] == 1.0


def test_no_time_counts_where_outputs_differ(clock):
    def equal(peer):
        raise AssertionError("spend_minor_7d: 1 is not 2")

    clock.seconds = [1.0] * 2
    with pytest.raises(AssertionError, match="1 is not 2"):
        compare("P0", of("ours", []), [against("a", [])], equal=equal, noisy=True)


def test_nothing_is_reported_while_others_take_more_than_half_a_core(clock, monkeypatch):
    watched(monkeypatch, QUIET)
    clock.seconds, clock.others = [1.0] * 4, LOUD
    with pytest.raises(Refused, match=r"took 0.9 cores while ours was timed \(most of it 'cc1plus'\), 0.5 is"):
        compare("P0", of("ours", []), [against("a", [])], equal=lambda peer: None)
    assert Refused.exit_code == 3


def test_a_busy_machine_is_refused_before_anything_runs(clock, monkeypatch):
    watched(monkeypatch, LOUD)
    ran = []
    with pytest.raises(Refused, match="before it began"):
        compare("P0", of("ours", ran), [against("a", ran)], equal=lambda peer: None)
    assert ran == []


@pytest.mark.parametrize(("others", "is_noisy"), [(LOUD, True), (QUIET, False)])
def test_a_noisy_report_says_so_where_it_was_noisy(clock, others, is_noisy):
    clock.seconds, clock.others = [1.0] * 4, others
    (result,) = compare("P0", of("ours", []), [against("a", [])], rounds=1, equal=lambda peer: None, noisy=True)
    assert result["noisy"] is is_noisy
    assert result["load"]["others_cores"] == others.cores


def test_a_result_holds_what_readers_of_it_count_on(clock):
    clock.seconds = [1.0] * 9
    peers = [against("a", [], settings={"threads": 2}), against("b", [], "peer/ours", at_least(4))]
    first, second = compare("P0", of("ours", []), peers, rounds=2, equal=lambda peer: None, noisy=True, events=1000,
                            packages=("pyarrow",), facts=lambda peer: {"rows": 7})  # fmt: skip
    assert {"id", "peer", "ratio", "goal", "met", "rounds", "versions", "machine", "load"} <= first.keys()
    assert (first["id"], first["peer"], first["ratio"], first["goal"], first["met"]) == ("P0", "a", 1.0, 2, True)
    assert (second["peer"], second["goal"], second["comparison"], second["met"]) == ("b", 4, "at_least", False)
    assert first["rounds"] == [{"ours_s": 1.0, "peer_s": 1.0, "ratio": 1.0}] * 2
    assert first["settings"]["peer"] == {"threads": 2}
    assert first["machine"].keys() == {"cpu", "cores", "memory_gib", "system"}
    assert first["versions"].keys() == {"python", "pyarrow"}
    assert first["rows"] == 7


def test_runners_of_one_name_are_refused(clock):
    with pytest.raises(ValueError, match="two runners have one name"):
        compare("P0", of("a", []), [against("a", [])], equal=lambda peer: None, noisy=True)


def test_the_table_stands_between_its_marks_and_the_rest_of_the_page_stays(clock):
    clock.seconds = [1.0, 1.0, 3.0, 1.0]
    found = compare("P0", of("ours", []), [against("a", [])], rounds=1, equal=lambda peer: None, noisy=True,
                    events=20_000_000)  # fmt: skip
    page = inserted(f"before\n{BEGINS}\nold\n{ENDS}\nafter\n", table.table(found))
    assert page.startswith(f"before\n{BEGINS}\n| id |")
    assert page.endswith(f"{ENDS}\nafter\n")
    assert "| P0 | a | 20 M | 3.00 | 1.00 | **3.00x** ours/peer | 3.00-3.00 | ≤ 2x | **no** | quiet, " in page
    assert "old" not in page


@pytest.mark.parametrize(
    ("more", "stolen", "told"),
    [
        ({}, 0.02, "quiet, 2026-11-27 |"),
        ({"code": {"digest": "693f7d6512"}}, 0.0, "quiet, 2026-11-27 |"),
        ({"code": {"digest": "693f7d6512", "commit": "421b7e2"}}, 0.0, "quiet, 2026-11-27, 421b7e2 |"),
        ({}, 0.052, "quiet, 5 % stolen by the host, 2026-11-27 |"),
    ],
)
def test_the_table_says_of_which_commit_a_result_is_and_what_the_host_stole(clock, more, stolen, told):
    clock.seconds, clock.others = [1.0] * 4, replace(QUIET, stolen=stolen)
    (result,) = compare("P0", of("ours", []), [against("a", [])], rounds=1, equal=lambda peer: None, noisy=True)
    row = table.table([{**result, "date": "2026-11-27", **more}]).splitlines()[-1]
    assert row.endswith(told)


def test_of_all_passes_the_largest_share_that_the_host_stole_is_told():
    load = Load(noisy=True)
    for stolen in (0.01, 0.04, 0.02):
        load.during("ours", replace(QUIET, stolen=stolen))
    assert load.said["steal"] == 0.04


def test_a_result_from_before_commits_and_stolen_time_were_told_is_shown_as_it_was():
    (first, *_) = results.read()
    older = {key: value for key, value in first.items() if key != "code"}
    older |= {"noisy": False, "load": {"others_cores": 0.0}}
    assert table.table([older]).splitlines()[-1].endswith(f"| quiet, {first['date']} |")


def test_the_table_of_the_page_is_the_generated_one(tmp_path, capsys):
    page = tmp_path / "benchmarks.md"
    page.write_text(table.PAGE.read_text())
    table.main(results.FOLDER, page)
    assert page.read_text() == table.PAGE.read_text()


def test_versions_and_the_settings_of_all_sides_are_told_before_anything_runs(clock, capsys):
    clock.seconds = [1.0] * 4
    told = []
    ours = Runner(name="ours", run=lambda: told.append(capsys.readouterr().out), settings={"shuffle partitions": 4})
    peer = against("a", [], settings={"threads": 2, "memory_limit": "8GB"})
    compare("P0", ours, [peer], rounds=1, equal=lambda peer: None, noisy=True, packages=("pyarrow",))
    versions, *settings = told[0].splitlines()
    assert versions.startswith("P0: python 3.")
    assert ", pyarrow " in versions
    assert settings == ["P0: ours: shuffle partitions 4", "P0: a: threads 2, memory_limit 8GB"]
