"""Agents, keys, events and actors: tables that line up, cards, documents, notices that say what follows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from reconciler.model.activity import AuditEvent, RegistryEntry
from reconciler.model.agent import AgentId, AgentName, LiveAgent
from reconciler.model.key import AgentKey, KeyId, MintedKey
from reconciler.model.mark import MARK_KEY, Claim, Delivered, Mark, RunId
from reconciler.model.scopes import Scopes
from reconciler.model.secret import Secret
from reconciler.reports import agents_table as table
from reconciler.reports.agents_documents import (
    NO_AGENT,
    HandedOver,
    Slice,
    agent_document,
    agents_document,
    created_document,
    entry_document,
    events_document,
    key_document,
    keys_document,
    minted_document,
    registry_document,
)
from reconciler.reports.agents_notices import ByHand, owned_notice
from reconciler.reports.columns import display_width
from reconciler.reports.json_document import dump
from reconciler.reports.styles import Style
from tests.unit.reports.golden import assert_golden
from tests.unit.reports.samples import HOSTILE as HOSTILE_TEXTS
from tests.unit.reports.samples import NOW

PLAIN = Style.plain()
HOSTILE = " ".join(HOSTILE_TEXTS[:5])
HELD = Mark("payments/agents", "payments-prod", delivered=Delivered(KeyId("key-1"), NOW, ("vault", "local")))


def marked(mark: Mark | None) -> LiveAgent:
    metadata = {"team": "pay", **({MARK_KEY: mark.as_json()} if mark else {})}
    return replace(AGENT, metadata=metadata)


AGENT = LiveAgent(
    AgentId("0b1c"),
    AgentName("nightly-sync"),
    "service",
    "active",
    4,
    NOW - timedelta(days=9),
    scopes=Scopes.of({"google": ["gmail.send", "gmail.readonly"], "slack": ["chat:write"]}),
    display_name="Nightly Sync 東京",
    scopes_pending=Scopes.of({"google": ["gmail.readonly"]}),
    scopes_applies_at=NOW + timedelta(days=1),
    policy={"requires_approval": {"approvers_count": 2}},
    last_used_at=NOW,
)
AGENTS = (
    marked(HELD),
    replace(NO_AGENT, id=AgentId("0b1d"), name=AgentName("clicked"), status="inactive"),
    replace(NO_AGENT, id=AgentId("0b1e"), name=AgentName("gone"), status="revoked", display_name=HOSTILE),
)
KEY = AgentKey(KeyId("key-1"), "alter_ak_zc27qz", "nightly-sync-1", NOW - timedelta(days=2), last_used_at=NOW)
KEYS = (
    replace(KEY, key_id=KeyId("key-0"), deprecated_at=NOW, revoked_at=NOW, last_used_at=None),
    KEY,
    replace(KEY, key_id=KeyId("key-2"), name=HOSTILE, deprecated_at=NOW, last_used_at=None, tells_use=False),
)
EVENTS = (
    AuditEvent(NOW, "update_agent", "agent.update", "ana@example.com", fields=("display_name", "metadata")),
    AuditEvent(NOW, "mint_key", "key.mint", "alter-sync/agents", KeyId("key-1")),
    AuditEvent(NOW, "other", "", HOSTILE),
)
ACTORS = (
    RegistryEntry("0b1c", "nightly-sync", "service", NOW, 12),
    RegistryEntry("7f3a"),
    RegistryEntry("9d1e", HOSTILE, "agent", NOW, 0),
)
MINTED = MintedKey(KeyId("key-3"), "alter_ak_zc27qz", Secret("alter_ak_" + "a" * 22 + "_bbbbbb"))
PLACE = HandedOver("vault", "secret/agents/nightly-sync#api_key")

TEXTS: dict[str, Callable[[], str]] = {
    "agents": lambda: table.agents_text(Slice(AGENTS, 3, 0, True, 7), style=PLAIN, width=None),
    "agent": lambda: table.agent_text(AGENTS[0], style=PLAIN),
    "created": lambda: table.created_text(NO_AGENT, MINTED, delivered_to=PLACE, style=PLAIN),
    "minted": lambda: table.minted_text(AGENT, MINTED, delivered_to=None, style=PLAIN),
    "keys": lambda: table.keys_text(AGENTS[0], KEYS, style=PLAIN, width=None),
    "key": lambda: table.key_text(AGENT, KEYS[0], style=PLAIN),
    "events": lambda: table.events_text(Slice(EVENTS, 3, 3, True), style=PLAIN, width=None),
    "registry": lambda: table.registry_text(Slice(ACTORS, 50, 0, False), style=PLAIN, width=None),
    "actor": lambda: table.entry_text(ACTORS[1], style=PLAIN),
}
DOCUMENTS: dict[str, Callable[[], dict[str, object]]] = {
    "agents": lambda: agents_document(Slice(AGENTS, 3, 0, True, 7)),
    "agent": lambda: agent_document(AGENTS[0]),
    "created": lambda: created_document(NO_AGENT, MINTED, delivered_to=PLACE),
    "minted": lambda: minted_document(AGENT, MINTED, delivered_to=None),
    "keys": lambda: keys_document(AGENTS[0], KEYS),
    "key": lambda: key_document(AGENT, KEYS[0]),
    "events": lambda: events_document(AGENT.id, Slice(EVENTS, 3, 3, True)),
    "registry": lambda: registry_document(Slice(ACTORS, 50, 0, False)),
    "actor": lambda: entry_document(ACTORS[1]),
}


def test_they_look_as_agreed() -> None:
    assert_golden("agents", "\n\n".join(f"## {name}\n{make()}" for name, make in TEXTS.items()))


@pytest.mark.parametrize("name", TEXTS)
def test_no_text_shows_a_plaintext_or_moves_the_cursor(name: str) -> None:
    text = TEXTS[name]()
    document = dump(DOCUMENTS[name](), "json")
    assert MINTED.plaintext is not None
    for shown in (text, document):
        assert MINTED.plaintext.reveal() not in shown
        assert all(character.isprintable() or character == "\n" for character in shown)


@pytest.mark.parametrize("name", ["agents", "keys", "events", "registry"])
def test_a_document_of_many_has_rows(name: str) -> None:
    lines = dump(DOCUMENTS[name](), "jsonl").splitlines()
    assert len(lines) == 3
    assert all(line.startswith("{") for line in lines)


def test_a_narrow_terminal_shortens_what_is_read_and_nothing_that_is_copied() -> None:
    text = table.agents_text(Slice(AGENTS[:2], 2, 0, False, 2), style=PLAIN, width=100)
    lines = text.splitlines()
    assert all(display_width(line) <= 100 for line in lines)
    assert lines[1].startswith("nightly-sync  ")
    assert lines[1].endswith("  0b1c")
    assert "  Nightly Sy…  " in lines[1]


def test_colours_tell_a_state_and_change_no_width() -> None:
    plain = table.agents_text(Slice(AGENTS, 3, 0, False, 3), style=PLAIN, width=None)
    painted = table.agents_text(Slice(AGENTS, 3, 0, False, 3), style=Style.ansi(), width=None)
    assert "\x1b[32mactive" in painted
    assert "\x1b[33minactive" in painted
    assert "\x1b[31mrevoked" in painted
    without = painted
    for code in ("1", "2", "31", "32", "33", "0"):
        without = without.replace(f"\x1b[{code}m", "")
    assert without == plain


def test_what_is_not_known_is_a_dash() -> None:
    pending = replace(AGENT, scopes_applies_at=None)
    assert "(from a time that is not told on)" in table.agent_text(pending, style=PLAIN)
    assert table.keys_text(AGENT, (), style=PLAIN, width=None).endswith("\n0 keys, 0 live")
    assert key_document(AGENT, KEY)["delivered_to"] == []


def test_nobody_s_agent_needs_no_notice() -> None:
    assert owned_notice(AGENT, "revoke") == ""


CLAIMED = replace(HELD, claim=Claim(RunId("run"), NOW))
RETIRING = replace(HELD, retiring=(KeyId("key-0"),))
EMPTY = Mark("payments/agents", "payments-prod")


@pytest.mark.parametrize(
    ("change", "mark", "key_id", "said"),
    [
        (
            "update",
            HELD,
            None,
            "the next apply puts back what its configuration declares, and leaves the rest",
        ),
        (
            "revoke",
            HELD,
            None,
            "the next apply creates it again, with a new id and a new key, if it is still",
        ),
        (
            "mint-key",
            HELD,
            None,
            "outside: apply, when it next looks at these keys, deprecates it, and revokes",
        ),
        ("mint-key", RETIRING, None, "minted outside: the next apply deprecates it"),
        ("mint-key", CLAIMED, None, "what finishes that revokes a new key that is not used by then"),
        ("mint-key", EMPTY, None, "apply leaves its keys alone until its configuration names a sink"),
        ("revoke-key", EMPTY, "key-1", "apply leaves its keys alone"),
        (
            "revoke-key",
            HELD,
            "key-1",
            "its sinks (vault, local) hold this key, and apply, when it next looks",
        ),
        ("revoke-key", HELD, "key-1", "`alter-sync rotate nightly-sync` does it now"),
        ("revoke-key", CLAIMED, "key-1", "and the next apply mints a new one"),
        ("revoke-key", HELD, "key-0", "key key-1, which its sinks hold, is not touched"),
        ("deprecate-key", RETIRING, "key-1", "so the next apply takes the mark off again"),
        ("deprecate-key", RETIRING, "key-0", "the next apply goes on from there, and revokes the key once"),
        ("undeprecate-key", RETIRING, "key-1", "so apply leaves it as it is now"),
        ("undeprecate-key", RETIRING, "key-0", "the next apply deprecates the key again"),
    ],
)
def test_a_notice_says_whose_the_agent_is_and_what_apply_makes_of_it(
    change: ByHand, mark: Mark, key_id: str | None, said: str
) -> None:
    notice = owned_notice(marked(mark), change, key_id=None if key_id is None else KeyId(key_id))
    assert notice.startswith("nightly-sync is managed by alter-sync (owner payments/agents): ")
    assert said in notice


def test_a_notice_cannot_move_the_cursor() -> None:
    assert owned_notice(marked(replace(EMPTY, owner=HOSTILE)), "update").isprintable()
