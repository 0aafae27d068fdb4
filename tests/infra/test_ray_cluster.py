"""The Ray cluster of one machine: whom it was started for, what it says where it fails, and that it stops alone."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tests.entry_points import ROOT

from tenure.errors import Refused

LOCAL = ROOT / "infra/local"


def test_what_a_client_of_ray_reads_may_lie_below_a_path_with_blanks(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(str(LOCAL))
    import ray_cluster

    script = ray_cluster.exports({"RAY_AUTH_TOKEN_PATH": "/my work/token"})
    told = subprocess.run(
        ["bash", "-c", f"{script}\necho $RAY_AUTH_TOKEN_PATH"], capture_output=True, text=True, check=True
    )
    assert told.stdout == "/my work/token\n"


FAILING_RAY = """#!/bin/bash
while [[ $1 != --temp-dir ]]; do shift; done
mkdir -p "$2/session_latest/logs"; echo 'the port is taken' > "$2/session_latest/logs/gcs_server.out"
echo started >> "$TRIES"
exit 7
"""


def test_a_ray_cluster_that_does_not_start_says_what_its_logs_said(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(str(LOCAL))
    import ray_cluster

    fake, tries = tmp_path / "bin" / "ray", tmp_path / "tries"
    fake.parent.mkdir()
    fake.write_text(FAILING_RAY)
    fake.chmod(0o755)
    path = f"{fake.parent}{os.pathsep}{os.environ['PATH']}"
    monkeypatch.setattr(ray_cluster, "_head_environment", lambda client: {"PATH": path, "TRIES": str(tries)})
    with pytest.raises(Refused, match=r"(?s)exit code 7.*gcs_server\.out:\n  the port is taken"):
        ray_cluster.start(tmp_path / "work", cpus=1, object_store_mb=100)
    assert tries.read_text() == "started\n" * ray_cluster.TRIES
    assert not (tmp_path / "work/ray/cluster.json").exists()


def test_a_process_that_got_the_number_of_a_cluster_long_gone_lives_on(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(str(LOCAL))
    import ray_cluster

    with subprocess.Popen(["sleep", "60"], process_group=0) as stranger:
        state = {
            "pid": stranger.pid,
            "born": "another boot 4711",
            "owner": None,
            "session": str(tmp_path / "session"),
            "client": {},
        }
        (tmp_path / "ray").mkdir()
        (tmp_path / "ray/cluster.json").write_text(json.dumps(state))
        assert ray_cluster.stop(tmp_path)
        assert stranger.poll() is None
        state["born"] = ray_cluster._born(stranger.pid)
        (tmp_path / "ray/cluster.json").write_text(json.dumps(state))
        assert not ray_cluster.stop(tmp_path, owner=os.getpid())
        assert ray_cluster.stop(tmp_path)
        assert stranger.wait() == -signal.SIGTERM


def test_a_cluster_does_not_outlive_whom_it_was_started_for(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(str(LOCAL))
    import ray_cluster

    monkeypatch.setattr(ray_cluster, "_answers", lambda client: True)
    (tmp_path / "ray").mkdir()
    state = {"session": str(tmp_path / "session"), "client": {}}
    with subprocess.Popen(["sleep", "60"], process_group=0) as head, subprocess.Popen(["sleep", "60"]) as demo:
        for process, name in ((head, "head"), (demo, "owner")):
            told = {"pid": process.pid, "born": ray_cluster._born(process.pid)}
            state |= told if name == "head" else {"owner": told}
        (tmp_path / "ray/cluster.json").write_text(json.dumps(state))
        assert ray_cluster._running(tmp_path) == state
        demo.kill()
        demo.wait()
        assert ray_cluster._running(tmp_path) is None
        assert head.wait() == -signal.SIGTERM


@pytest.mark.long
def test_a_ray_cluster_refuses_strangers_and_stops_alone(tmp_path: Path) -> None:
    cluster = [sys.executable, str(LOCAL / "ray_cluster.py")]
    subprocess.run([*cluster, "start", "--work", str(tmp_path)], check=True, cwd=ROOT)
    try:
        client = json.loads((tmp_path / "ray/cluster.json").read_text())["client"]
        asked = ["ray", "job", "list"]
        known = subprocess.run(asked, env={**os.environ, **client}, capture_output=True, text=True, check=False)
        without = {k: v for k, v in client.items() if not k.startswith("RAY_AUTH")}
        home = {**os.environ, **without, "HOME": str(tmp_path)}
        stranger = subprocess.run(asked, env=home, capture_output=True, text=True, check=False)
    finally:
        subprocess.run([*cluster, "stop", "--work", str(tmp_path)], check=True, cwd=ROOT)
    assert known.returncode == 0, known.stderr[-1000:]
    assert stranger.returncode != 0
    port = int(client["RAY_DASHBOARD_ADDRESS"].rsplit(":", 1)[1])
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
