"""How a change of scopes takes effect: what is added at once, what is taken away after a grace period."""

from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.sandbox.answers import Refusal
from reconciler.sandbox.validation import Scopes


@dataclass(frozen=True, slots=True)
class Enforced:
    """What an agent may use now, and what it may use from `applies_at` on (unix seconds)."""

    scopes: Scopes
    pending: Scopes | None = None
    applies_at: float | None = None


def enforce(current: Enforced, wanted: Scopes, *, grace_seconds: int, now: float, staged: bool) -> Enforced:
    """Returns `current` itself when nothing changes. `staged` False is an older server: it cannot narrow."""
    if current.pending is not None and same(wanted, current.pending) and grace_seconds > 0:
        return current
    if same(wanted, current.scopes):
        return current if current.pending is None else Enforced(current.scopes)
    if covers(wanted, current.scopes):
        return Enforced(wanted)
    if not staged:
        raise Refusal(
            409,
            "scope_narrowing_unsupported",
            message="This deployment cannot take scopes away from an agent.",
            hint="Upgrade the deployment, or revoke the agent and create it anew.",
        )
    if grace_seconds == 0:
        return Enforced(wanted)
    return Enforced(_union(current.scopes, wanted), pending=wanted, applies_at=round(now + grace_seconds, 6))


def same(left: Mapping[str, list[str]], right: Mapping[str, list[str]]) -> bool:
    """Scopes are sets: their order says nothing."""
    return {name: set(scopes) for name, scopes in left.items()} == {
        name: set(scopes) for name, scopes in right.items()
    }


def covers(wide: Mapping[str, list[str]], narrow: Mapping[str, list[str]]) -> bool:
    return all(set(scopes) <= set(wide.get(provider, ())) for provider, scopes in narrow.items())


def _union(left: Scopes, right: Scopes) -> Scopes:
    providers = dict.fromkeys([*left, *right])
    return {
        provider: list(dict.fromkeys([*left.get(provider, ()), *right.get(provider, ())]))
        for provider in providers
    }
