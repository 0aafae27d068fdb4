"""From landing files to answers over HTTP and a report: the documented commands, one after the other.

    python infra/local/demo.py --source conf/sources/complete_journey.yaml --work var/demo
    python infra/local/demo.py --source conf/sources/online_retail.yaml --data FOLDER --work var/retail
    python infra/local/demo.py --source conf/sources/simulated.yaml --members 20000 --seed 1 --work var/shop

A source that declares a `simulation` is simulated first, with its faults, and its report says how near the truth
everything came.

Each command is shown before it runs and can be typed by hand (for those of Ray and Serve say `. WORK/ray/client.sh`
first). What it prints goes to WORK/logs/; the first that fails ends the demo with its own sentence. A rerun in the
same WORK goes on from what is there.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import signal
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import ray_cluster
from stages import Stages

from tenure.config.settings import load
from tenure.config.source import Source
from tenure.errors import Busy, TenureError, WrongInput
from tenure.ports import free_port
from tenure.registry.registry import Registry
from tenure.simulation.landing import LANDING, TRUTH
from tenure.simulation.settings import SimulateShop
from tenure.simulation.simulate import STORY_VERSION, simulated

SIZES = {"full": "", "smoke": "_smoke"}  # which of conf/train/*.yaml
SETUP = Path("var/logs/setup.json")
LOCK = "in_use.lock"  # infra/local/serve.sh takes it, too
HTTP_PORT = 8000  # Serve's own, on loopback; another one where it is taken


@dataclass(frozen=True, kw_only=True)
class Simulation:
    """The shop to simulate: the settings of ``jobs/simulate_shop.py``, and what is set beside them."""

    config: str
    members: int | None
    seed: int | None
    feeds: tuple[str, ...]  # what the source reads; the others would land for nobody
    folder: Path

    @property
    def command(self) -> list[str]:
        said = [part for key, value in self._numbers.items() for part in (f"--{key}", value)]
        return ["--config", self.config, *said, "--faults", *(p for s in self._set for p in ("--set", s))]

    @property
    def settings(self) -> SimulateShop:
        """What ``command`` asks for."""
        said = [f"{key}={value}" for key, value in self._numbers.items()]
        return load(SimulateShop, self.config, [*said, "faults.strength=1", *self._set])

    @property
    def _numbers(self) -> dict[str, str]:
        asked = {"members": self.members, "seed": self.seed}
        return {key: str(value) for key, value in asked.items() if value is not None}

    @property
    def _set(self) -> tuple[str, str]:
        return f"folder={self.folder}", f"feeds=[{', '.join(self.feeds)}]"


@dataclass(frozen=True, kw_only=True)
class Demo:
    """Where it runs, on whose files or on which simulation's, with models of which size."""

    source: str
    data: str | None
    simulation: Simulation | None
    work: Path
    size: str
    historical: str | None = None  # as the refresh is told of it

    @property
    def at(self) -> list[str]:
        return ["--set", f"env.work={self.work}"]

    @property
    def on(self) -> list[str]:
        data = ["--set", f"source.data={self.data}"] if self.data else []
        return ["--set", f"source={self.source}", *data]

    @property
    def arrival(self) -> list[str]:
        return ["--set", f"historical={self.historical}"] if self.historical else []

    @property
    def against(self) -> list[str]:
        """What the report holds everything against, where it is known."""
        return ["--set", f"truth={self.simulation.folder / TRUTH}"] if self.simulation else []

    def settings(self, model: str) -> list[str]:
        return ["--config", f"conf/train/{model}{SIZES[self.size]}.yaml", *self.at]


def run(demo: Demo) -> None:
    stages = Stages(demo.work / "logs")
    if SETUP.exists():
        stages.took("setup", json.loads(SETUP.read_text())["seconds"])
    spark = ("spark-submit", "--properties-file", "var/jars/spark.properties")
    if demo.simulation:
        stages.run("simulate", "python", "jobs/simulate_shop.py", *demo.simulation.command)
    job = ("ray", "job", "submit", "--log-style", "record", "--", "python")
    stages.run("refresh", *spark, "jobs/refresh.py", *demo.at, *demo.on, *demo.arrival)
    with ray(stages, demo.work):
        stages.run("recommender", *job, "ray_apps/train/fit_factors.py", *demo.settings("recommender"))
        stages.run("churn", *job, "ray_apps/train/fit_task.py", *demo.settings("churn"), *demo.on)
        stages.run("score", *job, "ray_apps/batch/score_members.py", *demo.at)
        stages.run("publish", "python", "jobs/publish_members.py", *demo.at)
        port = free_port(HTTP_PORT)
        url = f"http://127.0.0.1:{port}"
        if port != HTTP_PORT:
            stages.run("serve_start", "serve", "start", "--http-host", "127.0.0.1", "--http-port", str(port))
        serve = ("serve", "run", "ray_apps.serve.members:build", "config=conf/serve/members.yaml")
        with stages.serving("serve", *serve, f"env.work={demo.work}", is_ready=partial(is_ready, url)):
            stages.run("requests", "python", "infra/local/ask_members.py", "--work", str(demo.work), "--url", url)
    stages.run("report", "python", "jobs/write_report.py", *demo.at, *demo.on, *demo.against)


@contextmanager
def ray(stages: Stages, work: Path) -> Iterator[None]:
    """A Ray cluster while the block runs, known to the commands in it; one that ran before goes on after it."""
    try:
        stages.environment[ray_cluster.OWNER] = str(os.getpid())
        stages.run("ray", "python", "infra/local/ray_cluster.py", "start", "--work", str(work))
        stages.environment |= ray_cluster.client_of(work)
        yield
    finally:
        ray_cluster.stop(work, owner=os.getpid())


def is_ready(url: str) -> bool:
    """Whether every model is loaded."""
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=5) as response:  # noqa: S310  our own address
            return response.status == 200
    except OSError:
        return False


@contextmanager
def alone(work: Path) -> Iterator[None]:
    """One demo or service at a time in a folder.

    Raises:
        Busy: if another one is under way there.
    """
    work.mkdir(parents=True, exist_ok=True)
    with (work / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Busy(
                f"a demo or a service (make serve) is under way in {work}; wait for it or end it, or name another WORK"
            ) from None
        yield


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", default="conf/sources/complete_journey.yaml", help="the shop's YAML")
    parser.add_argument("--data", help="the folder of its landing files, where the YAML names none")
    parser.add_argument("--members", type=int, help="how many members to simulate, for a source that is simulated")
    parser.add_argument("--seed", type=int, help="which of all possible shops to simulate")
    parser.add_argument(
        "--historical",
        choices=("true", "false"),
        help="whether files beside those of an earlier run are a load of the past, or came today",
    )
    parser.add_argument("--work", type=Path, default=Path("var/demo"), help="the folder that everything goes to")
    parser.add_argument("--size", choices=SIZES, default="full", help="smoke: conf/train/*_smoke.yaml")
    return parser.parse_args()


def planned(asked: argparse.Namespace) -> Demo:
    """The demo that was asked for.

    Raises:
        WrongInput: if the source is none, or MEMBERS, SEED and DATA do not go with it.
    """
    if not Path(asked.source).is_file():
        raise WrongInput(f"SOURCE={asked.source} is no file; name one of conf/sources/*.yaml or your own")
    simulation = simulation_of(load(Source, asked.source), asked)
    folder = str(simulation.folder / LANDING) if simulation else asked.data
    return Demo(
        source=asked.source,
        data=folder,
        simulation=simulation,
        work=asked.work,
        size=asked.size,
        historical=asked.historical,
    )


def refuse_no_files(source: Source, asked: argparse.Namespace) -> None:
    """Before Spark is started, which takes longer than to look.

    Raises:
        WrongInput: if DATA holds no landing files, or is needed and not said.
    """
    if asked.data is None and source.data is None and source.package is None:
        raise WrongInput(f"{asked.source} does not say where its files are: name their folder, as in DATA=FOLDER")
    if asked.data is None:
        return
    folder, patterns = Path(asked.data), sorted({pattern for feed in source.feeds.values() for pattern in feed.files})
    if not folder.is_dir():
        raise WrongInput(f"DATA={folder} is no folder; name the folder of the landing files")
    if not any(next(folder.glob(pattern), None) for pattern in patterns):
        raise WrongInput(f"DATA={folder} holds none of {', '.join(patterns)}: put the landing files there")


def simulation_of(source: Source, asked: argparse.Namespace) -> Simulation | None:
    """The simulation that a source declares; none where it declares none, or where DATA names files that are there."""
    says_how = asked.members is not None or asked.seed is not None
    if source.simulation is None:
        if says_how:
            raise WrongInput(
                f"MEMBERS and SEED are for a source that is simulated, as conf/sources/simulated.yaml; {asked.source} "
                "declares no simulation, so leave them out"
            )
        return None
    if asked.data is not None:
        if says_how:
            raise WrongInput("DATA names files that are there, MEMBERS and SEED files to simulate; say one of the two")
        return None
    return Simulation(
        config=source.simulation,
        members=asked.members,
        seed=asked.seed,
        feeds=tuple(source.feeds),
        folder=asked.work / "simulated",
    )


def check_same_shop(demo: Demo) -> None:
    """Two simulated shops give their members the same ids, so one lake must not hold both.

    Raises:
        WrongInput: if another one has landed in WORK, or if nothing there says which one has.
    """
    if demo.simulation is None or not (demo.work / "lake").exists():
        return
    before = simulated(demo.simulation.folder)
    if before is None:
        raise WrongInput(
            f"{demo.work}/lake holds a shop, and {demo.simulation.folder} does not say which one; name another WORK, "
            f"or remove {demo.work}"
        )
    asked = {**demo.simulation.settings.model_dump(mode="json"), "story_version": STORY_VERSION}
    changed = sorted(key for key in asked if before.get(key) != asked[key] and key != "processes")
    if changed:
        raise WrongInput(
            f"{demo.work} holds another simulated shop, of other {', '.join(changed)}; name another WORK, or remove it"
        )


def main() -> None:
    for ending in (signal.SIGTERM, signal.SIGHUP):  # so that what was started ends then, too
        signal.signal(ending, lambda *_: sys.exit(1))
    asked = parsed()
    try:
        demo = planned(asked)
        if demo.simulation is None:
            refuse_no_files(load(Source, asked.source), asked)
        with alone(demo.work):
            check_same_shop(demo)
            began = time.monotonic()
            run(demo)
            print(f"\n{closing(demo, time.monotonic() - began)}")
    except TenureError as error:
        print(f"demo: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


def closing(demo: Demo, seconds: float) -> str:
    summary = json.loads((demo.work / "summary.json").read_text())
    churn, recommender = summary["models"]["churn"], summary["models"]["recommender"]
    answer = {task: answers(demo, task, model) for task, model in summary["models"].items()}
    lines = [
        f"Done in {seconds:.0f} s.",
        f"  churn        ROC AUC {churn['metrics']['roc_auc']:.3f}, LightGBM "
        f"{churn['baselines']['lightgbm']['roc_auc']:.3f}; {answer['churn']}",
        f"  recommender  NDCG@10 on new items {recommender['metrics']['new_items']['ndcg_at_10']:.4f}, popularity "
        f"{recommender['baselines']['popularity']['new_items']['ndcg_at_10']:.4f}; {answer['recommender']}",
        f"  serving      {summary['serving']['requests']} requests, {summary['serving']['errors']} errors, "
        f"median {summary['serving']['p50_ms']:.0f} ms",
        *([nearness(summary["truth"])] if "truth" in summary else []),
        f"To look at: {demo.work}/report.html and {demo.work}/summary.json",
        f"To ask it yourself: make serve WORK={demo.work}",
    ]
    return "\n".join(lines)


def nearness(truth: dict) -> str:
    """How near the truth it came, as far as the truth says anything."""
    churn, stages, taste = truth["churn"], truth["stages"], truth["taste_ndcg_at_10"]
    met = [rule["goal_met"] for rule in truth["cleaning"].values()]
    parts = []
    if churn and churn["reached"] is not None:
        parts.append(f"{churn['reached']:.0%} of the way to the best ROC AUC, {truth['best_roc_auc']:.3f}")
    if met:
        lost = truth["clean_rows"]["lost"]
        parts.append(f"{sum(met)} of {len(met)} cleaning rules meet their goal, {lost} clean rows lost")
    if stages:
        parts.append(f"{stages['accuracy']:.0%} of members in their true stage")
    if taste is not None:
        parts.append(f"NDCG@10 by true taste {taste:.3f}")
    return f"  truth        {'; '.join(parts) or 'nothing to compare'}"


def answers(demo: Demo, task: str, model: dict) -> str:
    """Who was trained, and who answers: whom the gate chose, unless somebody chose otherwise since."""
    champion = Registry(str(demo.work / "registry")).version(task, "champion")
    who = "nobody" if champion is None else "model" if champion == model["version"] else f"version {champion}"
    return f"version {model['version']}, {who} answers"


if __name__ == "__main__":
    main()
