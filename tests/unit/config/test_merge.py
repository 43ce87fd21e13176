"""defaults < template < agent: maps merge, lists replace, null removes."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.model.desired import DesiredAgent
from tests.unit.config.documents import HEAD, desired, of_agents, only, place

MORE = """\
defaults:
  type: agent
  metadata: {team: payments, nested: {a: 1, b: [1, 2]}}
  scopes: {google: [calendar]}
  deliver_to: local
templates:
  t:
    type: service
    metadata: {nested: {b: [3], c: null}, tier: gold}
    scopes: {google: [drive], slack: [chat:write]}
"""


def merged(folder: Path, fields: str) -> DesiredAgent:
    return desired(folder, of_agents(f"x: {fields}", more=MORE)).agents.popitem()[1]  # type: ignore[attr-defined, no-any-return]


def test_an_agent_inherits_from_its_template_and_that_from_the_defaults(tmp_path: Path) -> None:
    agent = merged(tmp_path, "{template: t}")
    assert agent.type == "service"
    assert agent.metadata == {"team": "payments", "tier": "gold", "nested": {"a": 1, "b": [3]}}
    assert agent.scopes.as_json() == {"google": ["drive"], "slack": ["chat:write"]}
    assert agent.deliver_to == ("local",)


def test_an_agent_without_a_template_inherits_from_the_defaults_alone(tmp_path: Path) -> None:
    agent = merged(tmp_path, "{}")
    assert agent.type == "agent"
    assert agent.scopes.as_json() == {"google": ["calendar"]}


def test_the_agents_own_block_comes_last(tmp_path: Path) -> None:
    agent = merged(tmp_path, "{template: t, type: agent, scopes: {slack: [a]}, metadata: {nested: {a: 2}}}")
    assert agent.type == "agent"
    assert agent.scopes.as_json() == {"google": ["drive"], "slack": ["a"]}
    assert agent.metadata["nested"] == {"a": 2, "b": [3]}


def test_null_removes_what_is_inherited(tmp_path: Path) -> None:
    agent = merged(
        tmp_path,
        "{template: t, type: null, protect: null, scopes: {google: null}, "
        "metadata: {team: ~, nested: null, none: null}}",
    )
    assert agent.type is None
    assert agent.protect is None
    assert agent.scopes.as_json() == {"slack": ["chat:write"]}
    assert agent.metadata == {"tier": "gold"}


def test_an_empty_map_replaces_what_is_inherited(tmp_path: Path) -> None:
    agent = merged(tmp_path, "{template: t, scopes: {}, metadata: {nested: {}}}")
    assert len(agent.scopes) == 0
    assert agent.metadata["nested"] == {}


def test_nulls_inside_lists_are_values(tmp_path: Path) -> None:
    assert merged(tmp_path, "{metadata: {l: [null, {a: null}]}}").metadata["l"] == [None, {"a": None}]


def test_removing_every_provider_is_not_yet_the_wish_to_deny_all(tmp_path: Path) -> None:
    found = only(tmp_path, of_agents("x: {scopes: {google: null}}", more=MORE))
    assert found.rule == "scopes-missing"
    assert "deny all" in found.hint


def test_scopes_merge_by_provider_with_the_defaults_too(tmp_path: Path) -> None:
    agent = merged(tmp_path, "{scopes: {slack: [a]}}")
    assert agent.scopes.as_json() == {"google": ["calendar"], "slack": ["a"]}


@pytest.mark.parametrize("field", ["scopes", "deliver_to"])
def test_removing_a_field_that_is_needed_is_an_error(tmp_path: Path, field: str) -> None:
    found = only(tmp_path, of_agents(f"x: {{{field}: null}}", more=MORE))
    assert found.rule == f"{field.replace('_', '-')}-missing"
    assert place(found) == (16, 3)


def test_absent_fields_are_not_declared(tmp_path: Path) -> None:
    agent = next(iter(desired(tmp_path, of_agents("x: {scopes: {}, deliver_to: []}")).agents.values()))
    assert (agent.type, agent.display_name, agent.policy, agent.protect, agent.rotation) == (None,) * 5
    assert (agent.status, agent.metadata, agent.expires_at, agent.narrowing_grace) == (
        "active",
        {},
        None,
        None,
    )


def test_every_field_knows_where_it_stands(tmp_path: Path) -> None:
    agents = """
        x:
          template: t
          display_name: X
          metadata: {team: ~, own.key: 1}
          scopes: {google: [gmail.send]}
        """
    agent = desired(tmp_path, of_agents(agents, more=MORE)).agents.popitem()[1]  # type: ignore[attr-defined]
    lines = {path: (at.line, at.column) for path, at in agent.positions.items()}
    assert "template" not in lines
    assert lines["display_name"] == (19, 5)
    assert lines["metadata.own.key"] == (20, 25)
    assert lines["metadata.nested"] == (13, 16)
    assert "metadata.team" not in lines
    assert lines["scopes.google"] == (21, 14)
    assert lines["scopes.slack"] == (14, 31)
    assert lines["type"] == (12, 5)
    assert lines["deliver_to"] == (9, 3)
    assert (agent.position.line, agent.position.column) == (17, 3)


def test_places_of_what_was_replaced_are_forgotten(tmp_path: Path) -> None:
    agent = merged(tmp_path, "{template: t, scopes: {}, metadata: null}")
    assert not any(path.startswith(("scopes.", "metadata")) for path in agent.positions)


def test_an_unknown_template_names_the_nearest(tmp_path: Path) -> None:
    found = only(tmp_path, HEAD + "templates: {reader: {}}\nagents: {x: {template: raeder}}")
    assert (found.rule, place(found), found.hint) == ("unknown-template", (6, 24), 'Did you mean "reader"?')


def test_an_unknown_template_names_what_there_is(tmp_path: Path) -> None:
    found = only(tmp_path, HEAD + "templates: {reader: {}}\nagents: {x: {template: qqqq}}")
    assert found.hint == "There are: reader."
    assert "There are none" in only(tmp_path, HEAD + "agents: {x: {template: qqqq}}").hint


def test_templates_may_be_of_little_use(tmp_path: Path) -> None:
    text = HEAD + "templates: {empty: {}}\nagents: {x: {template: empty, scopes: {}, deliver_to: []}}"
    assert list(desired(tmp_path, text).agents) == ["x"]
