"""P15 asks both services alike."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

for package in ("polars", "implicit", "fastapi", "ray"):
    pytest.importorskip(package)

from benchmarks import whole_path_serving  # noqa: E402
from benchmarks.simulated_lake import Unequal  # noqa: E402
from benchmarks.whole_path_serving import asking, hold_scores, member_key  # noqa: E402

from tenure.ports import free_port  # noqa: E402


@pytest.fixture
def service():
    """Ready at the second look; who asked lies in ``asked``."""

    class Service(BaseHTTPRequestHandler):
        asked = []  # noqa: RUF012

        def do_GET(self):
            self.asked.append(self.headers.get("authorization"))
            self.send_response(200 if len(self.asked) > 1 else 503)
            self.end_headers()

        def log_message(self, *said):
            pass

    server = HTTPServer(("127.0.0.1", free_port()), Service)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port, Service.asked
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(("token", "sent"), [("", None), ("secret", "Bearer secret")])
def test_a_service_is_asked_until_it_is_ready_with_a_token_where_there_is_one(service, token, sent):
    port, asked = service
    asking(port, token).close()
    assert asked == [sent, sent]


def test_nobody_there_is_said_after_a_while(monkeypatch):
    monkeypatch.setattr(whole_path_serving, "PATIENCE_S", 0.3)
    with pytest.raises(Unequal, match="nobody answers on port"):
        asking(free_port())


def test_answers_are_the_batch_s_own_of_the_same_members():
    def key(member):
        return member_key(member, whole_path_serving.SECRET.encode())

    answers = {"a": 0.25, "b": 0.5}
    hold_scores(answers, {key("a"): 0.25, key("b"): 0.500001}, "by hand")
    for batch in ({key("a"): 0.5, key("b"): 0.25}, {key("a"): 0.25}, {key("a"): 0.25, key("c"): 0.5}):
        with pytest.raises(Unequal, match="answers by hand"):
            hold_scores(answers, batch, "by hand")
