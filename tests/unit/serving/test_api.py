"""Requests over HTTP, answered by real models in this process; no Ray."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.corner_shop import MEMBER_IDS, PRODUCT_IDS, SECRET, CornerShop, opened

from tenure.contracts.landing import DEMOGRAPHICS
from tenure.privacy.pseudonyms import told_apart
from tenure.registry.manifest import Manifest
from tenure.serving.access import callers
from tenure.serving.answering import (
    ChurnQuestion,
    Items,
    ItemsQuestion,
    Scores,
    Unavailable,
    answer_churn,
    answer_items,
)
from tenure.serving.api import Overloaded, Questions, api
from tenure.serving.audit import Audit
from tenure.serving.loading import InService, LoadedChurn, LoadedRecommender, State
from tenure.serving.publishing import publish
from tenure.serving.store import CurrentStore

CHURN = "/v1/churn:predict"
ITEMS = "/v1/recommendations:predict"


class InThisProcess:
    """The models, asked without anything between."""

    def __init__(self, shop: CornerShop) -> None:
        self.churn_service = InService(LoadedChurn, shop.registry, shop.store)
        self.items_service = InService(LoadedRecommender, shop.registry, shop.store)
        self.is_overloaded = False
        for service in (self.churn_service, self.items_service):
            service.look_again()

    async def churn(self, question: ChurnQuestion) -> Scores | Unavailable:
        if self.is_overloaded:
            raise Overloaded
        return answer_churn(self.churn_service, [question])[0]

    async def items(self, question: ItemsQuestion) -> Items | Unavailable:
        return answer_items(self.items_service, [question])[0]

    async def states(self) -> list[State]:
        return [self.churn_service.state(), self.items_service.state()]

    async def manifests(self) -> list[Manifest]:
        return [self.churn_service.loaded.manifest, self.items_service.loaded.manifest]


class Client:
    """Asks with a token, unless told otherwise."""

    def __init__(self, shop: CornerShop, personal: tuple[str, ...] = ()) -> None:
        self.shop, self.models = shop, InThisProcess(shop)
        questions = Questions(self.models, CurrentStore(shop.store), SECRET, personal)
        self.audit = shop.work / "audit" / "members-1.jsonl"
        self.app = api(questions, callers(shop.secrets), Audit(shop.work / "audit", "members-1"))
        self.token = (shop.secrets / "serving_token").read_text()
        self.prefix = ""

    def send(self, method: str, path: str, **more: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.token}", **more.pop("headers", {})}

        async def sent() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False, root_path=self.prefix)
            async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
                return await client.request(method, self.prefix + path, headers=headers, **more)

        return asyncio.run(sent())

    def ask(self, path: str, **body: Any) -> httpx.Response:
        return self.send("POST", path, json=body)


@pytest.fixture(scope="module")
def client(open_shop: CornerShop) -> Client:
    return Client(open_shop)


@pytest.fixture
def own_client(tmp_path: Path) -> Callable[..., Client]:
    return lambda **more: Client(opened(tmp_path, **more))


def test_churn_answers_for_each_id_in_the_order_asked(client: Client) -> None:
    said = client.ask(CHURN, member_ids=["m7", "m39", "m7"]).json()
    assert [one["member_id"] for one in said["answers"]] == ["m7", "m39", "m7"]
    first, _, third = said["answers"]
    # The same to 1e-6: in a batch padded otherwise, sums are added up in another order.
    assert first == third | {"score": pytest.approx(third["score"], abs=1e-6)}
    assert all(0 <= one["score"] <= 1 for one in said["answers"])
    assert [one["is_active"] for one in said["answers"]] == [True, False, True]
    assert (said["model"], said["architecture"], said["as_of"]) == ("churn/1", "member_encoder", "2026-06-01")
    assert said["horizon_days"] == 28


def test_recommendations_leave_out_what_was_bought_unless_asked_for(client: Client) -> None:
    store = CurrentStore(client.shop.store).get()
    bought = {PRODUCT_IDS[row] for row in store.purchases(client.shop.keys("m5")).products}
    new = client.ask(ITEMS, member_ids=["m5"], k=100).json()["answers"][0]["items"]
    every = client.ask(ITEMS, member_ids=["m5"], k=100, include_bought=True).json()["answers"][0]["items"]
    catalogue = set(PRODUCT_IDS[:-1])  # the model never saw the last one
    assert {item["product_id"] for item in new} == catalogue - bought
    assert {item["product_id"] for item in every} == catalogue
    assert [item["score"] for item in new] == sorted((item["score"] for item in new), reverse=True)


def test_items_are_as_many_as_asked_for_and_carry_names(client: Client) -> None:
    items = client.ask(ITEMS, member_ids=["m5", "m6"], k=3).json()["answers"][1]["items"]
    assert len(items) == 3
    assert all(item["name"] for item in items)


def test_a_member_at_a_glance(client: Client) -> None:
    said = client.send("GET", "/v1/members/m3").json()
    row = CurrentStore(client.shop.store).get().profile(client.shop.key("m3"))
    assert said["profile"]["stage"] == row["stage"]
    assert said["profile"]["spend_minor"] == row["lifetime_spend_minor"]
    assert said["profile"]["currency"] == "EUR"
    assert said["churn"]["score"] == pytest.approx(client.ask(CHURN, member_ids=["m3"]).json()["answers"][0]["score"])
    assert said["recommendations"]["items"][0]["name"]
    assert said["unavailable"] == {}


def test_a_profile_shows_no_personal_column_unless_it_is_allowed(client: Client, open_shop: CornerShop) -> None:
    said = client.send("GET", "/v1/members/m3")
    assert said.json()["profile"]["demographics"] == {}
    assert not any(column.name in said.text for column in DEMOGRAPHICS)
    allowed = Client(open_shop, personal=("age_band", "region")).send("GET", "/v1/members/m3").json()
    assert allowed["profile"]["demographics"] == {"age_band": "35-44"}


def test_an_unknown_member_is_a_404_alone_and_an_error_of_its_own_among_many(client: Client) -> None:
    for alone in (client.ask(CHURN, member_ids=["nobody"]), client.ask(ITEMS, member_ids=["nobody"])):
        assert alone.status_code == 404
        assert alone.json()["error"]["code"] == "unknown_member"
    assert client.send("GET", "/v1/members/nobody").status_code == 404
    many = client.ask(CHURN, member_ids=["m1", "nobody"])
    assert many.status_code == 200
    assert many.json()["answers"][0]["score"] is not None
    assert many.json()["answers"][1]["error"]["code"] == "unknown_member"
    items = client.ask(ITEMS, member_ids=["nobody", "m1"]).json()["answers"]
    assert (items[0]["items"], bool(items[1]["items"])) == (None, True)


def test_a_thousand_members_are_answered_and_one_more_is_refused(client: Client) -> None:
    thousand = [MEMBER_IDS[number % len(MEMBER_IDS)] for number in range(1000)]
    for path in (CHURN, ITEMS):
        assert len(client.ask(path, member_ids=thousand).json()["answers"]) == 1000
        refused = client.ask(path, member_ids=[*thousand, "m1"])
        assert (refused.status_code, refused.json()["error"]["field"]) == (422, "member_ids")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "member_ids"),
        ({"member_ids": []}, "member_ids"),
        ({"member_ids": "m1"}, "member_ids"),
        ({"member_ids": ["m1", 2]}, "member_ids.1"),
        ({"member_ids": ["m1", ""]}, "member_ids.1"),
        ({"member_ids": ["x" * 1_000]}, "member_ids.0"),
        ({"member_ids": ["m1"], "k": 0}, "k"),
        ({"member_ids": ["m1"], "k": 101}, "k"),
        ({"member_ids": ["m1"], "k": "10"}, "k"),
        ({"member_ids": ["m1"], "k": True}, "k"),
        ({"member_ids": ["m1"], "include_bought": "yes"}, "include_bought"),
        ({"member_ids": ["m1"], "includ_bought": True}, "includ_bought"),
        (["m1"], "body"),
        (None, "body"),
    ],
)
def test_malformed_input_is_a_422_that_names_the_field(client: Client, body: Any, field: str) -> None:
    refused = client.send("POST", ITEMS, json=body)
    assert refused.status_code == 422
    assert refused.json()["error"]["field"] == field
    assert field in refused.json()["error"]["message"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"member_ids": ["\\ud800"]}',
        b'{"\\ud800": 1}',
        b"[" * 100_000,
        b'{"member_ids": ["m1"], "k": ' + b"9" * 10_000 + b"}",
        b'{"member_ids": ["m1"], "k": NaN}',
        b'{"member_ids": ["m1"], "k": 1e400}',
    ],
)
def test_a_body_that_is_no_request_is_a_422(client: Client, content: bytes) -> None:
    sent = client.send("POST", ITEMS, content=content, headers={"content-type": "application/json"})
    assert sent.status_code == 422
    assert sent.json()["error"]["field"]


def test_json_that_is_not_said_to_be_json_is_told_so(client: Client) -> None:
    sent = client.send("POST", ITEMS, content=b'{"member_ids": ["m1"]}', headers={"content-type": "text/plain"})
    assert sent.status_code == 422
    assert "Content-Type: application/json" in sent.json()["error"]["message"]


def test_a_million_characters_are_refused_in_a_sentence(client: Client) -> None:
    assert client.ask(CHURN, member_ids=["x" * 1_000_000]).status_code == 413
    assert client.send("GET", "/v1/members/" + "x" * 10_000).status_code == 422


def test_a_body_that_does_not_say_how_long_it_is_is_refused_where_it_gets_too_large(client: Client) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b'{"member_ids": ["'
        for _ in range(30):
            yield b"x" * 50_000

    sent = client.send("POST", CHURN, content=pieces(), headers={"content-type": "application/json"})
    assert (sent.status_code, sent.json()["error"]["code"]) == (413, "too_large")
    lines = [json.loads(line) for line in client.audit.read_text().splitlines()]
    assert lines[-1]["status"] == 413


def test_a_service_with_another_secret_says_so_instead_of_knowing_nobody(own_client: Callable[..., Client]) -> None:
    client = own_client()
    shop = client.shop
    publish(shop.release(), shop.store, max_events=16, keyed_by=told_apart(SECRET))
    assert Client(shop).ask(CHURN, member_ids=["m1"]).status_code == 200
    publish(shop.release(), shop.store, max_events=16, keyed_by=told_apart(b"another"))
    other = Client(shop)
    ready = other.send("GET", "/readyz")
    assert (ready.status_code, ready.json()["is_ready"]) == (503, False)
    for sent in (
        other.ask(CHURN, member_ids=["m1"]),
        other.ask(ITEMS, member_ids=["m1", "m2"]),
        other.send("GET", "/v1/members/m1"),
    ):
        assert (sent.status_code, sent.json()["error"]["code"]) == (503, "wrong_secret")
        assert sent.json()["error"]["message"] == ready.json()["says"]
    assert "is not the one that the published members' keys were made with" in ready.json()["says"]


def test_a_member_of_whom_a_model_says_no_number_does_not_spoil_the_others(
    own_client: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = own_client()
    score = LoadedChurn.score
    nan = client.shop.keys("m7")

    def says(self: LoadedChurn, keys: np.ndarray) -> np.ndarray:
        return np.where(np.isin(keys, nan), np.nan, score(self, keys))

    monkeypatch.setattr(LoadedChurn, "score", says)
    first, second = client.ask(CHURN, member_ids=["m5", "m7"]).json()["answers"]
    assert 0 <= first["score"] <= 1
    assert (second["score"], second["error"]["code"]) == (None, "no_score")
    glance = client.send("GET", "/v1/members/m7").json()
    assert (glance["churn"], "gives no number" in glance["unavailable"]["churn"]) == (None, True)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["m1", "m2", "nobody"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_almost = st.fixed_dictionaries(
    {"member_ids": st.lists(st.sampled_from(["m1", "nobody"]) | st.text() | st.integers(), max_size=4) | _json},
    optional={"k": st.integers() | _json, "include_bought": st.booleans() | _json},
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(path=st.sampled_from([CHURN, ITEMS]), body=_almost | _json)
def test_nothing_that_a_client_sends_is_a_500(client: Client, path: str, body: Any) -> None:
    sent = client.send("POST", path, content=json.dumps(body).encode(), headers={"content-type": "application/json"})
    assert sent.status_code in (200, 404, 422)
    assert sent.status_code == 200 or sent.json()["error"]["message"]


# "." and ".." never leave the client: it takes them for steps in the path (RFC 3986, 5.2.4).
_id = st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300)


@settings(max_examples=100, deadline=None)
@given(member_id=_id.filter(lambda text: text not in (".", "..")))
def test_no_id_in_a_path_is_a_500(client: Client, member_id: str) -> None:
    assert client.send("GET", f"/v1/members/{quote(member_id, safe='')}").status_code in (404, 422)


@pytest.mark.parametrize("token", ["", "wrong", "Bearer wrong"])
def test_nothing_about_members_is_told_without_a_token(client: Client, token: str) -> None:
    for method, path in (("POST", CHURN), ("POST", ITEMS), ("GET", "/v1/members/m1"), ("GET", "/v1/models")):
        refused = client.send(method, path, headers={"authorization": token})
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"] == "Bearer"
    for path in ("/healthz", "/readyz", "/openapi.json"):
        assert client.send("GET", path, headers={"authorization": token}).status_code == 200


@pytest.mark.parametrize("prefix", ["", "/members"])
def test_a_caller_sees_only_what_its_role_is_for(own_client: Callable[..., Client], prefix: str) -> None:
    client = own_client()
    digest = hashlib.sha256(b"crm-token").hexdigest()
    (client.shop.secrets / "serving_tokens.yaml").write_text(f"- name: crm\n  roles: [read]\n  sha256: {digest}\n")
    again = Client(client.shop)
    again.prefix = prefix
    crm = {"authorization": "Bearer crm-token"}
    assert again.send("GET", "/v1/members/m1", headers=crm).status_code == 200
    assert again.send("GET", "/v1/models", headers=crm).status_code == 403
    assert [one["task"] for one in again.send("GET", "/v1/models").json()["models"]] == ["churn", "recommender"]
    assert again.send("GET", "/healthz", headers={"authorization": ""}).status_code == 200


def test_models_are_described_without_what_turns_rows_into_tensors(client: Client) -> None:
    told = client.send("GET", "/v1/models")
    for one, manifest in zip(told.json()["models"], asyncio.run(client.models.manifests()), strict=True):
        assert one == manifest.model_dump(mode="json", exclude={"inputs"})
        kept = {"metrics", "baselines", "gate", "release_id", "fingerprint", "code_version", "config", "seed"}
        assert kept <= set(one)
        assert len(manifest.model_dump_json()) > len(json.dumps(one))
    assert PRODUCT_IDS[0] not in told.text
    assert len(told.content) < 4_000


def test_readyz_names_each_model_and_what_keeps_it_from_answering(own_client: Callable[..., Client]) -> None:
    client = own_client(models=False)
    client.shop.train_popularity()
    client = Client(client.shop)
    ready = client.send("GET", "/readyz")
    assert ready.status_code == 503
    models = ready.json()["models"]
    assert (models["recommender"]["is_ready"], models["recommender"]["version"]) == (True, "1")
    assert models["recommender"]["release_id"] == "20260601T040000Z-shop"
    assert "no champion for churn" in models["churn"]["says"]
    down = client.ask(CHURN, member_ids=["m1"])
    assert (down.status_code, down.headers["retry-after"]) == (503, "1")
    assert "no champion for churn" in down.json()["error"]["message"]
    assert client.ask(ITEMS, member_ids=["m1"]).status_code == 200
    glance = client.send("GET", "/v1/members/m1").json()
    assert (glance["churn"], "no champion" in glance["unavailable"]["churn"]) == (None, True)


def test_a_newcomer_whom_no_model_knows_yet_has_a_profile_and_a_reason(own_client: Callable[..., Client]) -> None:
    client = own_client()
    shop, models = client.shop, client.models
    old = models.churn_service.state().release_id
    shop.members, shop.fingerprint_suffix = (*MEMBER_IDS, "newcomer"), "another"
    new = shop.release()
    publish(new, shop.store, max_events=16)
    for service in (models.churn_service, models.items_service):
        service.look_again()  # of another contract: the models stay with the members that they fit
    glance = client.send("GET", "/v1/members/newcomer").json()
    assert (glance["release_id"], glance["churn"], glance["recommendations"]) == (new.release_id, None, None)
    assert glance["unavailable"] == {
        task: f"{task}/1 answers for release {old}, which does not know this member; "
        f"/readyz says what keeps it from release {new.release_id}"
        for task in ("churn", "recommender")
    }
    assert "train it again" in client.send("GET", "/readyz").json()["models"]["churn"]["says"]
    alone = client.ask(CHURN, member_ids=["newcomer"])
    assert (alone.status_code, alone.json()["error"]["message"]) == (404, f"release {old} knows no member 'newcomer'")
    assert client.send("GET", "/v1/members/m3").json()["unavailable"] == {}


def test_before_anything_was_published_every_answer_says_what_to_do(own_client: Callable[..., Client]) -> None:
    client = own_client(publish=False)
    for sent in (client.ask(CHURN, member_ids=["m1"]), client.send("GET", "/v1/members/m1")):
        assert sent.status_code == 503
        assert "run jobs/publish_members.py" in sent.json()["error"]["message"]


def test_too_many_requests_get_a_503_that_says_when_to_come_back(own_client: Callable[..., Client]) -> None:
    client = own_client()
    client.models.is_overloaded = True
    sent = client.ask(CHURN, member_ids=["m1"])
    assert (sent.status_code, sent.headers["retry-after"]) == (503, "1")


def test_the_answer_does_not_need_the_scored_tables(client: Client) -> None:
    assert not (client.shop.work / "lake" / "answers").exists()
    assert client.ask(CHURN, member_ids=["m1"]).status_code == 200


def test_every_request_leaves_one_line_without_an_id_or_a_token(own_client: Callable[..., Client]) -> None:
    client = own_client()
    client.ask(CHURN, member_ids=["m17", "somebody-else"])
    client.send("GET", "/v1/members/m17")
    client.ask(CHURN, member_ids=["m17"], k=1)
    client.send("GET", "/v1/members/m17", headers={"authorization": "Bearer secret-guess"})
    text = client.audit.read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert [(line["endpoint"], line["status"], line["caller"]) for line in lines] == [
        (CHURN, 200, "first"),
        ("/v1/members/{member_id:path}", 200, "first"),
        (CHURN, 422, "first"),
        ("none", 401, None),
    ]
    assert (lines[0]["members"], lines[0]["unknown"], lines[0]["model_versions"]) == (2, 1, ["churn/1"])
    assert not any(secret in text for secret in ("m17", "somebody-else", "secret-guess", client.token))


def test_an_id_that_a_request_came_with_is_noted_and_not_answered_twice(own_client: Callable[..., Client]) -> None:
    """Ray Serve's proxy puts it into the request and the answer."""
    client = own_client()
    given, mine, unfit = (
        client.send("GET", "/v1/members/nobody", headers={"x-request-id": said} if said else {})
        for said in ("from-the-proxy", "", "two words")
    )
    assert "x-request-id" not in given.headers
    assert given.json()["request_id"] == "from-the-proxy"
    for answer in (mine, unfit):
        assert answer.headers["x-request-id"] == answer.json()["request_id"]
    noted = [json.loads(line)["request_id"] for line in client.audit.read_text().splitlines()]
    assert noted == [answer.json()["request_id"] for answer in (given, mine, unfit)]


def test_the_description_names_every_field_with_its_meaning(client: Client) -> None:
    described = client.send("GET", "/openapi.json").json()
    asked = described["components"]["schemas"]["RecommendationsRequest"]["properties"]
    assert asked["member_ids"]["maxItems"] == 1000
    assert (asked["k"]["minimum"], asked["k"]["maximum"], asked["k"]["default"]) == (1, 100, 10)
    assert all(field["description"] for field in asked.values())
    assert described["paths"][CHURN]["post"]["responses"].keys() == {"200", "401", "403", "404", "413", "422", "503"}
    assert described["paths"][CHURN]["post"]["security"] == [{"bearer": []}]
    assert described["paths"]["/healthz"]["get"]["security"] == []


def test_what_is_not_there_is_told_in_the_same_shape(client: Client) -> None:
    told = client.send("GET", "/v2/members/m1").json()["error"]
    assert told["code"] == "http"
    assert "/openapi.json" in told["message"]
    assert client.send("DELETE", "/v1/members/m1").status_code == 405
