"""The HTTP interface: shop ids in, answers out. Knows no Ray and no model; what answers is handed to it."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from importlib.metadata import version
from typing import Annotated, Any, Protocol, TypeVar

import numpy as np
from fastapi import FastAPI, Path, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from tenure.contracts.requests import CHURN_REQUEST, MEMBER_ID_LENGTH, RECOMMENDATIONS_REQUEST
from tenure.errors import WrongInput
from tenure.privacy.pseudonyms import member_key, told_apart
from tenure.privacy.secrets import MEMBER_KEY
from tenure.registry.manifest import Description, Manifest
from tenure.serving import answers
from tenure.serving.access import Callers
from tenure.serving.answering import By, ChurnQuestion, Items, ItemsQuestion, Scores, Unavailable
from tenure.serving.audit import Audit
from tenure.serving.door import MAX_BODY_BYTES, OPEN_PATHS, Door, failure
from tenure.serving.loading import State
from tenure.serving.requests import request_model
from tenure.serving.store import CurrentStore, MemberStore

log = logging.getLogger(__name__)

CHURN = "churn"
RECOMMENDER = "recommender"
ITEMS_OF_A_PROFILE = 10
RETRY_AFTER_S = 1
FIELDS_NAMED = 5

ChurnRequest = request_model(CHURN_REQUEST)
RecommendationsRequest = request_model(RECOMMENDATIONS_REQUEST)


class Overloaded(Exception):
    """More requests wait for a model than it may keep waiting."""


class Models(Protocol):
    """What answers; ``Overloaded`` from any of them becomes a 503 with ``Retry-After``."""

    async def churn(self, question: ChurnQuestion) -> Scores | Unavailable: ...

    async def items(self, question: ItemsQuestion) -> Items | Unavailable: ...

    async def states(self) -> Sequence[State]: ...

    async def manifests(self) -> Sequence[Manifest]: ...


class _Failed(Exception):
    """A request that gets no answer, and why."""

    def __init__(self, status: int, code: str, message: str, field: str | None = None, retry: bool = False) -> None:
        self.status, self.code, self.message, self.field, self.retry = status, code, message, field, retry


def _unknown(member_id: str, release_id: str) -> answers.Problem:
    return answers.Problem(code="unknown_member", message=f"release {release_id} knows no member {member_id!r}")


class Questions:
    """What each endpoint does.

    Args:
        secret: under which shop ids become member keys.
        personal: columns with personal data that a profile may show.
    """

    def __init__(self, models: Models, store: CurrentStore, secret: bytes, personal: Sequence[str] = ()) -> None:
        self._models, self._store, self._secret, self._personal = models, store, secret, personal
        self._keyed_by = told_apart(secret)

    async def churn(self, member_ids: Sequence[str], noted: dict[str, Any]) -> answers.ChurnAnswer:
        noted.update(members=len(member_ids))
        said = _available(await self._models.churn(ChurnQuestion(self._keys(member_ids))))
        _note(noted, said.by, unknown=int((~said.is_known).sum()))
        _refuse_one_unknown(member_ids, bool(said.is_known.all()), said.by)
        rows = zip(member_ids, said.is_known, said.scores, said.is_active, strict=True)
        given = [_churn_of(said.by, *row) for row in rows]
        return answers.ChurnAnswer(**_by(said.by), horizon_days=said.by.horizon_days, answers=given)

    async def recommendations(
        self, member_ids: Sequence[str], k: int, include_bought: bool, noted: dict[str, Any]
    ) -> answers.RecommendationsAnswer:
        noted.update(members=len(member_ids))
        said = _available(await self._models.items(ItemsQuestion(self._keys(member_ids), k, include_bought)))
        _note(noted, said.by, unknown=sum(items is None for items in said.items))
        _refuse_one_unknown(member_ids, None not in said.items, said.by)
        given = [_items_of(said.by, *row) for row in zip(member_ids, said.items, strict=True)]
        return answers.RecommendationsAnswer(**_by(said.by), include_bought=include_bought, answers=given)

    async def member(self, member_id: str, noted: dict[str, Any]) -> answers.MemberAnswer:
        store, keys = self._published(), self._keys([member_id])
        noted.update(members=1, release_id=store.label.release_id)
        if not store.find(keys)[1][0]:
            noted.update(unknown=1)
            problem = _unknown(member_id, store.label.release_id)
            raise _Failed(404, problem.code, problem.message, "member_id")
        scores, items = await asyncio.gather(
            self._models.churn(ChurnQuestion(keys)), self._models.items(ItemsQuestion(keys, ITEMS_OF_A_PROFILE, False))
        )
        noted.update(
            model_versions=tuple(part.by.model for part in (scores, items) if not isinstance(part, Unavailable))
        )
        return answers.MemberAnswer(
            member_id=member_id,
            release_id=store.label.release_id,
            as_of=store.label.as_of,
            profile=profile(store, int(keys[0]), self._personal),
            churn=_churn_part(scores),
            recommendations=_items_part(items),
            unavailable={
                task: why
                for task, part in ((CHURN, scores), (RECOMMENDER, items))
                if (why := _why_missing(part, store.label.release_id))
            },
        )

    async def readiness(self) -> answers.Readiness:
        states = {state.task: answers.ModelState(**vars(state)) for state in await self._models.states()}
        says = self._says_of_the_secret() or ""
        is_ready = not says and all(state.is_ready for state in states.values())
        return answers.Readiness(is_ready=is_ready, says=says, models=states)

    async def manifests(self) -> Sequence[Manifest]:
        return await self._models.manifests()

    def _keys(self, member_ids: Sequence[str]) -> np.ndarray:
        if says := self._says_of_the_secret():
            raise _Failed(503, "wrong_secret", says)
        return np.array([member_key(member_id, self._secret) for member_id in member_ids], dtype=np.int64)

    def _says_of_the_secret(self) -> str | None:
        """Why nobody would be known under the secret that this service has."""
        try:
            keyed_by = self._store.get().label.keyed_by
        except WrongInput:
            return None  # what is published, if anything, says so itself
        if keyed_by in (None, self._keyed_by):
            return None
        return (
            f"the secret {MEMBER_KEY} of this service is not the one that the published members' keys were made with: "
            "give it that one and start it again"
        )

    def _published(self) -> MemberStore:
        try:
            return self._store.get()
        except WrongInput as error:
            raise _Failed(503, "no_store", str(error), retry=True) from None


def profile(store: MemberStore, key: int, personal: Sequence[str]) -> answers.Profile:
    """What is known of a member whom the store knows; of the personal columns those in ``personal`` only."""
    row, label = store.profile(key), store.label

    def day(days_since: int | None) -> date | None:
        return None if days_since is None else label.as_of - timedelta(days=days_since)

    return answers.Profile(
        stage=row["stage"],
        known_since=label.as_of - timedelta(days=row["days_since_known"]),
        first_visit=day(row["days_since_first_visit"]),
        last_visit=day(row["days_since_last_visit"]),
        visits=row["lifetime_visits"],
        spend_minor=row["lifetime_spend_minor"],
        currency=label.shop.currency,
        demographics={name: row[name] for name in personal if row[name] is not None},
    )


T = TypeVar("T", Scores, Items)


def _available(said: T | Unavailable) -> T:
    if isinstance(said, Unavailable):
        raise _Failed(503, "model_not_in_service", said.says, retry=True)
    return said


def _note(noted: dict[str, Any], by: By, unknown: int) -> None:
    noted.update(unknown=unknown, model_versions=(by.model,), release_id=by.release_id)


def _refuse_one_unknown(member_ids: Sequence[str], all_known: bool, by: By) -> None:
    """Whoever asked about one member gets a 404; among many an unknown one is an error of its own."""
    if len(member_ids) == 1 and not all_known:
        problem = _unknown(member_ids[0], by.release_id)
        raise _Failed(404, problem.code, problem.message, "member_ids.0")


def _churn_of(by: By, member_id: str, is_known: bool, score: float, is_active: bool) -> answers.MemberChurn:
    if not is_known:
        return answers.MemberChurn(member_id=member_id, error=_unknown(member_id, by.release_id))
    if not math.isfinite(score):
        problem = answers.Problem(code="no_score", message=_no_number(by))
        return answers.MemberChurn(member_id=member_id, error=problem)
    return answers.MemberChurn(member_id=member_id, score=float(score), is_active=bool(is_active))


def _no_number(by: By) -> str:
    return f"{by.model} gives no number for this member; train it again"


def _items_of(by: By, member_id: str, items: list[dict[str, Any]] | None) -> answers.MemberItems:
    if items is None:
        return answers.MemberItems(member_id=member_id, error=_unknown(member_id, by.release_id))
    return answers.MemberItems(member_id=member_id, items=[answers.Item(**item) for item in items])


def _churn_part(said: Scores | Unavailable) -> answers.ChurnPart | None:
    if isinstance(said, Unavailable) or not said.is_known[0] or not math.isfinite(said.scores[0]):
        return None
    score, is_active = float(said.scores[0]), bool(said.is_active[0])
    return answers.ChurnPart(**_by(said.by), score=score, is_active=is_active, horizon_days=said.by.horizon_days)


def _items_part(said: Items | Unavailable) -> answers.ItemsPart | None:
    if isinstance(said, Unavailable) or said.items[0] is None:
        return None
    return answers.ItemsPart(**_by(said.by), items=[answers.Item(**item) for item in said.items[0]])


def _why_missing(said: Scores | Items | Unavailable, published: str) -> str | None:
    """Why a profile of the release ``published`` goes without this part; None where it does not."""
    if isinstance(said, Unavailable):
        return said.says
    is_known = said.is_known[0] if isinstance(said, Scores) else said.items[0] is not None
    if is_known:
        is_no_number = isinstance(said, Scores) and not math.isfinite(said.scores[0])
        return _no_number(said.by) if is_no_number else None
    # A model keeps the members that it fits: after a change of the contract those of an older release.
    return (
        f"{said.by.model} answers for release {said.by.release_id}, which does not know this member; "
        f"/readyz says what keeps it from release {published}"
    )


def _by(by: By) -> dict[str, Any]:
    return {"model": by.model, "architecture": by.architecture, "release_id": by.release_id, "as_of": by.as_of}


def _json(body: BaseModel, status: int = 200) -> Response:
    return Response(body.model_dump_json(), status, media_type="application/json")


_Responses = dict[int | str, dict[str, Any]]


def _described(model: type[BaseModel]) -> _Responses:
    """Answers of a route for OpenAPI; they are written as JSON once, by pydantic, not checked a second time."""
    failures = {
        401: "No valid token.",
        403: "The token lacks a role.",
        413: f"The body holds more than {MAX_BODY_BYTES} bytes.",
        503: "Nothing can answer now; try again.",
    }
    return {
        200: {"model": model},
        **{status: {"model": answers.Failure, "description": says} for status, says in failures.items()},
    }


_UNKNOWN: _Responses = {404: {"model": answers.Failure, "description": "No such member."}}
_MALFORMED: _Responses = {422: {"model": answers.Failure, "description": "Malformed; the answer names the field."}}


def api(questions: Questions, callers: Callers, audit: Audit) -> FastAPI:
    """The application: every route, the door before them, and a sentence for whatever goes wrong."""
    app = FastAPI(title="Tenure", version=version("tenure"), docs_url=None, redoc_url=None)
    app.add_middleware(Door, callers=callers, audit=audit)
    _add_routes(app, questions)
    _add_failures(app)
    _require_token(app)
    return app


def _add_routes(app: FastAPI, questions: Questions) -> None:
    @app.post("/v1/churn:predict", responses={**_described(answers.ChurnAnswer), **_UNKNOWN, **_MALFORMED})
    async def predict_churn(asked: ChurnRequest, request: Request) -> Response:  # type: ignore[valid-type]
        """The probability that each member does not visit within the horizon."""
        return _json(await questions.churn(asked.member_ids, request.state.audit))  # type: ignore[attr-defined]

    @app.post(
        "/v1/recommendations:predict",
        responses={**_described(answers.RecommendationsAnswer), **_UNKNOWN, **_MALFORMED},
    )
    async def predict_recommendations(asked: RecommendationsRequest, request: Request) -> Response:  # type: ignore[valid-type]
        """The best items for each member: new ones, or with ``include_bought`` the best mix."""
        fields = asked.member_ids, asked.k, asked.include_bought  # type: ignore[attr-defined]
        return _json(await questions.recommendations(*fields, request.state.audit))

    @app.get("/v1/members/{member_id:path}", responses={**_described(answers.MemberAnswer), **_UNKNOWN, **_MALFORMED})
    async def member(
        member_id: Annotated[str, Path(min_length=1, max_length=MEMBER_ID_LENGTH)], request: Request
    ) -> Response:
        """A member at a glance: profile, lifecycle stage, score, and items by name."""
        return _json(await questions.member(member_id, request.state.audit))

    @app.get("/v1/models", responses=_described(ModelsAnswer))
    async def models() -> Response:
        """What answers and why: what the manifest of each model in service says, but for vocabulary and scaling; a
        model whose process does not answer is not among them. Needs the role ``operate``."""
        return _json(ModelsAnswer(models=[manifest.description for manifest in await questions.manifests()]))

    @app.get("/healthz", responses={200: {"model": answers.Health}})
    async def healthz() -> Response:
        """Whether the service runs; says nothing about models."""
        return _json(answers.Health(is_healthy=True))

    @app.get("/readyz", responses={200: {"model": answers.Readiness}, 503: {"model": answers.Readiness}})
    async def readyz() -> Response:
        """How each model stands; 503 while one of them cannot answer."""
        readiness = await questions.readiness()
        return _json(readiness, 200 if readiness.is_ready else 503)


class ModelsAnswer(answers.Answer):
    """What is in service."""

    models: list[Description]


def _add_failures(app: FastAPI) -> None:
    @app.exception_handler(_Failed)
    async def failed(request: Request, error: _Failed) -> Response:
        headers = {"retry-after": str(RETRY_AFTER_S)} if error.retry else None
        return _failure(request, error.status, error.code, error.message, error.field, headers)

    @app.exception_handler(Overloaded)
    async def overloaded(request: Request, error: Overloaded) -> Response:
        says = f"too many requests are waiting; ask again in {RETRY_AFTER_S} s"
        return _failure(request, 503, "overloaded", says, headers={"retry-after": str(RETRY_AFTER_S)})

    @app.exception_handler(RequestValidationError)
    async def malformed(request: Request, error: RequestValidationError) -> Response:
        named = [(_field_of(one["loc"]), str(one["msg"])) for one in error.errors()[:FIELDS_NAMED]]
        if named[0][0] == "body" and "json" not in request.headers.get("content-type", ""):
            named = [("body", "send JSON with the header 'Content-Type: application/json'")]
        says = "; ".join(f"{field}: {message}" for field, message in named)
        return _failure(request, 422, "malformed", says, named[0][0])

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        if error.status_code == 400:  # a body that is no JSON at all, or not UTF-8, or nested too deep
            return _failure(request, 422, "malformed", "body: send a JSON object in UTF-8", "body")
        says = f"{error.detail}; /openapi.json says what there is"
        return _failure(request, error.status_code, "http", says, headers=error.headers)

    @app.exception_handler(Exception)
    async def broken(request: Request, error: Exception) -> Response:
        log.error("request %s failed", request.state.request_id, exc_info=error)
        says = f"the service failed at this; its log names request {request.state.request_id}"
        return _failure(request, 500, "internal", says)


def _failure(
    request: Request,
    status: int,
    code: str,
    says: str,
    field: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    body = failure(code, says, request.state.request_id, field)
    return Response(body, status, headers=dict(headers or {}), media_type="application/json")


def _field_of(location: Sequence[Any]) -> str:
    """``member_ids.3`` for the fourth id; ``body`` where the place is a position in text that is no JSON."""
    inner = location[1:]
    is_position = len(inner) == 1 and isinstance(inner[0], int)
    return ".".join(str(part)[:64] for part in inner) if inner and not is_position else str(location[0])


def _require_token(app: FastAPI) -> None:
    """Says in the OpenAPI document that a bearer token is needed, except where the door is open."""
    described = app.openapi()
    described["components"]["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
    for path, operations in described["paths"].items():
        for operation in operations.values():
            operation["security"] = [] if path in OPEN_PATHS else [{"bearer": []}]
