"""Derives what agents may do and the life of their keys from what was read of them. It decides nothing."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.model.access import AgentAccess, KeyLine
from reconciler.model.agent import AgentName, LiveAgent
from reconciler.model.key import AgentKey
from reconciler.model.scopes import Scopes
from reconciler.model.secret import concealed
from reconciler.planning.facts import Facts
from reconciler.planning.key_facts import due_date
from reconciler.planning.ownership import our_mark
from reconciler.planning.rotation import KeyStep, rotation_of


def concerned(facts: Facts) -> tuple[AgentName, ...]:
    """The live agents that the configuration declares or owns, sorted."""
    return tuple(
        sorted(
            name
            for name, live in facts.live.items()
            if name in facts.desired.agents or our_mark(facts.desired, live)
        )
    )


def access_of(facts: Facts, names: Iterable[AgentName]) -> tuple[AgentAccess, ...]:
    """These live agents, in the order given."""
    return tuple(_agent(facts, facts.live[name]) for name in names)


def _agent(facts: Facts, live: LiveAgent) -> AgentAccess:
    known = facts.key_facts(live.name)
    rotation = rotation_of(known) if known else None
    steps = {step.key.key_id: step for step in rotation.steps} if rotation else {}
    mark = our_mark(facts.desired, live)
    delivered = mark.delivered if mark else None
    keys = facts.keys.get(live.id)
    return AgentAccess(
        agent=AgentName(concealed(live.name)),
        type=live.type,
        status=live.status,
        scopes=Scopes.of(concealed(live.target_scopes.as_json())),
        last_used_at=live.last_used_at,
        stage=rotation.stage if rotation else "",
        reason=rotation.reason if rotation else "",
        until=rotation.until if rotation else None,
        due_at=due_date(known) if known else None,
        sinks=delivered.sinks if delivered else (),
        keys=None
        if keys is None
        else tuple(
            _line(key, steps.get(key.key_id), is_delivered=bool(delivered and delivered.key_id == key.key_id))
            for key in sorted(keys, key=lambda key: (key.created_at, key.key_id))
        ),
    )


def _line(key: AgentKey, step: KeyStep | None, *, is_delivered: bool) -> KeyLine:
    return KeyLine(
        key_id=key.key_id,
        prefix=concealed(key.key_prefix),
        minted_at=key.created_at,
        deprecated_at=key.deprecated_at,
        revoked_at=key.revoked_at,
        last_used_at=key.last_used_at,
        tells_use=key.tells_use,
        is_delivered=is_delivered,
        next=step.action if step else "",
        reason=step.reason if step else "",
        until=step.until if step else None,
    )
