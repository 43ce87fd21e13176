"""What becomes of a change that somebody makes by hand to an agent that a configuration owns."""

from __future__ import annotations

from typing import Literal, assert_never

from reconciler.model.agent import LiveAgent
from reconciler.model.key import KeyId
from reconciler.model.mark import Mark
from reconciler.model.secret import concealed
from reconciler.reports.escaping import MESSAGE_LIMIT, for_terminal

ByHand = Literal["update", "revoke", "mint-key", "revoke-key", "deprecate-key", "undeprecate-key"]


def owned_notice(agent: LiveAgent, change: ByHand, *, key_id: KeyId | None = None) -> str:
    """Whose the agent is, and what the next apply does about the change; empty when it is nobody's."""
    mark = agent.mark
    if mark is None:
        return ""
    what = _consequence(agent, mark, change, key_id)
    text = f"{agent.name} is managed by alter-sync (owner {mark.owner}): {what}"
    return for_terminal(concealed(text), limit=MESSAGE_LIMIT)


def _consequence(agent: LiveAgent, mark: Mark, change: ByHand, key_id: KeyId | None) -> str:
    match change:
        case "update":
            return "the next apply puts back what its configuration declares, and leaves the rest as it is"
        case "revoke":
            return "the next apply creates it again, with a new id and a new key, if it is still declared"
        case "mint-key":
            return _of_a_mint(mark)
        case "revoke-key" | "deprecate-key" | "undeprecate-key":
            return _of_a_key(agent, mark, change, key_id)
    assert_never(change)


def _of_a_mint(mark: Mark) -> str:
    if mark.claim is not None:
        return "a run has claimed its keys, and what finishes that revokes a new key that is not used by then"
    if mark.delivered is None:
        return _LEFT_ALONE
    return f"the key counts as minted outside: {_when(mark)} deprecates it, and revokes it once it is quiet"


def _of_a_key(
    agent: LiveAgent,
    mark: Mark,
    change: Literal["revoke-key", "deprecate-key", "undeprecate-key"],
    key_id: KeyId | None,
) -> str:
    if mark.delivered is None:
        return _LEFT_ALONE
    when = _when(mark)
    if mark.delivered.key_id != key_id:
        return {
            "revoke-key": f"key {mark.delivered.key_id}, which its sinks hold, is not touched",
            "deprecate-key": f"{when} goes on from there, and revokes the key once it is quiet",
            "undeprecate-key": f"{when} deprecates the key again, because its sinks hold another one",
        }[change]
    sinks = f"its sinks ({', '.join(mark.delivered.sinks)}) hold this key"
    return {
        "revoke-key": f"{sinks}, and {when} mints a new one; `alter-sync rotate {agent.name}` does it now",
        "deprecate-key": f"{sinks}, so {when} takes the mark off again",
        "undeprecate-key": f"{sinks}, so apply leaves it as it is now",
    }[change]


def _when(mark: Mark) -> str:
    """Which apply does something: a plan reads the keys of an agent only when its mark gives a reason to."""
    if mark.claim is not None or mark.retiring:
        return "the next apply"
    return "apply, when it next looks at these keys,"


_LEFT_ALONE = "no sink holds a key of it, so apply leaves its keys alone until its configuration names a sink"
