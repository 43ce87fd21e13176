"""Whatever agents are live: their export loads, its first plan is empty, and so is the one after adoption."""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.config.export import export_agents
from reconciler.config.findings import HIDDEN
from reconciler.config.loader import load
from reconciler.model.agent import AgentId, AgentName, LiveAgent
from reconciler.model.desired import AppRef, Desired
from reconciler.model.mark import MARK_KEY, Mark
from reconciler.model.scopes import Scopes
from reconciler.model.secret import KEY_SHAPE
from reconciler.model.values import without_nulls
from reconciler.planning.agent_diff import policy_fingerprint
from reconciler.planning.fingerprint import fingerprint, same
from reconciler.planning.planner import LiveState, PlanOptions, make_plan
from reconciler.planning.request import patch_request

OWNER, APP = "payments/agents", AppRef("payments-prod")
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
slow = settings(
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

TRICKY = st.sampled_from(
    [
        *("", "~", "null", "Null", "true", "True", "yes", "no", "on", "off", "y", "<<", "=", ".inf", ".nan"),
        *("0", "-0", "007", "0o17", "0x1F", "1_000", "1.10", "1e5", "1e+16", "1.", ".5", "+1", "12:30:45"),
        *("2026-11-01", "2026-11-01T00:00:00Z", "4711", "9223372036854775808", "-", "- a", "?", "? a", ":"),
        *(
            "a: b",
            "a:",
            ":a",
            "a #b",
            "#a",
            "{a}",
            "[a]",
            "{agent}",
            "*a",
            "&a",
            "!a",
            "!!str a",
            "|",
            ">",
            "%",
        ),
        *(
            "@a",
            "`a",
            "'a'",
            '"a"',
            "\\",
            "a\\nb",
            " a",
            "a ",
            "\t",
            "a\tb",
            "a\nb",
            "a\n",
            "\na",
            "a\n\n b \n",
        ),
        *(
            "a\r\nb",
            "\r",
            "\x00",
            "\x1b[31m",
            "\x85",
            "\u2028",
            "\u202e",
            "\ufeff",
            "\ufffe",
            "\xa0",
            "é",
            "日本",
        ),
        *("😀", "\U0001ffff", "\ud800", "e\u0301", "---", "--- a", "...", "a" * 300, "word " * 60, "x\x7f"),
        *("alter_ak_abcdefghijklmnopqrstuv_abcdef", "alter-sync", "metadata", "a.b", "[0]", "__a__"),
    ]
)
TEXTS = TRICKY | st.text(max_size=12)
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
LEAVES = (
    st.none() | st.booleans() | NUMBERS | TEXTS | st.sampled_from([2**63, -(2**63), 2**64, 1e300, 5e-324])
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=10,
)
BLOCKS = st.dictionaries(TEXTS, VALUES, max_size=4)
NAMES = st.text(string.ascii_lowercase + string.digits + "-_", min_size=1, max_size=6) | st.sampled_from(
    ["null", "true", "no", "1e5", "007", "_a", "-a", "A b", "é", "a" * 101, "a{b}", "", "x\ny", "_common"]
)
PLAIN_SCOPES = st.dictionaries(
    st.sampled_from(["google", "slack", "managed_secret_slugs", "managed_secrets", "null"]),
    st.lists(st.sampled_from(["chat:write", "read org", "no", "1.10", "#a", "x" * 90]), max_size=4),
    max_size=3,
)
SCOPES = PLAIN_SCOPES | st.dictionaries(TEXTS, st.lists(TEXTS, max_size=3), max_size=2)
POLICIES = st.one_of(
    st.just({}),
    BLOCKS,
    st.sampled_from(
        [
            {"requires_approval": {"approvers_count": 2}},
            {"a": [{"b": {"approvers_count": 0}}]},
            {"max_calls": 5, "window": {"seconds": 60, "note": None}, "tags": [], "strict": False},
        ]
    ),
)


@st.composite
def marks(draw: st.DrawFn, metadata: dict[str, Any], policy: dict[str, Any]) -> Mark | None:
    """No mark, one of this owner that remembers some of what is live, or one of somebody else."""
    owner = draw(st.sampled_from([None, OWNER, OWNER, "others"]))
    if owner is None:
        return None
    spec = {f"metadata.{key}": fingerprint(value) for key, value in metadata.items() if draw(st.booleans())}
    sent = {key: value for key, value in policy.items() if value not in (None, [], False, {})}
    applied = draw(
        st.sampled_from(
            [
                None,
                fingerprint(policy),
                fingerprint({"b": 1}),
                fingerprint(sent),
                policy_fingerprint(sent, policy),
            ]
        )
    )
    return Mark(
        owner, APP.name, spec | ({"policy": applied} if applied else {}), draw(st.sampled_from([None, True]))
    )


@st.composite
def live_agents(draw: st.DrawFn) -> LiveAgent:
    name, metadata, policy = draw(NAMES), draw(BLOCKS), draw(POLICIES)
    metadata.pop(MARK_KEY, None)
    mark = draw(marks(metadata, policy))
    scopes, pending = draw(SCOPES), draw(st.none() | SCOPES)
    return LiveAgent(
        id=AgentId(f"id-{name}"),
        name=AgentName(name),
        type=draw(st.sampled_from(["agent", "service"])),
        status=draw(st.sampled_from(["active", "inactive"])),
        version=1,
        created_at=NOW,
        scopes=Scopes.of(scopes),
        scopes_pending=None if pending is None else Scopes.of(pending),
        display_name=draw(st.none() | TEXTS),
        policy=policy,
        metadata=metadata | ({MARK_KEY: mark.as_json()} if mark else {}),
    )


FLEETS = st.lists(live_agents(), max_size=4, unique_by=lambda agent: agent.name)


def loaded(paths: Sequence[Path]) -> Desired:
    result = load(paths, now=NOW)
    assert result.desired is not None, [f"{one.position} {one.message}" for one in result.diagnostics]
    return result.desired


def planned(desired: Desired, agents: Sequence[LiveAgent], *, adopt: tuple[str, ...] | None = None) -> Any:
    return make_plan(desired, LiveState(agents), now=NOW, options=PlanOptions("1", adopt=adopt))


def adopted(desired: Desired, live: LiveAgent) -> LiveAgent:
    """The agent after the PATCH that an adoption sends, which may be about nothing but its metadata."""
    plan = planned(desired, [live], adopt=())
    if not plan.operations:
        return live
    body = patch_request(desired, desired.agents[live.name], live, plan.operations, claim=None).body
    assert replace(body, metadata=None) == type(body)()
    assert body.metadata is not None
    assert same({**body.metadata, MARK_KEY: None}, {**live.metadata, MARK_KEY: None})
    return replace(live, metadata=body.metadata)


@settings(slow, max_examples=250)
@given(fleet=FLEETS)
def test_the_first_plan_on_an_export_is_empty_and_so_is_the_one_after_adoption(
    tmp_path: Path, fleet: list[LiveAgent]
) -> None:
    export = export_agents(fleet, owner=OWNER, app=APP)
    file = tmp_path / "agents.yaml"
    file.write_text(export.text(), encoding="utf-8")
    desired = loaded([file])
    foreign = {agent.name for agent in fleet if agent.mark and agent.mark.owner != OWNER}
    assert export.left_out == len(foreign)
    assert not foreign & set(desired.agents)

    # What has no name that a file could hold is left out with a word, and nothing else is.
    lost = {agent.name for agent in fleet} - foreign - set(desired.agents)
    assert all(any("is left out" in warning for warning in export.warnings) for _ in lost)
    kept = [agent for agent in fleet if agent.name not in lost]
    first = planned(desired, kept)
    assert (first.operations, first.blocked) == ((), ())
    after = [adopted(desired, agent) if agent.name in desired.agents else agent for agent in kept]
    second = planned(desired, after)
    assert (second.operations, second.blocked) == ((), ())
    assert not [finding for finding in second.findings if finding.rule == "unowned"]


def can_be_written(value: Any) -> bool:
    match value:
        case str():
            has_bytes = not any(0xD800 <= ord(character) <= 0xDFFF for character in value)
            return has_bytes and not HIDDEN.search(value) and not KEY_SHAPE.search(value)
        case int() if not isinstance(value, bool):
            return -(2**63) <= value < 2**63
        case list():
            return all(map(can_be_written, value))
        case dict():
            return all(can_be_written(part) for pair in value.items() for part in pair)
        case _:
            return True


def is_one_line(text: str) -> bool:
    return 1 <= len(text) <= 255 and text.strip() == text and text.isprintable() and can_be_written(text)


@settings(slow, max_examples=200)
@given(block=BLOCKS.filter(can_be_written), text=st.none() | TEXTS.filter(is_one_line))
def test_what_a_file_can_hold_is_never_left_out(
    tmp_path: Path, block: dict[str, Any], text: str | None
) -> None:
    block.pop(MARK_KEY, None)
    live = LiveAgent(
        AgentId("1"),
        AgentName("alpha"),
        "agent",
        "active",
        1,
        NOW,
        metadata=block,
        display_name=text,
    )
    export = export_agents([live], owner=OWNER, app=APP)
    assert export.warnings == ()
    file = tmp_path / "agents.yaml"
    file.write_text(export.text(), encoding="utf-8")
    agent = loaded([file]).agents[AgentName("alpha")]
    assert agent.display_name == live.display_name
    assert set(agent.metadata) == {key for key, value in block.items() if value is not None}
    assert same(without_nulls(agent.metadata), without_nulls(block))


@settings(slow, max_examples=60)
@given(fleet=FLEETS, data=st.data())
def test_one_file_for_each_agent_says_the_same_and_order_changes_no_byte(
    tmp_path_factory: Any, fleet: list[LiveAgent], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("split")
    export = export_agents(fleet, owner=OWNER, app=APP)
    for name, text in export.files().items():
        (folder / name).write_text(text, encoding="utf-8")
    whole = folder / "whole"
    whole.mkdir()
    (whole / "agents.yaml").write_text(export.text(), encoding="utf-8")
    split, one = loaded([folder]), loaded([whole])
    assert list(split.agents) == list(one.agents)
    for name, agent in split.agents.items():
        other = one.agents[name]
        assert replace(agent, position=other.position, positions={}) == replace(other, positions={})
    assert export_agents(data.draw(st.permutations(fleet)), owner=OWNER, app=APP) == export
