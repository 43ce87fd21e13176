"""After an apply everybody can see what was done, what failed and how to go on."""

from __future__ import annotations

from dataclasses import replace

from reconciler.errors import ExitCode
from reconciler.model.agent import AgentName
from reconciler.model.outcome import Failure, OperationOutcome, Outcome
from reconciler.model.plan import OperationKind, Waiting
from reconciler.reports.styles import Style
from reconciler.reports.terminal import outcome_text
from tests.unit.reports.golden import assert_golden
from tests.unit.reports.samples import HOSTILE, PARTIAL

PLAIN = Style.plain()
DONE = Outcome("run-1", "sha256:p", (OperationOutcome("1", "adopt_agent", AgentName("a"), "done"),))


def test_a_partial_outcome_shows_failures_first() -> None:
    assert_golden("outcome_partial", outcome_text(PARTIAL, style=PLAIN))


def test_a_partial_outcome_in_colour() -> None:
    assert_golden("outcome_partial_ansi", outcome_text(PARTIAL, style=Style.ansi()))


def test_every_operation_has_its_line_when_everything_is_wanted() -> None:
    text = outcome_text(PARTIAL, style=PLAIN, verbose=True)
    assert "    ✓ create agent\n    ✓ mint key (delivered to vault, local)" in text


def test_the_last_line_says_how_to_go_on() -> None:
    waiting = OperationOutcome("2", "mint_key", AgentName("b"), "not_tried")

    def last(outcome: Outcome) -> str:
        return outcome_text(outcome, style=PLAIN).split("\n")[-1]

    assert last(PARTIAL) == f"Go on with `{PARTIAL.resume}`."
    assert last(DONE) == "Everything is done."
    assert last(replace(DONE, operations=())) == "Nothing was to be done."
    assert last(replace(DONE, operations=(waiting,))) == "Run `alter-sync plan` to see what is left."
    assert last(replace(DONE, blocked=PARTIAL.blocked)).startswith("Everything else is done")


def test_an_outcome_without_operations_says_so_first() -> None:
    assert outcome_text(replace(DONE, operations=()), style=PLAIN).startswith("Apply: nothing to do")


def test_hostile_texts_are_inert_in_an_outcome() -> None:
    failures = (Failure(ExitCode.ERROR, text, text, text) for text in HOSTILE)
    operations = tuple(
        OperationOutcome(text, "mint_key", AgentName(text), "failed", text, failure)
        for text, failure in zip(HOSTILE, failures, strict=True)
    )
    text = outcome_text(replace(DONE, operations=operations, resume=HOSTILE[0]), style=PLAIN)
    assert all(line.isprintable() and not line.lstrip().startswith("::") for line in text.split("\n"))


def test_of_keys_it_says_where_they_went_and_ids_of_the_others_only_on_request() -> None:
    details: dict[OperationKind, str] = {
        "mint_key": "key key-2 to vault (a/alpha)",
        "deprecate_key": "deprecated key key-1",
        "revoke_key": "revoked key key-0",
    }
    operations = tuple(
        OperationOutcome(kind, kind, AgentName("alpha"), "done", detail) for kind, detail in details.items()
    )
    text = outcome_text(replace(DONE, operations=operations), style=PLAIN)
    assert (
        "  ✓ alpha  mint key (key key-2 to vault (a/alpha)), deprecate key, revoke key (revoked key key-0)"
        in text.split("\n")
    )
    verbose = outcome_text(replace(DONE, operations=operations), style=PLAIN, verbose=True)
    assert "    ✓ deprecate key (deprecated key key-1)" in verbose.split("\n")


def test_who_still_waits_is_counted() -> None:
    waiting = (Waiting(AgentName("a"), "observing", "why"), Waiting(AgentName("a"), "narrowing", "why"))
    one = outcome_text(replace(DONE, waiting=waiting), style=PLAIN)
    assert one.endswith("Everything else is done; 1 agent still waits, see the plan.")
    more = outcome_text(
        replace(DONE, waiting=(*waiting, Waiting(AgentName("b"), "observing", "why"))), style=PLAIN
    )
    assert more.endswith("Everything else is done; 2 agents still wait, see the plan.")
