"""The sandbox as one ASGI application: routes behind the gate, behind the wire."""

from http import HTTPStatus

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from reconciler.sandbox.faults import FaultPlan
from reconciler.sandbox.gate import Gate
from reconciler.sandbox.limits import RateLimiter
from reconciler.sandbox.responses import json_answer
from reconciler.sandbox.routes import agents, catalogs, keys
from reconciler.sandbox.routes.controls import Controls
from reconciler.sandbox.signature import SignatureVerifier
from reconciler.sandbox.store import Store
from reconciler.sandbox.wire import Wire


def build_app(store: Store, faults: FaultPlan) -> ASGIApp:
    settings = store.settings
    limiter = RateLimiter(
        settings.rate_limit_per_minute,
        window_seconds=settings.rate_limit_window_seconds,
        is_announced=settings.announces_rate_limit,
    )
    verifier = SignatureVerifier(skew_seconds=settings.clock_skew_seconds)
    gate = Gate(store, verifier=verifier, limiter=limiter)
    app = Starlette(
        routes=[
            *agents.routes(gate),
            *keys.routes(gate),
            *catalogs.routes(gate),
            *Controls(store, faults=faults, limiter=limiter).routes(),
        ],
        exception_handlers={HTTPException: _no_route},
    )
    # A redirect would carry the signature of another path.
    app.router.redirect_slashes = False
    return Wire(app, store=store, faults=faults)


def _no_route(_: Request, exc: Exception) -> Response:
    """A path or a method that does not exist, as JSON."""
    status = exc.status_code if isinstance(exc, HTTPException) else 500
    return json_answer({"detail": HTTPStatus(status).phrase}, status=status)
