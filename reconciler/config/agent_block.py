"""Writes the block of one live agent so that it reads back as what is live, and says what it cannot write."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from textwrap import indent

from reconciler.config.dump import dump
from reconciler.config.findings import shown
from reconciler.config.loader import Loaded, load_text
from reconciler.config.source import MAX_DEPTH
from reconciler.model.agent import AgentName, LiveAgent
from reconciler.model.desired import DesiredAgent
from reconciler.model.mark import Mark
from reconciler.model.values import Json, JsonObject, without_nulls
from reconciler.planning.agent_diff import diff_agent, policy_in_sync
from reconciler.planning.fingerprint import same

# Nothing in a block ends at a time, so every time reads it the same.
_ANY_TIME = datetime(2000, 1, 1, tzinfo=UTC)
_HEAD = "version: 1\nowner: o\napp: {name: a}\ndefaults: {deliver_to: []}\nagents:\n"
# What Alter shows instead of the list that it stores (alter-sdk 0.29, ``AgentInfo``).
_REDACTED = "approvers_count"
_NOT_DECLARED = "which a file cannot express; what is not declared stays as it is"
_IGNORED = "which a file cannot express in full; it is left to the dashboard (ignore)"


@dataclass(frozen=True, slots=True)
class AgentBlock:
    """One agent's block, not indented. ``left_out`` says what of it cannot be written, and why.

    ``text`` is empty when nothing can be: then ``left_out`` is why.
    """

    text: str
    left_out: tuple[str, ...] = ()
    comments: tuple[str, ...] = ()


def agent_block(live: LiveAgent, *, mark: Mark | None) -> AgentBlock:
    """The block that declares a live agent as it is; ``mark`` is the owner's, if it carries one.

    Every block is read back the way a file is read, and compared with what is live. What does not come back
    the same is left out, and left alone by ``ignore`` where it would be taken away otherwise.
    """
    metadata = {
        key: _ordered(value) for key, value in sorted(live.own_metadata.items()) if _is_shallow(value)
    }
    policy, policy_note = _policy(live, mark)
    block = _block(live, mark, metadata=metadata, policy=policy)
    text = dump({live.name: block})
    left_out = [policy_note] if policy_note else []
    if len(metadata) < len(live.own_metadata) or not _is_exact(live, text, mark):
        if why := _fault(live.name):
            return AgentBlock("", (why,))
        block, more = _reduced(live, block, mark)
        text = dump({live.name: block})
        left_out += more
        if not _is_exact(live, text, mark):
            return AgentBlock("", ("what a file can express of it differs from what is live",))
    return AgentBlock(text, tuple(left_out), tuple(_comments(live, mark)))


def _is_shallow(value: Json, levels: int = MAX_DEPTH) -> bool:
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return levels > 0 and all(_is_shallow(item, levels - 1) for item in inner)


def _block(
    live: LiveAgent, mark: Mark | None, *, metadata: JsonObject, policy: JsonObject
) -> dict[str, Json]:
    """The fields in the order in which they are written."""
    fields: dict[str, Json] = {
        "display_name": live.display_name,
        "type": live.type,
        "status": None if live.status == "active" else live.status,
        # What is on its way out counts as gone.
        "scopes": live.target_scopes.as_json(),
        "metadata": metadata or None,
        "policy": policy or None,
        "protect": True if mark and mark.protect else None,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _policy(live: LiveAgent, mark: Mark | None) -> tuple[JsonObject, str]:
    """The policy as it can be declared, and a note when it cannot."""
    if not _is_shallow(live.policy):
        return {}, f"policy, {_NOT_DECLARED}"
    if _is_redacted(live.policy):
        return {}, "policy, because Alter does not show who may approve; what is not declared stays as it is"
    applied = mark.spec.get("policy") if mark else None
    whole = _ordered(without_nulls(live.policy))
    # An owned one may have been declared without what the server added to it.
    for candidate in (whole, _without_empty(whole)):
        if policy_in_sync(candidate, live.policy, applied):
            return candidate, ""
    return {}, "policy, because Alter stores more than was declared; it stays as it is"


def _is_redacted(value: Json) -> bool:
    if isinstance(value, Mapping):
        return _REDACTED in value or any(map(_is_redacted, value.values()))
    return isinstance(value, list) and any(map(_is_redacted, value))


def _without_empty(value: JsonObject) -> JsonObject:
    inner = {key: _without_empty(item) if isinstance(item, Mapping) else item for key, item in value.items()}
    return {key: item for key, item in inner.items() if item not in (None, False, "", [], {})}


def _is_exact(live: LiveAgent, text: str, mark: Mark | None) -> bool:
    read = _read_back(live.name, text)
    return read is not None and not diff_agent(read, live, mark)


def _read_back(name: AgentName, text: str) -> DesiredAgent | None:
    """The agent that a reader makes of a block; ``None`` when it is refused."""
    loaded = _load(text)
    return loaded.desired.agents.get(name) if loaded.desired else None


def _fault(name: AgentName) -> str:
    """Why no block of this name is accepted; empty when one is."""
    loaded = _load(dump({name: {"scopes": {}}}))
    return next((one.message for one in loaded.diagnostics if one.severity == "error"), "")


def _load(text: str) -> Loaded:
    # What has no bytes in UTF-8, half of a pair, could not be written to a file at all.
    written = indent(text, "  ").encode("utf-8", "replace").decode("utf-8")
    return load_text(_HEAD + written, file="export", now=_ANY_TIME)


def _reduced(
    live: LiveAgent, block: JsonObject, mark: Mark | None
) -> tuple[dict[str, Json], tuple[str, ...]]:
    """The block without the fields and metadata that do not come back, and what was left out."""
    result, left_out, ignore = dict(block), [], []
    if not _survives(live, "scopes", live.target_scopes):
        result["scopes"] = {}
        ignore.append("scopes")
        left_out.append(f"scopes, {_IGNORED}")
    for field in ("display_name", "policy"):
        if field in block and not _survives(live, field, block[field]):
            del result[field]
            left_out.append(f"{field}, {_NOT_DECLARED}")
    metadata = {
        key: value
        for key, value in result.pop("metadata", {}).items()
        if _survives(live, "metadata", {key: value})
    }
    lost = sorted(live.own_metadata.keys() - metadata.keys())
    left_out += [f"metadata {shown(key)}, {_NOT_DECLARED}" for key in lost]
    # What was applied once and is declared no more would be removed.
    remembered = [f"metadata.{key}" for key in lost if mark and f"metadata.{key}" in mark.spec]
    if remembered and not _read_back(live.name, dump({live.name: {"scopes": {}, "ignore": remembered}})):
        remembered, metadata = ["metadata"], {}
        left_out.append(f"metadata, {_IGNORED}")
    if metadata:
        result["metadata"] = metadata
    ignore += remembered
    return result | ({"ignore": ignore} if ignore else {}), tuple(left_out)


def _survives(live: LiveAgent, field: str, value: Json) -> bool:
    """Whether one field alone comes back as it is."""
    written = value.as_json() if field == "scopes" else value
    read = _read_back(live.name, dump({live.name: {"scopes": {}, field: written}}))
    return read is not None and same(without_nulls(getattr(read, field)), without_nulls(value))


def _ordered(value: Json) -> Json:
    """The same value with the keys of all mappings sorted."""
    if isinstance(value, Mapping):
        return {key: _ordered(value[key]) for key in sorted(value)}
    return [_ordered(item) for item in value] if isinstance(value, list) else value


def _comments(live: LiveAgent, mark: Mark | None) -> Iterator[str]:
    yield f"{_bare(live.id)}, created {live.created_at:%Y-%m-%d}"
    if mark and mark.delivered:
        sinks = ", ".join(map(_bare, mark.delivered.sinks))
        yield f"its key was delivered to {sinks}: declare the sinks again to go on rotating it"


def _bare(text: str) -> str:
    return shown(text)[1:-1]
