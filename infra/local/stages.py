"""Commands run one after the other: each shown, timed and logged, and nothing left running at the end."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tenure.errors import TenureError

ENDS_GENTLY_WITHIN_S = 15
READY_WITHIN_S = 600.0


class StageFailed(TenureError):
    """A command that did not end well; the exit code is its own."""

    def __init__(self, says: str, returncode: int) -> None:
        super().__init__(says)
        self.exit_code = returncode if returncode > 0 else 128 - returncode  # as a shell tells of a signal


class Stages:
    """Runs commands, each with its log ``logs/STAGE.log``; their seconds lie in ``logs/seconds.json``."""

    def __init__(self, logs: Path) -> None:
        logs.mkdir(parents=True, exist_ok=True)
        self._logs = logs
        self._seconds: dict[str, float] = {}
        self.environment = dict(os.environ)

    def run(self, stage: str, *command: str) -> None:
        """Runs a command to its end.

        Raises:
            StageFailed: with the command's own sentence, where it fails.
        """
        with self._started(stage, command) as process:
            self._wait(stage, process, until=lambda: process.poll() is not None)

    @contextmanager
    def serving(self, stage: str, *command: str, is_ready: Callable[[], bool]) -> Iterator[None]:
        """A server that runs while the block does, which is entered when the server is ready.

        Raises:
            StageFailed: with the server's own sentence, where it ends before or is not ready in time.
        """
        with self._started(stage, command) as process:
            self._wait(stage, process, until=is_ready, within_s=READY_WITHIN_S)
            yield

    def took(self, stage: str, seconds: float) -> None:
        self._seconds[stage] = round(seconds, 1)
        (self._logs / "seconds.json").write_text(json.dumps(self._seconds, indent=1))

    def _wait(
        self,
        stage: str,
        process: subprocess.Popen[bytes],
        until: Callable[[], bool],
        within_s: float = float("inf"),
    ) -> None:
        began = time.monotonic()
        while not until():
            if process.poll() is not None:
                break
            if time.monotonic() - began > within_s:
                _erase_line()
                raise StageFailed(f"{stage} is not ready after {within_s:.0f} s: {self._end_of_log(stage)}", 1)
            self._show_progress(stage, time.monotonic() - began)
            time.sleep(0.2)
        _erase_line()
        if process.poll():
            raise StageFailed(self._sentence(stage, process.returncode), process.returncode)
        seconds = time.monotonic() - began
        self.took(stage, seconds)
        print(f"  {stage}: {seconds:.0f} s", flush=True)

    @contextmanager
    def _started(self, stage: str, command: tuple[str, ...]) -> Iterator[subprocess.Popen[bytes]]:
        print(f"\n$ {shlex.join(command)}", flush=True)
        with self._log(stage).open("w") as log:
            # A process group of its own, so that what it starts can be ended with it.
            process = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=self.environment, process_group=0
            )
            try:
                yield process
            finally:
                _end(process)

    def _log(self, stage: str) -> Path:
        return self._logs / f"{stage}.log"

    def _lines(self, stage: str) -> list[str]:
        return [line for line in self._log(stage).read_text(errors="replace").splitlines() if line.strip()]

    def _show_progress(self, stage: str, seconds: float) -> None:
        """The newest line of the log, where somebody watches."""
        if sys.stdout.isatty():
            newest = (self._lines(stage) or [""])[-1].rsplit("\r", 1)[-1]
            line = f"  {stage}: {seconds:.0f} s  {newest}"
            print(f"\r\033[K{line[: shutil.get_terminal_size().columns - 1]}", end="", flush=True)

    def _sentence(self, stage: str, exit_code: int) -> str:
        """What the command said went wrong, in the form in which every entry point says it, or the end of its log."""
        lines = self._lines(stage)
        said = [line for line in lines if re.match(r"\w+\.py: ", line)]
        what = f"{said[-1]}\nThe whole log: {self._log(stage)}" if said else self._end_of_log(stage)
        return f"{stage} ended with exit code {exit_code}: {what}"

    def _end_of_log(self, stage: str) -> str:
        return "\n".join([*self._lines(stage)[-15:], f"The whole log: {self._log(stage)}"])


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends the process and all that it started: first gently, so that it can clear up."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, how)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=ENDS_GENTLY_WITHIN_S)


def _erase_line() -> None:
    if sys.stdout.isatty():
        print("\r\033[K", end="")
