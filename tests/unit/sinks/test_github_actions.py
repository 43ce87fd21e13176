"""The GitHub sink: what it sends, which names it makes, and what it says when GitHub refuses."""

from __future__ import annotations

import base64
import logging
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from reconciler.errors import SinkError
from reconciler.model.agent import AgentName
from reconciler.ports import SecretSink
from reconciler.sinks.github_actions import open_github_actions_sink
from tests.support.github_server import ENVIRONMENT, REPOSITORY, TOKEN, GitHubServer
from tests.support.wire_server import Received, Reply
from tests.unit.sinks.samples import (
    AGENT,
    FIRST_KEY,
    SECOND_KEY,
    delivery,
    each,
    reference,
    second_delivery,
    told,
)

NAME = "NIGHTLY_SYNC_API_KEY"


@pytest.fixture
def github(monkeypatch: pytest.MonkeyPatch) -> Iterator[GitHubServer]:
    monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
    with GitHubServer() as server:
        yield server


def open_sink(**settings: Any) -> SecretSink:
    return open_github_actions_sink(reference("github_actions", **{"repository": REPOSITORY, **settings}), ())


def failure(act: Callable[[], object]) -> SinkError:
    with pytest.raises(SinkError) as caught:
        act()
    shown = told(caught.value)
    assert FIRST_KEY not in shown
    assert TOKEN not in shown
    assert caught.value.hint
    assert not caught.value.message.endswith(".")
    assert not caught.value.hint.endswith(".")
    return caught.value


def deliver(github: GitHubServer, **settings: Any) -> Callable[[], object]:
    return lambda: open_sink(base_url=github.url, **settings).deliver(delivery())


def test_a_key_arrives_sealed_for_the_repository(github: GitHubServer) -> None:
    sink = open_sink(base_url=github.url)
    sink.deliver(delivery())
    assert github.secrets == {("", NAME): FIRST_KEY}
    sink.deliver(second_delivery())
    assert github.secrets == {("", NAME): SECOND_KEY}
    assert [request.method for request in github.received] == ["GET", "PUT"] * 2
    assert sink.place(AGENT) == f"secret {NAME} of acme/payments"


def test_a_key_of_an_environment_goes_there_whatever_its_name(github: GitHubServer) -> None:
    sink = open_sink(base_url=github.url, environment=ENVIRONMENT)
    sink.probe(AGENT, owner="payments", app="payments-prod")
    sink.deliver(delivery())
    assert github.secrets == {(ENVIRONMENT, NAME): FIRST_KEY}
    assert sink.place(AGENT) == f"secret {NAME} of acme/payments, environment 'prod/eu west'"


def test_a_probe_writes_nothing(github: GitHubServer) -> None:
    open_sink(base_url=github.url).probe(AGENT, owner="payments", app="payments-prod")
    assert [request.method for request in github.received] == ["GET"]


def test_what_was_written_cannot_be_read_or_taken_back(github: GitHubServer) -> None:
    sink = open_sink(base_url=github.url)
    sink.deliver(delivery())
    assert not sink.is_readable
    assert sink.read_back(AGENT) is None
    assert sink.restore_previous(AGENT) is False
    sink.forget_previous(AGENT)
    assert len(github.received) == 2


@pytest.mark.parametrize(
    ("template", "agent", "name"),
    [
        ("{agent}_API_KEY", "nightly-sync", NAME),
        ("{agent}_API_KEY", "a.b_c-1", "A_B_C_1_API_KEY"),
        ("key of {agent}", "x", "KEY_OF_X"),
        ("ALTER_{agent}", "7up", "ALTER_7UP"),
        ("_{agent}", "github_", "_GITHUB_"),
    ],
)
def test_the_name_of_the_secret_is_made_of_capitals_digits_and_underscores(
    github: GitHubServer, template: str, agent: str, name: str
) -> None:
    open_sink(base_url=github.url, secret=template).deliver(delivery(agent=agent))
    assert list(github.secrets) == [("", name)]


@pytest.mark.parametrize("agent", ["7up", "github_bot"])
def test_a_name_that_github_does_not_take_is_refused_before_anything_is_asked(
    github: GitHubServer, agent: str
) -> None:
    sink = open_sink(base_url=github.url)
    error = failure(lambda: sink.probe(AgentName(agent), owner="payments", app="payments-prod"))
    assert "GitHub takes no secret named" in error.message
    assert "ALTER_{agent}" in error.hint
    assert github.received == []


@pytest.mark.parametrize(
    "settings",
    [
        {"repository": "payments"},
        {"repository": "acme/.."},
        {"repository": "acme/pay/ments"},
        {"repository": "acme/pay?ments"},
        {"secret": "1_{agent}"},
        {"secret": "github_{agent}"},
        {"base_url": "http://api.github.com"},
        {"base_url": "https://user:pass@api.github.com"},
        {"base_url": "https://api.github.com?x=1"},
        {"base_url": "ftp://127.0.0.1"},
    ],
)
def test_settings_that_cannot_work_are_refused_when_the_sink_is_opened(settings: dict[str, Any]) -> None:
    assert "user:pass" not in failure(lambda: open_sink(**settings)).message


def test_two_agents_whose_secret_would_be_one_are_refused(github: GitHubServer) -> None:
    sink = open_sink(base_url=github.url)
    sink.deliver(delivery(agent="a-b"))
    error = failure(lambda: sink.deliver(delivery(agent="a_b")))
    assert error.message == "agents 'a-b' and 'a_b' would share the secret A_B_API_KEY of acme/payments"
    assert github.writes == 1


@pytest.mark.parametrize("token", [None, "", "  ", "two words", "ключ"])
def test_without_a_usable_token_nothing_is_sent(
    github: GitHubServer, monkeypatch: pytest.MonkeyPatch, token: str | None
) -> None:
    monkeypatch.delenv("GITHUB_TOKEN")
    if token is not None:
        monkeypatch.setenv("GITHUB_TOKEN", token)
    assert "no usable token in GITHUB_TOKEN" in failure(deliver(github)).message
    assert github.received == []


def test_the_token_may_stand_in_another_variable(
    github: GitHubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_TOKEN", TOKEN + "\n")
    monkeypatch.delenv("GITHUB_TOKEN")
    deliver(github, token_env="MY_TOKEN")()
    assert github.secrets == {("", NAME): FIRST_KEY}


def test_a_public_key_that_changes_in_between_is_fetched_again_once(github: GitHubServer) -> None:
    def rotating(request: Received) -> Reply:
        github.rotate()
        return github.carry_out(request)

    github.faults = {2: rotating}
    deliver(github)()
    assert github.secrets == {("", NAME): FIRST_KEY}
    assert len(github.received) == 4
    github.faults = {6: rotating, 8: rotating}
    assert "HTTP 422" in failure(deliver(github)).message
    assert len(github.received) == 8


def test_a_refusal_of_the_value_itself_is_not_tried_again(github: GitHubServer) -> None:
    github.faults = {2: lambda _: Reply(422, {"message": "Too many secrets"})}
    error = failure(deliver(github))
    assert error.message == f"cannot write the secret {NAME} of acme/payments: HTTP 422, Too many secrets"
    assert "how many" in error.hint


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize(
    ("reply", "says", "hints"),
    [
        (Reply(401, {"message": "Bad credentials"}), "HTTP 401, Bad credentials", "GITHUB_TOKEN"),
        (Reply(403, {"message": "Resource not accessible"}), "HTTP 403", "`secrets: write`"),
        (Reply(404, {"message": "Not Found"}), "HTTP 404", "check repository and environment"),
        (Reply(301, {"message": "Moved"}, headers={"Location": "https://x.test/"}), "HTTP 301", "renamed"),
        (Reply(500, body=b"<html>oops</html>"), "HTTP 500, not what GitHub answers", "githubstatus"),
        (Reply(503, {"message": f"no {TOKEN}"}), r"HTTP 503, no \(token\)", "githubstatus"),
        (Reply(200, body=b"<html>welcome</html>"), "HTTP 200, not what GitHub answers", "base_url"),
        (Reply(200, [1]), "HTTP 200", "base_url"),
        (Reply(200, body=b"x" * 300_000), r"no answer about the secret .* \(ReadTimeout\)", "network"),
        (Reply(200, {"key_id": "1"}, truncate=True), r"no answer .* \(RemoteProtocolError\)", "network"),
        (Reply(drop=True), "no answer about the secret", "network"),
    ],
)
def test_an_answer_that_is_no_success_is_explained(
    github: GitHubServer, number: int, reply: Reply, says: str, hints: str
) -> None:
    github.faults = {number: lambda _: reply}
    error = failure(deliver(github))
    assert re.search(says, error.message)
    assert hints in error.hint


def test_a_missing_right_is_named_for_environments_too(github: GitHubServer) -> None:
    github.faults = {1: lambda _: Reply(403, {"message": "Resource not accessible"})}
    assert "`environments: write`" in failure(deliver(github, environment=ENVIRONMENT)).hint


@pytest.mark.parametrize(
    "key",
    [None, 7, "", "not base64!", base64.b64encode(b"short").decode(), base64.b64encode(bytes(32)).decode()],
)
def test_a_public_key_that_is_none_is_not_used(github: GitHubServer, key: object) -> None:
    github.faults = {1: lambda _: Reply(200, {"key_id": "1", "key": key})}
    assert "public key for the secret" in failure(deliver(github)).message
    assert github.writes == 0


def test_a_write_whose_answer_was_lost_can_be_repeated(github: GitHubServer) -> None:
    def losing(request: Received) -> Reply:
        github.carry_out(request)
        return Reply(drop=True)

    github.faults = {2: losing}
    error = failure(deliver(github))
    assert "writing the same key twice does no harm" in error.hint
    deliver(github)()
    assert github.secrets == {("", NAME): FIRST_KEY}


@pytest.mark.parametrize(
    "limit",
    [
        Reply(429, {"message": "slow down"}, headers={"Retry-After": "1"}),
        Reply(403, {"message": "You have exceeded a secondary rate limit"}, headers={"Retry-After": "0.5"}),
    ],
)
def test_a_short_limit_is_waited_for_once(github: GitHubServer, limit: Reply) -> None:
    started = time.monotonic()
    github.faults = {2: lambda _: limit}
    deliver(github)()
    assert 1 <= time.monotonic() - started < 10
    assert github.secrets == {("", NAME): FIRST_KEY}


def test_a_limit_that_stays_is_waited_for_no_second_time(github: GitHubServer) -> None:
    github.faults = dict.fromkeys(range(1, 9), lambda _: Reply(429, headers={"Retry-After": "1"}))
    assert "limits the rate of the token in GITHUB_TOKEN (HTTP 429)" in failure(deliver(github)).message
    assert len(github.received) == 2


@pytest.mark.parametrize(
    "headers",
    [
        {"Retry-After": "31"},
        {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(time.time()) + 3000)},
        {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "soon"},
        {"Retry-After": "inf"},
    ],
)
def test_a_long_limit_is_an_error_at_once(github: GitHubServer, headers: dict[str, str]) -> None:
    started = time.monotonic()
    github.faults = {1: lambda _: Reply(403, {"message": "API rate limit exceeded"}, headers=headers)}
    assert re.fullmatch(r"run again in (\d+|inf) s", failure(deliver(github)).hint)
    assert time.monotonic() - started < 5
    assert len(github.received) == 1


def test_a_server_that_is_not_there_is_an_error_with_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
    sink = open_sink(base_url="http://127.0.0.1:1")
    for act in each(
        lambda: sink.deliver(delivery()),
        lambda: sink.probe(AGENT, owner="payments", app="payments-prod"),
    ):
        assert "(ConnectError)" in failure(act).message


def test_a_proxy_that_cannot_be_used_is_told_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
    monkeypatch.setenv("HTTPS_PROXY", "gopher://user:hunter2@proxy")
    error = failure(lambda: open_sink().deliver(delivery()))
    assert "the proxy or certificates cannot be used" in error.message
    assert "hunter2" not in told(error)


def test_the_libraries_log_neither_key_nor_token(
    github: GitHubServer, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.DEBUG):
        for name in ("httpx", "httpcore", "httpcore.http11", "httpcore.connection"):
            caplog.set_level(logging.DEBUG, logger=name)
        deliver(github)()
    assert "httpcore" in {record.name.partition(".")[0] for record in caplog.records}
    logged = caplog.text + "".join(capfd.readouterr())
    for text in (FIRST_KEY, base64.b64encode(FIRST_KEY.encode()).decode(), TOKEN):
        assert text not in logged


def test_without_the_library_the_sink_says_what_to_install() -> None:
    program = """
import sys
sys.modules["nacl"] = None
from reconciler.errors import SinkError
from reconciler.sinks.github_actions import open_github_actions_sink
from tests.unit.sinks.samples import reference
assert "httpx" not in sys.modules
try:
    open_github_actions_sink(reference("github_actions", repository="acme/payments"), ())
except SinkError as error:
    print(error.message, "|", error.hint)
"""
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=25
    )
    assert ran.stdout.startswith("sink 'local' needs a library that is not installed: nacl")
    assert ran.stdout.endswith("| pip install 'alter-sync[github]'\n")
