"""What make runs on one machine: set-up says what to do, stages stop at the first failure, Ray stops alone."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest
from tests.entry_points import ROOT

LOCAL = ROOT / "infra/local"


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.syspath_prepend(str(LOCAL))
    import stages as module

    return module.Stages(tmp_path / "logs")


def test_a_stage_is_shown_timed_and_logged(stages, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stages.run("greet", sys.executable, "-c", "print('hello')")
    assert "-c 'print('" in capsys.readouterr().out
    assert (tmp_path / "logs/greet.log").read_text() == "hello\n"
    assert set(json.loads((tmp_path / "logs/seconds.json").read_text())) == {"greet"}


def test_a_failing_stage_ends_with_its_own_sentence_and_exit_code(stages) -> None:
    from tenure.errors import TenureError

    says = "import sys; print('noise'); print('clean.py: no such file', file=sys.stderr); sys.exit(2)"
    with pytest.raises(TenureError, match=r"bad ended with exit code 2: clean\.py: no such file") as failed:
        stages.run("bad", sys.executable, "-c", says)
    assert failed.value.exit_code == 2


def test_a_server_ends_with_its_block_and_with_what_it_started(stages, tmp_path: Path) -> None:
    starts_another = (
        "import subprocess, sys, time, pathlib;"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']);"
        f"pathlib.Path({str(tmp_path / 'pid')!r}).write_text(str(child.pid)); time.sleep(60)"
    )
    with stages.serving("server", sys.executable, "-c", starts_another, is_ready=(tmp_path / "pid").exists):
        child = int((tmp_path / "pid").read_text())
        os.kill(child, 0)
    assert _ends(child, within_s=5)


def test_a_server_that_is_not_ready_in_time_is_ended_with_the_end_of_its_log(stages, monkeypatch) -> None:
    monkeypatch.setattr("stages.READY_WITHIN_S", 1.0)
    says = "import time; print('looking for the database', flush=True); time.sleep(60)"
    with pytest.raises(Exception, match=r"server is not ready after 1 s: looking for the database"):  # noqa: SIM117
        with stages.serving("server", sys.executable, "-c", says, is_ready=lambda: False):
            raise AssertionError("it was taken to be ready")


def _ends(pid: int, within_s: float) -> bool:
    """Whether the process is gone, or waits to be reaped, before the time is over."""
    status = Path(f"/proc/{pid}/status")
    deadline = time.monotonic() + within_s
    while status.exists() and "\nState:\tZ" not in status.read_text():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_the_demo_says_which_source_is_missing(tmp_path: Path) -> None:
    told = subprocess.run(
        [sys.executable, str(LOCAL / "demo.py"), "--source", "conf/sources/none.yaml", "--work", str(tmp_path)],
        capture_output=True, text=True, cwd=ROOT, check=False,
    )  # fmt: skip
    assert told.returncode == 2
    assert "SOURCE=conf/sources/none.yaml is no file" in told.stderr


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (None, "does not say where its files are: name their folder, as in DATA=FOLDER"),
        ("nowhere", "is no folder; name the folder of the landing files"),
        (".", "holds none of *.csv, *.parquet: put the landing files there"),
    ],
)
def test_a_shop_without_files_is_told_so_before_anything_is_started(
    tmp_path: Path, data: str | None, sentence: str
) -> None:
    given = ["--data", str(tmp_path / data)] if data else []
    source = "conf/sources/online_retail.yaml"
    told = subprocess.run(
        [sys.executable, str(LOCAL / "demo.py"), "--source", source, *given, "--work", str(tmp_path / "work")],
        capture_output=True, text=True, cwd=ROOT, check=False,
    )  # fmt: skip
    assert told.returncode == 2
    assert sentence in told.stderr
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize(
    "command", [[sys.executable, "demo.py", "--work"], ["bash", "serve.sh"]], ids=["demo", "serve"]
)
def test_who_comes_second_to_a_folder_waits_its_turn(tmp_path: Path, command: list[str]) -> None:
    import fcntl

    program, script, *rest = command
    with (tmp_path / "in_use.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        told = subprocess.run(
            [program, str(LOCAL / script), *rest, str(tmp_path)],
            capture_output=True, text=True, cwd=ROOT, check=False,
        )  # fmt: skip
    assert told.returncode == 4
    assert "a demo or a service (make serve) is under way" in told.stderr


def test_serving_a_folder_in_which_nothing_is_published_says_what_to_do_and_starts_nothing(tmp_path: Path) -> None:
    told = subprocess.run(
        ["bash", str(LOCAL / "serve.sh"), str(tmp_path / "new")], capture_output=True, text=True, check=False
    )
    assert told.returncode == 2
    assert told.stderr == (
        f"nothing is published in {tmp_path}/new: run make demo WORK={tmp_path}/new, or the commands that it shows, up "
        "to jobs/publish_members.py\n"
    )
    assert list(tmp_path.iterdir()) == []


def asked_of_the_demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(LOCAL / "demo.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)


@pytest.fixture
def demo(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.syspath_prepend(str(LOCAL))
    import demo as module

    return module


def planned(demo, monkeypatch: pytest.MonkeyPatch, *arguments: str):
    monkeypatch.setattr(sys, "argv", ["demo.py", *arguments])
    return demo.planned(demo.parsed())


SIMULATED = ("--source", "conf/sources/simulated.yaml")


def test_members_are_for_a_source_that_is_simulated(tmp_path: Path) -> None:
    told = asked_of_the_demo("--members", "100", "--work", str(tmp_path / "work"))
    assert told.returncode == 2
    assert "conf/sources/complete_journey.yaml declares no simulation" in told.stderr
    assert not (tmp_path / "work").exists()


def test_data_that_is_there_is_not_simulated_as_well(demo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    told = asked_of_the_demo(*SIMULATED, "--data", "landing", "--seed", "2", "--work", str(tmp_path / "work"))
    assert told.returncode == 2
    assert "say one of the two" in told.stderr
    given = planned(demo, monkeypatch, *SIMULATED, "--data", "landing")
    assert given.simulation is None
    assert given.against == []


def test_a_source_that_is_simulated_reads_its_simulation_and_is_held_against_its_truth(
    demo, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = planned(demo, monkeypatch, *SIMULATED, "--members", "300", "--seed", "7", "--work", "var/shop")
    mapped = demo.load(demo.Source, SIMULATED[1]).feeds
    assert {"orders", "payments", "consents"} <= set(mapped)
    assert shop.simulation.command == [
        *("--config", "conf/jobs/simulate_shop.yaml", "--members", "300", "--seed", "7", "--faults"),
        *("--set", "folder=var/shop/simulated", "--set", f"feeds=[{', '.join(mapped)}]"),
    ]
    assert "source.data=var/shop/simulated/landing" in shop.on
    assert shop.against == ["--set", "truth=var/shop/simulated/truth"]


def test_a_simulation_without_a_number_has_the_settings_own(demo, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = planned(demo, monkeypatch, *SIMULATED).simulation.settings
    assert (settings.members, settings.seed, settings.faults.strength) == (20000, 1, 1)


def test_the_simulated_days_hold_every_day_of_the_split(demo, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = planned(demo, monkeypatch, *SIMULATED).simulation.settings
    source = demo.load(demo.Source, SIMULATED[1])
    last = settings.start + timedelta(days=settings.days - 1)
    assert max(source.split.test) + timedelta(days=source.churn.horizon_days - 1) <= last
    told = {settings.start + timedelta(days=d) for d in range(settings.truth.first_as_of, settings.days + 1, 14)}
    assert {*source.split.validation, *source.split.test} <= told


def test_another_simulated_shop_is_not_landed_on_top(demo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    work = ("--work", str(tmp_path))
    asked = planned(demo, monkeypatch, *SIMULATED, "--members", "10", *work)
    command = [sys.executable, "jobs/simulate_shop.py", *asked.simulation.command, "--set", "days=5"]
    subprocess.run(command, check=True, cwd=ROOT, capture_output=True)
    (tmp_path / "lake").mkdir()
    with pytest.raises(demo.WrongInput, match="another simulated shop, of other days"):
        demo.check_same_shop(asked)
    subprocess.run([*command[:-1], f"days={asked.simulation.settings.days}"], check=True, cwd=ROOT, capture_output=True)
    demo.check_same_shop(asked)
    with pytest.raises(demo.WrongInput, match="of other members, seed"):
        demo.check_same_shop(planned(demo, monkeypatch, *SIMULATED, "--members", "11", "--seed", "2", *work))
    mark = tmp_path / "simulated" / "simulation.json"
    mark.write_text(json.dumps({k: v for k, v in json.loads(mark.read_text()).items() if k != "story_version"}))
    with pytest.raises(demo.WrongInput, match="of other story_version"):
        demo.check_same_shop(asked)


def test_a_lake_of_which_nobody_knows_what_landed_is_left_alone(
    demo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = planned(demo, monkeypatch, *SIMULATED, "--work", str(tmp_path))
    demo.check_same_shop(asked)
    (tmp_path / "lake").mkdir()
    with pytest.raises(demo.WrongInput, match="does not say which one; name another WORK, or remove"):
        demo.check_same_shop(asked)


def test_the_demo_says_of_the_truth_what_there_is(demo) -> None:
    nothing = {"best_roc_auc": None, "cleaning": {}, "stages": None, "taste_ndcg_at_10": None, "churn": None,
               "clean_rows": None, "tastes": None}  # fmt: skip
    assert demo.nearness(nothing) == "  truth        nothing to compare"
    of_churn = {"best_roc_auc": 0.95, "churn": {"reached": 0.914}}
    assert demo.nearness(nothing | of_churn) == "  truth        91% of the way to the best ROC AUC, 0.950"
    rules = {"cleaning": {"a": {"goal_met": True}, "b": {"goal_met": False}}, "clean_rows": {"lost": 0}}
    others = {"stages": {"accuracy": 0.854}, "taste_ndcg_at_10": 0.339}
    assert demo.nearness(nothing | rules | others) == (
        "  truth        1 of 2 cleaning rules meet their goal, 0 clean rows lost; 85% of members in their true stage; "
        "NDCG@10 by true taste 0.339"
    )


def _bootstrap(*lines: str, path: str) -> subprocess.CompletedProcess[str]:
    """Functions of bootstrap.sh alone, without its main, on a machine that has only what ``path`` holds."""
    text = (LOCAL / "bootstrap.sh").read_text(encoding="utf-8").replace('\nmain "$@"\n', "\n")
    text = text.replace('cd "$(dirname "${BASH_SOURCE[0]}")/../.."', f"cd {ROOT}")
    script = "\n".join([text, *lines])
    return subprocess.run(["/bin/bash", "-c", script], capture_output=True, text=True, env={"PATH": path}, check=False)


def fake(folder: Path, name: str, *lines: str) -> None:
    """A program of that name that runs these lines."""
    (folder / name).write_text("\n".join(["#!/bin/sh", *lines, ""]))
    (folder / name).chmod(0o755)


def test_setup_without_rights_says_the_command_to_type(tmp_path: Path) -> None:
    fake(tmp_path, "apt-get", "exit 1")
    told = _bootstrap(
        "may_be_root() { false; }", "install 'Java 17' openjdk-17-jre-headless", path=f"{tmp_path}:/usr/bin:/bin"
    )
    assert told.returncode == 2
    expected = (
        "setup: Java 17 is missing; type: sudo apt-get update && "
        "sudo apt-get install -y --no-install-recommends openjdk-17-jre-headless\n"
    )
    assert told.stderr == expected


@pytest.mark.parametrize(
    ("system", "release"),
    [("debian 12", 17), ("debian 13", 21), ("debian ", 21), ("ubuntu 22.04", 17), ("linuxmint 22", 17), ("", 17)],
)
def test_setup_without_rights_and_without_package_lists_names_a_java_that_the_system_has(
    system: str, release: int, tmp_path: Path
) -> None:
    fake(tmp_path, "apt-get", "exit 1")
    fake(tmp_path, "apt-cache", "exit 0")  # what it says of an unknown name is on stderr
    told = _bootstrap(
        *("may_be_root() { false; }", "java_version() { false; }", f"system() {{ echo '{system}'; }}", "bring_java"),
        path=f"{tmp_path}:/usr/bin:/bin",
    )
    assert told.returncode == 2
    assert told.stdout == ""
    assert told.stderr.endswith(f"sudo apt-get install -y --no-install-recommends openjdk-{release}-jre-headless\n")


AS_ROOT = ("may_be_root() { true; }", 'as_root() { "$@"; }', "java_version() { false; }")


def test_setup_fetches_the_package_lists_before_it_chooses_a_java(tmp_path: Path) -> None:
    """An apt-cache that knows nothing until the lists are there, and then what Debian 13 has."""
    calls, lists = tmp_path / "calls", tmp_path / "lists"
    fake(tmp_path, "apt-get", f'echo "$*" >> {calls}', f"[ $1 = install ] || touch {lists}")
    fake(tmp_path, "apt-cache", f"[ -e {lists} ] && [ $2 = openjdk-21-jre-headless ] && echo Package: $2", "exit 0")
    said = (*AS_ROOT, f"LOG={tmp_path}/log", f"lists_are_here() {{ [[ -e {lists} ]]; }}", "bring_java")
    told = _bootstrap(*said, path=f"{tmp_path}:/usr/bin:/bin")
    assert told.returncode == 0, told.stderr
    assert calls.read_text() == "update -q\ninstall -y --no-install-recommends openjdk-21-jre-headless\n"
    assert told.stdout.startswith("setup: Java 17 or newer, for Spark, is missing, so this asks which one there is")


@pytest.mark.parametrize(("fails", "tries", "code"), [(1, 2, 0), (2, 2, 2)])
def test_setup_tries_once_more_with_fresh_lists_where_an_install_fails(
    fails: int, tries: int, code: int, tmp_path: Path
) -> None:
    calls = tmp_path / "calls"
    fake(
        *(tmp_path, "apt-get", f'echo "$1" >> {calls}'),
        f"[ $1 = update ] || [ $(grep -c install {calls}) -gt {fails} ] || {{ echo 404 Not Found; exit 100; }}",
    )
    said = (*AS_ROOT, f"LOG={tmp_path}/log", "lists_are_here() { true; }", "install 'libgomp, for LightGBM,' libgomp1")
    told = _bootstrap(*said, path=f"{tmp_path}:/usr/bin:/bin")
    assert told.returncode == code
    assert calls.read_text().split() == ["install", *["update", "install"] * (tries - 1)]
    assert ("404 Not Found" in told.stderr) == bool(code)


def test_setup_takes_a_java_that_is_new_enough_and_no_older_one(tmp_path: Path) -> None:
    java = tmp_path / "java"
    for version, is_taken in (("17.0.15", True), ("21", True), ("1.8.0_412", False), ("11.0.2", False)):
        java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2025-04-15' >&2\n")
        java.chmod(0o755)
        told = _bootstrap(
            "install() { echo wanted; }", "known_java() { echo 17; }", "bring_java", path=f"{tmp_path}:/usr/bin:/bin"
        )
        assert told.stdout == ("" if is_taken else "wanted\n"), version


def test_setup_takes_the_oldest_java_that_will_do(tmp_path: Path) -> None:
    for offered, taken in (("17 21 25", 17), ("21 25", 21), ("25", 25)):
        offers = f"for r in {offered}; do [ $2 = openjdk-$r-jre-headless ] && echo Package: $2; done"
        fake(tmp_path, "apt-cache", offers, "exit 0")
        assert _bootstrap("known_java", path=f"{tmp_path}:/usr/bin:/bin").stdout == f"openjdk-{taken}-jre-headless\n"


def test_setup_finds_libgomp_for_a_user_whose_path_has_no_sbin(tmp_path: Path) -> None:
    said = "install() { echo wanted; }", "bring_libgomp"
    assert _bootstrap(*said, path="/usr/bin:/bin").stdout == ""  # LightGBM is here, so it is too
    (tmp_path / "ldconfig").write_text("#!/bin/sh\necho 'libc.so.6 (libc6,x86-64) => /lib/libc.so.6'\n")
    (tmp_path / "ldconfig").chmod(0o755)
    assert _bootstrap(*said, path=f"{tmp_path}:/usr/bin:/bin").stdout == "wanted\n"


@pytest.mark.parametrize("target", ["demo", "serve", "ray-up", "ray-down", "clean"])
def test_a_path_may_have_blanks(target: str) -> None:
    given = {"SOURCE": "my conf/a shop.yaml", "DATA": "my files", "WORK": "my work"}
    variables = [f"{name}={value}" for name, value in given.items()]
    told = subprocess.run(["make", "-n", target, *variables], cwd=ROOT, capture_output=True, text=True, check=True)
    lines = told.stdout.replace("\\\n", " ").splitlines()
    words = [word for line in lines for word in shlex.split(line)]
    assert set(given.values() if target == "demo" else ["my work"]) <= set(words)


def test_what_the_first_load_is_may_be_said_to_make() -> None:
    told = subprocess.run(
        ["make", "-n", "demo", "HISTORICAL=true"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "--historical true" in told.stdout


@pytest.mark.long
def test_dist_holds_what_a_cluster_needs(tmp_path: Path) -> None:
    subprocess.run(["bash", str(LOCAL / "dist.sh"), str(tmp_path / "dist")], check=True, cwd=ROOT)
    dist = tmp_path / "dist"
    (wheel,) = dist.glob("tenure-*.whl")
    assert (dist / f"{wheel.stem}.zip").read_bytes() == wheel.read_bytes()
    assert any("delta-spark" in jar.name for jar in (dist / "jars").glob("*.jar"))
    requirements = {path.stem: path.read_text() for path in (dist / "requirements").glob("*.txt")}
    assert set(requirements) == {"spark", "train", "serve", "dev"}
    assert "\npytest==" in requirements["dev"]
    assert "\nray==" not in requirements["spark"]
    assert "\npyspark==" not in requirements["train"]
    # The zip alone is importable, with the page's style sheet, where nothing else of Tenure is installed.
    reads = "importlib.resources.files('tenure.report').joinpath('page.css').read_text()"
    code = f"import tenure.contracts.gold, importlib.resources; {reads}"
    isolated = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(dist / (wheel.stem + '.zip'))!r}); {code}"]
    subprocess.run(isolated, check=True, cwd=tmp_path)
