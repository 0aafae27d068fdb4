"""A result says which code it is of."""

from __future__ import annotations

import subprocess

import pytest
from benchmarks.measured_code import SHIPPED, code, commit_of
from benchmarks.simulated_lake import digest


@pytest.fixture
def checkout(tmp_path):
    """A git checkout of one commit."""

    def git(*command):
        who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        done = subprocess.run(["git", "-C", str(tmp_path), *who, *command], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    git("init")
    (tmp_path / "jobs.py").write_text("limit = 1")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "benchmarks.md").write_text("| P1 |")
    git("add", ".")
    git("commit", "-m", "one")
    return tmp_path, git("rev-parse", "--short", "HEAD")


def test_a_clean_checkout_is_its_commit_whatever_a_benchmark_wrote_there(checkout):
    root, commit = checkout
    (root / "docs" / "benchmarks.md").write_text("| P2 |")
    (root / "benchmarks" / "results").mkdir(parents=True)
    (root / "benchmarks" / "results" / "P1.json").write_text("[]")
    assert commit_of(root) == commit


@pytest.mark.parametrize("name", ["jobs.py", "new.py"])
def test_a_checkout_with_other_code_than_its_commit_is_marked(checkout, name):
    root, commit = checkout
    (root / name).write_text("limit = 2")
    assert commit_of(root) == f"{commit}+"


def test_outside_of_a_checkout_there_is_no_commit_but_the_text_is_told(tmp_path, monkeypatch):
    assert commit_of(tmp_path) == ""
    monkeypatch.setattr("benchmarks.measured_code.commit_of", lambda root: "")
    assert code() == {"digest": digest(SHIPPED)}
