"""P15: landing files to features, both models and served scores, against the same by hand.

    python -m benchmarks.p15_whole_path --events 5000000
    make bench-data ONLY=P15

By hand is Polars for the data, a bare torch loop and ``implicit`` for the models, FastAPI for the answers. Two parts
have a goal: the data (``jobs/refresh.py``, landing files to a release, in a warm session) and the training of the churn
network (by the workers' own clock; ``conf/train/churn_smoke.yaml``). Whatever starts once (the JVM, Ray and its
workers, the service) is told apart, and so are the recommender, the scores of everybody and the answers over HTTP.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import date
from functools import partial
from pathlib import Path

import httpx
import numpy as np
import polars as pl
import torch
from deltalake import DeltaTable
from pyspark.sql import SparkSession
from ray_apps.batch import score_members

import refresh
from benchmarks import data_by_hand, engines, machine, models_by_hand, results, simulated_lake, tensors_by_hand
from benchmarks.arguments import Arguments, benchmark
from benchmarks.equality import fingerprint, hold_equal
from benchmarks.gold_build import Folders
from benchmarks.measure import Load, Peer, Runner, at_most, compare, introduce, shared, timed_pass
from benchmarks.plan_by_hand import Plan
from benchmarks.simulated_lake import SOURCE, Lake, Unequal
from benchmarks.tensors_by_hand import hold_same_tensors
from benchmarks.turns import Side, result, take_turns
from tenure.config.settings import load
from tenure.contracts.answers import MEMBER_SCORES
from tenure.contracts.control import JOB_RUNS
from tenure.contracts.gold import LABELS, interactions, member_events, member_features
from tenure.contracts.shop import Shop
from tenure.contracts.silver import MEMBER_IDENTITIES
from tenure.lake.layout import table_path
from tenure.lake.release import newest_release
from tenure.lifecycle.calendar import as_of_days, labelled_days
from tenure.models.batch import Batch
from tenure.models.network import Network
from tenure.ports import free_port
from tenure.privacy.pseudonyms import member_key
from tenure.serving.publishing import publish
from tenure.tasks.metrics import ROC_AUC
from tenure.tasks.split import Part
from tenure.training.factors import periods
from tenure.training.factors_progress import Progress
from tenure.training.factors_settings import FitFactors
from tenure.training.fit import fit_task
from tenure.training.group import Group
from tenure.training.network import Fitted, fit_network
from tenure.training.prepare import Ready, prepare
from tenure.training.recommender import fit_recommender
from tenure.training.settings import FitTask, Scale
from tenure.training.shards import Shard
from tenure.training.workers import cluster, trained

SECRET = "not a secret: the members are simulated"  # noqa: S105  the same for both sides, so that keys are
AUC_MAY_DIFFER_BY = 0.01  # chance has a part in both trainings
ASKED_AT_ONCE = 500  # members in a request
PACKAGES = ("pyspark", "delta-spark", "polars", "torch", "implicit", "fastapi", "ray")
PATIENCE_S = 180
LEARNT_FROM: tuple[Part, ...] = ("train", "validation")


def run(arguments: Arguments) -> list[results.Result]:
    os.environ["TENURE_MEMBER_KEY_SECRET"] = SECRET
    landing = simulated_lake.shop(arguments.work, arguments.events)
    folder = arguments.work / "p15"
    spark, start_s = engines.spark(arguments.work)
    data = Data(spark, landing, folder)
    found = data.compared(arguments, start_s)
    spark.stop()
    found += Models(data.lake, data.by_hand.newest, folder).compared(arguments)
    shutil.rmtree(folder)
    return found


class Data:
    """Landing files to a release, and to the same tables by hand."""

    def __init__(self, spark: SparkSession, landing: Path, folder: Path) -> None:
        self._spark, self._landing = spark, landing
        self.released, self.by_hand = Folders(folder / "tenure"), Folders(folder / "hand")

    @property
    def lake(self) -> Lake:
        return Lake(work=self.released.newest, landing=self._landing)

    def compared(self, arguments: Arguments, start_s: float) -> list[results.Result]:
        sides = {"refresh": self.released, "Polars": self.by_hand}
        polars = Peer(
            name="Polars",
            run=self._run_by_hand,
            ratio="ours/peer",
            goal=at_most(2.0),
            settings={"threads": machine.cores()},
        )
        return compare(
            "P15",
            Runner(name="refresh", run=self._run, settings=engines.spark_settings(), start_s=start_s),
            [polars],
            rounds=arguments.rounds,
            prepare=lambda runner: sides[runner.name].fresh(),
            equal=lambda _: self._hold_equal(),
            noisy=arguments.noisy,
            events=arguments.events,
            packages=PACKAGES,
            facts=lambda _: {"jobs_s": jobs_s(self.lake)},
        )

    def _run(self) -> None:
        refresh.run(self._spark, refresh.Refresh(env=self.lake.env, source=self.lake.source))

    def _run_by_hand(self) -> None:
        data_by_hand.run(plan(self._landing, self.by_hand.newest, self.lake.source.shop))

    def _hold_equal(self) -> None:
        shop, theirs = self.lake.source.shop, self.by_hand.newest
        features, events = member_features(shop), member_events(shop)
        keys = {features: features.key, LABELS: ("member_key", "as_of"), events: events.key}
        keys[interactions(shop)] = ("member_key", "day", "known_on")
        for table, key in keys.items():
            ours, hand = Path(table_path(self.lake.root, table)), theirs / table.name
            names = [c for c in pl.read_parquet_schema(hand / data_by_hand.FILE) if c in table.names]
            names = [name for name in names if name not in ("categories", "category_shares")]
            hold_equal(fingerprint(ours, key, names), fingerprint(hand, key, names), f"Polars ({table.name})")
        ours, hand = (_mixes(folder) for folder in (Path(table_path(self.lake.root, events)), theirs / events.name))
        hold_equal(ours, hand, "Polars (categories of visits)")


def _mixes(folder: Path) -> dict[str, object]:
    """Of each category: on how many visits it was bought, in which places, and its shares added up."""
    rows = pl.scan_parquet(folder / "**" / "part-*.parquet").select("categories", "category_shares").with_row_index()
    rows = rows.explode("categories", "category_shares", empty_as_null=False)
    rows = rows.with_columns(place=pl.int_range(pl.len()).over("index"))
    summed = rows.group_by("categories").agg(pl.len(), pl.col("place").sum(), pl.col("category_shares").sum())
    return {
        f"{name} {place}": value for name, *values in summed.collect().iter_rows() for place, value in enumerate(values)
    }


def plan(landing: Path, to: Path, shop: Shop) -> Plan:
    last = simulated_lake.last_day(landing)
    return Plan(
        landing=landing,
        to=to,
        secret=SECRET.encode(),
        categories=shop.categories,
        windows=shop.windows_days,
        activity_days=shop.activity_days,
        horizon_days=shop.horizon_days,
        as_of=as_of_days(shop, last),
        matured=labelled_days(shop, last),
    )


class Models:
    """Both models and what is served, on the release and on the tables by hand."""

    def __init__(self, lake: Lake, by_hand: Path, folder: Path) -> None:
        self._lake, self._by_hand, self._notes = lake, by_hand, folder / "clocks"
        at = [f"env.work={lake.work}", f"source={SOURCE}", f"source.data={lake.landing}", "loop.patience=100"]
        self._churn = load(FitTask, "conf/train/churn_smoke.yaml", at)
        self._factors = load(FitFactors, "conf/train/recommender_smoke.yaml", [at[0], "again=true"])  # in each round
        self._fitted: Fitted | None = None
        self._progress: Progress | None = None
        self._hand: models_by_hand.Churn | None = None
        self._hand_factors: tuple[models_by_hand.Purchases, models_by_hand.AlternatingLeastSquares] | None = None

    def compared(self, arguments: Arguments) -> list[results.Result]:
        load_, all_cores = Load(arguments.noisy), {"processes": 1, "threads": machine.cores()}
        with cluster(self._churn.env, self._churn.scale):
            ready = prepare(self._churn)
            churn = [
                Side(name="fit_task", run=partial(self._fit, ready), settings=_workers(self._churn.scale)),
                Side(name="bare torch loop", run=partial(self._fit_by_hand, ready), settings=all_cores),
            ]
            factors = [
                Side(name="fit_factors", run=self._fit_factors, settings=_workers(self._factors.scale)),
                Side(name="implicit", run=partial(self._fit_factors_by_hand, ready), settings=all_cores),
            ]
            introduce("P15", [*churn, *factors], PACKAGES)
            take_turns("P15", [*churn, *factors], arguments.rounds, load_)
            self._hold_equal(ready)
            fit_task(self._churn, partial(trained, env=self._churn.env, scale=self._churn.scale))  # registers
            served = {"tenure": self._serve(), "by hand": self._serve_by_hand(ready)}
        peer = Peer(
            name="bare torch loop",
            run=lambda: None,
            ratio="ours/peer",
            goal=at_most(1.1),
            settings=all_cores,
        )
        shown = {
            "recommender_s": {side.name: side.timed.rounds_s for side in factors},
            "served": served,
            "training_rows": ready.survey.rows["train"],
        }
        found = result("P15", *churn, peer) | shared(arguments.events, load_, PACKAGES) | shown
        print(results.sentence(found), flush=True)
        return [found]

    def _fit(self, ready: Ready) -> float:
        shutil.rmtree(self._notes, ignore_errors=True)
        self._fitted = fit_network(ready, self._churn.seed, self._timed)
        return _slowest(self._notes)

    def _fit_factors(self) -> float:
        shutil.rmtree(self._notes, ignore_errors=True)
        fit_recommender(self._factors, self._timed)
        return _slowest(self._notes)

    @contextmanager
    def _timed(self, work: Callable[[Group], None], name: str) -> Iterator[Path]:
        """``workers.trained``, with a clock in each worker."""
        self._notes.mkdir(parents=True, exist_ok=True)
        scale = self._factors.scale if name == "recommender" else self._churn.scale
        with trained(partial(_clocked, work, self._notes), name, self._churn.env, scale) as folder:
            if name == "recommender":
                self._progress = Progress.read(folder)
            yield folder

    def _fit_by_hand(self, ready: Ready) -> float:
        began = time.perf_counter()
        parts = [self._tensors(ready, part) for part in LEARNT_FROM]
        self._hand = models_by_hand.fit_churn(ready, *parts)
        return time.perf_counter() - began

    def _tensors(self, ready: Ready, part: Part) -> Batch:
        split = ready.reader.split
        days = [day for day in self._as_of(ready) if split.part(0, day) == part]
        return tensors_by_hand.encoded(self._by_hand, ready.inputs, days)

    def _as_of(self, ready: Ready) -> tuple[date, ...]:
        return labelled_days(ready.release.shop, ready.release.last_complete_day)

    def _fit_factors_by_hand(self, ready: Ready) -> float:
        began = time.perf_counter()
        for period in periods(ready.release, self._factors.test_days):
            bought = models_by_hand.purchases(self._by_hand, period.known_before, self._factors.min_members)
            model = models_by_hand.fit_factors(bought, self._factors.als.model_dump(), self._factors.seed)
            self._hand_factors = bought, model
        return time.perf_counter() - began

    def _hold_equal(self, ready: Ready) -> None:
        """Both trainings saw the same tensors and tell validation rows apart about as well; both recommenders learnt
        from the same pairs."""
        for part in LEARNT_FROM:
            shard = Shard(reader=ready.reader, inputs=ready.inputs, part=part, rank=0, size=1, held=1)
            hold_same_tensors(map(shard.bucket, shard.buckets), self._tensors(ready, part), part)
        assert self._fitted is not None
        assert self._hand is not None
        assert self._progress is not None
        assert self._hand_factors is not None
        seen = ready.survey.validation
        ours = self._fitted.scorer.logits(seen.rows)
        for name, theirs in self._hand.logits.items():
            pair = [ROC_AUC(seen.labels, ours[name]), ROC_AUC(self._hand.labels, theirs)]
            print(f"P15: ROC AUC of {name} on validation: {pair[0]:.4f}, by hand {pair[1]:.4f}", flush=True)
            if abs(pair[0] - pair[1]) > max(AUC_MAY_DIFFER_BY, _standard_error(pair[0], seen.labels)):
                raise Unequal(f"the branch {name} reaches a ROC AUC of {pair[0]:.4f}, by hand {pair[1]:.4f}")
        served, by_hand = self._progress.fitted[-1], self._hand_factors[0].times
        if served.pairs != by_hand.nnz:
            raise Unequal(f"{served.pairs:,} pairs of members and items were learnt from, by hand {by_hand.nnz:,}")

    def _serve(self) -> dict[str, float]:
        """Everybody scored as a batch, and asked for over HTTP."""
        from ray import serve
        from ray_apps.serve.members import Arguments as Application
        from ray_apps.serve.members import build

        env = self._churn.env
        batch_s, _ = timed_pass(
            lambda: score_members.run(
                load(score_members.ScoreMembers, "conf/batch/score_members.yaml", [f"env.work={env.work}"])
            )
        )
        publish_s, _ = timed_pass(lambda: publish(newest_release(env.lake_root), env.store_folder))
        port, began = free_port(), time.perf_counter()
        serve.start(http_options={"host": "127.0.0.1", "port": port})
        serve.run(
            build(Application(**{"config": "conf/serve/members_smoke.yaml", "env.work": env.work})), name="members"
        )
        try:
            client = asking(port, (Path(env.secrets_folder) / "serving_token").read_text())
            start_s = time.perf_counter() - began
            answers, http_s = self._ask(client)
        finally:
            serve.shutdown()
        hold_scores(answers, self._written(), "over HTTP")
        return {
            "batch_s": batch_s,
            "publish_s": publish_s,
            "start_s": start_s,
            "http_s": http_s,
            "members": len(answers),
        }

    def _serve_by_hand(self, ready: Ready) -> dict[str, float]:
        assert self._hand is not None
        assert self._hand_factors is not None
        rows, network = self._everybody(ready), self._hand.network
        scores = models_by_hand.scored(network, rows)
        batch_s, _ = timed_pass(lambda: _score_by_hand(network, rows, *self._hand_factors))
        folder = self._notes.parent / "answers"
        folder.mkdir(exist_ok=True)
        torch.save({"network": network, "rows": rows, "secret": SECRET.encode()}, folder / "answers.pt")
        port, began = free_port(), time.perf_counter()
        command = [sys.executable, "-m", "benchmarks.answers_by_hand", str(folder), str(port)]
        with subprocess.Popen(command) as service:
            try:
                client = asking(port)
                start_s = time.perf_counter() - began
                answers, http_s = self._ask(client)
            finally:
                service.terminate()
        hold_scores(answers, scores, "by hand")
        return {"batch_s": batch_s, "start_s": start_s, "http_s": http_s, "members": len(answers)}

    def _everybody(self, ready: Ready) -> Batch:
        return tensors_by_hand.everybody(self._by_hand, ready.inputs, ready.release.newest_as_of)

    def _ask(self, client: httpx.Client) -> tuple[dict[str, float], float]:
        identities = DeltaTable(table_path(self._lake.root, MEMBER_IDENTITIES)).to_pyarrow_table(columns=["member_id"])
        ids, scores = sorted(identities["member_id"].to_pylist()), {}
        began = time.perf_counter()
        for first in range(0, len(ids), ASKED_AT_ONCE):
            said = client.post("/v1/churn:predict", json={"member_ids": ids[first : first + ASKED_AT_ONCE]})
            said.raise_for_status()
            scores |= {one["member_id"]: one["score"] for one in said.json()["answers"]}
        return scores, time.perf_counter() - began

    def _written(self) -> dict[int, float]:
        """The scores of the batch, by member_key."""
        batch = DeltaTable(table_path(self._lake.root, MEMBER_SCORES)).to_pyarrow_table(columns=["member_key", "score"])
        return dict(zip(batch["member_key"].to_pylist(), batch["score"].to_pylist(), strict=True))


def hold_scores(answers: Mapping[str, float], batch: Mapping[int, float], whose: str) -> None:
    """What is answered at request time is what the batch says of everybody."""
    keys = {one: member_key(one, SECRET.encode()) for one in answers}
    if set(keys.values()) != batch.keys():
        raise Unequal(f"answers {whose} are of {len(keys):,} members, the batch's of {len(batch):,}, or of others")
    worst = max(abs(batch[keys[one]] - score) for one, score in answers.items())
    if worst > 1e-5:
        raise Unequal(f"answers {whose} differ from the batch by {worst}")


def _standard_error(roc_auc: float, labels: np.ndarray) -> float:
    """An upper bound of it (Birnbaum and Klose 1957): of a few hundred rows an AUC says little."""
    fewer = min(labels.sum(), len(labels) - labels.sum())
    return float(np.sqrt(roc_auc * (1 - roc_auc) / fewer))


def _workers(scale: Scale) -> dict[str, object]:
    return {"processes": scale.workers, "threads of each": scale.threads_per_worker}


def _clocked(work: Callable[[Group], None], notes: Path, group: Group) -> None:
    began = time.perf_counter()
    work(group)
    (notes / str(group.rank)).write_text(str(time.perf_counter() - began), encoding="utf-8")


def _slowest(notes: Path) -> float:
    return max(float(note.read_text(encoding="utf-8")) for note in notes.iterdir())


def _score_by_hand(
    network: Network, rows: Batch, bought: models_by_hand.Purchases, model: models_by_hand.AlternatingLeastSquares
) -> None:
    models_by_hand.scored(network, rows)
    everyone = np.arange(bought.times.shape[0])
    for is_new in (True, False):
        model.recommend(everyone, bought.times, N=10, filter_already_liked_items=is_new)


def jobs_s(lake: Lake) -> dict[str, float]:
    runs = DeltaTable(table_path(lake.root, JOB_RUNS)).to_pyarrow_table(columns=["job", "seconds"]).to_pylist()
    return {run["job"]: round(run["seconds"], 2) for run in runs}


def asking(port: int, token: str = "") -> httpx.Client:
    """A client of a service that is ready."""
    who = {"authorization": f"Bearer {token}"} if token else {}  # a header of nothing is not sent
    client = httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=who, timeout=120)
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        # What is wrong with the question itself is no reason to wait, so not every httpx.TransportError is one.
        with suppress(httpx.NetworkError, httpx.TimeoutException, httpx.RemoteProtocolError):
            if client.get("/readyz").status_code == 200:
                return client
        time.sleep(0.1)
    raise Unequal(f"nobody answers on port {port} after {PATIENCE_S} s")


if __name__ == "__main__":
    benchmark(run, says=__doc__ or "", events=5_000_000)
