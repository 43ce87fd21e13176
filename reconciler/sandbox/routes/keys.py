"""/sdk/agents/{id}/keys: minting, listing, deprecating and revoking the keys of one agent."""

import sqlite3
from contextlib import AbstractContextManager

from starlette.responses import Response
from starlette.routing import Route

from reconciler.sandbox import agent_keys, agents, validation
from reconciler.sandbox.gate import Call, Gate
from reconciler.sandbox.responses import json_answer


def routes(gate: Gate) -> list[Route]:
    keys = "/sdk/agents/{agent_id}/keys"
    one = keys + "/{key_id}"
    return [
        Route(keys, gate.guard(_list, permission="agents:read"), methods=["GET"]),
        Route(keys, gate.guard(_mint, permission="agents:write"), methods=["POST"]),
        Route(f"{one}/deprecate", gate.guard(_deprecate, permission="agents:write"), methods=["PATCH"]),
        Route(f"{one}/undeprecate", gate.guard(_undeprecate, permission="agents:write"), methods=["PATCH"]),
        Route(one, gate.guard(_revoke, permission="agents:admin"), methods=["DELETE"]),
    ]


def _list(call: Call) -> Response:
    # A revoked agent's keys can still be read; only changing them is over.
    agent = agents.find_agent(call.store, call.actor, call.path["agent_id"])
    return json_answer(agent_keys.list_keys(call.store, agent))


def _mint(call: Call) -> Response:
    validation.empty_body(validation.read_object(call.body))
    with _living_agent(call) as agent:
        return json_answer(agent_keys.mint_key(call.store, call.actor, agent), status=201)


def _deprecate(call: Call) -> Response:
    return _set_deprecated(call, deprecated=True)


def _undeprecate(call: Call) -> Response:
    return _set_deprecated(call, deprecated=False)


def _set_deprecated(call: Call, *, deprecated: bool) -> Response:
    validation.empty_body(validation.read_object(call.body))
    with _living_agent(call) as agent:
        body = agent_keys.set_deprecated(
            call.store, call.actor, agent, call.path["key_id"], deprecated=deprecated
        )
        return json_answer(body)


def _revoke(call: Call) -> Response:
    force = validation.force(call.query)
    with _living_agent(call) as agent:
        body = agent_keys.revoke_key(call.store, call.actor, agent, call.path["key_id"], force=force)
        return json_answer(body)


def _living_agent(call: Call) -> AbstractContextManager[sqlite3.Row]:
    return agents.living_agent(call.store, call.actor, call.path["agent_id"])
