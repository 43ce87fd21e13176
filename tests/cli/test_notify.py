"""``--notify slack=VARIABLE``: a channel is told when there is something to tell; nothing depends on it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import ExitCode
from reconciler.sandbox import SandboxServer
from tests.support.commands import Result, declare, readers, run
from tests.support.sandbox_server import SignedClient
from tests.support.wire_server import Received, Reply, WireServer

SECRET_PATH = "/services/T000/B000/aSecretThatNobodyMaySee"


class Channel(WireServer):
    """A webhook. ``replies`` answer first, one after the other; then everything is fine."""

    def __init__(self) -> None:
        super().__init__(api_key="")
        self.replies: list[Reply] = []

    def reply_to(self, request: Received) -> Reply:
        with self._lock:
            self.received.append(request)
            return self.replies.pop(0) if self.replies else Reply(200, body=b"ok")

    @property
    def messages(self) -> list[Any]:
        return [request.json for request in self.received]

    @property
    def texts(self) -> list[str]:
        return [json.dumps(message, ensure_ascii=False) for message in self.messages]


@pytest.fixture
def channel(alter: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Channel]:
    with Channel() as server:
        monkeypatch.setenv("HOOK", f"{server.url}{SECRET_PATH}")
        yield server


def tell(*words: str) -> Result:
    result = run(*words, "--notify", "slack=HOOK")
    assert "aSecretThatNobodyMaySee" not in result.stdout + result.stderr
    return result


def change(server: SandboxServer, name: str) -> None:
    with SignedClient(server) as somebody:
        (agent,) = somebody.get("/sdk/agents").json()["items"]
        somebody.send("PATCH", f"/sdk/agents/{agent['id']}", document={"display_name": name})


def test_a_plan_with_changes_is_told_once_with_counts_and_a_link(
    channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "GITHUB_ACTIONS": "true",
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_REPOSITORY": "acme/agents",
        "GITHUB_RUN_ID": "7",
    }.items():
        monkeypatch.setenv(name, value)
    declare({"alpha": {"scopes": {"google": ["drive"]}}})
    assert tell("plan").code == ExitCode.OK
    (request,) = channel.received
    assert (request.method, request.path) == ("POST", SECRET_PATH)
    message = request.json
    assert "1 to create" in message["text"]
    assert "payments-prod" in message["text"]
    first, facts, link = message["blocks"]
    assert first["text"]["type"] == "plain_text"
    assert facts["text"]["text"] == "• create: alpha gains google:drive"
    assert link["elements"][0]["text"] == "<https://github.com/acme/agents/actions/runs/7|The run>"


def test_nothing_to_tell_is_not_told(channel: Channel) -> None:
    declare(readers("alpha"))
    run("apply", "--yes")
    for command in (("plan",), ("drift",), ("apply", "--yes")):
        assert tell(*command).code == ExitCode.OK
    assert channel.received == []


def test_drift_refusals_failures_and_what_was_done_are_told(
    channel: Channel, alter: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare({"alpha": {"scopes": {}, "display_name": "One"}})
    tell("apply", "--yes")
    assert "1 done" in channel.texts[-1]
    assert "done: alpha: create_agent" in channel.texts[-1]
    change(alter, "Two")
    tell("drift")
    assert "drift: 1 low" in channel.texts[-1]
    declare(readers("alpha", "beta"), freeze=[{"from": "2026-01-01", "to": "2090-01-01"}])
    assert tell("apply", "--yes").code == ExitCode.REFUSED
    assert "blocked by freeze: beta" in channel.texts[-1]
    monkeypatch.setenv("ALTER_API_KEY", "alter_rk_wrong")
    failed = tell("plan")
    assert f"failed with exit code {failed.code}" in channel.texts[-1]
    assert len(channel.received) == 4


def test_a_hostile_name_neither_mentions_nor_links_nor_formats(
    channel: Channel, alter: SandboxServer
) -> None:
    declare({"alpha": {"scopes": {}, "display_name": "One"}})
    run("apply", "--yes")
    with SignedClient(alter) as somebody:
        (agent,) = somebody.get("/sdk/agents").json()["items"]
        scopes = {"x": ["<!channel> @here <https://evil.example|click> &amp; \u202e *b*"]}
        somebody.send("PATCH", f"/sdk/agents/{agent['id']}", document={"allowed_scopes": scopes})
    declare({"alpha": {"scopes": {"x": ["<!channel> @here"]}, "display_name": "<!everyone>"}}, owner="a&b")
    tell("plan")
    text = "".join(channel.texts)
    assert "<!" not in text
    assert "@here" not in text
    assert "&amp;b" in text
    message = channel.messages[-1]
    assert all(block["text"]["type"] == "plain_text" for block in message["blocks"])
    assert message["link_names"] is False


def test_the_same_news_is_told_once_and_again_when_it_comes_back(
    channel: Channel, alter: SandboxServer
) -> None:
    state = ("--notify-state", "told")
    declare({"alpha": {"scopes": {}, "display_name": "One"}})
    run("apply", "--yes")
    change(alter, "Two")
    tell("drift", *state)
    tell("drift", *state)
    assert len(channel.received) == 1
    change(alter, "One")
    tell("drift", *state)
    assert Path("told").read_text() == "\n"
    change(alter, "Two")
    tell("drift", *state)
    assert len(channel.received) == 2
    change(alter, "Three")
    tell("drift")
    tell("drift")
    assert len(channel.received) == 4


def test_what_was_not_delivered_is_told_next_time(channel: Channel) -> None:
    declare(readers("alpha"))
    channel.replies = [Reply(404, body=b"no_service")]
    result = tell("plan", "--notify-state", "told")
    assert result.code == ExitCode.OK
    assert "warning: nobody was notified: the message was not delivered (HTTP 404)" in result.stderr
    assert not Path("told").exists()
    tell("plan", "--notify-state", "told")
    assert len(channel.received) == 2


@pytest.mark.parametrize(
    "reply", [Reply(503, body=b""), Reply(429, body=b"", headers={"Retry-After": "0"}), Reply(drop=True)]
)
def test_what_may_pass_is_tried_again(channel: Channel, reply: Reply) -> None:
    declare(readers("alpha"))
    channel.replies = [reply]
    assert "warning" not in tell("plan").stderr
    assert len(channel.received) == 2


def test_a_channel_that_cannot_be_reached_changes_no_exit_code(
    alter: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(readers("alpha"), freeze=[{"from": "2026-01-01", "to": "2090-01-01"}])
    monkeypatch.setenv("HOOK", f"http://127.0.0.1:9{SECRET_PATH}")
    result = tell("plan")
    assert result.code == ExitCode.REFUSED
    assert "warning: nobody was notified: the message was not delivered (ConnectError)" in result.stderr


def test_a_redirect_is_not_followed(channel: Channel) -> None:
    declare(readers("alpha"))
    channel.replies = [Reply(302, body=b"", headers={"Location": "http://127.0.0.1:9/"})]
    assert "(HTTP 302)" in tell("plan").stderr


@pytest.mark.parametrize(
    ("request_", "value", "said"),
    [
        (
            "slack=https://hooks.example/aSecretThatNobodyMaySee",
            "",
            "takes the name of an environment variable",
        ),
        ("https://hooks.example/aSecretThatNobodyMaySee", "", "takes slack=VARIABLE"),
        ("slack", "", "takes slack=VARIABLE"),
        ("slack=HOOK", "", "the variable HOOK is not set"),
        ("slack=HOOK", "http://hooks.example/aSecretThatNobodyMaySee", "holds no https:// address"),
        ("slack=HOOK", "aSecretThatNobodyMaySee", "holds no https:// address"),
        ("slack=HOOK", "https://hooks.example:port/aSecretThatNobodyMaySee", "holds no address"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_at_once_and_not_repeated(
    alter: SandboxServer, monkeypatch: pytest.MonkeyPatch, request_: str, value: str, said: str
) -> None:
    declare(readers("alpha"))
    monkeypatch.setenv("HOOK", value)
    result = run("plan", "--notify", request_)
    assert result.code == ExitCode.USAGE
    assert said in result.stderr
    assert "aSecretThatNobodyMaySee" not in result.stderr + result.stdout
    assert alter.store.request_log() == []


def test_a_state_without_a_channel_is_refused(alter: SandboxServer) -> None:
    declare(readers("alpha"))
    assert "--notify-state goes with --notify" in run("plan", "--notify-state", "told").stderr
