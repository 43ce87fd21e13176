"""A fleet of every kind of agent, made with the official client, and a look at it field by field."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from alter_sdk import App

from reconciler.sandbox import SandboxServer
from reconciler.sandbox.agents import store_legacy_secrets

SIZE = 200
WIDE = {"google": ["gmail.readonly", "gmail.send", "calendar"], "slack": ["chat:write"]}
NARROW = {"google": ["gmail.readonly"]}
APPROVALS = {"requires_approval": {"approvers": ["a@example.com", "b@example.com"]}, "max_calls": 5}

_SCOPES: tuple[dict[str, list[str]], ...] = (
    {},
    NARROW,
    WIDE,
    {"managed_secret_slugs": ["stripe-production", "null", "1.10"]},
    {"github": ["repo", "read:org", "admin:org", "workflow"], "notion": ["content:read"]},
    {"google": [f"scope.number-{number:02}" for number in range(40)]},
)
_METADATA: tuple[dict[str, Any], ...] = (
    {},
    {"team": "payments"},
    {"yes": "yes", "no": "no", "null": "null", "true": True, "false": "false", "~": None, "": "empty key"},
    {
        "cost_center": "4711",
        "octal": "0o17",
        "old_octal": "0123",
        "hex": "0x1F",
        "version": "1.10",
        "exp": "1e+16",
    },
    {"day": "2026-11-01", "moment": "2026-11-01T00:00:00Z", "clock": "12:30:45", "<<": "merge", "=": "value"},
    {
        "int": 1,
        "negative": -7,
        "zero": 0,
        "big": 2**63 - 1,
        "float": 1.5,
        "whole": 1.0,
        "tiny": 5e-324,
        "huge": 1e300,
    },
    {
        "nested": {
            "list": [1, "1", True, None, {"a": [], "b": {}}],
            "null": None,
            "deep": {"er": {"still": ["x"]}},
        }
    },
    {"text": "two\nlines\n", "edge": " spaces ", "tab": "a\tb", "return": "a\r\nb", "trailing": "x \n y"},
    {"unicode": "Zürich 日本 😀 e\u0301 \u00a0", "ключ": "значение", "emoji 😀": "x"},
    {
        "{tenant}": "{agent} {tenant}",
        "a: b": "# no comment",
        "- a": "[a, b]",
        "*a": "&a",
        "'q'": '"q"',
        "k" * 150: 1,
    },
    {"long": "word " * 80, "list": [f"item number {number}" for number in range(40)]},
)
_POLICIES: tuple[dict[str, Any], ...] = (
    {},
    {},
    {
        "max_calls": 5,
        "window": {"seconds": 60, "days": ["mon", "no", "2026-11-01"]},
        "strict": False,
        "note": None,
    },
    APPROVALS,
)
_DISPLAY_NAMES = (
    None,
    "Nightly Sync",
    "no",
    "4711",
    "Größe: 日本 😀",
    'She said "hi": #1',
    "null",
    "{agent}",
)


def blocks() -> Iterator[dict[str, Any]]:
    """What the client is asked to create. The sizes of the lists have no common factor with each other."""
    odd_names = ("null", "true", "no", "1e5", "007", "0x1f", "a" * 100, "9")
    for number in range(SIZE):
        yield {
            "name": odd_names[number] if number < len(odd_names) else f"agent-{number:03}",
            "type": "service" if number % 3 == 0 else "agent",
            "display_name": _DISPLAY_NAMES[number % len(_DISPLAY_NAMES)],
            "scopes": _SCOPES[number % len(_SCOPES)],
            "metadata": _METADATA[number % len(_METADATA)],
            "policy": _POLICIES[number % 7 % len(_POLICIES)],
        }


def make_fleet(server: SandboxServer) -> None:
    """Creates the agents; some are suspended, some lose scopes after a grace period, some are revoked."""

    async def session() -> None:
        async with App(server.app_key()) as app:
            made = [await app.agents.create(**block) for block in blocks()]
            for number, agent in enumerate(made):
                if agent.scopes == WIDE and number % 4 == 0:
                    await app.agents.update(
                        str(agent.id), scopes=NARROW, expected_version=agent.version, grace_seconds=7200
                    )
                if number % 10 == 4:
                    await app.agents.suspend(str(agent.id))
            gone = await app.agents.create(name="gone", scopes=NARROW)
            await app.agents.delete(str(gone.id))
        store_legacy_secrets(server.store, str(made[-1].id), ["Stripe (old)", "no"])

    asyncio.run(session())


def fleet_as_it_is(server: SandboxServer) -> dict[str, dict[str, Any]]:
    """Every live agent and its keys, as the official client shows them, by name."""

    async def session() -> dict[str, dict[str, Any]]:
        async with App(server.app_key()) as app:
            page = await app.agents.list(limit=1000)
            found = {}
            for agent in page.agents:
                keys = await app.agents.list_keys(str(agent.id))
                found[agent.name] = agent.model_dump(mode="json") | {"keys": keys.model_dump(mode="json")}
            return found

    return asyncio.run(session())
