"""One report of several apps, in every format; metrics and messages of all of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest
from prometheus_client.parser import text_string_to_metric_families

from reconciler.errors import ExitCode
from reconciler.reports.formats import FORMATS
from reconciler.sandbox import SandboxServer
from reconciler.sandbox.catalog import APP_PERMISSIONS
from tests.support.commands import Result, readers, run
from tests.support.several_apps import APPS, Fleet, declare_app
from tests.support.wire_server import Received, Reply, WireServer

FROZEN = [{"from": "2026-01-01", "to": "2090-01-01"}]


@pytest.fixture
def fleet(alter: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    """One app that a guard refuses, one whose key may not read, and one that is fine."""
    made = Fleet(alter, monkeypatch)
    declare_app("bank", readers("bot", "teller"), freeze=FROZEN)
    declare_app("mill", readers("bot"))
    declare_app("shop", readers("bot"))
    made.use_key("mill", "agents:write")
    return made


def call(*words: str, **reports: str) -> Result:
    asked = [word for name, path in reports.items() for word in ("--report", f"{name}={path}")]
    return run(*words, "-c", "apps", *asked)


def written(command: str, name: str) -> str:
    words = ("apply", "--yes") if command == "apply" else (command,)
    assert call(*words, **{name: "report.out"}).code == ExitCode.REFUSED
    return Path("report.out").read_text()


@pytest.mark.parametrize("command", ["plan", "apply"])
@pytest.mark.parametrize("name", FORMATS)
def test_every_format_has_one_report_of_all_apps_without_their_keys(
    fleet: Fleet, name: str, command: str
) -> None:
    text = written(command, name)
    # GitLab is told of problems and sums, which not every app has.
    assert name in {"terraform", "codequality"} or all(app in text for app in APPS)
    assert not any(key in text for key in fleet.keys.values())


def test_json_has_the_document_of_each_app(fleet: Fleet) -> None:
    document = json.loads(written("plan", "json"))
    assert (document["format"], document["exit"]) == ("alter-sync.runs/1", 12)
    assert [(one["app"], one["exit"]) for one in document["runs"]] == [("bank", 12), ("mill", 3), ("shop", 0)]
    assert document["runs"][1]["result"]["code"] == "insufficient_scope"
    jsonschema.validate(document, run("schema", "runs").document)


def test_markdown_is_one_comment_in_which_agents_are_called_by_their_apps(fleet: Fleet) -> None:
    text = written("apply", "markdown")
    assert text.startswith("<!-- alter-sync:comment app=* owner=* -->\n")
    assert "### Apply failed: 1 of 3 apps failed: mill: " in text
    assert "**3 apps**" in text
    assert "| `shop/bot` (new, done) | `google:gmail.readonly` |" in text
    assert "- `freeze` refuses create agent of `bank/teller`: frozen until" in text
    # In other apps it lets nothing pass.
    assert "`alter-sync apply -c apps/bank.yaml --allow freeze=teller`" in text
    assert re.search(r"\| `bank` \| .* \| 12 \|\n\| `mill` \| failed: .* \| 3 \|\n\| `shop` \|", text)


def test_a_long_comment_of_many_apps_is_cut_to_its_room_and_still_names_who_gains(
    alter: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    Fleet(alter, monkeypatch)
    for app in APPS:
        declare_app(app, readers(*(f"agent-{number:03}" for number in range(120))))
    assert call("plan", "--max-chars", "4000", markdown="r.md").code == ExitCode.OK
    text = Path("r.md").read_text()
    assert len(text) <= 4_000
    assert "`bank/agent-{000..119}, mill/agent-{000..119}, shop/agent-{000..119}`" in text


def test_sarif_has_a_run_for_each_app_and_so_a_category(fleet: Fleet) -> None:
    runs = json.loads(written("plan", "sarif"))["runs"]
    assert [one["automationDetails"]["id"] for one in runs] == [f"alter-sync/plan/{app}/" for app in APPS]
    assert [len(one["results"]) for one in runs] == [2, 0, 0]
    assert runs[1]["invocations"][0]["toolExecutionNotifications"][0]["level"] == "error"


def test_junit_has_a_suite_for_each_app(fleet: Fleet) -> None:
    root = ElementTree.fromstring(written("apply", "junit"))
    assert [suite.get("name") for suite in root] == [f"alter-sync apply of {app}" for app in APPS]
    assert [suite.get("id") for suite in root] == ["0", "1", "2"]
    assert [(suite.get("errors"), suite.get("failures")) for suite in root] == [
        ("0", "2"),
        ("1", "0"),
        ("0", "0"),
    ]


def test_gitlab_gets_sums_and_problems_of_all_apps(fleet: Fleet) -> None:
    assert json.loads(written("plan", "terraform")) == {"create": 1, "update": 0, "delete": 0}
    issues = json.loads(written("plan", "codequality"))
    assert [issue["check_name"] for issue in issues] == [
        "guard/freeze",
        "guard/freeze",
        "failure/insufficient_scope",
    ]
    assert len({issue["fingerprint"] for issue in issues}) == 3


def test_github_gets_one_summary_and_sums_as_outputs(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    outputs = tmp_path / "outputs"
    monkeypatch.setenv("GITHUB_OUTPUT", str(outputs))
    assert "**3 apps**" in written("plan", "github")
    values = dict(line.split("=", 1) for line in outputs.read_text().splitlines() if "=" in line)
    assert (values["changes_to_create"], values["blocked"], values["exit_code"]) == ("1", "2", "12")


def test_html_shows_how_it_went_with_each_app(fleet: Fleet) -> None:
    text = written("plan", "html")
    assert "<title>Plan · 3 apps · alter-sync</title>" in text
    assert 'id="apps"' in text
    assert "alter-sync apply -c apps/bank.yaml --allow freeze=teller" in text
    assert "shop/bot" in text


def test_validate_reports_the_findings_of_all_apps(workplace: Path) -> None:
    for app in APPS:
        declare_app(app, readers("bot"), former_owners=[f"{app}/agents"])
    assert call("validate", markdown="r.md", json="r.json").code == ExitCode.OK
    assert "Validation: 3 warnings" in Path("r.md").read_text()
    runs: list[Any] = json.loads(Path("r.json").read_text())["runs"]
    assert [one["result"]["summary"]["warnings"] for one in runs] == [1, 1, 1]


def test_drift_of_all_apps_is_in_one_report(alter: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = Fleet(alter, monkeypatch)
    for app in APPS:
        declare_app(app, {"bot": {"scopes": {}, "display_name": "Bot"}})
    call("apply", "--yes")
    for app in ("bank", "shop"):
        with fleet.client(app) as somebody:
            (agent,) = somebody.get("/sdk/agents").json()["items"]
            somebody.send("PATCH", f"/sdk/agents/{agent['id']}", document={"display_name": "Else"})
    assert call("drift", "--exit-code", markdown="r.md", html="r.html").code == ExitCode.CHANGES
    text = Path("r.md").read_text()
    assert "### Drift: 2 fields changed outside; 1 in sync" in text
    assert "`bank/bot`" in text
    assert "`shop/bot`" in text
    assert "alter-sync apply -c apps --only-drift" in text


def test_an_issue_for_drift_is_of_one_app(alter: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> None:
    Fleet(alter, monkeypatch)
    for app in APPS:
        declare_app(app, readers("bot"))
    call("drift", json="drift.json", markdown="drift.md")
    monkeypatch.setenv("GITHUB_TOKEN", "t")
    monkeypatch.setenv("GITHUB_REPOSITORY", "o/r")
    result = run("ci", "issue", "drift.json", "--body", "drift.md")
    assert result.code == ExitCode.USAGE
    assert "`alter-sync matrix` gives a job for each" in result.stderr


def samples(path: str) -> dict[tuple[str, str], float]:
    families = text_string_to_metric_families(Path(path).read_text())
    return {
        (sample.labels["app"], sample.name): sample.value for family in families for sample in family.samples
    }


def test_metrics_of_all_apps_stand_in_one_file_and_a_failed_one_keeps_its_last_success(
    fleet: Fleet,
) -> None:
    success = "alter_sync_last_success_timestamp_seconds"
    fleet.use_key("mill", *APP_PERMISSIONS)
    call("plan", "--metrics", "run.prom")
    before = samples("run.prom")
    assert (("mill", success) in before, ("bank", success) in before) == (True, False)
    fleet.use_key("mill", "agents:write")
    call("plan", "--metrics", "run.prom")
    after = samples("run.prom")
    assert {app: after[app, "alter_sync_last_run_exit_code"] for app in APPS} == {
        "bank": 12,
        "mill": 3,
        "shop": 0,
    }
    assert after["mill", success] == before["mill", success]
    assert after["shop", success] > before["shop", success]
    text = Path("run.prom").read_text()
    assert text.count(f"# TYPE {success} gauge") == 1


class Channel(WireServer):
    """A webhook."""

    def reply_to(self, request: Received) -> Reply:
        with self._lock:
            self.received.append(request)
        return Reply(200, body=b"ok")


@pytest.fixture
def channel(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> Iterator[Channel]:
    with Channel(api_key="") as server:
        monkeypatch.setenv("HOOK", f"{server.url}/services/hook")
        yield server


def test_a_channel_gets_one_message_about_all_apps(channel: Channel) -> None:
    call("plan", "--notify", "slack=HOOK")
    (message,) = [request.json for request in channel.received]
    assert message["text"].startswith("alter-sync plan: 3 apps (3 owners): failed with exit code 12")
    assert "mill: GET /sdk/agents: The key lacks agents:read" in json.dumps(message)
