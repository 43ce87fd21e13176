"""The two catalogues: scopes of providers, and permissions of keys."""

from starlette.responses import Response
from starlette.routing import Route

from reconciler.sandbox.catalog import PERMISSION_CATALOG, provider_catalog
from reconciler.sandbox.gate import Call, Gate
from reconciler.sandbox.responses import json_answer


def routes(gate: Gate) -> list[Route]:
    providers = gate.guard(_providers, permission="providers:read", agents_allowed=True)
    permissions = gate.guard(_permissions, permission=None, agents_allowed=True)
    return [
        Route("/sdk/oauth/provider-catalog", providers, methods=["GET"]),
        Route("/sdk/scopes", permissions, methods=["GET"]),
    ]


def _providers(_: Call) -> Response:
    return json_answer(provider_catalog())


def _permissions(_: Call) -> Response:
    return json_answer(PERMISSION_CATALOG)
