"""An export declares what is live and nothing else, and says of everything that it leaves out why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.config.export import COMMON_FILE, Export, app_of, check_head, export_agents
from reconciler.config.loader import load
from reconciler.errors import UsageError
from reconciler.model.agent import LiveAgent
from reconciler.model.desired import AppRef, DesiredAgent
from reconciler.model.mark import MARK_KEY
from reconciler.planning.agent_diff import policy_fingerprint
from reconciler.planning.fingerprint import fingerprint
from tests.support.builders import APP, NOW, OWNER, delivery_of, live, mark_of, planned

APP_REF = AppRef(APP)
HIDDEN_TEXT = "a\x1b[31mb"
TRICKY_TEXTS = (
    *("", "~", "null", "NULL", "true", "True", "yes", "No", "off", "y", "<<", "=", ".inf", ".NaN"),
    *("0", "-0", "007", "0o17", "0x1F", "1_000", "1.10", "1e5", "1e+16", "1.", ".5", "+1", "12:30:45"),
    *("2026-11-01", "2026-11-01T00:00:00Z", "9223372036854775808", "-", "- a", "? a", ":", "a: b", "a #b"),
    *("{a}", "[a]", "*a", "&a", "!!str a", "|", ">", "%", "@a", "`a", "'a'", '"a"', "\\", "\\n", " a", "a "),
    *(
        "a\tb",
        "a\nb",
        "\na",
        "a\n\n b \n",
        "a\r\nb",
        "\u00a0",
        "é",
        "日本",
        "😀",
        "---",
        "--- a",
        "...",
        "word " * 99,
    ),
)
VALUES: tuple[Any, ...] = (
    *(
        True,
        False,
        0,
        -1,
        2**63 - 1,
        -(2**63),
        1.5,
        1.0,
        -0.5,
        1e16,
        1e22,
        1e-07,
        5e-324,
        1.7976931348623157e308,
    ),
    *([], {}, [[]], [None], {"a": None}, [1, "1", True, "true", None, "null", 1.5, "1.5"]),
    *({"": "", "null": None, "1": 1, "true": True, "k" * 200: "v"}, [{"a": [{"b": {}}]}, "x\ny"]),
)
KEY = "alter_ak_abcdefghijklmnopqrstuv_abcdef"


def export(*agents: LiveAgent, app: AppRef = APP_REF) -> Export:
    return export_agents(agents, owner=OWNER, app=app)


def exported(folder: Path, *agents: LiveAgent) -> dict[str, DesiredAgent]:
    """The agents that a reader finds in the export; its first plan has to be empty."""
    file = folder / "agents.yaml"
    file.write_text(export(*agents).text(), encoding="utf-8")
    result = load([file], now=NOW)
    assert result.desired is not None, [f"{one.position} {one.message}" for one in result.diagnostics]
    desired = result.desired
    plan = planned(desired, *agents)
    assert (plan.operations, plan.blocked) == ((), ())
    return {str(name): agent for name, agent in desired.agents.items()}


def only(folder: Path, agent: LiveAgent) -> DesiredAgent:
    return exported(folder, agent)[agent.name]


def test_the_whole_text_is_one_that_people_can_read() -> None:
    agents = [
        live(
            "nightly-sync",
            type="service",
            display_name="Nightly Sync",
            status="inactive",
            scopes={"slack": ["chat:write"], "google": ["gmail.send", "drive"]},
            pending={"google": ["drive"]},
            metadata={"team": "payments", "cost_center": "4711", "limits": {"b": [1, 2.5], "a": None}},
            policy={"max_calls": 5},
        ),
        live("ours", mark=mark_of(protect=True, delivered=delivery_of(sinks=("vault", "files")))),
        live("theirs", mark=mark_of(owner="others")),
    ]
    assert export(*agents).text() == (
        """\
# yaml-language-server: $schema=agents.schema.json
#
# The live agents of one app, written by `alter-sync export`. `alter-sync plan` finds nothing to do here, and
# `alter-sync adopt` puts the agents under this owner. `alter-sync schema > agents.schema.json` writes the
# schema with which an editor completes and explains every field.
#
version: 1
owner: payments/agents

app:
  name: payments-prod

# Without a sink no key is minted or rotated: keys stay where they are until `deliver_to` names one.
defaults:
  deliver_to: []

# 1 agent is of other owners and left out (others: 1).
agents:
  # id-nightly-sync, created 2026-08-16
  nightly-sync:
    display_name: Nightly Sync
    type: service
    status: inactive
    scopes:
      google: [drive]
    metadata:
      cost_center: "4711"
      limits:
        a: null
        b: [1, 2.5]
      team: payments
    policy:
      max_calls: 5

  # id-ours, created 2026-08-16
  # its key was delivered to vault, files: declare the sinks again to go on rotating it
  ours:
    type: agent
    scopes: {}
    protect: true
"""
    )


def test_the_example_of_every_field_reads_back_as_it_is(tmp_path: Path) -> None:
    found = live(
        type="service",
        display_name="No: 1 {tenant}",
        status="inactive",
        scopes={"google": ["a", "b"]},
        pending={"google": ["a"]},
        metadata={"n": {"a": [None, {"b": None}]}, "no": "no", "{x}": "{x}"},
        policy={"days": ["mon", "no"], "note": None},
        mark=mark_of(protect=True),
    )
    agent = only(tmp_path, found)
    assert (agent.type, agent.display_name, agent.status) == ("service", "No: 1 {tenant}", "inactive")
    assert agent.scopes == found.target_scopes
    assert agent.metadata == {"n": {"a": [None, {"b": None}]}, "no": "no", "{x}": "{x}"}
    assert (agent.policy, agent.protect, agent.deliver_to) == ({"days": ["mon", "no"]}, True, ())


def test_agents_come_in_the_order_of_their_names_whatever_order_they_are_read_in() -> None:
    agents = [live("b"), live("a"), live("c", mark=mark_of())]
    assert [name for name, _ in export(*agents).blocks] == ["a", "b", "c"]
    assert export(*agents) == export(*agents[::-1])


def test_no_agents_at_all_are_declared_as_none(tmp_path: Path) -> None:
    assert exported(tmp_path) == {}
    assert export().text().endswith("\nagents: {}\n")
    assert export().files().keys() == {COMMON_FILE}


def test_agents_of_others_are_counted_by_owner() -> None:
    found = export(
        *(live(f"a{index}", mark=mark_of(owner="others")) for index in range(2)),
        live("b", mark=mark_of(owner="evil\nagents: {}")),
    )
    assert found.left_out == 3
    assert "# 3 agents are of other owners and left out (evil�agents: {}: 1, others: 2).\n" in found.text()
    assert found.warnings == ()


@pytest.mark.parametrize("value", [*TRICKY_TEXTS, *VALUES], ids=repr)
def test_a_value_of_metadata_survives(tmp_path: Path, value: Any) -> None:
    found = live(metadata={"key": value, "nested": {"list": [value]}}, policy={"rule": {"value": value}})
    assert export(found).warnings == ()
    agent = only(tmp_path, found)
    assert agent.metadata["nested"] == {"list": [value]}
    assert type(agent.metadata["key"]) is type(value)


@pytest.mark.parametrize("value", TRICKY_TEXTS, ids=repr)
def test_a_text_is_a_text_to_other_readers_too(value: str) -> None:
    text = export(live(metadata={"key": value, "list": [value]})).text()
    metadata = yaml.safe_load(text)["agents"]["alpha"]["metadata"]
    assert metadata == {"key": value, "list": [value]}


@pytest.mark.parametrize("value", ["0o17", "0x1F", "1e5", "1e+16", ".5", "1.", "007", "+1"])
def test_a_text_that_is_a_number_to_readers_of_newer_yaml_is_quoted(value: str) -> None:
    assert f'      key: "{value}"\n' in export(live(metadata={"key": value})).text()


def test_long_lists_are_continued_on_the_next_line_and_texts_are_not_broken() -> None:
    scopes, text = [f"scope.number-{number:02}" for number in range(40)], "word " * 60 + "end"
    lines = export(live(scopes={"google": scopes}, metadata={"text": text})).text().splitlines()
    assert f"      text: {text}" in lines
    assert max(len(line) for line in lines if "word" not in line) <= 125
    assert sum("scope.number" in line for line in lines) == 7


@pytest.mark.parametrize("name", ["null", "true", "no", "1e5", "007", "0x1f", "a" * 100, "9", "common"])
def test_a_name_that_means_something_else_in_yaml_is_quoted(tmp_path: Path, name: str) -> None:
    assert list(exported(tmp_path, live(name, display_name=name))) == [name]


@pytest.mark.parametrize(
    "name", ["A", "-a", "_a", "a b", "", "é", "a" * 101, "a{b}", "x\ny", KEY[:40], "\ud800"]
)
def test_an_agent_that_no_file_can_name_is_left_out_with_a_word(tmp_path: Path, name: str) -> None:
    found = export(live(name), live("other"))
    assert [one for one, _ in found.blocks] == ["other"]
    [warning] = found.warnings
    assert warning.startswith("agent ")
    assert " is left out: " in warning
    assert f"# {warning.removeprefix('agent ')}.\n" in found.text()
    assert KEY[:40] not in found.text() + warning


@pytest.mark.parametrize("text", [HIDDEN_TEXT, "\u202e", KEY, "\ud800", " edge", "two\nlines", "x" * 256])
def test_a_display_name_that_no_file_can_hold_is_not_declared_and_so_left_alone(
    tmp_path: Path, text: str
) -> None:
    found = live(display_name=text, metadata={"kept": 1})
    agent = only(tmp_path, found)
    assert (agent.display_name, agent.metadata) == (None, {"kept": 1})
    assert "  # left out: display_name, " in export(found).text()
    assert export(found).warnings == (
        "left out of alpha: display_name, which a file cannot express; what is not declared stays as it is",
    )


@pytest.mark.parametrize(
    "value", [HIDDEN_TEXT, KEY, 2**63, 10**400, float("inf"), {"\x00": 1}, ["\u2028"], "\ud800"]
)
def test_metadata_that_no_file_can_hold_is_left_out_key_by_key(tmp_path: Path, value: Any) -> None:
    found = live(metadata={"bad": value, "kept": 1}, display_name="A")
    agent = only(tmp_path, found)
    assert (agent.metadata, agent.display_name, agent.ignore) == ({"kept": 1}, "A", frozenset())
    assert '  # left out: metadata "bad", ' in export(found).text()


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    return value


def test_metadata_that_is_nested_beyond_all_measure_is_left_out(tmp_path: Path) -> None:
    assert only(tmp_path, live(metadata={"deep": nested(50)})).metadata == {"deep": nested(50)}
    agent = only(tmp_path, live(metadata={"deep": nested(900), "kept": 1}, policy=nested(900)))
    assert (agent.metadata, agent.policy) == ({"kept": 1}, None)


def test_what_was_applied_once_and_cannot_be_written_now_is_ignored_so_that_it_stays(tmp_path: Path) -> None:
    spec = {"metadata.bad": fingerprint("before"), "metadata.kept": fingerprint(1)}
    agent = only(tmp_path, live(metadata={"bad": HIDDEN_TEXT, "kept": 1}, mark=mark_of(spec=spec)))
    assert (agent.metadata, agent.ignore) == ({"kept": 1}, frozenset({"metadata.bad"}))
    spec = {"metadata.b\x00": fingerprint("before")}
    agent = only(tmp_path, live(metadata={"b\x00": 1, "kept": 1}, mark=mark_of(spec=spec)))
    assert (agent.metadata, agent.ignore) == ({}, frozenset({"metadata"}))


@pytest.mark.parametrize(
    "scopes",
    [
        {"with space": ["a"]},
        {"google": ["a\nb"]},
        {"google": [HIDDEN_TEXT]},
        {"x" * 101: ["a"]},
        {"google": [KEY]},
    ],
)
def test_scopes_that_no_file_can_hold_are_left_to_the_dashboard(tmp_path: Path, scopes: Any) -> None:
    for mark in (None, mark_of()):
        agent = only(tmp_path, live(scopes=scopes, mark=mark, display_name="A"))
        assert (len(agent.scopes), agent.ignore, agent.display_name) == (0, frozenset({"scopes"}), "A")


def test_secrets_of_the_old_kind_stay(tmp_path: Path) -> None:
    agent = only(tmp_path, live(scopes={"managed_secrets": ["Stripe (old)"], "slack": ["a"]}))
    assert agent.scopes.as_json() == {"managed_secrets": ["Stripe (old)"], "slack": ["a"]}


def test_what_is_no_mark_is_not_exported_and_makes_nobody_an_owner(tmp_path: Path) -> None:
    agent = only(tmp_path, live(metadata={MARK_KEY: "text", "kept": 1, "nothing": None}))
    assert agent.metadata == {"kept": 1}


@pytest.mark.parametrize(
    "policy", [{"requires_approval": {"approvers_count": 2}, "max": 1}, {"a": [{"approvers_count": 0}]}]
)
def test_a_policy_of_which_alter_hides_a_part_is_not_declared(tmp_path: Path, policy: Any) -> None:
    found = [live("a", policy=policy), live("b", policy=policy)]
    assert [agent.policy for agent in exported(tmp_path, *found).values()] == [None, None]
    assert export(*found).warnings == (
        "left out of a and 1 more: policy, because Alter does not show who may approve; "
        "what is not declared stays as it is",
    )


def test_a_policy_that_the_server_added_to_is_declared_as_it_was_applied(tmp_path: Path) -> None:
    declared, answered = {"max": 1}, {"max": 1, "tags": [], "note": None, "window": {"strict": False}}
    for applied in (policy_fingerprint(declared, answered), fingerprint(declared)):
        found = live(policy=answered, mark=mark_of(spec={"policy": applied}))
        assert only(tmp_path, found).policy in (declared, {"max": 1, "tags": [], "window": {"strict": False}})
    odd = live(policy={"max": 2, "note": None, "tags": [None]}, mark=mark_of(spec={"policy": "else"}))
    assert only(tmp_path, odd).policy is None
    assert "policy, because Alter stores more than was declared; it stays as it is" in export(odd).warnings[0]


def test_a_plan_that_would_revoke_or_be_refused_is_warned_of() -> None:
    ours = [live(name, mark=mark_of()) for name in ("a", "b", "c")]
    found = export_agents(ours, owner=OWNER, app=APP_REF, chosen=lambda name: name == "a")
    [warning] = found.warnings
    assert warning == (
        '2 agents are of "payments/agents" and not in this export, e.g. "b": '
        "a plan on it alone would revoke what it does not declare"
    )
    assert f"# {warning}.\n" in found.text()
    [warning] = export(live(mark=mark_of(app="old-name"))).warnings
    assert warning == (
        '1 agent is marked for app "old-name", not "payments-prod": '
        "the guard wrong-app will refuse every plan on this export"
    )


def test_the_app_is_called_what_the_marks_of_the_owner_say_most_often() -> None:
    names = ["x", "y", "y", "a"]
    marked = [live(f"a{index}", mark=mark_of(app=name)) for index, name in enumerate(names)]
    assert app_of([*marked, live("z", mark=mark_of(owner="others", app="z"))], OWNER) == "y"
    assert app_of([*marked[:1], marked[3]], OWNER) == "a"
    assert app_of([live()], OWNER) == ""


def test_a_head_has_what_is_not_a_default_and_a_note_when_the_app_has_no_name() -> None:
    app = AppRef(APP, "3f0c", "https://alter.test", "OTHER_KEY")
    assert (
        "app:\n  name: payments-prod\n  id: 3f0c\n  base_url: https://alter.test\n  api_key_env: OTHER_KEY\n"
    ) in export(app=app).text()
    assert "Put its name here before you adopt" in export(app=AppRef("default")).text()
    assert "Put its name here" not in export().text()


@pytest.mark.parametrize(
    ("owner", "app"), [("", APP), (" edge", APP), ("two\nlines", APP), (OWNER, "x" * 101), (OWNER, "")]
)
def test_an_owner_or_an_app_that_no_configuration_could_have_is_refused(owner: str, app: str) -> None:
    with pytest.raises(UsageError, match="cannot be the head of a configuration"):
        check_head(owner, AppRef(app))


def test_one_file_for_each_agent_makes_the_same_configuration(tmp_path: Path) -> None:
    agents = [
        live("a", display_name="A"),
        live("b", scopes={"slack": ["x"]}),
        live("z", mark=mark_of(owner="o")),
    ]
    files = export(*agents).files()
    assert sorted(files) == [COMMON_FILE, "a.yaml", "b.yaml"]
    assert files["a.yaml"] == (
        "# yaml-language-server: $schema=agents.schema.json\n"
        "version: 1\n\nagents:\n  # id-a, created 2026-08-16\n"
        "  a:\n    display_name: A\n    type: agent\n    scopes: {}\n"
    )
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    desired = load([tmp_path], now=NOW).desired
    assert desired is not None
    assert (desired.owner, desired.app.name, list(desired.agents)) == (OWNER, APP, ["a", "b"])
    assert not planned(desired, *agents).operations
