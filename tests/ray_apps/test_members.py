"""Batch and serving on a real Ray: the same models give the same answers on both ways."""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import httpx
import numpy as np
import pyarrow as pa
import pytest
import ray
import torch
from deltalake import DeltaTable
from tests.corner_shop import AS_OF, MEMBER_IDS, CornerShop, opened

from tenure.config.settings import load
from tenure.contracts.answers import MEMBER_SCORES, RECOMMENDATIONS
from tenure.contracts.control import JOB_RUNS
from tenure.errors import Refused, WrongInput
from tenure.lake.layout import table_path
from tenure.lake.release import newest_release
from tenure.lake.schema import arrow
from tenure.ports import free_port
from tenure.serving.answering import ChurnQuestion
from tenure.serving.loading import InService, LoadedChurn
from tenure.serving.publishing import publish

ROOT = Path(__file__).parents[2]
PATIENCE_S = 120
ONE = {"cpus": 0.5, "at_most": 1}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> CornerShop:
    return opened(tmp_path_factory.mktemp("served"))


@pytest.fixture(scope="module")
def score_members() -> ModuleType:
    spec = importlib.util.spec_from_file_location("score_members", ROOT / "ray_apps/batch/score_members.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def rows(shop: CornerShop, table: object, by: Callable[[dict[str, object]], object]) -> list[dict[str, object]]:
    return sorted(DeltaTable(table_path(shop.lake, table)).to_pyarrow_table().to_pylist(), key=by)


@pytest.fixture(scope="module")
def scored(shop: CornerShop, score_members: ModuleType, local_ray: None) -> CornerShop:
    score_members.run(load(score_members.ScoreMembers, shop.settings(workers=ONE)))
    return shop


class Service:
    """The application on a port of its own."""

    def __init__(self, shop: CornerShop, port: int) -> None:
        token = (shop.secrets / "serving_token").read_text()
        self.client = httpx.Client(
            base_url=f"http://127.0.0.1:{port}", headers={"authorization": f"Bearer {token}"}, timeout=60
        )

    def churn(self, *member_ids: str) -> list[float]:
        said = self.client.post("/v1/churn:predict", json={"member_ids": member_ids})
        assert said.status_code == 200, said.text
        return [one["score"] for one in said.json()["answers"]]

    def until(self, holds: Callable[[dict[str, dict[str, object]]], bool]) -> dict[str, dict[str, object]]:
        """The states of the models, as soon as they are as hoped for."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            models = self.client.get("/readyz").json()["models"]
            if holds(models) or time.monotonic() > deadline:
                return models
            time.sleep(0.5)


@pytest.fixture(scope="module")
def service(shop: CornerShop, local_ray: None) -> Iterator[Service]:
    from ray import serve
    from ray_apps.serve.members import Arguments, build

    port = free_port()
    share = {"cpus": 0.1}
    settings = shop.settings(ingress=share, churn=share, recommender=share, look_again_every_s=0.5)
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    serve.run(build(Arguments(config=str(settings))), name="members")
    yield Service(shop, port)
    serve.shutdown()


def test_every_member_is_scored_once_and_a_rerun_changes_nothing(scored: CornerShop, score_members: ModuleType) -> None:
    before = rows(scored, MEMBER_SCORES, lambda row: row["member_key"])
    assert [row["member_key"] for row in before] == sorted(scored.keys(*MEMBER_IDS).tolist())
    assert {row["model_version"] for row in before} == {"churn/1"}
    score_members.run(load(score_members.ScoreMembers, scored.settings(workers=ONE)))
    assert rows(scored, MEMBER_SCORES, lambda row: row["member_key"]) == before
    by = lambda row: (row["member_key"], row["include_bought"], row["rank"])  # noqa: E731
    keys = [by(row) for row in rows(scored, RECOMMENDATIONS, by)]
    assert len(set(keys)) == len(keys)


def test_every_scoring_is_noted(scored: CornerShop) -> None:
    run = rows(scored, JOB_RUNS, lambda row: row["started_at"])[0]
    assert (run["job"], run["outcome"], run["message"]) == ("score_members", "done", None)
    assert run["read"] == [("member_features", 40)]
    wrote = dict(run["wrote"])
    assert wrote == {"member_scores": 40, "recommendations": len(rows(scored, RECOMMENDATIONS, by_row))}


def by_row(row: dict[str, object]) -> tuple[object, ...]:
    return row["member_key"], row["include_bought"], row["rank"]


def test_what_is_served_equals_what_was_scored(scored: CornerShop, service: Service) -> None:
    batch = {row["member_key"]: row["score"] for row in rows(scored, MEMBER_SCORES, lambda row: row["member_key"])}
    served = service.churn(*MEMBER_IDS)
    assert served == pytest.approx([batch[scored.key(member_id)] for member_id in MEMBER_IDS], abs=1e-6)


def test_an_answer_has_one_request_id(service: Service) -> None:
    refused = service.client.get("/v1/members/nobody")
    assert refused.headers.get_list("x-request-id") == [refused.json()["request_id"]]


def test_the_items_served_are_those_scored(scored: CornerShop, service: Service) -> None:
    by = lambda row: (row["member_key"], row["include_bought"], row["rank"])  # noqa: E731
    batch = rows(scored, RECOMMENDATIONS, by)
    for include_bought in (False, True):
        body = {"member_ids": MEMBER_IDS, "k": 10, "include_bought": include_bought}
        said = service.client.post("/v1/recommendations:predict", json=body).json()
        for one in said["answers"]:
            key = scored.key(one["member_id"])
            chosen = [row for row in batch if row["member_key"] == key and row["include_bought"] is include_bought]
            assert [item["product_id"] for item in one["items"]] == [row["product_id"] for row in chosen]
            assert [item["score"] for item in one["items"]] == pytest.approx([row["score"] for row in chosen], abs=1e-6)


def test_a_published_change_is_answered_without_a_restart(shop: CornerShop, service: Service) -> None:
    (before,) = service.churn("m3")
    shop.spend_of = {"m3": 5_000_000}
    publish(shop.release(), shop.store, max_events=16)
    newest = newest_release(shop.lake).release_id
    models = service.until(lambda models: all(model["release_id"] == newest for model in models.values()))
    assert {model["release_id"] for model in models.values()} == {newest}
    (after,) = service.churn("m3")
    assert after != before


def test_a_spoilt_champion_leaves_the_one_before_in_service(shop: CornerShop, service: Service) -> None:
    second = shop.train_churn(seed=2)
    service.until(lambda models: models["churn"]["version"] == second)
    third = shop.train_churn(seed=3, fingerprint="0123456789abcdef")
    models = service.until(lambda models: models["churn"]["champion"] == third and bool(models["churn"]["says"]))
    assert models["churn"]["version"] == second
    assert "fingerprint" in models["churn"]["says"]
    assert service.churn("m1")


def test_a_replica_that_dies_takes_no_other_model_with_it(shop: CornerShop, service: Service) -> None:
    """Until it is started again: a 503 with a sentence, never a 500; the other model answers all along."""
    replicas = [actor for actor in ray.util.list_named_actors(all_namespaces=True) if "#churn#" in actor["name"]]
    for replica in replicas:
        ray.kill(ray.get_actor(**replica), no_restart=True)
    assert replicas
    seen: set[int] = set()
    deadline = time.monotonic() + PATIENCE_S
    while 200 not in seen and time.monotonic() < deadline:
        items = service.client.post("/v1/recommendations:predict", json={"member_ids": ["m1"]})
        assert items.status_code == 200, items.text
        described = service.client.get("/v1/models")
        assert "recommender" in {model["task"] for model in described.json()["models"]}
        assert service.client.get("/readyz").json()["models"].keys() == {"churn", "recommender"}
        churn = service.client.post("/v1/churn:predict", json={"member_ids": ["m1"]})
        assert churn.status_code == 200 or "being started again" in churn.json()["error"]["message"], churn.text
        seen.add(churn.status_code)
    assert seen in ({200}, {200, 503})


def test_no_log_and_no_audit_line_holds_an_id(shop: CornerShop, service: Service) -> None:
    import ray

    stranger = "somebody-that-nobody-knows"
    service.client.get(f"/v1/members/{stranger}")
    service.client.post("/v1/churn:predict", json={"member_ids": [stranger, "m1"]})
    logs = Path(ray._private.worker._global_node.get_logs_dir_path())
    written = [path for path in [*logs.rglob("*"), *(shop.work / "audit").glob("*")] if path.is_file()]
    assert not [path for path in written if stranger.encode() in path.read_bytes()]
    assert any(b'"unknown": 1' in path.read_bytes() for path in written)


def test_a_service_is_not_built_without_the_members_secret_and_nobody_is_told_to_make_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ray_apps.serve.members import Arguments, build

    monkeypatch.delenv("TENURE_MEMBER_KEY_SECRET", raising=False)
    shop = CornerShop(tmp_path)
    arguments = Arguments(config=str(shop.settings()))
    with pytest.raises(WrongInput, match=rf"nothing is published in {tmp_path}: run make demo, or jobs/refresh.py and"):
        build(arguments)
    shop.write_secrets()
    publish(shop.release(), shop.store, max_events=16)
    (shop.secrets / "member_key_secret").unlink()
    with pytest.raises(WrongInput, match="TENURE_MEMBER_KEY_SECRET to the one that the lake was made with"):
        build(arguments)


def test_a_batch_without_a_model_that_fits_is_refused_with_the_reasons(
    score_members: ModuleType, local_ray: None, tmp_path: Path
) -> None:
    own = opened(tmp_path, models=False, publish=False)
    settings = load(score_members.ScoreMembers, own.settings(workers=ONE))
    with pytest.raises(WrongInput, match=r"has no champion for churn; train one with ray_apps/train"):
        score_members.run(settings)
    own.train_churn(fingerprint="0123456789abcdef")
    own.train_popularity()
    with pytest.raises(Refused, match=r"no churn model fits release .* fingerprint 0123456789abcdef"):
        score_members.run(settings)
    noted = rows(own, JOB_RUNS, lambda row: row["started_at"])
    assert [(run["outcome"], run["wrote"]) for run in noted] == [("refused", [])] * 2
    assert "no champion for churn" in noted[0]["message"]


@pytest.mark.long
def test_a_batch_passes_over_a_champion_that_does_not_load(
    score_members: ModuleType, local_ray: None, tmp_path: Path
) -> None:
    own = opened(tmp_path, models=False, publish=False)
    own.train_popularity()
    of_other_weights = {"width": 32, "layers": 1, "heads": 2, "intermediate": 16, "rank": 2}
    own.train_churn(architecture=of_other_weights)
    settings = load(score_members.ScoreMembers, own.settings(workers=ONE))
    with pytest.raises(Refused, match=r"no churn model loads: version 1: .* does not fit its manifest"):
        score_members.run(settings)
    own.train_churn()
    own.train_churn(architecture=of_other_weights)
    score_members.run(settings)
    assert {row["model_version"] for row in rows(own, MEMBER_SCORES, lambda row: row["member_key"])} == {"churn/2"}


def test_answers_of_two_models_are_refused(score_members: ModuleType, local_ray: None) -> None:
    row = {"bucket": 0, "member_key": 1, "task": "churn", "as_of": AS_OF, "score": 0.5, "release_id": "r"}
    blocks = [
        pa.Table.from_pylist([{**row, "model_version": f"churn/{version}"}], arrow(MEMBER_SCORES)) for version in (1, 2)
    ]
    counted = score_members._Counted(ray.data.from_arrow(blocks), MEMBER_SCORES)
    with pytest.raises(Refused, match=r"churn/1 and churn/2 both answered.*member_scores stands as it was"):
        list(counted)


@pytest.mark.gpu
def test_a_replica_answers_with_a_share_of_the_gpu(tmp_path: Path, local_ray: None) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device on this machine")
    from ray import serve
    from ray_apps.serve.members import Arguments, build

    own = opened(tmp_path)
    share = {"cpus": 0.1}
    settings = own.settings(ingress=share, recommender=share, churn={"cpus": 0.1, "gpus": 0.25})
    serve.run(build(Arguments(config=str(settings))), name="on_gpu", route_prefix="/on_gpu")
    handle = serve.get_deployment_handle("churn", "on_gpu")
    keys = own.keys(*MEMBER_IDS)
    state = handle.state.remote().result(timeout_s=PATIENCE_S)
    said = handle.answer.remote(ChurnQuestion(keys)).result(timeout_s=PATIENCE_S)
    serve.delete("on_gpu")
    assert state.device == "cuda"
    on_cpu = InService(LoadedChurn, own.registry, own.store)
    on_cpu.look_again()
    assert on_cpu.state().device == "cpu"
    np.testing.assert_allclose(said.scores, on_cpu.loaded.score(keys), atol=1e-4)
