"""What every benchmark does with what it found."""

from __future__ import annotations

import json

import pytest
from benchmarks import arguments
from benchmarks.arguments import benchmark

from tenure.errors import Refused


def told(folder):
    return [result["peer"] for result in json.loads((folder / "P0.json").read_text())]


def test_all_parts_of_a_benchmark_are_written_at_once(tmp_path):
    benchmark(lambda given: [{"id": "P0", "peer": "a"}, {"id": "P0", "peer": "b"}], says="",
              argv=["--results", str(tmp_path)])  # fmt: skip
    assert told(tmp_path) == ["a", "b"]


def test_all_parts_say_which_code_they_are_of_as_it_was_when_they_began(tmp_path, monkeypatch):
    codes = [{"digest": "of before"}, {"digest": "of after"}]
    monkeypatch.setattr(arguments, "code", lambda: codes.pop(0))
    benchmark(lambda given: [{"id": "P0"}, {"id": "P0"}], says="", argv=["--results", str(tmp_path)])
    found = json.loads((tmp_path / "P0.json").read_text())
    assert [result["code"] for result in found] == [{"digest": "of before"}] * 2


def test_a_benchmark_that_is_refused_in_its_second_part_leaves_the_results_from_before(tmp_path):
    def run(given):
        first = [{"id": "P0", "peer": "a"}]
        raise Refused(f"{len(first)} of two parts was measured")

    (tmp_path / "P0.json").write_text('[{"peer": "of last week"}]')
    with pytest.raises(SystemExit) as left:
        benchmark(run, says="", argv=["--results", str(tmp_path)])
    assert left.value.code == Refused.exit_code
    assert told(tmp_path) == ["of last week"]
