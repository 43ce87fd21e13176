"""What an agent may do: provider → set of scopes, compared as sets and written in one order."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Self

# Alter refuses an allowlist whose compact JSON is larger (alter-sdk 0.29, agents.py).
MAX_SCOPES_BYTES = 12_288
# These two are not providers of the catalogue: they hold names of managed secrets.
SLUGS_PROVIDER = "managed_secret_slugs"
LEGACY_PROVIDER = "managed_secrets"


@dataclass(frozen=True, slots=True)
class Scopes:
    """An allowlist. Order and repetition never matter; a provider without a scope is no provider."""

    by_provider: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @classmethod
    def of(cls, scopes: Mapping[str, Iterable[str]]) -> Self:
        """From provider → scopes, in any order."""
        cleaned = {provider: tuple(sorted(set(names))) for provider, names in scopes.items()}
        return cls(tuple(sorted((provider, names) for provider, names in cleaned.items() if names)))

    @classmethod
    def of_pairs(cls, pairs: Iterable[tuple[str, str]]) -> Self:
        """From ``(provider, scope)`` pairs."""
        found: dict[str, set[str]] = {}
        for provider, name in pairs:
            found.setdefault(provider, set()).add(name)
        return cls.of(found)

    def pairs(self) -> frozenset[tuple[str, str]]:
        """Every ``(provider, scope)``."""
        return frozenset((provider, name) for provider, names in self.by_provider for name in names)

    def of_provider(self, provider: str) -> tuple[str, ...]:
        """The scopes of one provider, sorted; empty when it has none."""
        return dict(self.by_provider).get(provider, ())

    def providers(self) -> tuple[str, ...]:
        """The providers, sorted."""
        return tuple(provider for provider, _ in self.by_provider)

    def as_json(self) -> dict[str, list[str]]:
        """The form that the API takes."""
        return {provider: list(names) for provider, names in self.by_provider}

    def size_bytes(self) -> int:
        """Length of the compact JSON in UTF-8, the number that Alter limits."""
        return len(json.dumps(self.as_json(), ensure_ascii=False, separators=(",", ":")).encode())

    def __len__(self) -> int:
        return sum(len(names) for _, names in self.by_provider)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(sorted(self.pairs()))
