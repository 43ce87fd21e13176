"""What workflows tell people on GitHub: one comment, one issue, the reviewed plan, a ping. Over real HTTP."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import ExitCode
from tests.support.commands import Result, declare, run
from tests.support.github_repository import REPOSITORY, Artifact, GitHubRepository
from tests.support.wire_server import Reply, WireServer

MARK = "<!-- alter-sync:comment app=payments-prod owner=payments/agents -->"
OTHER = "<!-- alter-sync:comment app=search owner=search/agents -->"
NAMELESS = "<!-- alter-sync:comment app= owner= -->"
ALL = {"issues": "write", "pull-requests": "write", "actions": "read"}
STRANGER = {"login": "mallory", "type": "User"}
HEAD, MERGE = "a" * 40, "b" * 40
PR = 7


@pytest.fixture
def github(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GitHubRepository]:
    """GitHub, and a step of a workflow that runs for pull request 7."""
    with GitHubRepository() as server:
        monkeypatch.setenv("GITHUB_API_URL", server.url)
        monkeypatch.setenv("GITHUB_REPOSITORY", REPOSITORY)
        monkeypatch.setenv("GITHUB_TOKEN", server.token_for(ALL))
        monkeypatch.setenv("GITHUB_ACTIONS", "true")
        monkeypatch.setenv("GITHUB_SHA", MERGE)
        monkeypatch.setenv("GITHUB_SERVER_URL", "https://github.com")
        monkeypatch.setenv("GITHUB_RUN_ID", "99")
        monkeypatch.setenv("GITHUB_EVENT_PATH", str(workplace / "event.json"))
        monkeypatch.setenv("GITHUB_OUTPUT", str(workplace / "output"))
        Path("event.json").write_text(json.dumps({"pull_request": {"number": PR}}))
        server.opened(PR, head=HEAD)
        yield server


def comment(text: str, *options: str) -> Result:
    Path("plan.md").write_text(text)
    return run("ci", "comment", "plan.md", *options)


def finding(agent: str = "bot", *, kind: str = "changed_outside", live: str = "x") -> dict[str, Any]:
    return {"id": f"{kind}:{agent}", "kind": kind, "severity": "low", "fingerprint": live, "event": None}


def drift(*findings: dict[str, Any], body: str = "what differs") -> Result:
    document = {
        "format": "alter-sync.drift/1",
        "owner": "payments/agents",
        "app": "payments-prod",
        "findings": list(findings),
    }
    Path("drift.json").write_text(json.dumps(document))
    Path("drift.md").write_text(f"{MARK}\n{body}\n")
    return run("ci", "issue", "drift.json", "--body", "drift.md")


def warned(result: Result) -> str:
    assert result.code == ExitCode.OK, result.stderr
    assert result.stdout.startswith("::warning title=alter-sync::")
    return result.stdout


def writes(github: GitHubRepository) -> list[str]:
    return [request.method for request in github.received if request.method != "GET"]


# The comment.


def test_a_second_report_replaces_the_first_one_in_its_place(github: GitHubRepository) -> None:
    assert comment(f"{MARK}\nfirst\n").code == ExitCode.OK
    assert comment(f"{MARK}\nsecond\n").code == ExitCode.OK
    assert github.bodies(PR) == [f"{MARK}\nsecond\n"]


def test_each_app_has_its_own_comment(github: GitHubRepository) -> None:
    comment(f"{MARK}\none\n")
    comment(f"{OTHER}\ntwo\n")
    comment(f"{MARK}\nthree\n")
    assert github.bodies(PR) == [f"{MARK}\nthree\n", f"{OTHER}\ntwo\n"]


def test_a_comment_is_found_behind_hundreds_of_others(github: GitHubRepository) -> None:
    for number in range(250):
        github.said(PR, f"talk {number}")
    # GitHub's editor ends lines like this.
    github.said(PR, f"{MARK}\r\nold\r\n")
    comment(f"{MARK}\nnew\n")
    assert [body for body in github.bodies(PR) if "alter-sync" in body] == [f"{MARK}\nnew\n"]


def test_a_strangers_comment_with_our_mark_is_not_ours(github: GitHubRepository) -> None:
    github.said(PR, f"{MARK}\nnothing to see here\n", by=STRANGER, member="CONTRIBUTOR")
    comment(f"{MARK}\nthe plan\n")
    comment(f"{MARK}\nthe plan, again\n")
    assert github.bodies(PR) == [f"{MARK}\nnothing to see here\n", f"{MARK}\nthe plan, again\n"]


def test_a_comment_by_a_members_token_is_ours(github: GitHubRepository) -> None:
    github.said(PR, f"{MARK}\nold\n", by={"login": "ci-bot", "type": "User"}, member="MEMBER")
    comment(f"{MARK}\nnew\n")
    assert github.bodies(PR) == [f"{MARK}\nnew\n"]


def test_a_run_that_cannot_tell_its_app_speaks_in_the_only_comment_there_is(github: GitHubRepository) -> None:
    comment(f"{MARK}\nthe plan\n")
    comment(f"{NAMELESS}\nthe configuration has 1 error\n")
    comment(f"{MARK}\nmended\n")
    assert github.bodies(PR) == [f"{MARK}\nmended\n"]


def test_a_run_that_cannot_tell_its_app_does_not_guess_between_two(github: GitHubRepository) -> None:
    comment(f"{MARK}\none\n")
    comment(f"{OTHER}\ntwo\n")
    comment(f"{NAMELESS}\nthe configuration has 1 error\n")
    assert len(github.bodies(PR)) == 3


def test_the_next_plan_takes_over_the_comment_of_a_run_that_could_not_tell_its_app(
    github: GitHubRepository,
) -> None:
    github.said(PR, f"{NAMELESS}\nby a stranger\n", by=STRANGER)
    comment(f"{NAMELESS}\nthe configuration has 1 error\n")
    comment(f"{MARK}\nmended\n")
    assert github.bodies(PR)[1:] == [f"{MARK}\nmended\n"]
    assert github.bodies(PR)[0].endswith("by a stranger\n")


def test_a_part_does_not_speak_for_its_app(github: GitHubRepository) -> None:
    part = MARK.replace(" -->", " only=1/5 -->")
    comment(f"{MARK}\nthe whole\n")
    comment(f"{part}\na part\n")
    comment(f"{NAMELESS}\nthe configuration has 1 error\n")
    assert github.bodies(PR) == [f"{MARK}\nthe configuration has 1 error\n", f"{part}\na part\n"]


def test_a_part_does_not_take_over_what_was_said_without_a_name(github: GitHubRepository) -> None:
    part = MARK.replace(" -->", " only=1/5 -->")
    comment(f"{NAMELESS}\nthe configuration has 1 error\n")
    comment(f"{part}\na part\n")
    comment(f"{NAMELESS}\nit still has\n")
    assert github.bodies(PR) == [f"{NAMELESS}\nit still has\n", f"{part}\na part\n"]


def test_a_comment_without_a_name_is_superseded_once_and_can_speak_again(github: GitHubRepository) -> None:
    comment(f"{MARK}\none\n")
    comment(f"{OTHER}\ntwo\n")
    comment(f"{NAMELESS}\nthe configuration has 1 error\n")
    assert "is superseded" in comment(f"{MARK}\nmended\n").stderr
    superseded = f"{NAMELESS}\nSuperseded: the comment of the app tells what is to be known.\n"
    assert github.bodies(PR) == [f"{MARK}\nmended\n", f"{OTHER}\ntwo\n", superseded]
    before = len(writes(github))
    comment(f"{OTHER}\ntwo\n")
    assert len(writes(github)) == before + 1
    comment(f"{NAMELESS}\nbroken again\n")
    assert github.bodies(PR)[2] == f"{NAMELESS}\nbroken again\n"


def test_a_comment_that_cannot_be_superseded_does_not_hide_that_the_plan_was_told(
    github: GitHubRepository,
) -> None:
    github.said(PR, f"{MARK}\nold\n")
    nameless = github.said(PR, f"{NAMELESS}\nthe configuration has 1 error\n")
    github.forbidden.append(re.compile(f"PATCH .*/{nameless}"))
    result = comment(f"{MARK}\nnew\n")
    assert "stays as it is: PATCH" in result.stderr
    assert github.bodies(PR)[0] == f"{MARK}\nnew\n"


def test_of_several_comments_the_newest_by_github_actions_is_ours(github: GitHubRepository) -> None:
    other_bot = {"login": "some-app[bot]", "type": "Bot"}
    posing = {"login": "github-actions[bot]", "type": "User"}
    github.said(PR, f"{MARK}\nforeign, older\n", by=other_bot)
    github.said(PR, f"{MARK}\nours, older\n")
    github.said(PR, f"{MARK}\nours\n")
    github.said(PR, f"{MARK}\nforeign, newest\n", by=other_bot)
    github.said(PR, f"{MARK}\nof a member\n", by=posing, member="MEMBER")
    comment(f"{MARK}\nnew\n")
    assert [body.partition("\n")[2].strip() for body in github.bodies(PR)] == [
        "foreign, older",
        "ours, older",
        "new",
        "foreign, newest",
        "of a member",
    ]


def test_a_403_is_a_warning_and_no_failure(github: GitHubRepository) -> None:
    github.forbidden.append(re.compile("POST"))
    said = warned(comment(f"{MARK}\nthe plan\n"))
    assert "HTTP 403, Resource not accessible by integration" in said
    assert "give the job the permission" in said
    assert github.bodies(PR) == []


def test_without_github_actions_the_warning_is_a_message(
    github: GitHubRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GITHUB_ACTIONS")
    github.forbidden.append(re.compile("GET"))
    result = comment(f"{MARK}\nthe plan\n")
    assert (result.code, result.stdout) == (ExitCode.OK, "")
    assert result.stderr.startswith("warning: no comment was written: GET issues/7/comments: HTTP 403")


def test_a_read_is_tried_again_and_a_new_comment_is_not(github: GitHubRepository) -> None:
    github.faults += [Reply(502, {}), Reply(429, {}, headers={"Retry-After": "0"})]
    assert comment(f"{MARK}\nthe plan\n").stdout == ""
    assert len(github.bodies(PR)) == 1
    github.received.clear()
    github.comments.clear()
    # A list that is empty, and then nobody answers: the comment may be there, so it is not sent twice.
    github.faults += [Reply(200, []), Reply(drop=True)]
    assert "no answer" in warned(comment(f"{MARK}\nthe plan\n"))
    assert writes(github) == ["POST"]


def test_a_long_wait_is_not_waited_for(github: GitHubRepository) -> None:
    github.faults += [Reply(403, {"message": "rate limit"}, headers={"X-RateLimit-Remaining": "0"})]
    assert "HTTP 403" in warned(comment(f"{MARK}\nthe plan\n"))
    limit = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "99999999999"}
    github.faults += [Reply(403, {"message": "rate limit"}, headers=limit)]
    assert "rate limit" in warned(comment(f"{MARK}\nthe plan\n"))


@pytest.mark.parametrize("answer", [Reply(200, {"no": "list"}), Reply(200, body=b"<html>")])
def test_what_is_no_list_is_not_believed(github: GitHubRepository, answer: Reply) -> None:
    github.faults.append(answer)
    assert "something else than a list" in warned(comment(f"{MARK}\nthe plan\n"))


def test_a_redirect_is_not_followed(github: GitHubRepository) -> None:
    github.faults.append(Reply(301, {}, headers={"Location": "http://127.0.0.1:1/"}))
    assert "HTTP 301" in warned(comment(f"{MARK}\nthe plan\n"))


def test_a_text_that_is_too_long_for_github_is_cut(github: GitHubRepository) -> None:
    comment(f"{MARK}\n" + "x" * 70_000)
    (body,) = github.bodies(PR)
    assert len(body) == 65_536
    assert body.startswith(f"{MARK}\nxxx")
    assert "cut off here" in body


def test_a_pull_request_can_be_named(github: GitHubRepository) -> None:
    Path("event.json").write_text("{}")
    refused = comment(f"{MARK}\nthe plan\n")
    assert refused.code == ExitCode.USAGE
    assert "--pull-request" in refused.stderr
    github.opened(12, head=HEAD)
    assert comment(f"{MARK}\nthe plan\n", "--pull-request", "12").code == ExitCode.OK
    assert len(github.bodies(12)) == 1


@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        ("GITHUB_REPOSITORY=", ExitCode.USAGE, "OWNER/NAME"),
        ("GITHUB_TOKEN=", ExitCode.AUTH, "github.token"),
        ("GITHUB_API_URL=http://api.github.com", ExitCode.USAGE, "https://"),
        ("GITHUB_API_URL=https://api.github.com\n", ExitCode.USAGE, "https://"),
    ],
)
@pytest.mark.usefixtures("github")
def test_a_step_without_its_environment_is_told_what_to_give(
    monkeypatch: pytest.MonkeyPatch, given: str, code: ExitCode, said: str
) -> None:
    variable, _, value = given.partition("=")
    monkeypatch.setenv(variable, value)
    result = comment(f"{MARK}\nthe plan\n")
    assert result.code == code
    assert said in result.stderr


@pytest.mark.usefixtures("github")
def test_a_report_without_a_mark_would_be_a_new_comment_each_time(workplace: Path) -> None:
    assert comment("the plan\n").code == ExitCode.USAGE
    assert run("ci", "comment", "missing.md").code == ExitCode.NOT_FOUND
    assert run("ci", "comment", str(workplace)).code == ExitCode.USAGE


def test_a_bad_token_is_a_warning_that_does_not_show_it(
    github: GitHubRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "ghs_ofSomebodyElse")
    result = comment(f"{MARK}\nthe plan\n")
    assert "revoked" in warned(result)
    assert "ghs_" not in result.stdout + result.stderr


# The issue.


def test_drift_is_told_in_one_issue_as_long_as_it_lasts(github: GitHubRepository) -> None:
    assert "opened issue #8" in drift(finding()).stderr
    (issue,) = github.drift_issues
    assert issue["title"] == "Drift in payments-prod (payments/agents)"
    assert issue["labels"] == [{"name": "alter-sync-drift"}]
    assert issue["body"].endswith(" -->\nwhat differs\n")
    before, asked = dict(issue), len(writes(github))
    assert "tells of this drift already" in drift(finding(), body="the same, an hour later").stderr
    assert (issue, len(writes(github))) == (before, asked)
    assert "brought up to date" in drift(finding(), finding("other"), body="two things").stderr
    assert issue["body"].endswith("\ntwo things\n")
    assert len(github.drift_issues) == 1


def test_the_check_that_sees_no_drift_closes_and_one_that_does_opens_again(github: GitHubRepository) -> None:
    drift(finding(), body="first")
    assert "closed issue #8" in drift().stderr
    (issue,) = github.drift_issues
    assert (issue["state"], issue["state_reason"]) == ("closed", "completed")
    assert issue["body"].endswith("\nfirst\n"), "what it was about stays readable"
    assert "no issue about it" in drift().stderr
    assert "opened issue #8 again" in drift(finding(), body="second").stderr
    assert issue["state"] == "open"
    assert issue["body"].endswith("\nsecond\n")
    runs = "https://github.com/acme/agents/actions/runs/99"
    assert github.bodies(8) == [
        f"No drift any more. Seen by {runs}",
        f"Something was changed outside again; the description above is new. Seen by {runs}",
    ]
    assert len(github.drift_issues) == 1


def test_what_a_person_closed_stays_closed_until_something_else_drifts(github: GitHubRepository) -> None:
    drift(finding())
    (issue,) = github.drift_issues
    issue["state"] = "closed"
    assert "closed by a person" in warned(drift(finding()))
    assert len(github.drift_issues) == 1
    assert "opened issue #9" in drift(finding("other")).stderr
    assert [one["state"] for one in github.drift_issues] == ["closed", "open"]


def test_what_a_person_closed_and_is_over_may_be_opened_again(github: GitHubRepository) -> None:
    drift(finding())
    (issue,) = github.drift_issues
    issue["state"] = "closed"
    drift()
    assert "opened issue #8 again" in drift(finding()).stderr


def test_notices_are_no_drift(github: GitHubRepository) -> None:
    drift(finding(kind="not_applied"), finding(kind="unused_agent"))
    assert github.drift_issues == []


def test_an_issue_is_found_without_its_label_and_gets_it_back(github: GitHubRepository) -> None:
    drift(finding())
    (issue,) = github.drift_issues
    issue["labels"] = [{"name": "urgent"}]
    drift(finding("other"))
    assert issue["labels"] == [{"name": "urgent"}, {"name": "alter-sync-drift"}]
    assert len(github.drift_issues) == 1


def test_only_our_own_issue_is_touched(github: GitHubRepository) -> None:
    drift(finding())
    mark = github.drift_issues[0]["body"].partition("\n")[0]
    label = [{"name": "alter-sync-drift"}]
    theirs = [
        github.reported(f"{mark}\nby a stranger", user=STRANGER, labels=label),
        github.reported("of another app", labels=label),
        github.reported("", labels=label),
    ]
    before = [dict(issue) for issue in theirs]
    drift()
    assert theirs == before
    assert github.drift_issues[0]["state"] == "closed"


def test_names_can_be_anything_and_stay_apart(github: GitHubRepository) -> None:
    document = {"format": "alter-sync.drift/1", "findings": [finding()], "app": "x"}
    Path("drift.md").write_text("no mark, no matter\n")
    for owner in ("a -->", "a", "a b"):
        Path("drift.json").write_text(json.dumps({**document, "owner": owner}))
        assert run("ci", "issue", "drift.json", "--body", "drift.md").code == ExitCode.OK
    assert len(github.drift_issues) == 3
    assert all(issue["body"].partition("\n")[2] == "no mark, no matter\n" for issue in github.drift_issues)


SOME = '{"format": "alter-sync.drift/1", "findings": [], "limited_to": {"targets": ["a"], "shard": null}}'


@pytest.mark.parametrize("text", ['{"exit": 3}', "[]", "not JSON", SOME])
def test_a_check_that_failed_or_looked_at_some_agents_closes_nothing(
    github: GitHubRepository, text: str
) -> None:
    drift(finding())
    Path("drift.json").write_text(text)
    assert run("ci", "issue", "drift.json", "--body", "drift.md").code == ExitCode.USAGE
    assert github.drift_issues[0]["state"] == "open"


@pytest.mark.parametrize(("status", "said"), [(403, "permission"), (410, "switch issues on")])
def test_drift_that_cannot_be_told_is_a_failure(github: GitHubRepository, status: int, said: str) -> None:
    github.faults.append(Reply(status, {"message": "no"}))
    result = drift(finding())
    assert result.code == ExitCode.ERROR
    assert said in result.stderr


# The reviewed plan.


def reviewed(github: GitHubRepository) -> tuple[dict[str, str], str]:
    Path("output").write_text("")
    result = run("ci", "reviewed-plan", "--name", "alter-sync-plan-default")
    assert result.code == ExitCode.OK, result.stderr
    lines = [line.partition("=") for line in Path("output").read_text().splitlines()]
    return {name: value for name, _, value in lines}, result.stdout + result.stderr


def merge(github: GitHubRepository) -> None:
    github.pulls[0] |= {"merged_at": "2026-01-01T00:00:00Z", "merge_commit_sha": MERGE}


def keep(github: GitHubRepository, run_id: int, *, head: str = HEAD, **fields: Any) -> None:
    name = f"alter-sync-plan-default-{HEAD}"
    github.artifacts.append(Artifact(name, run_id, head, Path(), run_id, **fields))


def test_the_reviewed_plan_is_the_newest_of_the_merged_head(github: GitHubRepository) -> None:
    merge(github)
    keep(github, 31)
    keep(github, 33)
    keep(github, 32)
    outputs, said = reviewed(github)
    assert outputs == {
        "run_id": "33",
        "artifact": f"alter-sync-plan-default-{HEAD}",
        "pull_request": str(PR),
    }
    assert f"pull request #{PR}" in said


def test_a_run_of_the_pull_request_comes_before_a_newer_one_of_something_else(
    github: GitHubRepository,
) -> None:
    merge(github)
    keep(github, 31, pulls=(PR,))
    keep(github, 32, pulls=(PR + 1,))
    keep(github, 33)
    assert reviewed(github)[0]["run_id"] == "31"
    github.artifacts.pop(0)
    assert reviewed(github)[0]["run_id"] == "33", "the newest, when none is known to belong to it"
    github.forbidden.append(re.compile("actions/runs"))
    assert run("ci", "reviewed-plan", "--name", "alter-sync-plan-default").code == ExitCode.ERROR


def test_a_deleted_run_belongs_to_nothing(github: GitHubRepository) -> None:
    merge(github)
    keep(github, 31, pulls=(PR,))
    keep(github, 32)
    name = f"alter-sync-plan-default-{HEAD}"
    kept = [
        {
            "name": name,
            "created_at": f"2026-01-0{run_id % 10}T00:00:00Z",
            "workflow_run": {"id": run_id, "repository_id": 1, "head_repository_id": 1, "head_sha": HEAD},
        }
        for run_id in (31, 39)
    ]
    github.faults += [Reply(200, [github.pulls[0]]), Reply(200, {"artifacts": kept})]
    assert reviewed(github)[0]["run_id"] == "31"


GUARDED = {"nightly-sync": {"scopes": {"google": ["drive"]}}}


@pytest.mark.parametrize(
    ("saved", "given", "is_reviewed"),
    [
        ("", "", "true"),
        ("", "sensitive-scopes", "true"),
        ("sensitive-scopes=nightly-sync", "sensitive-scopes=nightly-sync max-changes", "true"),
        ("sensitive-scopes=nightly-sync", "sensitive-scopes", "true"),
        ("sensitive-scopes", "sensitive-scopes=nightly-sync", ""),
        ("sensitive-scopes=nightly-sync", "", ""),
        ("sensitive-scopes max-changes", "sensitive-scopes", ""),
    ],
)
@pytest.mark.usefixtures("alter", "github")
def test_a_plan_that_lets_through_what_the_workflow_does_not_was_not_reviewed(
    saved: str, given: str, is_reviewed: str
) -> None:
    declare(GUARDED, guards={"sensitive_scopes": ["google:drive"]})
    run("plan", *[f"--allow={one}" for one in saved.split()], "--save", "plan.json")
    assert json.loads(Path("plan.json").read_text())["allowed"] == sorted(saved.split())
    result = run("ci", "reviewed-plan", "--plan", "plan.json", *[f"--allow={one}" for one in given.split()])
    assert result.code == ExitCode.OK, result.stderr
    assert Path("output").read_text() == f"is_reviewed={is_reviewed}\n"
    if not is_reviewed:
        is_not = "max-changes through" if "max-changes" in saved else f"{saved} through"
        assert f"does not count as reviewed: it lets {is_not}" in warned(result)


@pytest.mark.usefixtures("github")
def test_what_is_no_plan_was_not_reviewed() -> None:
    for text in ("", "{}", None):
        if text is None:
            Path("plan.json").unlink()
        else:
            Path("plan.json").write_text(text)
        assert "does not count as reviewed" in warned(run("ci", "reviewed-plan", "--plan", "plan.json"))
    assert Path("output").read_text() == "is_reviewed=\n" * 3


@pytest.mark.usefixtures("github")
@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--name", "x", "--plan", "plan.json"),
        ("--name", "x", "--allow", "max-changes"),
        ("--plan", "plan.json", "--allow", "no-such-guard"),
    ],
)
def test_the_reviewed_plan_is_found_or_checked(words: tuple[str, ...]) -> None:
    assert run("ci", "reviewed-plan", *words).code == ExitCode.USAGE


def test_a_plan_of_a_fork_another_commit_or_an_expired_one_was_not_reviewed(github: GitHubRepository) -> None:
    merge(github)
    keep(github, 31, head_repository_id=2)
    keep(github, 32, head="c" * 40)
    keep(github, 33, expired=True)
    outputs, said = reviewed(github)
    assert outputs == {"run_id": "", "artifact": "", "pull_request": str(PR)}
    assert "::notice title=alter-sync::no reviewed plan: pull request #7" in said


def test_a_push_without_a_pull_request_has_no_reviewed_plan(github: GitHubRepository) -> None:
    keep(github, 31)
    outputs, said = reviewed(github)
    assert outputs == {"run_id": "", "artifact": "", "pull_request": ""}
    assert "is the merge of no pull request" in said


def test_not_knowing_what_was_reviewed_is_a_failure(
    github: GitHubRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    github.forbidden.append(re.compile("commits"))
    assert run("ci", "reviewed-plan", "--name", "x").code == ExitCode.ERROR
    monkeypatch.setenv("GITHUB_SHA", "")
    assert run("ci", "reviewed-plan", "--name", "x").code == ExitCode.USAGE


# The ping.


def test_a_dead_mans_switch_is_told_and_its_address_is_not(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with WireServer(api_key="") as switch:
        monkeypatch.setenv("ALTER_SYNC_PING_URL", f"{switch.url}/ping/uuid-of-the-check")
        answers = (Reply(503), Reply(drop=True), Reply(200), Reply(404))
        switch.on("GET", "/ping/uuid-of-the-check", *answers)
        result = run("ci", "ping")
        assert result.code == ExitCode.OK
        assert len(switch.received) == 3
        failed = run("ci", "ping")
    assert failed.code == ExitCode.ERROR
    assert "HTTP 404" in failed.stderr
    assert "uuid" not in result.stderr + failed.stderr
    assert run("ci", "ping").code == ExitCode.ERROR, "nobody is there"


@pytest.mark.usefixtures("workplace")
def test_a_ping_needs_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("ci", "ping").code == ExitCode.AUTH
    monkeypatch.setenv("ALTER_SYNC_PING_URL", "nowhere")
    assert run("ci", "ping").code == ExitCode.USAGE


def test_the_bare_group_shows_what_it_can_do() -> None:
    assert "alter-sync ci comment" in run("ci").stdout
