"""Before any question is read: who asks, whether they may, how much they send; and one audit line after it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tenure.serving.access import Caller, Callers, Role
from tenure.serving.audit import Audit, Entry

OPEN_PATHS = frozenset({"/healthz", "/readyz", "/openapi.json"})  # no member's data; probes carry no token
OPERATE_PATHS = frozenset({"/v1/models"})
MAX_BODY_BYTES = 1_000_000
_REQUEST_ID = "x-request-id"


def failure(code: str, message: str, request_id: str, field: str | None = None) -> bytes:
    """The body of ``answers.Failure``. ASCII, as a client may have sent what UTF-8 cannot spell."""
    problem = {"code": code, "message": message, "field": field}
    return json.dumps({"error": problem, "request_id": request_id}).encode("ascii")


class Door:
    """ASGI middleware. What a route wants in its audit line it puts into ``request.state.audit``.

    Args:
        callers: who holds a token.
        audit: where lines go.
    """

    def __init__(self, app: ASGIApp, callers: Callers, audit: Audit) -> None:
        self._app, self._callers, self._audit = app, callers, audit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        await _Visit(self, scope, receive, send).go()


class _Visit:
    """One request on its way through the door."""

    def __init__(self, door: Door, scope: Scope, receive: Receive, send: Send) -> None:
        self._door, self._scope, self._receive, self._send = door, scope, receive, send
        # Ray Serve's proxy gives every request an id, where its sender gave none, and tells it in the answer itself.
        given = Headers(scope=scope).get(_REQUEST_ID, "")
        self._is_id_given = re.fullmatch(r"[\w.-]{1,64}", given, re.ASCII) is not None
        self._request_id = given if self._is_id_given else uuid4().hex
        self._started = time.perf_counter()
        self._status = 500  # unless an answer begins
        self._body_bytes, self._is_too_large = 0, False
        self._caller: Caller | None = None
        self._noted: dict[str, Any] = {}
        scope.setdefault("state", {}).update(request_id=self._request_id, audit=self._noted)

    async def go(self) -> None:
        try:
            if await self._may_enter():
                await self._door._app(self._scope, self._receive_some, self._send_unless_too_large)
            if self._is_too_large:
                await self._refuse(413, "too_large", f"a request body may hold {MAX_BODY_BYTES} bytes")
        finally:
            self._door._audit.write(self._entry())

    async def _may_enter(self) -> bool:
        path = self._scope["path"].removeprefix(self._scope.get("root_path", ""))  # the service may have a prefix
        if path in OPEN_PATHS:
            return True
        headers = Headers(scope=self._scope)
        self._caller = self._door._callers.holder(headers.get("authorization"))
        role = Role.OPERATE if path in OPERATE_PATHS else Role.READ
        if self._caller is None:
            asks = {"www-authenticate": "Bearer"}
            await self._refuse(401, "no_token", "send a valid token as 'Authorization: Bearer TOKEN'", asks)
        elif not self._caller.may(role):
            await self._refuse(403, "role_missing", f"the token of {self._caller.name} lacks the role {role.value!r}")
        elif _says_too_large(headers):
            self._is_too_large = True
        else:
            return True
        return False

    async def _receive_some(self) -> Message:
        message = await self._receive()
        self._body_bytes += len(message.get("body", b""))
        if self._body_bytes > MAX_BODY_BYTES:  # of a body whose length was not said
            self._is_too_large = True
            return {"type": "http.request", "body": b"", "more_body": False}
        return message

    async def _send_unless_too_large(self, message: Message) -> None:
        """What the application makes of a body that was cut off is nobody's answer."""
        if not self._is_too_large:
            await self._send_marked(message)

    async def _send_marked(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            if not self._is_id_given:
                MutableHeaders(scope=message)[_REQUEST_ID] = self._request_id
        await self._send(message)

    async def _refuse(self, status: int, code: str, says: str, headers: Mapping[str, str] | None = None) -> None:
        body = failure(code, says, self._request_id)
        named = {"content-type": "application/json", "content-length": str(len(body)), **(headers or {})}
        raw = [(name.encode(), value.encode()) for name, value in named.items()]
        await self._send_marked({"type": "http.response.start", "status": status, "headers": raw})
        await self._send_marked({"type": "http.response.body", "body": body})

    def _entry(self) -> Entry:
        route = self._scope.get("route")
        return Entry(
            request_id=self._request_id,
            caller=self._caller.name if self._caller else None,
            method=str(self._scope["method"]),
            endpoint=getattr(route, "path", "none"),
            status=self._status,
            ms=round((time.perf_counter() - self._started) * 1e3, 3),
            **self._noted,
        )


def _says_too_large(headers: Headers) -> bool:
    length = headers.get("content-length", "")
    return length.isdecimal() and int(length[:20]) > MAX_BODY_BYTES
