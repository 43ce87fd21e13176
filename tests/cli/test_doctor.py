"""``alter-sync doctor``: in each broken situation what is wrong, its fix, and the right exit code."""

import json
import shutil
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from reconciler.cli.embedded import write_alter
from reconciler.errors import ExitCode
from reconciler.sandbox import SandboxServer
from reconciler.sandbox.keys import mint_plaintext
from tests.support.commands import (
    APP,
    OWNER,
    TO_FILES,
    Result,
    declare,
    mutations,
    process,
    readers,
    run,
    use_key_of,
)
from tests.support.planes import use_token
from tests.support.sandbox_server import SignedClient, running_sandbox
from tests.support.several_apps import APPS, Fleet, declare_app
from tests.support.wire_server import Reply, WireServer

SCHEMA = Path(__file__).parents[2] / "schemas/doctor.schema.json"
NO_AGENTS = {"items": [], "total": 0, "limit": 1000, "offset": 0, "has_more": False}
OF_SERVER = (
    "clock",
    "api",
    "rate limit",
    "agents:read",
    "providers:read",
    "agents:write",
    "agents:admin",
    "app",
)


def doctor(*words: str) -> Result:
    result = run("doctor", *words, "--output", "json")
    jsonschema.validate(result.document, json.loads(SCHEMA.read_text()))
    assert result.document["exit"] == result.code
    for entry in result.document["checks"]:
        assert bool(entry["fix"]) == (entry["status"] in {"warning", "failed"}), entry
    return result


def check(result: Result, name: str) -> Any:
    (found,) = [entry for entry in result.document["checks"] if entry["name"] == name]
    return found


def statuses(result: Result) -> Mapping[str, str]:
    return {entry["name"]: entry["status"] for entry in result.document["checks"]}


def failures(result: Result) -> list[str]:
    return [name for name, status in statuses(result).items() if status == "failed"]


def warnings(result: Result) -> list[str]:
    return [name for name, status in statuses(result).items() if status == "warning"]


def mark(*, owner: str = OWNER, app: str = APP) -> Any:
    return {"alter-sync": {"version": 1, "owner": owner, "app": app, "spec": {}}}


def test_a_whole_setup_is_in_order_and_nothing_is_changed_to_find_out(alter: SandboxServer) -> None:
    declare(readers("alpha", "beta"), **TO_FILES)
    result = doctor()
    assert (result.code, failures(result), warnings(result)) == (ExitCode.OK, [], [])
    assert check(result, "configuration")["message"] == f"agents.yaml: 2 agents of {OWNER} in app {APP}"
    assert check(result, "address")["message"] == f"{alter.base_url} from environment variable ALTER_BASE_URL"
    assert "a runtime key (alter_rk_…) from environment variable ALTER_API_KEY" in str(
        check(result, "api key")
    )
    assert "answers in" in check(result, "api")["message"]
    for permission in ("agents:read", "providers:read", "agents:write", "agents:admin"):
        assert check(result, permission)["message"].startswith("granted")
    assert mutations(alter) == []
    assert {request.method for request in alter.store.request_log()} == {"GET"}


def test_people_get_a_line_for_each_check_with_its_fix_and_a_count(alter: SandboxServer) -> None:
    declare(readers("alpha"))
    Path("key").touch(mode=0o600)
    Path("key").write_text(alter.create_app_key(["agents:read", "providers:read"]))
    result = run("doctor", "--api-key-file", "key")
    assert (result.code, result.stderr) == (ExitCode.OK, "")
    lines = result.stdout.splitlines()
    assert lines[0].startswith("alter-sync ")
    assert "Python 3." in lines[0]
    (at,) = [number for number, line in enumerate(lines) if line.startswith("warning  agents:write")]
    assert lines[at + 1] == "    fix: use a key that also has agents:write (the key is from key)"
    assert lines[-1] == "14 checks: 9 ok, 2 warning, 3 skipped"


def test_a_program_gets_one_line_for_each_check(alter: SandboxServer) -> None:
    declare(readers("alpha"))
    rows = run("doctor", "--output", "jsonl", "--fields", "name,status").rows
    assert rows[0] == {"name": "configuration", "status": "ok"}
    assert len(rows) == 14


# Configuration, address, credentials.


def test_without_a_configuration_the_rest_is_checked_all_the_same(alter: SandboxServer) -> None:
    result = doctor()
    assert (result.code, failures(result)) == (ExitCode.NOT_FOUND, ["configuration"])
    assert "alter-sync init" in check(result, "configuration")["fix"]
    assert check(result, "api")["status"] == check(result, "agents:admin")["status"] == "ok"
    assert check(result, "app")["message"] == "0 live agents, 0 with a mark of some configuration"
    assert check(result, "sinks")["message"] == "there is no valid configuration"


def test_an_invalid_configuration_is_told_with_its_errors_and_the_rest_is_checked(
    alter: SandboxServer,
) -> None:
    declare({"alpha": {"scopes": {"google": 7}}}, oops=1)
    result = doctor()
    assert (result.code, failures(result)) == (ExitCode.USAGE, ["configuration"])
    found = check(result, "configuration")
    assert found["fix"] == "alter-sync validate"
    assert len(found["details"]) == 2
    assert all(line.startswith("agents.yaml:") for line in found["details"])
    assert check(result, "agents:read")["status"] == "ok"


def test_what_is_odd_about_the_configuration_is_a_warning(alter: SandboxServer) -> None:
    declare(readers("alpha"), former_owners=[OWNER])
    result = doctor()
    assert (result.code, warnings(result)) == (ExitCode.OK, ["configuration"])
    assert f'"{OWNER}" is the owner itself' in check(result, "configuration")["details"][0]


def test_a_configuration_that_cannot_be_read_is_told(alter: SandboxServer) -> None:
    Path("empty").mkdir()
    result = doctor("-c", "empty")
    assert failures(result) == ["configuration"]
    assert check(result, "agents:read")["status"] == "ok"


def test_a_variable_that_overrules_the_configuration_is_a_warning(alter: SandboxServer) -> None:
    declare(readers("alpha"), app={"name": APP, "base_url": "https://alter.example"})
    result = doctor()
    assert (result.code, warnings(result)) == (ExitCode.OK, ["address"])
    assert "wins over app.base_url: https://alter.example" in check(result, "address")["message"]


def test_an_address_that_is_none_stops_only_what_needs_it(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(readers("alpha"), **TO_FILES)
    monkeypatch.setenv("ALTER_BASE_URL", "alter.example")
    monkeypatch.setenv("ALTER_API_KEY", mint_plaintext("rk"))
    result = doctor()
    assert (result.code, failures(result)) == (ExitCode.USAGE, ["address"])
    assert {statuses(result)[name] for name in ("network", *OF_SERVER)} == {"skipped"}
    assert check(result, "sink env")["status"] == "ok"


@pytest.mark.parametrize(
    ("key", "said", "fix"),
    [
        ("", "no API key in environment variable ALTER_API_KEY", "--api-key-file"),
        (mint_plaintext("ak"), "an agent's own key (alter_ak_…)", "leave that key to its workload"),
        (mint_plaintext("rk")[:-4], "4 characters too short", "once more, all of it"),
        (f"'{mint_plaintext('rk')}'", "quotation marks", "once more"),
        ("alter_pat_abcdefghijklmnop", "its kind is none of", "goes into ALTER_PAT"),
    ],
    ids=["none", "agent", "cut", "quoted", "token"],
)
def test_a_key_that_cannot_work_is_told_offline_and_never_shown(
    alter: SandboxServer, monkeypatch: pytest.MonkeyPatch, key: str, said: str, fix: str
) -> None:
    declare(readers("alpha"))
    monkeypatch.setenv("ALTER_API_KEY", key)
    result = doctor("-vv")
    assert (result.code, failures(result)) == (ExitCode.AUTH, ["api key"])
    assert said in check(result, "api key")["message"]
    assert fix in check(result, "api key")["fix"]
    assert check(result, "network")["status"] == "ok"
    assert check(result, "agents:read")["message"] == "there is no key for it"
    if key:
        assert key not in result.stdout + result.stderr
        assert key[12:24] not in result.stdout + result.stderr


def test_a_key_file_that_is_not_there_is_named(alter: SandboxServer) -> None:
    declare(readers("alpha"))
    result = doctor("--api-key-file", "nowhere")
    assert (result.code, failures(result)) == (ExitCode.NOT_FOUND, ["api key"])
    assert "nowhere" in check(result, "api key")["message"]


@pytest.mark.parametrize(
    ("mode", "status"), [(0o600, "ok"), (0o400, "ok"), (0o644, "warning"), (0o640, "warning")]
)
def test_a_key_file_that_others_may_read_is_a_warning(alter: SandboxServer, mode: int, status: str) -> None:
    declare(readers("alpha"))
    path = Path("the key")
    path.write_text(alter.app_key())
    path.chmod(mode)
    result = doctor("--api-key-file", str(path))
    found = check(result, "api key")
    assert (result.code, found["status"]) == (ExitCode.OK, status)
    assert found["fix"] == ("chmod 600 'the key'" if status == "warning" else "")
    assert check(result, "agents:read")["status"] == "ok"


def test_of_several_apps_one_has_to_be_named_and_no_key_is_looked_for(
    alter: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = Fleet(alter, monkeypatch)
    for app in APPS:
        declare_app(app, readers("bot"))
    monkeypatch.delenv("ALTER_API_KEY", raising=False)
    result = doctor("-c", "apps")
    assert (result.code, failures(result)) == (ExitCode.USAGE, ["configuration"])
    assert "-c apps/bank.yaml" in check(result, "configuration")["fix"]
    others = [entry for entry in result.document["checks"] if entry["name"] != "configuration"]
    assert {entry["status"] for entry in others} == {"skipped"}
    assert all("name one of them with -c" in entry["message"] for entry in others)
    assert "ALTER_API_KEY" not in result.stdout
    assert doctor("-c", "apps/bank.yaml").code == ExitCode.OK
    assert all(key not in result.stdout for key in fleet.keys.values())


def test_the_configuration_may_name_the_variable_of_the_key(
    alter: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(readers("alpha"), app={"name": APP, "api_key_env": "STAGING_KEY"})
    assert "STAGING_KEY" in check(doctor(), "api key")["fix"]
    monkeypatch.setenv("STAGING_KEY", alter.app_key())
    assert doctor().code == ExitCode.OK


@pytest.mark.parametrize("state", ["revoked", "expired", "unknown"])
def test_a_key_that_the_server_refuses_is_told_with_where_it_is_from(
    alter: SandboxServer, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    declare(readers("alpha"))
    key = use_key_of(monkeypatch, alter, "agents:read")
    if state == "unknown":
        monkeypatch.setenv("ALTER_API_KEY", mint_plaintext("rk"))
    else:
        alter.store.set_key_state(key, state)
    result = doctor()
    assert (result.code, failures(result)) == (ExitCode.AUTH, ["api"])
    assert "key from environment variable ALTER_API_KEY" in check(result, "api")["message"]
    assert check(result, "api")["fix"]


# Permissions.


@pytest.mark.parametrize(
    ("held", "words", "code", "failed", "warned"),
    [
        (["agents:read", "providers:read"], [], 0, [], ["agents:write", "agents:admin"]),
        (["agents:read", "providers:read"], ["--for", "plan"], 0, [], ["agents:write", "agents:admin"]),
        (["agents:read", "providers:read"], ["--for", "apply"], 3, ["agents:write"], ["agents:admin"]),
        (["agents:read", "providers:read"], ["--for", "revoke"], 3, ["agents:write", "agents:admin"], []),
        (["agents:read", "agents:write"], ["--for", "apply"], 0, [], ["providers:read", "agents:admin"]),
        (["agents:write", "agents:admin"], [], 3, ["agents:read"], ["providers:read"]),
    ],
)
def test_a_missing_permission_fails_what_it_is_needed_for_and_is_a_warning_else(
    alter: SandboxServer,
    monkeypatch: pytest.MonkeyPatch,
    *,
    held: list[str],
    words: list[str],
    code: int,
    failed: list[str],
    warned: list[str],
) -> None:
    declare(readers("alpha"))
    use_key_of(monkeypatch, alter, *held)
    result = doctor(*words)
    assert (result.code, failures(result), warnings(result)) == (code, failed, warned)
    for name in (*failed, *warned):
        assert name in check(result, name)["fix"]
    assert mutations(alter) == []


def test_what_the_server_does_not_tell_is_unknown_and_never_guessed(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(readers("alpha"))
    key = mint_plaintext("rk")
    monkeypatch.setenv("ALTER_API_KEY", key)
    with WireServer(api_key=key) as server:
        monkeypatch.setenv("ALTER_BASE_URL", server.url)
        serve_an_app(server)
        plain, asked = doctor(), doctor("--for", "apply")
    assert plain.code == asked.code == ExitCode.OK
    assert check(plain, "agents:write")["status"] == "skipped"
    assert check(plain, "agents:write")["message"].startswith("unknown")
    assert check(asked, "agents:write")["status"] == "warning"


# The server: network, clock, rate.


@contextmanager
def answering(monkeypatch: pytest.MonkeyPatch) -> Iterator[WireServer]:
    """A server that says what a test scripts, and one agent declared for it."""
    declare(readers("alpha"))
    key = mint_plaintext("rk")
    monkeypatch.setenv("ALTER_API_KEY", key)
    with WireServer(api_key=key) as server:
        monkeypatch.setenv("ALTER_BASE_URL", server.url)
        yield server


def test_a_rate_limit_without_headers_is_no_fault_of_the_key(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with answering(monkeypatch) as server:
        server.on("GET", "/sdk/scopes", Reply(429, {"error": "rate_limit_exceeded"}))
        result = doctor()
    assert (result.code, failures(result)) == (ExitCode.RATE_LIMIT, ["api"])
    assert check(result, "api")["fix"].startswith("wait a minute and try again")
    assert check(result, "agents:read")["message"] == "the rate limit is used up"
    assert check(result, "rate limit")["status"] == "skipped"


def test_a_rate_limit_of_one_question_alone_is_a_rate_limit(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with answering(monkeypatch) as server:
        server.on("GET", "/sdk/oauth/provider-catalog", Reply(429, {"error": "rate_limit_exceeded"}))
        server.on("GET", "/sdk/scopes", Reply(json={"resources": {}, "action_verbs": []}))
        server.on("GET", "/sdk/agents", Reply(json=NO_AGENTS))
        result = doctor()
    assert (result.code, check(result, "api")["status"]) == (ExitCode.RATE_LIMIT, "ok")
    assert failures(result) == ["providers:read", "agents:write", "agents:admin"]


def test_a_rate_limit_that_passes_in_a_moment_is_waited_for(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with answering(monkeypatch) as server:
        # The first is the look at the network, without a key.
        server.on("GET", "/sdk/scopes", *[Reply(429, {"error": "rate_limit_exceeded"})] * 2)
        serve_an_app(server)
        result = doctor()
    assert (result.code, failures(result)) == (ExitCode.OK, [])


@pytest.mark.parametrize("body", [b"<html>Log in to the guest network</html>", b"{}"])
def test_what_answers_in_the_place_of_alter_proves_nothing(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    with answering(monkeypatch) as server:
        for path in ("/sdk/scopes", "/sdk/agents", "/sdk/oauth/provider-catalog"):
            server.on("GET", path, Reply(body=body, headers={"Content-Type": "text/html"}))
        result = doctor()
    assert (result.code, failures(result)) == (ExitCode.ERROR, ["api"])
    assert "what stands between here and Alter" in check(result, "api")["fix"]
    assert check(result, "providers:read")["message"] == "the server does not answer as Alter does"


def test_an_unknown_refusal_names_the_clock_and_the_address_before_the_key(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with answering(monkeypatch) as server:
        server.on("GET", "/sdk/scopes", Reply(401, {"error": "bad sig"}))
        result = doctor()
    assert (result.code, failures(result)) == (ExitCode.AUTH, ["api"])
    assert "bad sig" in check(result, "api")["message"]
    fix = check(result, "api")["fix"]
    assert fix.index("clock") < fix.index("path of the base URL") < fix.index("API key")


def test_a_permission_that_a_refusal_does_not_name_is_unknown(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lacking = {"required": ["providers:read"], "missing": ["providers:read"], "granted": ["agents:read"]}
    with answering(monkeypatch) as server:
        server.on(
            "GET", "/sdk/oauth/provider-catalog", Reply(403, {"error": "insufficient_scope", **lacking})
        )
        serve_an_app(server)
        result = doctor()
    assert (result.code, warnings(result)) == (ExitCode.OK, ["providers:read"])
    for permission in ("agents:write", "agents:admin"):
        assert check(result, permission)["status"] == "skipped"
        assert check(result, permission)["message"].startswith("unknown")


def test_a_connection_that_breaks_is_told_with_something_to_do(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with answering(monkeypatch) as server:
        server.on("GET", "/sdk/scopes", Reply(401, {"error": "invalid_key"}), Reply(drop=True))
        result = doctor()
    assert failures(result) == ["api"]
    assert "try again" in check(result, "api")["fix"]
    assert "carried out" not in check(result, "api")["fix"]


def serve_an_app(server: WireServer, **headers: str) -> None:
    """What every valid key may read, of an app without agents."""
    server.on("GET", "/sdk/scopes", Reply(json={"resources": {}, "action_verbs": []}, headers=headers))
    server.on("GET", "/sdk/agents", Reply(json=NO_AGENTS))
    server.on("GET", "/sdk/oauth/provider-catalog", Reply(json={"providers": {}}))


@pytest.mark.parametrize(
    ("seconds", "status", "said"),
    [
        (0, "ok", "to the second"),
        (20, "ok", "behind the server's"),
        (120, "warning", "behind the server's"),
        (-120, "warning", "ahead of the server's"),
        (400, "failed", "requests are refused beyond 300 s"),
    ],
)
def test_a_clock_that_is_off_is_told_before_requests_are_refused(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, seconds: int, status: str, said: str
) -> None:
    declare(readers("alpha"))
    key = mint_plaintext("rk")
    monkeypatch.setenv("ALTER_API_KEY", key)
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=seconds + 0.5), usegmt=True)
    with WireServer(api_key=key) as server:
        monkeypatch.setenv("ALTER_BASE_URL", server.url)
        serve_an_app(server, Date=date)
        result = doctor()
    found = check(result, "clock")
    assert found["status"] == status
    assert said in found["message"]
    assert result.code == (ExitCode.AUTH if status == "failed" else ExitCode.OK)
    assert ("timedatectl" in found["fix"]) == (status != "ok")


def test_a_server_that_is_not_there_ends_soon_and_what_is_offline_is_checked(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(readers("alpha"), **TO_FILES)
    monkeypatch.setenv("ALTER_API_KEY", mint_plaintext("rk"))
    with socket.socket() as reserved:  # bound, and nobody listens
        reserved.bind(("127.0.0.1", 0))
        monkeypatch.setenv("ALTER_BASE_URL", f"http://127.0.0.1:{reserved.getsockname()[1]}")
        result = doctor()
    assert (result.code, failures(result)) == (ExitCode.ERROR, ["network"])
    assert "Connection refused" in check(result, "network")["message"]
    assert {statuses(result)[name] for name in OF_SERVER} == {"skipped"}
    assert {statuses(result)[name] for name in ("configuration", "api key", "sink env")} == {"ok"}
    assert "8 checks" in run("doctor").stdout


def test_a_server_that_takes_connections_and_says_nothing_is_told(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(readers("alpha"))
    monkeypatch.setenv("ALTER_API_KEY", mint_plaintext("rk"))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("ALTER_BASE_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        result = doctor()
    assert failures(result) == ["network"]
    assert "no answer in time" in check(result, "network")["message"]


def test_a_proxy_of_the_environment_is_named_without_its_password(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(readers("alpha"))
    monkeypatch.setenv("ALTER_API_KEY", mint_plaintext("rk"))
    monkeypatch.setenv("ALTER_BASE_URL", "https://alter.invalid")
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("NO_PROXY", "")
    with WireServer(api_key="") as proxy:
        proxy.on("CONNECT", "alter.invalid:443", Reply(403, {}))
        for name in ("https_proxy", "HTTPS_PROXY"):
            monkeypatch.setenv(name, f"http://user:hunter2@127.0.0.1:{proxy.port}")
        result = doctor()
    assert f"through the proxy 127.0.0.1:{proxy.port}" in check(result, "network")["message"]
    assert failures(result) == ["api"]
    assert "HTTPS_PROXY" in check(result, "api")["fix"]
    assert "hunter2" not in result.stdout + result.stderr


def test_the_rate_limit_is_told_and_a_used_up_one_is_a_failure(
    workplace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(readers("alpha"))
    with running_sandbox(tmp_path, rate_limit_per_minute=1000) as server:
        monkeypatch.setenv("ALTER_BASE_URL", server.base_url)
        monkeypatch.setenv("ALTER_API_KEY", server.app_key())
        result = doctor()
        assert (result.code, check(result, "rate limit")["status"]) == (ExitCode.OK, "ok")
        assert "of 1000 requests left until" in check(result, "rate limit")["message"]
    (tmp_path / "other").mkdir()
    with running_sandbox(tmp_path / "other", rate_limit_per_minute=1) as server:
        monkeypatch.setenv("ALTER_BASE_URL", server.base_url)
        monkeypatch.setenv("ALTER_API_KEY", server.app_key())
        result = doctor()
    assert (result.code, failures(result)) == (ExitCode.RATE_LIMIT, ["api"])
    assert check(result, "rate limit")["status"] == "warning"
    assert "try again in" in check(result, "api")["fix"]


def test_a_hiccup_of_the_server_is_forgiven(alter: SandboxServer) -> None:
    from reconciler.sandbox.faults import Fault

    declare(readers("alpha"))
    alter.faults.arm(Fault.from_json({"kind": "status", "status": 503, "path": "/sdk/agents", "times": 1}))
    result = doctor()
    assert (result.code, failures(result)) == (ExitCode.OK, [])
    assert len(alter.faults.fired()) == 1


def test_a_server_that_answers_only_in_part_is_told_for_each_part(alter: SandboxServer) -> None:
    declare(readers("alpha"))
    alter.faults.add("status", path="/sdk/(agents|oauth)", times=None, status=500)
    result = doctor("--for", "apply")
    assert (result.code, failures(result)) == (ExitCode.ERROR, ["agents:read", "agents:write"])
    assert warnings(result) == ["providers:read", "agents:admin"]
    assert check(result, "app")["message"] == "the agents cannot be read"


def test_certificates_of_the_environment_that_cannot_be_used_are_told(
    alter: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(readers("alpha"))
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/at/all.pem")
    monkeypatch.setenv("ALTER_BASE_URL", alter.base_url.replace("http:", "https:"))
    result = doctor()
    assert (result.code, failures(result)) == (ExitCode.ERROR, ["network"])
    assert "No such file or directory" in check(result, "network")["message"]
    assert "SSL_CERT_FILE" in check(result, "network")["fix"]


# Whose the agents are.


def test_agents_are_counted_by_whose_they_are(alter: SandboxServer) -> None:
    declare(readers("alpha", "theirs", "nobodys"))
    with SignedClient(alter) as client:
        client.create("alpha", metadata=mark())
        client.create("theirs", metadata=mark(owner="others"))
        client.create("nobodys")
    result = doctor()
    found = check(result, "app")
    assert (result.code, found["status"]) == (ExitCode.OK, "warning")
    assert found["message"] == f"3 live agents: 1 of {OWNER}, 1 of other owners, 1 of nobody"
    assert found["details"] == [
        "declared here, but of another owner: theirs",
        "declared, but of nobody yet: nobodys",
    ]


def test_an_unowned_agent_that_is_declared_can_be_adopted(alter: SandboxServer) -> None:
    declare(readers("alpha"), file="live.yaml")
    with SignedClient(alter) as client:
        client.create("alpha")
    found = check(doctor("-c", "live.yaml"), "app")
    assert (found["status"], found["fix"]) == ("warning", "alter-sync adopt -c live.yaml")


def test_the_key_of_another_app_is_told_as_the_guard_will_refuse_it(alter: SandboxServer) -> None:
    declare(readers("alpha"))
    with SignedClient(alter) as client:
        client.create("alpha", metadata=mark(app="payments-staging"))
    result = doctor()
    assert (result.code, failures(result)) == (ExitCode.REFUSED, ["app"])
    assert "'payments-staging'" in check(result, "app")["message"]
    assert "environment variable ALTER_API_KEY" in check(result, "app")["fix"]
    assert run("plan").code == ExitCode.REFUSED


# Sinks.


def sink_of(block: Mapping[str, Any]) -> Result:
    declare(readers("alpha", "beta"), sinks={"place": block}, defaults={"deliver_to": ["place"]})
    return doctor()


@pytest.mark.parametrize(
    ("block", "said", "fix"),
    [
        (
            {"type": "command", "write": ["no-such-program", "{agent}"]},
            "no-such-program",
            "",
        ),
        (
            {"type": "vault", "path": "secret/{agent}", "address": "http://127.0.0.1:9"},
            "VAULT_TOKEN",
            "token",
        ),
        ({"type": "file", "path": "agents.yaml/{agent}"}, "agents.yaml", ""),
        ({"type": "github_actions", "repository": "acme/payments"}, "no usable token", "GITHUB_TOKEN"),
    ],
    ids=["command", "vault", "file", "github"],
)
def test_a_sink_that_could_take_no_key_is_told_with_the_agent_that_was_tried(
    alter: SandboxServer, monkeypatch: pytest.MonkeyPatch, block: Mapping[str, Any], said: str, fix: str
) -> None:
    for name in ("VAULT_TOKEN", "GITHUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    result = sink_of(block)
    assert (result.code, failures(result)) == (ExitCode.SINK, ["sink place"])
    found = check(result, "sink place")
    assert said in found["message"]
    assert "(probed for alpha, one of 2 agents)" in found["message"]
    assert fix in found["fix"]


def test_a_vault_that_does_not_answer_is_told(alter: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAULT_TOKEN", "s.token-of-the-vault")
    result = sink_of({"type": "vault", "path": "secret/{agent}", "address": "http://127.0.0.1:9"})
    assert (result.code, failures(result)) == (ExitCode.SINK, ["sink place"])
    assert "no answer" in check(result, "sink place")["message"]
    assert "s.token-of-the-vault" not in result.stdout + result.stderr


def test_only_sinks_in_use_are_probed_and_none_for_a_plan(alter: SandboxServer) -> None:
    broken = {"type": "command", "write": ["no-such-program"]}
    declare(readers("alpha"), sinks={"unused": broken, "used": broken}, defaults={"deliver_to": ["used"]})
    assert failures(doctor()) == ["sink used"]
    result = doctor("--for", "plan")
    assert (result.code, check(result, "sinks")["message"]) == (ExitCode.OK, "a plan writes to none")


def test_a_probe_leaves_nothing_behind(alter: SandboxServer) -> None:
    declare(readers("alpha"), **TO_FILES)
    assert doctor().code == ExitCode.OK
    assert [path.name for path in Path().rglob("*")] == ["agents.yaml"]


# The dashboard plane.


@pytest.mark.usefixtures("both_planes")
def test_a_token_for_the_dashboard_plane_is_tried_by_reading(alter: SandboxServer) -> None:
    declare(readers("alpha"))
    with SignedClient(alter) as client:
        client.create("alpha", metadata=mark())
    result = doctor()
    assert (result.code, failures(result), warnings(result)) == (ExitCode.OK, [], [])
    assert "environment variable ALTER_APP_ID" in check(result, "dashboard token")["message"]
    assert check(result, "audit feed")["status"] == "ok"
    assert check(result, "alter executable")["message"].startswith(str(write_alter(alter.database)))


def without_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ALTER_API_KEY")


def test_the_dashboard_plane_alone_is_enough_and_what_it_cannot_tell_is_unknown(
    alter: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(readers("alpha"))
    use_token(monkeypatch, alter)
    without_key(monkeypatch)
    result = doctor()
    assert (result.code, failures(result)) == (ExitCode.OK, [])
    assert check(result, "api key")["status"] == "skipped"
    assert check(result, "permissions")["message"].startswith("unknown")


@pytest.mark.parametrize(
    ("variables", "name", "code", "said"),
    [
        ({"ALTER_CLI": "no-such-alter"}, "alter executable", ExitCode.NOT_FOUND, "no-such-alter"),
        ({"ALTER_PAT": "alter_pat_wrong0wrong0wrong0"}, "dashboard token", ExitCode.AUTH, "No token matches"),
        ({"ALTER_PAT": mint_plaintext("rk")}, "dashboard token", ExitCode.AUTH, "a key of an app"),
        ({"ALTER_PAT": mint_plaintext("ak")}, "dashboard token", ExitCode.AUTH, "an agent's own key"),
        ({"ALTER_APP_ID": "nowhere"}, "dashboard token", ExitCode.NOT_FOUND, "No such app"),
    ],
    ids=["executable", "token", "app key", "agent key", "app"],
)
def test_a_broken_dashboard_plane_fails_alone_and_is_a_warning_beside_a_key(
    alter: SandboxServer,
    monkeypatch: pytest.MonkeyPatch,
    *,
    variables: Mapping[str, str],
    name: str,
    code: ExitCode,
    said: str,
) -> None:
    declare(readers("alpha"))
    use_token(monkeypatch, alter)
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    beside = doctor()
    assert (beside.code, warnings(beside)) == (ExitCode.OK, [name])
    without_key(monkeypatch)
    alone = doctor()
    assert (alone.code, failures(alone)) == (code, [name])
    assert said in check(alone, name)["message"]
    assert check(alone, name)["fix"]


def test_a_token_that_may_not_read_the_audit_log_is_a_warning(
    alter: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(readers("alpha"))
    with SignedClient(alter) as client:
        client.create("alpha", metadata=mark())
    use_token(monkeypatch, alter, permissions=["dashboard_agents:read"])
    result = doctor()
    assert (result.code, warnings(result)) == (ExitCode.OK, ["audit feed"])
    assert "dashboard_audit:read" in check(result, "audit feed")["fix"]


def test_the_version_of_the_executable_is_shown_when_it_tells(
    alter: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(readers("alpha"))
    use_token(monkeypatch, alter)
    program = Path("alter").absolute()
    real = write_alter(alter.database)
    program.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo alter 9.8.7 && exit\nexec {real} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("ALTER_CLI", str(program))
    assert check(doctor(), "alter executable")["message"] == f"{program}, alter 9.8.7"


@pytest.mark.parametrize(
    ("printed", "name", "status", "said"),
    [
        ("[1]", "dashboard token", "failed", "agent"),
        ("no json", "dashboard token", "failed", "not JSON"),
        ('[{"id": "a1", "name": "alpha"}]', "app", "skipped", "does not show all agents with their marks"),
        ('[{"id": "a1", "name": "alpha"}]', "audit feed", "ok", "drift tells who did it"),
    ],
)
def test_what_another_executable_prints_is_taken_as_far_as_it_goes(
    alter: SandboxServer, monkeypatch: pytest.MonkeyPatch, printed: str, name: str, *, status: str, said: str
) -> None:
    declare(readers("alpha"))
    use_token(monkeypatch, alter)
    without_key(monkeypatch)
    program = Path("alter").absolute()
    program.write_text(f"#!/bin/sh\necho '{printed}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("ALTER_CLI", str(program))
    found = check(doctor(), name)
    assert (found["status"], said in found["message"]) == (status, True)


def test_an_audit_feed_that_does_not_work_is_no_more_than_a_warning(
    alter: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(readers("alpha"))
    with SignedClient(alter) as client:
        client.create("alpha", metadata=mark())
    use_token(monkeypatch, alter)
    program, real = Path("alter").absolute(), write_alter(alter.database)
    program.write_text(f'#!/bin/sh\n[ "$2" = audit ] && exit 1\nexec {real} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("ALTER_CLI", str(program))
    result = doctor()
    assert (result.code, warnings(result)) == (ExitCode.OK, ["audit feed"])


# As a whole.


def test_the_embedded_alter_is_always_in_order(workplace: Path) -> None:
    declare(readers("alpha"))
    result = doctor("--sandbox")
    assert (result.code, failures(result), warnings(result)) == (ExitCode.OK, [], [])
    assert "embedded Alter" in check(result, "address")["message"]


def test_of_several_failures_the_gravest_decides(
    alter: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = {"type": "command", "write": ["no-such-program"]}
    declare(readers("alpha"), sinks={"place": broken}, defaults={"deliver_to": ["place"]})
    monkeypatch.delenv("ALTER_API_KEY")
    result = doctor()
    assert (result.code, failures(result)) == (ExitCode.SINK, ["api key", "sink place"])
    declare(readers("alpha"), oops=1)
    assert doctor().code == ExitCode.USAGE


def test_no_credential_is_in_anything_that_is_printed(
    alter: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor where somebody put one into the wrong place."""
    key, agent_key = alter.app_key(), mint_plaintext("ak")
    token = use_token(monkeypatch, alter)
    declare(readers("alpha"), **TO_FILES)
    Path("key").write_text(key)
    situations: Iterable[Mapping[str, str]] = (
        {},
        {"ALTER_API_KEY": agent_key},
        {"ALTER_PAT": key},
        {"ALTER_APP_ID": key},
        {"ALTER_CLI": f"/nowhere/{key}"},
        {"ALTER_BASE_URL": f"{alter.base_url}/{key}"},
        {"ALTER_API_KEY": key[:-2]},
    )
    printed = ""
    for variables in situations:
        with monkeypatch.context() as patched:
            for name, value in variables.items():
                patched.setenv(name, value)
            for words in (["-vv"], ["-o", "json"], ["-o", "jsonl", "--api-key-file", "key"]):
                result = run("doctor", *words)
                assert "internal error" not in result.stderr
                printed += result.stdout + result.stderr
    printed += process("doctor", "-vv").stdout
    assert "checks: " in printed
    for secret in (key, key[:-2], agent_key, token):
        assert secret not in printed
        assert secret[9:30] not in printed


def test_colours_come_only_when_they_are_wanted(
    alter: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(readers("alpha"))
    assert "\x1b[" not in run("doctor").stdout
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[32mok" in run("doctor").stdout


def test_the_executable_that_is_found_on_the_path_is_named(
    alter: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(readers("alpha"))
    use_token(monkeypatch, alter)
    monkeypatch.delenv("ALTER_CLI")
    if shutil.which("alter"):
        pytest.skip("this machine has an alter of its own")
    folder = write_alter(alter.database).parent
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    assert str(folder / "alter") in check(doctor(), "alter executable")["message"]
