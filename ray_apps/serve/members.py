"""Answers about members over HTTP: the probability to churn, recommendations, profiles.

    serve run ray_apps.serve.members:build config=conf/serve/members.yaml env.work=var/demo
    serve deploy ray_apps.serve.members:build config=conf/serve/members.yaml env.work=var/demo

Every setting of the YAML may follow as key=value. Run it from the folder that holds ``ray_apps`` and ``conf``. The
first start makes a bearer token and says in which file it is. Endpoints: ``POST /v1/churn:predict``,
``POST /v1/recommendations:predict``, ``GET /v1/members/{id}``, ``GET /v1/models``, ``/healthz``, ``/readyz``,
``/openapi.json``.
"""

# No `from __future__ import annotations` here: with it, Serve hands `build` a plain dict instead of `Arguments`.
import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field, field_validator
from ray import serve
from ray.exceptions import RayActorError
from ray.serve.config import BackpressureConfig
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError, ReplicaUnavailableError
from ray.serve.handle import DeploymentHandle
from ray.serve.schema import LoggingConfig

from tenure.config.env import Env
from tenure.config.settings import Settings, load
from tenure.contracts.landing import DEMOGRAPHICS
from tenure.contracts.requests import MEMBERS_PER_REQUEST
from tenure.errors import WrongInput
from tenure.privacy.secrets import MEMBER_KEY, how_to_put_back, read_secret
from tenure.registry.manifest import Manifest
from tenure.serving.access import callers, where_the_token_is
from tenure.serving.answering import (
    ChurnQuestion,
    Items,
    ItemsQuestion,
    Scores,
    Unavailable,
    answer_churn,
    answer_items,
)
from tenure.serving.api import RETRY_AFTER_S, Overloaded, Questions, api
from tenure.serving.audit import Audit
from tenure.serving.loading import InService, Loaded, LoadedChurn, LoadedRecommender, NotReady, State
from tenure.serving.store import CurrentStore, is_published

log = logging.getLogger("ray.serve")

STATE_TIMEOUT_S = 5.0


class Replicas(Settings):
    """How many processes hold a deployment and what each may use; ``gpus`` is a share of one device."""

    cpus: float = Field(default=1, ge=0)
    gpus: float = Field(default=0, ge=0)
    at_least: int = Field(default=1, ge=1)
    at_most: int = Field(default=1, ge=1)
    target_ongoing_requests: float = Field(default=8, gt=0)  # a replica; above it, more are started
    max_ongoing_requests: int = Field(default=64, gt=0)
    max_queued_requests: int = Field(default=256, gt=0)  # above it: 503 with Retry-After


class ServeMembers(Settings):
    """``shows`` names the personal columns that a profile may show; by default none."""

    env: Env
    ingress: Replicas = Replicas()
    churn: Replicas = Replicas()
    recommender: Replicas = Replicas()
    batch_members: int = Field(default=2 * MEMBERS_PER_REQUEST, ge=MEMBERS_PER_REQUEST)  # scored together at most
    batch_wait_s: float = Field(default=0.0, ge=0)  # how long the first waits for others
    look_again_every_s: float = Field(default=5.0, gt=0)  # for a newer champion and newer members
    shows: tuple[str, ...] = ()

    @field_validator("shows")
    @classmethod
    def _are_personal_columns(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        known = [column.name for column in DEMOGRAPHICS]
        for name in names:
            if name not in known:
                raise ValueError(f"{name!r} is no personal column; there are {', '.join(known)}")
        return names


class Arguments(BaseModel):
    """``config`` names the YAML file; whatever else is given is a setting of it, as in ``env.work=var/demo``."""

    model_config = ConfigDict(extra="allow")

    config: str = "conf/serve/members.yaml"

    def settings(self) -> ServeMembers:
        overrides = [f"{key}={value}" for key, value in (self.model_extra or {}).items()]
        return load(ServeMembers, self.config, overrides)


class Scorer:
    """A model in service, looking for a newer one from time to time; the replica of one deployment."""

    kind: type[Loaded]
    answer: Any  # several questions at a time, see the subclasses

    def __init__(self, settings: ServeMembers, replicas: Replicas) -> None:
        import torch  # here, as the ingress does without

        torch.set_num_threads(max(1, int(replicas.cpus)))
        device = "cuda" if replicas.gpus and torch.cuda.is_available() else "cpu"
        env = settings.env
        self._service: InService[Any] = InService(self.kind, env.registry_root, env.store_folder, device=device)
        self._service.look_again()
        self._service.keep_looking(settings.look_again_every_s)
        self.answer.set_max_batch_size(settings.batch_members)
        self.answer.set_batch_wait_timeout_s(settings.batch_wait_s)

    def state(self) -> State:
        return self._service.state()

    def manifest(self) -> Manifest | None:
        try:
            return self._service.loaded.manifest
        except NotReady:
            return None


class Churn(Scorer):
    """Probabilities to churn."""

    kind = LoadedChurn

    @serve.batch(batch_size_fn=lambda questions: sum(len(question.member_keys) for question in questions))
    async def answer(self, questions: list[ChurnQuestion]) -> list[Scores | Unavailable]:
        # In a thread, so that the next questions gather while these are scored.
        return await asyncio.to_thread(answer_churn, self._service, questions)


class Recommender(Scorer):
    """The best items."""

    kind = LoadedRecommender

    @serve.batch(batch_size_fn=lambda questions: sum(len(question.member_keys) for question in questions))
    async def answer(self, questions: list[ItemsQuestion]) -> list[Items | Unavailable]:
        return await asyncio.to_thread(answer_items, self._service, questions)


class Handles:
    """The models behind their deployments' handles (``tenure.serving.api.Models``)."""

    def __init__(self, churn: DeploymentHandle, recommender: DeploymentHandle) -> None:
        self._handles = {"churn": churn, "recommender": recommender}

    async def churn(self, question: ChurnQuestion) -> Scores | Unavailable:
        return await self._answer("churn", question)

    async def items(self, question: ItemsQuestion) -> Items | Unavailable:
        return await self._answer("recommender", question)

    async def states(self) -> Sequence[State]:
        return await asyncio.gather(*(self._state(task) for task in self._handles))

    async def manifests(self) -> Sequence[Manifest]:
        asked = (self._manifest(task) for task in self._handles)
        said = await asyncio.gather(*asked, return_exceptions=True)  # one whose process does not answer says nothing
        return [manifest for manifest in said if isinstance(manifest, Manifest)]

    async def _manifest(self, task: str) -> Manifest | Unavailable:
        return await asyncio.wait_for(self._handles[task].manifest.remote(), STATE_TIMEOUT_S)

    async def _answer(self, task: str, question: ChurnQuestion | ItemsQuestion) -> Any:
        try:
            return await self._handles[task].answer.remote(question)
        except BackPressureError:
            raise Overloaded from None
        except (DeploymentUnavailableError, ReplicaUnavailableError, RayActorError):
            return Unavailable(f"the {task} model's process is being started again; ask again in some seconds")

    async def _state(self, task: str) -> State:
        try:
            return await asyncio.wait_for(self._handles[task].state.remote(), STATE_TIMEOUT_S)
        except Exception as error:  # noqa: BLE001  whatever it is, the other models' states are still told
            return State(task=task, is_ready=False, says=f"its process does not answer ({type(error).__name__})")


@serve.ingress()
class Members:
    """The ingress: checks tokens, turns shop ids into member keys, asks the models."""

    def __init__(self, settings: ServeMembers, churn: DeploymentHandle, recommender: DeploymentHandle) -> None:
        self._settings = settings
        self._models = Handles(churn, recommender)

    def __serve_build_asgi_app__(self) -> FastAPI:
        env = self._settings.env
        secret = member_key_secret(env).encode()
        questions = Questions(self._models, CurrentStore(env.store_folder), secret, self._settings.shows)
        replica = serve.get_replica_context().replica_id.unique_id
        return api(questions, callers(env.secrets_folder), Audit(Path(env.work) / "audit", f"members-{replica}"))


def member_key_secret(env: Env) -> str:
    """The secret under which the published members got their keys.

    Raises:
        WrongInput: if it is not here. Nobody is told to make one: under another than the lake's, no member is found.
    """
    try:
        return read_secret(MEMBER_KEY, env.secrets_folder)
    except WrongInput:
        if not is_published(env.store_folder):
            raise WrongInput(_nothing_published(env)) from None
        says = f"the secret {MEMBER_KEY} is not here: {how_to_put_back(MEMBER_KEY, env.secrets_folder)}"
        raise WrongInput(says) from None


def _nothing_published(env: Env) -> str:
    return f"nothing is published in {env.work}: run make demo, or jobs/refresh.py and jobs/publish_members.py first"


def _deployment(replica: type, name: str, replicas: Replicas) -> Any:
    return serve.deployment(replica).options(
        name=name,
        autoscaling_config={
            "min_replicas": replicas.at_least,
            "max_replicas": max(replicas.at_least, replicas.at_most),
            "target_ongoing_requests": replicas.target_ongoing_requests,
        },
        max_ongoing_requests=replicas.max_ongoing_requests,
        max_queued_requests=replicas.max_queued_requests,
        backpressure_config=BackpressureConfig(status_code=503, retry_after_s=RETRY_AFTER_S),
        ray_actor_options={"num_cpus": replicas.cpus, "num_gpus": replicas.gpus},
        logging_config=LoggingConfig(enable_access_log=False),  # paths hold shop ids; the audit's lines do not
    )


def build(args: Arguments) -> serve.Application:
    """The application: one deployment a model, and the ingress that asks them."""
    settings = args.settings()
    member_key_secret(settings.env)  # says now what is missing, not at the first request
    if not is_published(settings.env.store_folder):  # a cluster's service may be up before its first night is over
        log.warning("%s", _nothing_published(settings.env))
    callers(settings.env.secrets_folder)
    log.info("the bearer token is in %s", where_the_token_is(settings.env.secrets_folder))
    churn = _deployment(Churn, "churn", settings.churn).bind(settings, settings.churn)
    recommender = _deployment(Recommender, "recommender", settings.recommender).bind(settings, settings.recommender)
    return _deployment(Members, "members", settings.ingress).bind(settings, churn, recommender)
