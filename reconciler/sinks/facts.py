"""What a sink remembers next to a key, which is everything but the key, and what it checks with that."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from reconciler.errors import SinkError
from reconciler.model.agent import AgentName
from reconciler.model.key import KeyId
from reconciler.model.secret import Secret
from reconciler.model.values import Json
from reconciler.ports import Delivery

FACTS_KEY = "alter-sync"

# One atomic write into a pipe (PIPE_BUF of Linux), far above the 38 characters of an Alter key.
_KEY_LIMIT_CHARS = 4096


# Alter allows less. What matters here: no separator and no leading dot, so a name stays one path component.
_AGENT_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True)
class Facts:
    """Whose key it is and which. There is no time in it, so that writing the same again changes nothing.

    ``key_id`` is ``None`` for a key that somebody else had put there in place of ours.
    """

    owner: str
    app: str
    agent: AgentName
    key_id: KeyId | None
    fingerprint: str

    @classmethod
    def of(cls, delivery: Delivery) -> Self:
        """The facts of a key on its way."""
        return cls(
            owner=delivery.owner,
            app=delivery.app,
            agent=delivery.agent,
            key_id=delivery.key_id,
            fingerprint=delivery.plaintext.fingerprint(),
        )

    @classmethod
    def from_json(cls, value: Json) -> Self | None:
        """Reads facts back; ``None`` when the value is not the object that ``as_json`` gives."""
        if not isinstance(value, Mapping):
            return None
        owner, app, agent = value.get("owner"), value.get("app"), value.get("agent")
        key_id, fingerprint = value.get("key_id"), value.get("fingerprint")
        if not (isinstance(owner, str) and isinstance(app, str) and isinstance(agent, str)):
            return None
        if not (isinstance(fingerprint, str) and isinstance(key_id, str | None)):
            return None
        return cls(
            owner=owner,
            app=app,
            agent=AgentName(agent),
            key_id=None if key_id is None else KeyId(key_id),
            fingerprint=fingerprint,
        )

    def as_json(self) -> dict[str, Any]:
        """The form that is stored."""
        return {
            "owner": self.owner,
            "app": self.app,
            "agent": self.agent,
            "key_id": self.key_id,
            "fingerprint": self.fingerprint,
        }

    def fit(self, key: Secret) -> bool:
        """Whether these are the facts of that key: after a crash or an edit by hand they are not."""
        return self.fingerprint == key.fingerprint()


def check_place_is_ours(
    facts: Facts, where: str, *, agent: AgentName, app: str, owners: tuple[str, ...]
) -> None:
    """Refuses a place that another owner, app or agent delivers to. ``owners``: ours and our former ones."""
    if facts.agent == agent and facts.app == app and facts.owner in owners:
        return
    # The facts come from a file that anybody may have edited, `!r` shows their control characters harmlessly.
    raise SinkError(
        f"{where} holds the key of agent {facts.agent!r} of app {facts.app!r}, owner {facts.owner!r}: "
        f"two configurations write one place (this one is agent {agent!r} of app {app!r}, "
        f"owner {owners[0]!r})",
        hint="give one of the two another place, or list the other owner under former_owners to take it over",
    )


def check_key(key: Secret, where: str) -> None:
    """Refuses what cannot be an API key, so that no sink has to escape, encode or cut anything."""
    if _is_one_word(key.reveal()):
        return
    raise SinkError(
        f"the new key for {where} is not one word of printable ASCII; it was not delivered",
        hint="an API key of Alter never looks like this: check what answers at base_url",
    )


def fill_in(template: str, agent: AgentName) -> str:
    """Puts the agent's name where ``{agent}`` stands. Refuses a name that is not one path component."""
    if not _AGENT_NAME.fullmatch(agent):
        raise SinkError(
            f"the agent name {agent!r} cannot be part of a path or an argument",
            hint="use letters, digits, '_', '-' and '.' only",
        )
    return template.replace("{agent}", agent)


def _is_one_word(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text and len(text) <= _KEY_LIMIT_CHARS
