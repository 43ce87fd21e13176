"""A plan on a terminal reads like a good diff."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from reconciler.model.agent import AgentName
from reconciler.model.plan import Blocked, Change, Waiting
from reconciler.reports.columns import display_width
from reconciler.reports.styles import Style
from reconciler.reports.terminal import plan_text
from tests.unit.reports.golden import assert_golden
from tests.unit.reports.samples import EMPTY, HOSTILE, RICH, hostile_plan, long_plan, operation

PLAIN = Style.plain()


def _one_change(before: object, after: object, *, width: int | None = None, verbose: bool = False) -> str:
    change = Change("policy.text", before, after)
    plan = replace(EMPTY, operations=(operation("update_agent", "a", "differs", change),))
    text = plan_text(plan, style=PLAIN, width=width, verbose=verbose)
    return next(line for line in text.splitlines() if line.startswith("    policy.text"))


def test_an_empty_plan_says_that_there_is_nothing_to_do() -> None:
    assert_golden("plan_empty", plan_text(replace(EMPTY, in_sync=12), style=PLAIN, width=None))


def test_a_rich_plan_shows_everything_gravest_first() -> None:
    assert_golden("plan_rich", plan_text(RICH, style=PLAIN, width=None))


def test_a_rich_plan_in_colour() -> None:
    assert_golden("plan_rich_ansi", plan_text(RICH, style=Style.ansi(), width=100))


def test_a_rich_plan_in_full() -> None:
    assert_golden("plan_rich_verbose", plan_text(RICH, style=PLAIN, width=60, verbose=True))


def test_a_long_plan_keeps_neutral_agents_short_and_names_the_others() -> None:
    text = plan_text(long_plan(), style=PLAIN, width=None)
    assert_golden("plan_300_agents", text)
    assert "- agent-240" in text
    assert "+ agent-241  google:drive" in text
    assert "~ update  agent-299  (agents.yaml:300:3)  display_name, metadata.team" in text
    assert '"a" → "b"' not in text


def test_a_long_plan_in_full_shows_every_field() -> None:
    text = plan_text(long_plan(), style=PLAIN, width=None, verbose=True)
    assert text.count('"a" → "b"') == 285


def test_hostile_texts_are_inert_in_a_plan() -> None:
    text = plan_text(hostile_plan(), style=PLAIN, width=None)
    assert_golden("plan_hostile", text)


@pytest.mark.parametrize("verbose", [False, True])
@pytest.mark.parametrize("width", [None, 60])
def test_no_hostile_text_reaches_the_terminal_or_the_runner(width: int | None, verbose: bool) -> None:
    text = plan_text(hostile_plan(), style=PLAIN, width=width, verbose=verbose)
    lines = text.split("\n")
    assert all(line.isprintable() for line in lines)
    assert not any(line.lstrip().startswith("::") for line in lines)
    assert not re.search(r"##\w*\[", text)
    text.encode("utf-8")


def test_a_plan_in_colour_without_its_colours_is_the_plain_plan() -> None:
    for plan in (RICH, hostile_plan()):
        coloured = plan_text(plan, style=Style.ansi(), width=80)
        assert re.sub(r"\x1b\[\d+m", "", coloured) == plan_text(plan, style=PLAIN, width=80)


def test_names_are_never_cut_on_a_narrow_terminal() -> None:
    name = "an-agent-whose-name-is-as-long-as-names-may-be-and-then-some-more"
    change = Change(
        "scopes.google", None, ["a-scope-with-a-very-long-name", "another-long-scope-name"], "widening"
    )
    plan = replace(
        EMPTY, operations=(operation("set_scopes", name, "differs", change),), unmanaged=(AgentName(name),)
    )
    text = plan_text(plan, style=PLAIN, width=40)
    assert text.count(name) == 3
    assert text.count("a-scope-with-a-very-long-name") == 2
    assert text.count("another-long-scope-name") == 2


def test_a_value_fits_the_width_of_the_terminal() -> None:
    line = _one_change("東" * 100, "x" * 100, width=80)
    assert display_width(line) <= 80
    assert "→" in line
    assert display_width(_one_change(None, "x" * 100, width=80)) <= 80
    assert display_width(_one_change("x" * 100, None, width=80)) <= 80


def test_a_value_is_whole_when_everything_is_wanted() -> None:
    assert _one_change(None, "x" * 3000, width=80, verbose=True).endswith('+ "' + "x" * 3000 + '"')


def test_long_values_that_differ_late_are_shown_where_they_differ() -> None:
    line = _one_change("x" * 500 + "old", "x" * 500 + "new", width=80)
    assert re.search(r'…x+old" → …x+new"$', line)


def test_a_long_value_that_another_one_begins_with_is_shown_at_its_end() -> None:
    line = _one_change(["x" * 500], ["x" * 500, 1])
    assert re.search(r'…x+"\] → …x+",1\]$', line)


def test_long_values_that_differ_early_are_shown_from_their_beginning() -> None:
    assert '"a' + "x" * 20 in _one_change("a" + "x" * 500, "b" + "x" * 500)


def test_a_change_from_nothing_to_nothing_is_named() -> None:
    assert _one_change(None, None).endswith("no value")


def test_a_key_without_a_place_is_still_announced() -> None:
    plan = replace(EMPTY, operations=(operation("mint_key", "a", "due", Change("key", None, None)),))
    assert "mint a key\n" in plan_text(plan, style=PLAIN, width=None)


def test_thousands_of_waiting_agents_are_counted_and_the_first_are_named() -> None:
    waiting = tuple(Waiting(AgentName(f"a{n}"), "observing", "not used yet") for n in range(300))
    text = plan_text(replace(EMPTY, waiting=waiting), style=PLAIN, width=None)
    assert "Waiting (300)" in text
    assert "… and 100 more" in text
    assert "a299" in plan_text(replace(EMPTY, waiting=waiting), style=PLAIN, width=None, verbose=True)


def test_hundreds_of_different_refusals_are_counted_and_the_first_are_named() -> None:
    names = [AgentName(f"a{n}") for n in range(300)]
    blocked = tuple(Blocked("freeze", name, "year end", f"--allow freeze={name}") for name in names)
    text = plan_text(replace(EMPTY, blocked=blocked), style=PLAIN, width=None)
    assert "Blocked (300)" in text
    assert "\n  … and 100 more\n" in text
    assert "freeze=a299" in plan_text(replace(EMPTY, blocked=blocked), style=PLAIN, width=None, verbose=True)


def test_a_refusal_of_two_operations_of_one_agent_counts_as_two() -> None:
    name = AgentName("a")
    refused = (operation("update_agent", name), operation("set_scopes", name))
    blocked = tuple(Blocked("freeze", name, "year end", "--allow freeze=a", one) for one in refused)
    text = plan_text(replace(EMPTY, blocked=blocked), style=PLAIN, width=None)
    assert "Blocked (2)\n  freeze (update agent, set scopes)  a\n" in text
    assert text.startswith("Plan: no changes; 2 blocked")


def test_the_command_to_copy_is_never_cut() -> None:
    plan = replace(RICH, targets=tuple(f"agent-{n}" for n in range(900)))
    assert "--target agent-899` to carry this out" in plan_text(plan, style=PLAIN, width=80)


def test_commands_are_as_this_user_would_type_them() -> None:
    text = plan_text(RICH, style=PLAIN, width=None, command="alter-sync apply -c agents/")
    assert text.count("`alter-sync apply -c agents/") == text.count("`alter-sync apply") == 4


def test_hostile_names_cannot_leave_their_quotes_in_a_command() -> None:
    text = plan_text(hostile_plan(), style=PLAIN, width=None)
    assert "--allow 'replace=$(reboot) && `reboot`; '\"'\"'quote'" in text
    assert HOSTILE[-1] not in plan_text(
        replace(hostile_plan(), targets=(), blocked=()), style=PLAIN, width=None
    )
