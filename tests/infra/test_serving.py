"""The service as a person starts it: by the script of `make serve`, and by `serve deploy` with the file shown."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import yaml
from tests.corner_shop import CornerShop, opened
from tests.entry_points import ROOT
from tests.infra.processes import naming

from tenure.ports import free_port

PATIENCE_S = 240
ENDS_WITHIN_S = 90
BIN = Path(sys.executable).parent
PLACE = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "RAY_USAGE_STATS_ENABLED": "0"}

pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]


@dataclass(frozen=True)
class Started:
    """The script while it runs, and the file that it prints to."""

    shop: CornerShop
    script: subprocess.Popen[bytes]
    output: Path
    url: str

    def says(self, pattern: str) -> str:
        """What the script has printed, as soon as it is there."""
        deadline = time.monotonic() + PATIENCE_S
        while not (found := re.search(pattern, self.output.read_text())):
            assert self.script.poll() is None, self.output.read_text()[-3000:]
            assert time.monotonic() < deadline, self.output.read_text()[-3000:]
            time.sleep(0.2)
        return found[1]

    def churn(self, prefix: str = "") -> dict:
        """The answer about one member, asked with the token that the script told of."""
        token = Path(self.says(r"the bearer token is in the file (\S+)")).read_text()
        deadline = time.monotonic() + PATIENCE_S
        while True:
            told = httpx.post(
                f"{self.url}{prefix}/v1/churn:predict",
                json={"member_ids": ["m1"]},
                headers={"authorization": f"Bearer {token}"},
                timeout=60,
            )
            if told.status_code == 200 or time.monotonic() > deadline:
                assert told.status_code == 200, told.text
                return told.json()
            time.sleep(0.5)


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Started]:
    shop, output, port = opened(tmp_path / "work"), tmp_path / "output", free_port()
    with output.open("w") as printed:
        script = subprocess.Popen(
            # Who runs tests in the background of a shell ignores Ctrl-C, and what is started would, too.
            ["env", "--default-signal=INT", "bash", "infra/local/serve.sh", str(shop.work), str(port)],
            cwd=ROOT, env=PLACE, stdout=printed, stderr=printed, stdin=subprocess.DEVNULL, process_group=0,
        )  # fmt: skip
    try:
        yield Started(shop, script, output, f"http://127.0.0.1:{port}")
    finally:
        script.kill()
        script.wait()
        stop = [sys.executable, "infra/local/ray_cluster.py", "stop", "--work", str(shop.work)]
        subprocess.run(stop, cwd=ROOT, env=PLACE, check=True)


def test_a_person_starts_the_service_asks_it_deploys_another_and_ends_it(started: Started, tmp_path: Path) -> None:
    started.says(r"(Application 'default' is ready)")
    (asked,) = started.churn()["answers"]
    assert 0 < asked["score"] < 1

    deploy(deployed(started.shop.work, tmp_path), started.shop.work)
    assert started.churn("/deployed")["answers"] == [asked]

    assert naming(started.shop.work)
    started.script.send_signal(signal.SIGINT)
    assert started.script.wait(ENDS_WITHIN_S) == 130
    assert naming(started.shop.work) == []


def deployed(work: Path, folder: Path) -> Path:
    """The file of docs/cluster.md for this work folder, below a path of its own, for the other one is taken."""
    (shown,) = re.findall(r"^```yaml\n(.*?)^```", (ROOT / "docs/cluster.md").read_text(), re.MULTILINE | re.DOTALL)
    (place := folder / "env.yaml").write_text(json.dumps({"work": str(work)}))
    assert "conf/env/cluster.yaml" in shown
    config = yaml.safe_load(shown.replace("conf/env/cluster.yaml", str(place)))
    config["applications"][0]["route_prefix"] = "/deployed"
    (path := folder / "members.yaml").write_text(yaml.safe_dump(config))
    return path


def deploy(config: Path, work: Path) -> None:
    client = json.loads((work / "ray/cluster.json").read_text())["client"]
    told = subprocess.run(
        ["serve", "deploy", str(config)], cwd=ROOT, env={**PLACE, **client}, capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stdout + told.stderr
