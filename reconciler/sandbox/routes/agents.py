"""/sdk/agents: reading and changing agents."""

from starlette.responses import Response
from starlette.routing import Route

from reconciler.sandbox import agents, validation
from reconciler.sandbox.answers import Refusal
from reconciler.sandbox.gate import Call, Gate
from reconciler.sandbox.responses import json_answer

IDEMPOTENCY_KEY_MAX_LENGTH = 255


def routes(gate: Gate) -> list[Route]:
    one = "/sdk/agents/{agent_id}"
    return [
        Route("/sdk/agents", gate.guard(_list, permission="agents:read"), methods=["GET"]),
        Route("/sdk/agents", gate.guard(_create, permission="agents:write"), methods=["POST"]),
        # Before {agent_id}, which would take "me" for an id.
        Route(
            "/sdk/agents/me",
            gate.guard(_me, permission=None, agents_allowed=True, suspended_allowed=True),
            methods=["GET"],
        ),
        Route(one, gate.guard(_get, permission="agents:read"), methods=["GET"]),
        Route(one, gate.guard(_update, permission="agents:write"), methods=["PATCH"]),
        Route(one, gate.guard(_revoke, permission="agents:admin"), methods=["DELETE"]),
    ]


def _list(call: Call) -> Response:
    return json_answer(agents.list_agents(call.store, call.actor, validation.page(call.query)))


def _create(call: Call) -> Response:
    idempotency_key = call.headers.get("idempotency-key")
    if idempotency_key is not None and not 1 <= len(idempotency_key) <= IDEMPOTENCY_KEY_MAX_LENGTH:
        raise Refusal(
            422, "idempotency_key_invalid", message="Idempotency-Key must have 1 to 255 characters."
        )
    new = validation.new_agent(validation.read_object(call.body))
    body, repeated = agents.create_agent(call.store, call.actor, new, idempotency_key=idempotency_key)
    return json_answer(body, status=200 if repeated else 201)


def _get(call: Call) -> Response:
    row = agents.find_agent(call.store, call.actor, call.path["agent_id"])
    return json_answer(agents.show_agent(call.store, row))


def _me(call: Call) -> Response:
    if call.actor.agent_id is None:
        raise Refusal(
            403,
            "me_requires_agent_key",
            message="The key belongs to an app, not to an agent.",
            hint="Use the agent's own key.",
        )
    row = agents.find_agent(call.store, call.actor, call.actor.agent_id)
    return json_answer(agents.show_agent(call.store, row))


def _update(call: Call) -> Response:
    change = validation.agent_change(validation.read_object(call.body), call.query)
    return json_answer(agents.update_agent(call.store, call.actor, call.path["agent_id"], change))


def _revoke(call: Call) -> Response:
    return json_answer(agents.revoke_agent(call.store, call.actor, call.path["agent_id"]))
