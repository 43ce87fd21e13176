"""The comment on a pull request: what comes first, what is never left out, and nothing that is not ours."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from reconciler.errors import ExitCode, UsageError
from reconciler.model.agent import AgentName
from reconciler.model.outcome import Failure, OperationOutcome, Outcome, Status
from reconciler.model.plan import Blocked, Change, Plan
from reconciler.model.shard import Shard
from reconciler.reports.markdown_page import Paper, Rung, fold_names
from reconciler.reports.markdown_report import markdown_report, step_summary
from reconciler.reports.subject import Limits, Subject
from tests.unit.reports import drift_samples
from tests.unit.reports.golden import assert_golden
from tests.unit.reports.inert import cells_in, foreign_in
from tests.unit.reports.samples import EMPTY, RICH, operation
from tests.unit.reports.subjects import (
    APPLIED,
    DRIFT,
    INVALID,
    PLAN,
    RUN,
    SAMPLES,
    failed,
    hostile_subjects,
    long_subject,
    subject,
)

GITHUB_LIMIT = 65_536
LONG_NAME = "tenant-acme-corporation-{:04}-production-eu-west-1-reader-of-mail"


def units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def limited(given: Subject, chars: int) -> str:
    return markdown_report(replace(given, limits=Limits(comment_chars=chars)))


def agents_of(plan: Plan | None, kind: str) -> set[str]:
    assert plan is not None
    return {one.agent for one in plan.operations if one.kind == kind}


def unfolded(text: str) -> set[str]:
    """Every name in the pieces of code of a text, with ``a-{b,c}`` and ``a-{1..3}`` written out."""
    names: set[str] = set()
    for code in re.findall(r"`([^`]+)`", text):
        for name in re.findall(r"[^,{ ]*(?:\{[^}]*\}[^, ]*)?", code):
            before, _, rest = name.partition("{")
            parts, _, after = rest.partition("}")
            for part in parts.split(","):
                first, _, last = part.partition("..")
                span = range(int(first), int(last) + 1) if last else []
                found = [f"{number:0{len(first)}}" for number in span] or [part]
                names |= {f"{before}{one}{after}" for one in found}
    return names


@pytest.mark.parametrize("name", SAMPLES)
def test_a_comment_looks_like_this(name: str) -> None:
    text = markdown_report(SAMPLES[name])
    assert_golden(f"markdown_{name}", text)
    assert foreign_in(text, url=RUN.run_url) == []


@pytest.mark.parametrize("name", ["plan", "failure"])
def test_a_comment_on_hostile_texts_looks_like_this(name: str) -> None:
    text = limited(hostile_subjects()[name], 10_000_000)
    assert_golden(f"markdown_hostile_{name}", text)


@pytest.mark.parametrize("name", hostile_subjects())
@pytest.mark.parametrize("chars", [10_000_000, 65_000, 30_000, 12_000, 4_000])
def test_nothing_is_made_of_hostile_texts_whatever_the_room(name: str, chars: int) -> None:
    text = limited(hostile_subjects()[name], chars)
    assert foreign_in(text, url=hostile_subjects()[name].run.run_url) == []
    assert set(cells_in(text)) <= {3}
    assert units(text) < max(chars, 4_000)


def test_the_first_line_finds_the_comment_again_and_the_second_says_what_it_is_about() -> None:
    first, second, *_ = markdown_report(PLAN).split("\n")
    assert first == "<!-- alter-sync:comment app=payments-prod owner=payments/agents -->"
    assert second == f"<!-- alter-sync:data command=plan head={RUN.head_sha} plan=sha256:p -->"
    other = markdown_report(replace(PLAN, owner="payments", app="a --> b")).split("\n")[0]
    assert other == "<!-- alter-sync:comment app=a%20-%2D%3E%20b owner=payments -->"


def marker_of(given: Subject) -> str:
    return markdown_report(given).split("\n")[0]


@pytest.mark.parametrize("source", [PLAN, DRIFT], ids=["plan", "drift"])
def test_a_part_says_so_under_the_headline_and_has_a_marker_of_its_own(source: Subject) -> None:
    def part(**limits: Any) -> Subject:
        if source.plan:
            return replace(source, plan=replace(source.plan, **limits))
        assert source.drift
        return replace(source, drift=replace(source.drift, **limits))

    by_shard = part(shard=Shard(1, 5))
    by_name = part(targets=("x", "y-*"))
    by_both = part(shard=Shard(1, 5), targets=("x", "y-*"))
    start = "<!-- alter-sync:comment app=payments-prod owner=payments/agents"
    assert marker_of(source) == f"{start} -->"
    assert marker_of(by_shard) == f"{start} only=1/5 -->"
    assert marker_of(by_name) == f"{start} only=agents%20x%20%27y-%2A%27 -->"
    assert marker_of(part(targets=("y-*", "x"))) == marker_of(by_name)
    others = (part(shard=Shard(2, 5)), by_both, part(targets=("x y-*",)), part(targets=("x",)))
    assert len(set(map(marker_of, (source, by_shard, by_name, *others)))) == 7
    for chars in (1_000_000, 6_000, 3_000):
        assert (
            limited(by_both, chars)
            .split("\n")[4]
            .startswith("**only part 1/5** · **only agents matching** `x`, `y-*` · app `payments-prod`")
        )
    assert "only" not in markdown_report(source).split("\n")[4]
    many = limited(part(targets=tuple(f"agent-{n}" for n in range(1_000))), 3_000)
    assert "`agent-2`" in many.split("\n")[4]
    assert " more · app" in many.split("\n")[4]


@pytest.mark.parametrize("rung", Rung)
def test_what_guards_let_through_is_read_before_all_else_on_every_rung(rung: Rung) -> None:
    plan = replace(RICH, allowed=("max-revocations", "sensitive-scopes=s-1"))
    chars = {Rung.FULL: 1_000_000}.get(rung, 6_000 - 600 * rung)
    for given in (replace(PLAN, plan=plan), replace(APPLIED, plan=plan)):
        text = limited(given, chars)
        at = text.index("**Let through:** `max-revocations, sensitive-scopes=s-1`")
        assert at < text.index("[!CAUTION]")
        assert "Let through" in step_summary(replace(given, limits=Limits(summary_bytes=chars)))
    assert "Let through" not in markdown_report(PLAN)


def test_who_gains_and_loses_counts_as_both_and_the_revoked_as_neither() -> None:
    moved = Change("scopes.google", ["a"], ["b"], "widening")
    lost = Change("scopes.google", ["a"], [], "narrowing")
    operations = (
        replace(operation("set_scopes", "both", "", moved), risk="widening"),
        replace(operation("set_scopes", "less", "", lost), risk="narrowing"),
        replace(operation("revoke_agent", "gone", "", lost), risk="destructive"),
    )
    given = subject("plan", plan=replace(EMPTY, operations=operations))
    assert "**Who gains and who loses which scope: 1 gain, 2 lose**" in markdown_report(given)
    for chars in range(700, 1_700, 50):
        text = limited(given, chars)
        assert (
            "1 gain, 2 lose" in text or "**1 agent may do more and 2 agents may do less than before**" in text
        )
    assert "**1 agent may do more and 2 agents may do less than before**" in limited(given, 700)
    fewer = subject("plan", plan=replace(EMPTY, operations=operations[1:2]))
    assert "**1 agent may do less than before**" in limited(fewer, 300)


def test_a_grant_has_its_own_fate_and_not_that_of_the_key_behind_it() -> None:
    grant = Change("scopes.google", None, ["a"], "widening", "new")
    create = replace(operation("create_agent", "fresh", "", grant), risk="widening")
    planned = (
        create,
        operation("mint_key", "fresh", ""),
        replace(operation("revoke_key", "turner", ""), risk="destructive"),
        replace(operation("set_scopes", "turner", "", grant), risk="widening"),
    )
    failure = Failure(ExitCode.ERROR, "error", "no")
    statuses: tuple[Status, ...] = ("done", "failed", "done", "not_tried")
    rows = tuple(
        OperationOutcome(one.id, one.kind, one.agent, status, failure=failure if status == "failed" else None)
        for one, status in zip(planned, statuses, strict=True)
    )
    plan = replace(EMPTY, operations=planned)
    text = markdown_report(subject("apply", ExitCode.PARTIAL, plan=plan, outcome=Outcome("run", "", rows)))
    assert "| `fresh` (new, done) | `google:a` |" in text
    assert "| `turner` (not tried) | `google:a` |" in text
    assert "> - `turner` (done): " in text


def test_a_reviewer_reads_counts_revocations_and_widenings_before_anything_else() -> None:
    text = markdown_report(PLAN)
    order = [
        text.index(part)
        for part in (
            "### Plan: 1 to create",
            "commit `0123456` · [run](https://github.test/o/r/actions/runs/7)",
            "3 revocations, which cannot be undone",
            "`old-bot`: agent, all its keys: owned by this configuration and no longer declared",
            "| Agent | Gains | Loses |",
            "| `billing-bot` | `slack:chat:write` | `slack:channels:read` |",
            "Blocked by guards (15)",
            "to let this through: `alter-sync apply --allow revoke-in-use=busy-bot`",
            "Waiting (2)",
            "<details>",
        )
    ]
    assert order == sorted(order)


def test_what_is_unknown_of_the_run_is_left_out() -> None:
    text = markdown_report(replace(PLAN, run=replace(RUN, head_sha="", run_url="javascript:alert(1)")))
    assert "commit" not in text
    assert "[run]" not in text


def test_many_agents_are_in_one_fold() -> None:
    operations = tuple(operation("update_agent", f"a{n}", "differs", Change("x", 1, 2)) for n in range(20))
    text = markdown_report(subject("plan", plan=replace(EMPTY, operations=operations)))
    assert "<details><summary>Changes, agent by agent (20)</summary>" in text
    assert foreign_in(text, url=RUN.run_url) == []


def test_a_failed_apply_says_who_failed_why_and_how_to_go_on() -> None:
    text = markdown_report(APPLIED)
    assert "**Failed (2)**\n\n- `billing-bot`\n  - ✗ update agent: somebody changed the agent" in text
    assert "what next: plan again and look at what they did" in text
    assert "```sh\nalter-sync apply --target billing-bot --target sleeper\n```" in text
    assert "`old-bot` (failed): agent, all its keys" in text


def test_a_command_that_would_have_to_be_cut_is_not_shown() -> None:
    resume = "alter-sync apply" + "".join(f" --target agent-{n}" for n in range(5_000))
    assert APPLIED.outcome is not None
    text = markdown_report(replace(APPLIED, outcome=replace(APPLIED.outcome, resume=resume)))
    assert "it is too long for here" in text
    assert "agent-4999" not in text
    assert units(text) < GITHUB_LIMIT


def test_drift_says_who_did_it_and_how_to_put_it_back() -> None:
    text = markdown_report(DRIFT)
    assert "+ `drive`, − `calendar`, by `jane@corp.example` at 2026-11-24 08:55 UTC (agent.update)" in text
    assert "```sh\nalter-sync apply --only-drift\n```" in text


def test_a_failure_says_what_happened_where_and_what_next() -> None:
    text = markdown_report(failed("plan", UsageError("no way", hint="go round")))
    assert "### Plan failed: no way" in text
    assert "- what: no way [`usage`]\n- where: `alter-sync plan`\n- what next: go round" in text
    assert "`agents.yaml:12:3`: unknown key `displayname`" in markdown_report(INVALID)


# The ladder.


def test_two_thousand_widenings_fit_into_a_comment_and_every_one_is_named() -> None:
    given = long_subject(2_000)
    text = markdown_report(given)
    assert units(text) < GITHUB_LIMIT
    for agent in agents_of(given.plan, "revoke_agent") | agents_of(given.plan, "set_scopes"):
        assert agent in text
    assert "`google:scope-6`" in text
    assert "Shortened to what there is room for; everything is in [the run]" in text
    assert foreign_in(text, url=RUN.run_url) == []


@pytest.mark.parametrize("name", [LONG_NAME, "{:04}" + "b" * 80, "reader-of-{:05}"])
@pytest.mark.parametrize("count", [300, 2_000, 5_000])
def test_names_that_are_too_long_share_what_they_have_in_common(name: str, count: int) -> None:
    given = long_subject(count, name=name)
    text = markdown_report(given)
    assert units(text) < GITHUB_LIMIT
    expected = agents_of(given.plan, "revoke_agent") | agents_of(given.plan, "set_scopes")
    assert expected <= unfolded(text)


def test_what_does_not_fit_in_any_way_is_counted() -> None:
    names = [
        f"{n * 7919 % 99_991:05}".translate(str.maketrans("0123456789", "abcdefghij")) * 12
        for n in range(2_000)
    ]
    change = Change("scopes.google", [], ["drive"], "widening")
    operations = tuple(replace(operation("set_scopes", name, "", change), risk="widening") for name in names)
    text = markdown_report(subject("plan", plan=replace(EMPTY, operations=operations)))
    assert units(text) < GITHUB_LIMIT
    found = re.search(r"and (\d+) more, not shown", text)
    assert found
    assert sum(name in text for name in names) == 2_000 - int(found[1])
    assert units(text) > GITHUB_LIMIT - 1_500


@pytest.mark.parametrize("chars", [65_000, 20_000, 10_000, 4_000])
@pytest.mark.parametrize("name", ["plan", "apply", "drift", "invalid", "failure"])
def test_every_report_stays_within_its_room(name: str, chars: int) -> None:
    assert units(limited(SAMPLES[name], chars)) < chars


@pytest.mark.parametrize("chars", range(1_500, 6_500, 250))
def test_every_rung_names_every_revocation_and_every_widening(chars: int) -> None:
    text = limited(PLAN, chars)
    for agent in ("mailer", "old-bot", "shifter", "billing-bot", "nightly-sync", "riser"):
        assert agent in text
    assert foreign_in(text, url=RUN.run_url) == []


def test_an_emoji_counts_twice() -> None:
    changes = (Change("metadata.x", None, "🚀" * 150),)
    operations = tuple(operation("update_agent", f"a{n:03}", "differs", *changes) for n in range(300))
    given = subject("plan", plan=replace(EMPTY, operations=operations))
    whole = limited(given, 10_000_000)
    assert "🚀" in whole
    assert "🚀" not in limited(given, len(whole) + 1)
    assert limited(given, units(whole) + 1) == whole


def test_thousands_of_failures_are_named_by_their_codes() -> None:
    failure = Failure(ExitCode.RATE_LIMIT, "rate_limit_exceeded", "slow down " * 20, "wait", retryable=True)
    rows = tuple(
        OperationOutcome(f"{n}", "update_agent", AgentName(f"agent-{n:04}"), "failed", failure=failure)
        for n in range(3_000)
    )
    text = markdown_report(subject("apply", ExitCode.RATE_LIMIT, outcome=Outcome("run", "", rows)))
    assert units(text) < GITHUB_LIMIT
    assert "- `rate_limit_exceeded`: `agent-0000, agent-0001" in text
    assert "agent-2999" in text


def test_hundreds_of_refusals_become_a_count_for_each_guard() -> None:
    refused = tuple(
        Blocked("freeze", AgentName(f"agent-{n}"), f"reason {n} " + "x" * 500, f"--allow freeze=agent-{n}")
        for n in range(2_000)
    )
    text = limited(subject("plan", plan=replace(RICH, blocked=refused)), 5_000)
    assert "**Blocked by guards (2000)**: 2000 by `freeze`" in text


def test_thousands_of_drifts_name_the_grave_ones() -> None:
    many = [replace(drift_samples.SCOPES, agent=AgentName(f"agent-{n:04}")) for n in range(3_000)]
    low = [replace(drift_samples.NAME, agent=AgentName(f"low-{n:04}")) for n in range(3_000)]
    drift = replace(drift_samples.CLEAN, findings=(*many, *low))
    text = markdown_report(subject("drift", ExitCode.CHANGES, drift=drift))
    assert units(text) < GITHUB_LIMIT
    assert all(one.agent in text for one in many)
    assert "**Low: everything else that was changed outside (3000)**" in text


def test_a_step_summary_is_counted_in_bytes_and_has_no_marker() -> None:
    text = step_summary(long_subject(20_000, name="東京-{:05}"))
    assert len(text.encode()) < 1_048_576
    assert len(text.encode()) > len(text)
    assert "<!--" not in text
    small = step_summary(replace(PLAN, limits=Limits(summary_bytes=4_000)))
    assert len(small.encode()) < 4_000


# Names as one.


@pytest.mark.parametrize(
    ("names", "folded"),
    [
        ([], []),
        (["one"], ["one"]),
        (["tenant-acme", "tenant-globex"], ["tenant-{acme,globex}"]),
        (["acme-reader", "globex-reader"], ["{acme,globex}-reader"]),
        (["t-01-x", "t-02-x", "t-03-x", "t-07-x"], ["t-{01..03,07}-x"]),
        (["t-9", "t-10"], ["t-{10,9}"]),
        (["a", "b-1", "b-2"], ["a", "b-{1,2}"]),
        (["x-{a}", "x-b,c"], ["x-{a}", "x-b,c"]),
    ],
)
def test_names_that_differ_in_one_part_are_one(names: list[str], folded: list[str]) -> None:
    assert fold_names(names) == folded


def test_paper_counts_the_names_that_it_has_no_room_for() -> None:
    paper = Paper(Rung.CUT, 2)
    assert paper.names(["a", "b", "c"]) == "`a, b` **and 1 more, not shown**"
    assert paper.names(["d"]) == "**and 1 more, not shown**"
