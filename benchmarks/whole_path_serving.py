"""P15's answers: everybody scored as a batch and asked for over HTTP, as ships and by hand.

Of all that is timed here a first pass counts for nothing, on both sides.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import httpx
import numpy as np
import torch
from deltalake import DeltaTable
from ray_apps.batch import score_members

from benchmarks import models_by_hand
from benchmarks.measure import Load, timed_pass
from benchmarks.models_by_hand import AlternatingLeastSquares, Purchases
from benchmarks.simulated_lake import Unequal
from benchmarks.whole_path_data import SECRET
from tenure.config.env import Env
from tenure.config.settings import load
from tenure.contracts.answers import MEMBER_SCORES
from tenure.contracts.silver import MEMBER_IDENTITIES
from tenure.lake.layout import table_path
from tenure.lake.release import newest_release
from tenure.models.batch import Batch
from tenure.models.network import Network
from tenure.ports import free_port
from tenure.privacy.pseudonyms import member_key
from tenure.serving.publishing import publish

ASKED_AT_ONCE = 500  # members in a request
PATIENCE_S = 180


def as_ships(env: Env, ids: Sequence[str], others: Load) -> dict[str, float]:
    """``score_members``, and the application under Ray Serve, of the models that answer in the registry."""
    from ray import serve
    from ray_apps.serve.members import Arguments as Application
    from ray_apps.serve.members import build

    config = load(score_members.ScoreMembers, "conf/batch/score_members.yaml", [f"env.work={env.work}"])
    batch_s = warm_s("score_members", lambda: score_members.run(config), others)
    publish_s = warm_s("publish", lambda: publish(newest_release(env.lake_root), env.store_folder), others)
    port, began = free_port(), time.perf_counter()
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    serve.run(build(Application(**{"config": "conf/serve/members_smoke.yaml", "env.work": env.work})), name="members")
    try:
        client = asking(port, (Path(env.secrets_folder) / "serving_token").read_text())
        start_s = time.perf_counter() - began
        answers, http_s = _asked(client, ids, "Ray Serve", others)
    finally:
        serve.shutdown()
    hold_scores(answers, _written(env.lake_root), "over HTTP")
    return {"batch_s": batch_s, "publish_s": publish_s, "start_s": start_s, "http_s": http_s, "members": len(answers)}


def by_hand(
    network: Network,
    rows: Batch,
    bought: Purchases,
    factors: AlternatingLeastSquares,
    ids: Sequence[str],
    folder: Path,
    others: Load,
) -> dict[str, float]:
    """The same of ``rows``, which are everybody's, in one process and under FastAPI."""
    batch_s = warm_s("scores by hand", lambda: _score_by_hand(network, rows, bought, factors), others)
    folder.mkdir(exist_ok=True)
    torch.save({"network": network, "rows": rows, "secret": SECRET.encode()}, folder / "answers.pt")
    port, began = free_port(), time.perf_counter()
    command = [sys.executable, "-m", "benchmarks.answers_by_hand", str(folder), str(port)]
    with subprocess.Popen(command) as service:
        try:
            client = asking(port)
            start_s = time.perf_counter() - began
            answers, http_s = _asked(client, ids, "FastAPI", others)
        finally:
            service.terminate()
    hold_scores(answers, models_by_hand.scored(network, rows), "by hand")
    return {"batch_s": batch_s, "start_s": start_s, "http_s": http_s, "members": len(answers)}


def member_ids(lake_root: str) -> list[str]:
    rows = DeltaTable(table_path(lake_root, MEMBER_IDENTITIES)).to_pyarrow_table(columns=["member_id"])
    return sorted(rows["member_id"].to_pylist())


def warm_s(name: str, run: Callable[[], object], others: Load) -> float:
    """Seconds of a second pass."""
    run()
    seconds, neighbours = timed_pass(run)
    others.during(name, neighbours)
    return seconds


def _asked(client: httpx.Client, ids: Sequence[str], name: str, others: Load) -> tuple[dict[str, float], float]:
    """Scores by member id, and the seconds of all requests."""
    scores: dict[str, float] = {}

    def ask() -> None:
        for first in range(0, len(ids), ASKED_AT_ONCE):
            said = client.post("/v1/churn:predict", json={"member_ids": ids[first : first + ASKED_AT_ONCE]})
            said.raise_for_status()
            scores.update((one["member_id"], one["score"]) for one in said.json()["answers"])

    return scores, warm_s(name, ask, others)


def _written(lake_root: str) -> dict[int, float]:
    """The scores of the batch, by member_key."""
    batch = DeltaTable(table_path(lake_root, MEMBER_SCORES)).to_pyarrow_table(columns=["member_key", "score"])
    return dict(zip(batch["member_key"].to_pylist(), batch["score"].to_pylist(), strict=True))


def hold_scores(answers: Mapping[str, float], batch: Mapping[int, float], whose: str) -> None:
    """What is answered at request time is what the batch says of everybody."""
    keys = {one: member_key(one, SECRET.encode()) for one in answers}
    if set(keys.values()) != batch.keys():
        raise Unequal(f"answers {whose} are of {len(keys):,} members, the batch's of {len(batch):,}, or of others")
    worst = max(abs(batch[keys[one]] - score) for one, score in answers.items())
    if worst > 1e-5:
        raise Unequal(f"answers {whose} differ from the batch by {worst}")


def _score_by_hand(network: Network, rows: Batch, bought: Purchases, model: AlternatingLeastSquares) -> None:
    models_by_hand.scored(network, rows)
    everyone = np.arange(bought.times.shape[0])
    for is_new in (True, False):
        model.recommend(everyone, bought.times, N=10, filter_already_liked_items=is_new)


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
