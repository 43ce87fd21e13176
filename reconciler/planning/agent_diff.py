"""How one declared agent differs from the live one, field by field, and who moved.

Compared are only declared fields. Scopes are sets; a staged narrowing counts as already done; metadata is
compared key by key, and a key that neither the configuration nor the mark knows belongs to somebody else.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from reconciler.model.agent import AgentStatus, LiveAgent
from reconciler.model.desired import DesiredAgent
from reconciler.model.mark import Mark
from reconciler.model.plan import Cause, Change, Effect
from reconciler.model.values import Json, JsonObject, without_nulls
from reconciler.planning.fingerprint import canonical, fingerprint, same


@dataclass(frozen=True, slots=True)
class AgentDiff:
    """Differences in the groups that become operations. ``status`` is the status to set, if any."""

    update: tuple[Change, ...] = ()
    scopes: tuple[Change, ...] = ()
    status: Change | None = None
    type: Change | None = None

    def __bool__(self) -> bool:
        return bool(self.update or self.scopes or self.status or self.type)


def diff_agent(desired: DesiredAgent, live: LiveAgent, mark: Mark | None) -> AgentDiff:
    """What has to change on ``live`` so that it is as ``desired``; ``mark`` is ours or ``None``."""
    update = (
        *_display_name(desired, live, mark),
        *_metadata(desired, live, mark),
        *_policy(desired, live, mark),
        *_protect(desired, mark),
    )
    return AgentDiff(
        update=update,
        scopes=() if "scopes" in desired.ignore else tuple(_scopes(desired, live, mark)),
        status=_status(desired, live, mark),
        type=_type(desired, live),
    )


def removed_metadata(desired: DesiredAgent, live: LiveAgent, mark: Mark | None) -> tuple[str, ...]:
    """Metadata keys that we applied earlier and that are declared no more."""
    applied = mark.spec if mark else {}
    return tuple(
        key
        for key in sorted(live.own_metadata)
        if f"metadata.{key}" in applied and key not in desired.metadata and not ignores_key(desired, key)
    )


def ignores_key(desired: DesiredAgent, key: str) -> bool:
    """Whether the dashboard owns this metadata key."""
    return "metadata" in desired.ignore or f"metadata.{key}" in desired.ignore


def policy_in_sync(desired: JsonObject, live: JsonObject, applied: str | None) -> bool:
    """Whether a live policy is what we declared, through the server's redactions and defaults.

    ``applied`` is the mark's fingerprint. It is ``<declared>:<answered>`` when the server's answer to exactly
    this declared policy had more in it than was sent, so those additions are the server's defaults.
    """
    if same(desired, live) or applied == policy_fingerprint(desired, live):
        return True
    if applied is not None and applied.partition(":")[0] != fingerprint(desired):
        return False
    return same(desired, _without_server_parts(desired, live))


def policy_fingerprint(declared: JsonObject, answered: JsonObject) -> str:
    """What the mark remembers of a policy whose answer differs from what was sent."""
    return f"{fingerprint(declared)}:{fingerprint(answered)}"


def _display_name(desired: DesiredAgent, live: LiveAgent, mark: Mark | None) -> Iterator[Change]:
    wanted = desired.display_name
    if wanted is None or "display_name" in desired.ignore or wanted == live.display_name:
        return
    cause = _cause(mark, "display_name", live.display_name, wanted)
    yield Change("display_name", live.display_name, wanted, cause=cause)


def _metadata(desired: DesiredAgent, live: LiveAgent, mark: Mark | None) -> Iterator[Change]:
    have = live.own_metadata
    for key in sorted(desired.metadata):
        wanted, current = desired.metadata[key], have.get(key)
        if ignores_key(desired, key) or same(without_nulls(wanted), without_nulls(current)):
            continue
        path = f"metadata.{key}"
        yield from _nested(path, current, wanted, _cause(mark, path, current, wanted, absent_is_known=True))
    for key in removed_metadata(desired, live, mark):
        path = f"metadata.{key}"
        yield Change(path, have[key], None, cause=_cause(mark, path, have[key], None, absent_is_known=True))


def _policy(desired: DesiredAgent, live: LiveAgent, mark: Mark | None) -> Iterator[Change]:
    if desired.policy is None or "policy" in desired.ignore:
        return
    applied = mark.spec.get("policy") if mark else None
    if policy_in_sync(desired.policy, live.policy, applied):
        return
    cause: Cause = "new" if mark is None else "config"
    if applied is not None and applied.partition(":")[0] == fingerprint(desired.policy):
        cause = "outside"
    yield from _nested("policy", live.policy, desired.policy, cause)


def _protect(desired: DesiredAgent, mark: Mark | None) -> Iterator[Change]:
    # Not declared is not "unprotect": only an explicit `false` takes the protection off the live mark.
    current = bool(mark and mark.protect)
    if desired.protect is not None and desired.protect != current:
        yield Change("protect", current, desired.protect, cause="config" if mark else "new")


def _scopes(desired: DesiredAgent, live: LiveAgent, mark: Mark | None) -> Iterator[Change]:
    current = live.target_scopes
    for provider in sorted({*current.providers(), *desired.scopes.providers()}):
        have, wanted = current.of_provider(provider), desired.scopes.of_provider(provider)
        if have == wanted:
            continue
        path = f"scopes.{provider}"
        effect: Effect = "widening" if set(wanted) - set(have) else "narrowing"
        cause = _cause(mark, path, list(have) or None, list(wanted) or None, absent_is_known=True)
        yield Change(path, list(have) or None, list(wanted) or None, effect, cause)


def _status(desired: DesiredAgent, live: LiveAgent, mark: Mark | None) -> Change | None:
    wanted: AgentStatus = desired.status
    if "status" in desired.ignore or wanted == live.status:
        return None
    effect: Effect = "widening" if wanted == "active" else "narrowing"
    return Change("status", live.status, wanted, effect, _cause(mark, "status", live.status, wanted))


def _type(desired: DesiredAgent, live: LiveAgent) -> Change | None:
    if desired.type is None or "type" in desired.ignore or desired.type == live.type:
        return None
    return Change("type", live.type, desired.type)


def _cause(
    mark: Mark | None, path: str, current: Json, wanted: Json, *, absent_is_known: bool = False
) -> Cause:
    """Who moved, by the value applied last.

    ``absent_is_known``: for scopes and metadata a path without a fingerprint was applied as absent. Other
    fields without one were not declared then, so declaring them now is the configuration's doing.
    """
    if mark is None:
        return "new"
    applied = mark.spec.get(path)
    if applied is None and not absent_is_known:
        return "config"
    moved_outside = current is not None if applied is None else fingerprint(current) != applied
    moved_in_config = wanted is not None if applied is None else fingerprint(wanted) != applied
    if moved_outside and moved_in_config:
        return "both"
    return "outside" if moved_outside else "config"


def _nested(path: str, before: Json, after: Json, cause: Cause) -> Iterator[Change]:
    """The single places in which two JSON values differ; the values themselves when they have no parts."""
    if not (isinstance(before, Mapping) and isinstance(after, Mapping) and before and after):
        yield Change(path, before, after, cause=cause)
        return
    # 150 ms to import and slow to run, so only for values that are known to differ.
    from deepdiff import DeepDiff

    # By default it would keep quiet about keys that begin with two underscores.
    tree = DeepDiff(
        _leaves_as_text(before), _leaves_as_text(after), view="tree", ignore_private_variables=False
    )
    places = [place for kind in tree.values() for place in kind]
    found = {_dotted(path, place.path(output_format="list")): (place.t1, place.t2) for place in places}
    if not found or len(found) < len(places):  # two places read the same, as with dots in keys
        yield Change(path, before, after, cause=cause)
        return
    for where in sorted(found):
        old, new = (None if _is_missing(value) else _leaves_as_values(value) for value in found[where])
        yield Change(where, old, new, cause=cause)


def _dotted(path: str, steps: list[str | int]) -> str:
    return path + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)


def _leaves_as_text(value: Json) -> Json:
    """The value with canonical texts as leaves: deepdiff takes ``1`` and ``True`` in a list for equal."""
    if isinstance(value, Mapping):
        return {str(key): _leaves_as_text(item) for key, item in value.items()}
    return [_leaves_as_text(item) for item in value] if isinstance(value, list | tuple) else canonical(value)


def _leaves_as_values(value: Json) -> Json:
    if isinstance(value, dict):
        return {key: _leaves_as_values(item) for key, item in value.items()}
    return [_leaves_as_values(item) for item in value] if isinstance(value, list) else json.loads(value)


def _is_missing(value: object) -> bool:
    return type(value).__name__ == "NotPresent"


def _without_server_parts(declared: JsonObject, live: JsonObject) -> JsonObject:
    """The live policy as if the server had neither redacted lists nor filled in empty defaults.

    Alter answers a list of approvers as its length, ``approvers_count`` (alter-sdk 0.29, ``AgentInfo``).
    """
    result: dict[str, Json] = {}
    for key, value in live.items():
        listed = declared.get(key.removesuffix("_count")) if key not in declared else None
        if isinstance(listed, list | tuple) and value == len(listed):
            result[key.removesuffix("_count")] = listed
        elif isinstance(value, Mapping) and isinstance(declared.get(key), Mapping):
            result[key] = _without_server_parts(declared[key], value)
        elif key in declared or not _is_empty(value):
            result[key] = value
    return result | {key: value for key, value in declared.items() if key not in live and _is_empty(value)}


def _is_empty(value: Json) -> bool:
    if isinstance(value, Mapping):
        return all(_is_empty(item) for item in value.values())
    return value is None or value is False or value == "" or value in ([], ())
