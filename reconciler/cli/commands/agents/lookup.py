"""Finds the agent and the key that a command line means."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from reconciler.cli.wiring import Session
from reconciler.errors import ApiError, NotFound
from reconciler.model.agent import AgentId, AgentName
from reconciler.model.nearest import did_you_mean

if TYPE_CHECKING:
    from reconciler.model.agent import LiveAgent
    from reconciler.model.key import AgentKey

_ID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def is_id(reference: str) -> bool:
    """Whether it looks like the ids that Alter gives."""
    return _ID.fullmatch(reference) is not None


def find_agent(session: Session, reference: str) -> LiveAgent:
    """The agent of that id, also a revoked one, else the non-revoked one of that name."""
    ways = (_by_id, _by_name) if is_id(reference) else (_by_name, _by_id)
    for way in ways:
        if live := way(session, reference):
            return live
    names: Sequence[str] = ()
    with suppress(ApiError):
        names = [agent.name for agent in session.api.list_agents()]
    raise NotFound(
        f"there is no agent {reference}",
        status=404,
        code="agent_not_found",
        hint=did_you_mean(reference, names) or "`alter-sync agents list` shows all",
    )


def find_key(keys: Sequence[AgentKey], live: LiveAgent, key_id: str) -> AgentKey:
    """The key of that id among those of the agent."""
    found = next((key for key in keys if key.key_id == key_id), None)
    if found is None:
        near = did_you_mean(key_id, [key.key_id for key in keys])
        raise NotFound(
            f"agent {live.name} has no key {key_id}",
            status=404,
            code="key_not_found",
            hint=near or f"`alter-sync agents list-keys --agent {live.name}` shows all",
        )
    return found


def _by_id(session: Session, reference: str) -> LiveAgent | None:
    try:
        return session.api.get_agent(AgentId(reference))
    except NotFound:
        return None
    except ApiError as error:
        # What is no id of any agent may also be refused as malformed.
        if is_id(reference) or type(error) is not ApiError:
            raise
        return None


def _by_name(session: Session, reference: str) -> LiveAgent | None:
    return session.api.find_agent(AgentName(reference))
