"""A key that somebody pasted into a live field: nothing that is told has it, and what is theirs stays."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import ExitCode
from reconciler.model.secret import KEY_SHAPE
from reconciler.reports.formats import FORMATS
from reconciler.sandbox import SandboxServer
from reconciler.sandbox.keys import mint_plaintext
from tests.support.commands import declare, run
from tests.support.planes import use_token
from tests.support.sandbox_server import SignedClient
from tests.support.wire_server import Reply, WireServer

OUTPUTS = ("table", "json", "jsonl")
REPORTS = [word for name in FORMATS for word in ("--report", f"{name}=report.{name}")]
SHOWN = "(key)"


@dataclass(frozen=True, slots=True)
class Pasted:
    """The server, and what somebody else put on the live agent ``alpha``."""

    server: SandboxServer
    key: str
    metadata: dict[str, Any]

    def live(self) -> dict[str, Any]:
        with SignedClient(self.server) as client:
            items = client.get("/sdk/agents").json()["items"]
        found: dict[str, Any] = next(item for item in items if item["name"] == "alpha")
        return found


@pytest.fixture
def pasted(alter: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> Pasted:
    """An owned agent whose every text holds a key, and two of nobody, one of which is called like a key."""
    declare(
        {
            "alpha": {
                "display_name": "Alpha",
                "scopes": {"google": ["gmail.readonly"]},
                "metadata": {"team": "one", "nested": {"deep": ["here"]}},
                "policy": {"rate_limit": {"max_calls": 5, "window_seconds": 60}},
            }
        }
    )
    assert run("apply", "--yes").code == ExitCode.OK
    key = mint_plaintext("ak")
    metadata = {
        "team": key,
        "nested": {"deep": [f"see {key}"], key: key},
        "note": f"their own: {key}",
        key: "as a name",
    }
    with SignedClient(alter) as somebody:
        [agent] = somebody.get("/sdk/agents").json()["items"]
        mark = {"alter-sync": agent["metadata"]["alter-sync"]}
        changed = {
            "display_name": f"Alpha {key}",
            "scopes": {"google": ["gmail.readonly", key]},
            "metadata": {**metadata, **mark},
            "policy": {"rate_limit": {"max_calls": 5, "window_seconds": 60}, "note": key},
        }
        target = f"/sdk/agents/{agent['id']}?expected_version={agent['version']}"
        answer = somebody.send("PATCH", target, document=changed, labelled={"X-Alter-Caller": key})
        assert answer.status_code == 200, answer.text
        somebody.create(key)
        somebody.create("theirs", display_name=key)
    use_token(monkeypatch, alter)
    return Pasted(alter, key, metadata)


def assert_nowhere(key: str, *texts: str) -> None:
    """Neither in what was printed nor in any file of the workplace."""
    written = [path.read_text("utf-8") for path in Path().rglob("*") if path.is_file()]
    assert [text for text in (*texts, *written) if key in text or KEY_SHAPE.search(text)] == []


@pytest.mark.parametrize("output", OUTPUTS)
def test_a_plan_and_drift_say_that_a_key_is_there_and_not_which(pasted: Pasted, output: str) -> None:
    words = ["--output", output, "-vv", *REPORTS]
    plan = run("plan", *words, "--save", "plan.json", "--trace", "trace.jsonl")
    drift = run("drift", *words)
    assert_nowhere(pasted.key, plan.stdout, plan.stderr, drift.stdout, drift.stderr)
    assert (plan.code, drift.code) == (ExitCode.OK, ExitCode.OK)
    assert SHOWN in plan.stdout
    assert SHOWN in drift.stdout
    for name in FORMATS:
        assert Path(f"report.{name}").stat().st_size


@pytest.mark.parametrize("is_saved", [True, False])
def test_apply_carries_the_plan_out_and_leaves_what_is_theirs_as_it_was(
    pasted: Pasted, *, is_saved: bool
) -> None:
    plan = run("plan", "--save", "plan.json")
    check = run("plan", "--check", "plan.json")
    words = ["plan.json"] if is_saved else []
    done = run("apply", *words, "--yes", "--output", "json", "-vv", *REPORTS, "--trace", "trace.jsonl")
    assert_nowhere(pasted.key, *(text for one in (plan, check, done) for text in (one.stdout, one.stderr)))
    assert (plan.code, check.code, done.code) == (ExitCode.OK, ExitCode.OK, ExitCode.OK)
    live = pasted.live()
    assert live["display_name"] == "Alpha"
    assert {name: live["metadata"][name] for name in ("note", pasted.key)} == {
        name: pasted.metadata[name] for name in ("note", pasted.key)
    }
    assert live["metadata"]["team"] == "one"
    assert run("plan", "--detailed-exitcode").code == ExitCode.OK


def test_a_repair_and_a_baseline_work_with_it(pasted: Pasted) -> None:
    accepted = run("drift", "--baseline", "known.json")
    again = run("drift", "--baseline", "known.json", "--output", "json")
    assert_nowhere(pasted.key, accepted.stdout, again.stdout, accepted.stderr, again.stderr)
    assert again.document["summary"]["drift"] == 0
    repair = run("apply", "--only-drift", "--yes")
    assert repair.code == ExitCode.OK
    assert_nowhere(pasted.key, repair.stdout, repair.stderr)
    assert pasted.live()["metadata"]["note"] == pasted.metadata["note"]


@pytest.mark.parametrize("output", OUTPUTS)
def test_what_shows_agents_hides_it(pasted: Pasted, output: str) -> None:
    commands = [
        ("status",),
        ("agents", "list"),
        ("agents", "show", "--agent", "alpha"),
        ("agents", "list-keys", "--agent", "alpha"),
        ("agents", "audit", "--agent", "alpha"),
        ("agents", "registry-list"),
        ("agents", "update", "--agent", "alpha", "--display-name", "Mine"),
    ]
    for words in commands:
        result = run(*words, "--output", output)
        assert result.code == ExitCode.OK, (words, result.stderr)
        assert_nowhere(pasted.key, result.stdout, result.stderr)
    assert pasted.live()["metadata"][pasted.key] == pasted.metadata[pasted.key]


def test_an_export_leaves_it_out(pasted: Pasted) -> None:
    result = run("export")
    assert result.code == ExitCode.OK
    assert_nowhere(pasted.key, result.stdout, result.stderr)


@pytest.mark.parametrize("command", ["plan", "drift", "apply"])
@pytest.mark.parametrize("output", OUTPUTS)
def test_a_key_where_the_server_should_not_have_one_is_not_repeated(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, command: str, output: str
) -> None:
    declare({"alpha": {"scopes": {}}})
    key = mint_plaintext("rk")
    answer = Reply(json={"items": [{"id": key, "name": key}], "total": 1, "has_more": False})
    with WireServer(api_key=key) as server:
        server.on("GET", "/sdk/agents", answer)
        monkeypatch.setenv("ALTER_API_KEY", key)
        monkeypatch.setenv("ALTER_BASE_URL", server.url)
        result = run(command, "--output", output, "-vv", *REPORTS)
    assert result.code == ExitCode.ERROR
    assert "bad_answer" in result.stderr
    assert_nowhere(key, result.stdout, result.stderr)
