"""The outermost layer: logs each SDK request while scripted faults happen to its connection."""

import asyncio
import contextlib
import re
import time
import uuid
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from reconciler.sandbox.answers import compact
from reconciler.sandbox.faults import Fault, FaultPlan
from reconciler.sandbox.store import LoggedRequest, Store

_AGENT_IN_PATH = re.compile(r"/sdk/agents/([0-9a-fA-F-]{36})")
_PROXY_PAGE = (
    "<html>\n<head><title>502 Bad Gateway</title></head>\n"
    "<body><center><h1>502 Bad Gateway</h1></center><hr><center>nginx</center></body>\n</html>\n"
)

Headers = list[tuple[bytes, bytes]]


class ConnectionAwareProtocol(H11Protocol):
    """Hands its transport to the application, so that a fault can close the real connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}


@dataclass(slots=True)
class _Answer:
    status: int
    headers: Headers
    body: bytes


class Wire:
    def __init__(self, app: ASGIApp, *, store: Store, faults: FaultPlan) -> None:
        self._app = app
        self._store = store
        self._faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith("/sdk/"):
            await self._app(scope, receive, send)
            return
        # Cancelled means that the server stops while a client is kept waiting: nothing to report.
        with contextlib.suppress(asyncio.CancelledError):
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"]["request_id"] = uuid.uuid4().hex
        if self._store.settings.latency_seconds:
            await asyncio.sleep(self._store.settings.latency_seconds)
        fault = self._faults.claim(scope["method"], scope["path"])
        answer = await self._answer(fault, scope, receive)
        # Logged before it is sent: whoever has the answer finds the request in the log.
        self._log(scope, fault, answer)
        await _send(answer, fault, scope, receive, send)

    async def _answer(self, fault: Fault | None, scope: Scope, receive: Receive) -> _Answer | None:
        """None if the client gets no answer."""
        if fault is None:
            return await self._carry_out(scope, receive)
        if fault.kind == "drop_before":
            await _drain(receive)
            return None
        if fault.kind == "delay":
            # Read first: the request arrives late, also when the client gives up meanwhile.
            receive = await _received(receive)
            await asyncio.sleep(fault.seconds or 0)
        if fault.kind in ("status", "html") and not fault.after_commit:
            await _drain(receive)
            return _scripted(fault)
        if fault.kind == "stale":
            return await self._carry_out_in_the_past(fault, scope, receive)
        real = await self._carry_out(scope, receive)
        if fault.kind in ("status", "html"):
            return _scripted(fault)
        return None if fault.kind == "drop_after" else real

    async def _carry_out(self, scope: Scope, receive: Receive) -> _Answer:
        answer = _Answer(500, [], b"")

        async def keep(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                answer.headers = [*message["headers"]]
            else:
                answer.body += message.get("body", b"")

        await self._app(scope, receive, keep)
        answer.headers.append((b"x-request-id", scope["state"]["request_id"].encode()))
        return answer

    async def _carry_out_in_the_past(self, fault: Fault, scope: Scope, receive: Receive) -> _Answer:
        agent = _AGENT_IN_PATH.match(scope["path"])
        past = self._store.as_it_was(
            seconds_ago=fault.seconds, agent_id=agent.group(1).lower() if agent else None
        )
        scope["state"]["store"] = past
        try:
            return await self._carry_out(scope, receive)
        finally:
            past.close()

    def _log(self, scope: Scope, fault: Fault | None, answer: _Answer | None) -> None:
        state: dict[str, Any] = scope["state"]
        self._store.log_request(
            LoggedRequest(
                at=time.time(),
                request_id=state["request_id"],
                method=scope["method"],
                path=scope["path"],
                query=scope["query_string"].decode("latin-1"),
                status=None if answer is None else answer.status,
                key_id=state.get("key_id"),
                caller=state.get("caller"),
                fault=None if fault is None else fault.kind,
            )
        )


async def _send(
    answer: _Answer | None, fault: Fault | None, scope: Scope, receive: Receive, send: Send
) -> None:
    if answer is not None:
        await send(
            {"type": "http.response.start", "status": answer.status, "headers": answer.headers},
        )
        cut = fault is not None and fault.kind == "truncate"
        body = answer.body[: len(answer.body) // 2] if cut else answer.body
        await send({"type": "http.response.body", "body": body, "more_body": cut})
        if not cut:
            return
    scope["state"]["transport"].close()
    # Returning before the connection is gone would make the server write an error page of its own.
    while (await receive())["type"] != "http.disconnect":
        pass


async def _drain(receive: Receive) -> None:
    """Reads the body, so that closing ends the connection in order instead of resetting it."""
    while (await receive()).get("more_body"):
        pass


def _scripted(fault: Fault) -> _Answer:
    if fault.kind == "html":
        status, text, media_type = fault.status or 502, fault.body or _PROXY_PAGE, "text/html"
    else:
        status, text, media_type = fault.status or 503, fault.body, "application/json"
        if isinstance(text, str):
            media_type = "text/plain"
        elif text is None:
            text = {"error": "scripted_fault", "message": "The sandbox was told to fail.", "hint": None}
    body = (text if isinstance(text, str) else compact(text)).encode()
    headers = {"content-type": media_type, "content-length": str(len(body))}
    headers |= {name.lower(): value for name, value in fault.headers.items()}
    return _Answer(
        status, [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()], body
    )


async def _received(receive: Receive) -> Receive:
    """The whole body, read now and handed out later."""
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return pending.pop() if pending else await receive()

    return replay
