"""The requests that documents show, sent by curl over a real socket to the service's own app, without Ray."""

from __future__ import annotations

import json
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvicorn
from tests.corner_shop import opened
from tests.docs.commands import shown
from tests.unit.serving.test_api import Client

CURLS = [command.line for command in shown() if command.line.startswith("curl")]
PATIENCE_S = 60


@dataclass(frozen=True)
class Served:
    work: Path
    port: int

    def instead(self, line: str) -> str:
        """The line with this service in the place of the demo's, and two of its members in the place of theirs."""
        ours = line.replace("127.0.0.1:8000", f"127.0.0.1:{self.port}").replace("var/demo", str(self.work))
        ours = ours.replace('["1", "2"]', '["m1", "m2"]').replace("/members/1", "/members/m1")
        return ours.replace("curl ", "curl --silent --show-error --fail-with-body ", 1)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    shop = opened(tmp_path_factory.mktemp("served"))
    server = uvicorn.Server(uvicorn.Config(Client(shop).app, host="127.0.0.1", port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + PATIENCE_S
    while not server.started:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    yield Served(shop.work, server.servers[0].sockets[0].getsockname()[1])
    server.should_exit = True
    thread.join()


@pytest.mark.parametrize("line", CURLS)
def test_a_shown_request_is_answered(line: str, served: Served) -> None:
    told = subprocess.run(["bash", "-c", served.instead(line)], capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stdout + told.stderr
    answer = json.loads(told.stdout)
    members = [one["member_id"] for one in answer.get("answers", [answer])]
    assert members == (["m1", "m2"] if ":predict" in line else ["m1"])


def test_without_the_shown_token_nothing_is_answered(served: Served) -> None:
    line = re.sub(r'-H "Authorization[^"]*\$\([^)]*\)"', "", served.instead(CURLS[0]))
    told = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
    assert told.returncode == 22  # curl's exit code for an answer of 400 and above
    assert "token" in told.stdout


def test_the_readme_shows_how_to_ask() -> None:
    assert len(CURLS) >= 2
