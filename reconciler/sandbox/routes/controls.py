"""/_sandbox: what a real server has not. Unsigned, because the server listens on loopback only."""

from collections.abc import Callable
from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from reconciler.sandbox import validation
from reconciler.sandbox.agent_keys import use_plaintext
from reconciler.sandbox.answers import Invalid, Json, Refusal, finding
from reconciler.sandbox.clock import to_text
from reconciler.sandbox.faults import Fault, FaultPlan
from reconciler.sandbox.limits import RateLimiter
from reconciler.sandbox.responses import json_answer, refuse
from reconciler.sandbox.store import Store

Control = Callable[[dict[str, Json], Request], Json]


class Controls:
    def __init__(self, store: Store, *, faults: FaultPlan, limiter: RateLimiter) -> None:
        self._store = store
        self._faults = faults
        self._limiter = limiter

    def routes(self) -> list[Route]:
        listed: list[tuple[str, str, Control]] = [
            ("GET", "/clock", self._read_clock),
            ("POST", "/clock/advance", self._advance_clock),
            ("GET", "/faults", self._read_faults),
            ("POST", "/faults", self._add_fault),
            ("DELETE", "/faults", self._clear_faults),
            ("GET", "/requests", self._read_requests),
            ("DELETE", "/requests", self._clear_requests),
            ("GET", "/audit", self._read_audit),
            ("POST", "/use", self._use),
            ("POST", "/reset", self._reset),
        ]
        return [Route(f"/_sandbox{path}", _endpoint(run), methods=[method]) for method, path, run in listed]

    def _read_clock(self, _body: dict[str, Json], _request: Request) -> Json:
        return {"now": to_text(self._store.now()), "offset_seconds": self._store.clock.offset_seconds}

    def _advance_clock(self, body: dict[str, Json], request: Request) -> Json:
        seconds = body.get("seconds")
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            raise Invalid([finding(["body", "seconds"], "Must be a number.", kind="float_type")])
        try:
            self._store.advance_clock(seconds)
        except ValueError as exc:
            raise Invalid([finding(["body", "seconds"], str(exc))]) from exc
        return self._read_clock(body, request)

    def _read_faults(self, _body: dict[str, Json], _request: Request) -> Json:
        return {"fired": [asdict(fault) for fault in self._faults.fired()]}

    def _add_fault(self, body: dict[str, Json], _request: Request) -> Json:
        try:
            return asdict(self._faults.arm(Fault.from_json(body)))
        except ValueError as exc:
            raise Invalid([finding(["body"], str(exc))]) from exc

    def _clear_faults(self, _body: dict[str, Json], _request: Request) -> Json:
        self._faults.clear()
        return {}

    def _read_requests(self, _body: dict[str, Json], _request: Request) -> Json:
        return {"items": [asdict(one) | {"mutating": one.mutating} for one in self._store.request_log()]}

    def _clear_requests(self, _body: dict[str, Json], _request: Request) -> Json:
        self._store.clear_request_log()
        return {}

    def _read_audit(self, _body: dict[str, Json], request: Request) -> Json:
        return {"items": self._store.audit_log(request.query_params.get("agent_id"))}

    def _use(self, body: dict[str, Json], _request: Request) -> Json:
        return use_plaintext(self._store, str(body.get("api_key")))

    def _reset(self, _body: dict[str, Json], _request: Request) -> Json:
        self._store.reset()
        self._faults.clear()
        self._limiter.forget()
        return {}


def _endpoint(run: Control) -> Callable[[Request], object]:
    async def endpoint(request: Request) -> Response:
        try:
            return json_answer(run(validation.read_object(await request.body()), request))
        except Refusal as refusal:
            return refuse(refusal)

    return endpoint
