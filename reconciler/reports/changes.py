"""One change as it is read: scopes as sets, values as compact JSON, a new key as the place it goes to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.model.plan import Cause, Change, Effect, OperationKind
from reconciler.model.values import Json
from reconciler.planning.fingerprint import canonical

# What the cause of a change is called. The configuration is what a reader expects, so it stays unsaid.
_CAUSES: Mapping[Cause, str] = {
    "config": "",
    "new": "",
    "outside": "changed outside",
    "both": "changed on both sides",
}
_MINT_PREFIX = "mint and deliver to "
_MINTING: frozenset[OperationKind] = frozenset({"create_agent", "mint_key"})


@dataclass(frozen=True, slots=True)
class ScopesChange:
    """Scopes of one provider, as sets. Neither gained nor lost: an empty set is written down."""

    path: str
    effect: Effect
    cause: str
    gained: tuple[str, ...]
    lost: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ValueChange:
    """A field. Values are compact JSON; ``None`` is no value at all."""

    path: str
    effect: Effect
    cause: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that will be minted: never its value, only ``where`` it goes."""

    path: str
    effect: Effect
    cause: str
    where: str


ChangeView = ScopesChange | ValueChange | NewKey


def change_view(change: Change, kind: OperationKind) -> ChangeView:
    """How a change of an operation of this kind is read."""
    cause = _CAUSES[change.cause]
    if change.path == "key" and kind in _MINTING:
        where = str(change.after or "").removeprefix(_MINT_PREFIX)
        return NewKey(change.path, change.effect, cause, where)
    if change.path.partition(".")[0] == "scopes":
        before, after = _scopes(change.before), _scopes(change.after)
        if before is not None and after is not None:
            gained, lost = tuple(sorted(after - before)), tuple(sorted(before - after))
            return ScopesChange(change.path, change.effect, cause, gained, lost)
    return ValueChange(change.path, change.effect, cause, _compact(change.before), _compact(change.after))


def gains_of(change: ChangeView) -> tuple[str, ...]:
    """What a change lets an agent do that it may not do now: ``provider:scope``, or a field and its value."""
    return _scopes_or_value(change, "widening")


def losses_of(change: ChangeView) -> tuple[str, ...]:
    """What a change takes from an agent, in the same words."""
    return _scopes_or_value(change, "narrowing")


def _scopes_or_value(change: ChangeView, effect: Effect) -> tuple[str, ...]:
    match change:
        case ScopesChange(path=path):
            names = change.gained if effect == "widening" else change.lost
            # A whole map's scopes carry their provider already.
            provider = "" if path == "scopes" else f"{path.removeprefix('scopes.')}:"
            return tuple(f"{provider}{name}" for name in names)
        case ValueChange(path=path, after=after) if change.effect == effect:
            return (f"{path} → {after or 'no value'}",)
        case _:
            return ()


def _scopes(value: Json) -> frozenset[str] | None:
    """One provider's list, or a whole map as ``provider:scope``; ``None`` when it is neither."""
    if value is None:
        return frozenset()
    if isinstance(value, Mapping) and all(isinstance(names, list | tuple) for names in value.values()):
        return frozenset(f"{provider}:{name}" for provider, names in value.items() for name in names)
    return frozenset(map(str, value)) if isinstance(value, list | tuple) else None


def _compact(value: Json) -> str | None:
    return None if value is None else canonical(value)
