"""Answers over HTTP."""

from collections.abc import Mapping

from starlette.responses import Response

from reconciler.sandbox.answers import Json, Refusal, compact


def json_answer(payload: Json, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(compact(payload), status_code=status, headers=headers, media_type="application/json")


def refuse(refusal: Refusal) -> Response:
    return json_answer(refusal.payload, status=refusal.status, headers=refusal.headers)
