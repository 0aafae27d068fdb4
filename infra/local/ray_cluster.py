"""A Ray cluster of this one machine: token authentication, dashboard on loopback, stopped without touching any other.

python infra/local/ray_cluster.py start --work var/demo
. var/demo/ray/client.sh                      # ray and serve now find the cluster and its token
ray job list
python infra/local/ray_cluster.py stop --work var/demo

A cluster stays until it is stopped. One that was started for a process (TENURE_RAY_OWNER, its number) is stopped for no
other, and ended by the next start where that process is gone.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from tenure.errors import Busy, Refused, TenureError
from tenure.ports import free_port
from tenure.privacy.secrets import make_secret

OWNER = "TENURE_RAY_OWNER"
DASHBOARD_PORT = 8265  # Ray's own; another one where it is taken
STARTS_WITHIN_S = 180
NODE_STARTS_WITHIN_S = 120  # less than that, so that Ray itself says what its node waited for
TRIES = 2
TELLING_LINES = 8
ENDS_GENTLY_WITHIN_S = 3
STOPS_WITHIN_S = 20


def start(work: Path, *, cpus: float, object_store_mb: int, owner: int | None = None) -> Mapping[str, str]:
    """Starts a head node whose files and token lie below ``work``; what a client's environment must say is returned.

    A cluster that runs there already is taken, unless the process that it was started for is gone: what such a one left
    behind is ended.

    Args:
        owner: the process that it is started for, and that stops it; none for one that stays.

    Raises:
        Refused: if it does not come up; the end of its log is in the message.
    """
    if running := _running(work):
        return running["client"]
    (work / "ray").mkdir(parents=True, exist_ok=True)
    make_secret("ray_token", work / "secrets")
    for left in reversed(range(TRIES)):
        try:
            return _start_once(work, cpus=cpus, object_store_mb=object_store_mb, owner=owner)
        except Refused as refused:
            if not left:
                raise
            print(f"{refused}\nOnce more, with other ports.", file=sys.stderr)
    raise AssertionError("every try returns or raises")


def _start_once(work: Path, *, cpus: float, object_store_mb: int, owner: int | None) -> Mapping[str, str]:
    # Ray's sockets lie below its folder, and a socket's path has 107 characters at most.
    session = tempfile.mkdtemp(prefix="tenure-ray-")
    gcs, dashboard = free_port(), free_port(DASHBOARD_PORT)
    client = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str((work / "secrets" / "ray_token").resolve()),
        "RAY_ADDRESS": f"127.0.0.1:{gcs}",
        "RAY_API_SERVER_ADDRESS": f"http://127.0.0.1:{dashboard}",
        "RAY_DASHBOARD_ADDRESS": f"http://127.0.0.1:{dashboard}",
        "RAY_SERVE_DEFAULT_HTTP_HOST": "127.0.0.1",  # whatever Serve's own may be
    }
    command = [
        *("ray", "start", "--head", "--block", "--disable-usage-stats", "--temp-dir", session),
        *("--node-ip-address", "127.0.0.1", "--port", str(gcs)),
        *("--include-dashboard", "true", "--dashboard-host", "127.0.0.1", "--dashboard-port", str(dashboard)),
        *("--dashboard-agent-listen-port", str(free_port()), "--ray-client-server-port", str(free_port())),
        *("--num-cpus", f"{cpus:g}", "--object-store-memory", str(object_store_mb * 1_000_000)),
    ]
    with (work / "ray" / "head.log").open("w") as log:
        # Jobs find their python on the head's PATH: the one that runs this file.
        head = subprocess.Popen(
            command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=_head_environment(client), process_group=0
        )
    of_owner = {"pid": owner, "born": _born(owner)} if owner else None
    state = {"pid": head.pid, "born": _born(head.pid), "owner": of_owner, "session": session, "client": client}
    (work / "ray" / "cluster.json").write_text(json.dumps(state, indent=1))
    (work / "ray" / "client.sh").write_text(exports(client))
    try:
        _wait_until_up(head, client, work / "ray" / "head.log", Path(session))
    except BaseException:
        stop(work)
        raise
    return client


def exports(client: Mapping[str, str]) -> str:
    """What a shell reads to know the cluster."""
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in client.items())


def client_of(work: Path) -> Mapping[str, str]:
    """The same of the cluster that was started before."""
    return json.loads((work / "ray" / "cluster.json").read_text())["client"]


def stop(work: Path, owner: int | None = None) -> bool:
    """Ends every process of the cluster below ``work``, and no other; whether there was one.

    Args:
        owner: ends it only if it was started for this process.
    """
    state = work / "ray" / "cluster.json"
    if not state.exists():
        return False
    cluster = json.loads(state.read_text())
    if owner is not None and (cluster.get("owner") or {}).get("pid") != owner:
        return False
    began = time.monotonic()
    while processes := _processes(cluster):
        waited = time.monotonic() - began
        for pid in processes:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGTERM if waited < ENDS_GENTLY_WITHIN_S else signal.SIGKILL)
        time.sleep(0.5)
        if waited > STOPS_WITHIN_S:
            raise Busy(f"processes {processes} of the Ray cluster in {work} do not end; end them by hand")
    shutil.rmtree(cluster["session"], ignore_errors=True)
    state.unlink()
    return True


def _running(work: Path) -> dict | None:
    """What ``start`` wrote, where that cluster still answers and has not outlived its owner; what is left of any other
    is cleared away."""
    state = work / "ray" / "cluster.json"
    if not state.exists():
        return None
    cluster = json.loads(state.read_text())
    owner = cluster.get("owner")
    if (owner is None or _born(owner["pid"]) == owner["born"]) and _answers(cluster["client"]):
        return cluster
    stop(work)
    return None


def _head_environment(client: Mapping[str, str]) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if name not in client}
    auth = {name: client[name] for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN_PATH")}
    patience = {"RAY_raylet_start_wait_time_s": str(NODE_STARTS_WITHIN_S), "PYTHONUNBUFFERED": "1"}
    # Ray lets workers give way to everything else (niceness 15): on two cores they would then stand still.
    fair = {"RAY_worker_niceness": "0"}
    return {**own, **auth, **patience, **fair, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def _answers(client: Mapping[str, str]) -> bool:
    token = Path(client["RAY_AUTH_TOKEN_PATH"]).read_text().strip()
    request = urllib.request.Request(  # noqa: S310  the address is our own
        f"{client['RAY_DASHBOARD_ADDRESS']}/api/jobs/", headers={"Authorization": f"Bearer {token}"}
    )
    try:
        with urllib.request.urlopen(request, timeout=5) as response:  # noqa: S310
            return response.status == 200
    except OSError:
        return False


def _wait_until_up(head: subprocess.Popen[bytes], client: Mapping[str, str], log: Path, session: Path) -> None:
    deadline = time.monotonic() + STARTS_WITHIN_S
    # The dashboard answers before the node is whole, and a node that fails then takes it down again.
    while "Ray runtime started" not in log.read_text() or not _answers(client):
        ended = head.poll()
        if ended is not None or time.monotonic() > deadline:
            how = f"it is not up after {STARTS_WITHIN_S} s" if ended is None else f"it ended with exit code {ended}"
            raise Refused(f"Ray did not start: {how}; the end of {log} says why:\n{_told(log, session)}")
        time.sleep(0.3)


def _told(log: Path, session: Path) -> str:
    """The ends of the head's log and of those that its processes wrote, which are gone with ``session``."""
    ends = [log.read_text()[-2000:]]
    for path in sorted((session / "session_latest" / "logs").glob("*.*")):
        if path.is_file() and (lines := path.read_text(errors="replace").splitlines()):
            ends.append("\n".join([f"{path.name}:", *(f"  {line[:300]}" for line in lines[-TELLING_LINES:])]))
    return "\n".join(ends)


def _processes(cluster: dict) -> list[int]:
    """The head's process group, and whatever was started with this cluster's session folder among its arguments."""
    session = cluster["session"].encode()
    # After a restart of the machine the number may be another's; as long as the group lives, no other process gets it.
    born = _born(cluster["pid"])
    is_ours = born is None or cluster.get("born", born) == born
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            is_zombie = "\nState:\tZ" in (entry / "status").read_text()
            in_group = is_ours and os.getpgid(int(entry.name)) == cluster["pid"]
            if not is_zombie and (in_group or session in (entry / "cmdline").read_bytes()):
                found.append(int(entry.name))
    return found


def _born(pid: int) -> str | None:
    """Which boot of the machine, and which tick of it, a process began at; None where there is none."""
    with contextlib.suppress(OSError):
        stat = Path(f"/proc/{pid}/stat").read_text()
        ticks = stat.rpartition(")")[2].split()[19]  # the name before may hold blanks and brackets
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {ticks}"
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("start", "stop"))
    parser.add_argument("--work", type=Path, default=Path("var/demo"), help="the folder of logs and token")
    parser.add_argument("--cpus", type=float, default=2 * (os.cpu_count() or 1), help="CPUs that Ray may give away")
    parser.add_argument("--object-store-mb", type=int, default=1000, help="shared memory for objects")
    arguments = parser.parse_args()
    owner = int(os.environ[OWNER]) if OWNER in os.environ else None
    try:
        if arguments.action == "stop":
            stopped = stop(arguments.work, owner=owner)
            print("Ray is stopped" if stopped else f"no Ray cluster to stop in {arguments.work}")
            return
        client = start(arguments.work, cpus=arguments.cpus, object_store_mb=arguments.object_store_mb, owner=owner)
    except TenureError as error:
        print(f"ray_cluster.py: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    print(f"Ray is up: {client['RAY_DASHBOARD_ADDRESS']}; to use it: . {arguments.work}/ray/client.sh")


if __name__ == "__main__":
    main()
