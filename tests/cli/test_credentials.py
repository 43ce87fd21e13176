"""Where the key comes from, and what is said when it is not there or no good; never the key itself."""

from pathlib import Path

import pytest

from reconciler.errors import ExitCode
from reconciler.sandbox import SandboxServer
from reconciler.sandbox.keys import mint_plaintext
from tests.support.commands import Result, declare, readers, run, use_key_of

COMMANDS = (["plan"], ["apply", "--yes"], ["status"])


def assert_refused(result: Result, code: str, *said: str) -> None:
    """With exit code 3, on both streams, with a hint."""
    assert result.code == ExitCode.AUTH
    assert (result.document["exit"], result.document["code"]) == (ExitCode.AUTH, code)
    for text in said:
        assert text in result.document["message"] + result.document["hint"]
        assert text in result.stderr
    assert "  hint: " in result.stderr


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_without_a_key_the_variable_is_named_and_every_way_in(workplace: Path, words: list[str]) -> None:
    declare(readers("alpha"))
    result = run(*words, "--output", "json")
    assert_refused(result, "no_credential", "ALTER_API_KEY", "alter_rk_…", "--api-key-file", "--sandbox")


def test_an_empty_variable_is_no_key(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    declare(readers("alpha"))
    monkeypatch.setenv("ALTER_API_KEY", "  \n")
    assert_refused(run("plan", "-o", "json"), "no_credential", "ALTER_API_KEY")


def test_the_configuration_may_name_another_variable(
    alter: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(readers("alpha"), app={"name": "payments-prod", "api_key_env": "STAGING_KEY"})
    assert_refused(run("plan", "-o", "json"), "no_credential", "STAGING_KEY")
    monkeypatch.setenv("STAGING_KEY", alter.app_key())
    assert run("plan").code == ExitCode.OK


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda key: key[:-3], "3 characters too short"),
        (lambda key: f"'{key}'", "quotation marks"),
        (lambda key: key[:12] + ("a" if key[12] != "a" else "b") + key[13:], "checksum"),
        (lambda key: key.replace("_rk_", "_xx_"), "its kind is none of"),
        (lambda _: mint_plaintext("ak"), "agents cannot manage agents"),
        (lambda key: f"export ALTER_API_KEY={key}", "does not begin with alter_"),
    ],
    ids=["cut", "quoted", "typo", "kind", "agent", "line"],
)
@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_malformed_key_is_refused_offline_and_never_repeated(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], spoil: object, said: str
) -> None:
    assert callable(spoil)
    declare(readers("alpha"))
    key = spoil(mint_plaintext("rk"))
    monkeypatch.setenv("ALTER_API_KEY", key)
    result = run(*words, "--output", "json", "-vv")
    assert_refused(result, "malformed_key", said, "alter_rk_…")
    for part in (key, key[:20], key[-12:]):
        assert part not in result.stdout + result.stderr


def test_a_key_that_the_server_does_not_know_is_refused(
    alter: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(readers("alpha"))
    key = mint_plaintext("rk")
    monkeypatch.setenv("ALTER_API_KEY", key)
    result = run("plan", "-o", "json")
    assert_refused(result, "invalid_key", "check the API key")
    assert key not in result.stdout + result.stderr


def test_a_revoked_key_is_refused(alter: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> None:
    declare(readers("alpha"))
    key = use_key_of(monkeypatch, alter, "agents:read")
    alter.store.set_key_state(key, "revoked")
    assert_refused(run("plan", "-o", "json"), "key_revoked")


def test_a_key_that_may_not_even_read_is_refused_with_what_it_lacks(
    alter: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(readers("alpha"))
    use_key_of(monkeypatch, alter, "providers:read")
    for words in COMMANDS:
        assert_refused(run(*words, "-o", "json"), "insufficient_scope", "agents:read")


def test_a_file_is_the_other_way_in(alter: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> None:
    declare(readers("alpha"))
    Path("key").write_text(f"{alter.app_key()}\n")
    monkeypatch.delenv("ALTER_API_KEY")
    result = run("plan", "--api-key-file", "key")
    assert result.code == ExitCode.OK
    assert "Run `alter-sync apply --api-key-file key` to carry this out." in result.stdout


def test_the_file_comes_before_the_variable(alter: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> None:
    declare(readers("alpha"))
    Path("key").write_text(alter.app_key())
    monkeypatch.setenv("ALTER_API_KEY", mint_plaintext("rk"))
    assert run("plan", "--api-key-file", "key").code == ExitCode.OK


def test_a_key_file_that_is_not_there_is_not_found(workplace: Path) -> None:
    declare(readers("alpha"))
    result = run("plan", "--api-key-file", "nowhere", "-o", "json")
    assert result.code == ExitCode.NOT_FOUND
    assert result.document["message"] == "there is no API key file nowhere"


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        (b"", ExitCode.AUTH, "no API key in key"),
        ("alter_rk_ä".encode(), ExitCode.USAGE, "holds something else than a key"),
        (b"x" * 5000, ExitCode.AUTH, "cannot be used"),
        (None, ExitCode.USAGE, "Is a directory"),
    ],
    ids=["empty", "text", "large", "folder"],
)
def test_a_file_without_a_key_is_refused(
    workplace: Path, content: bytes | None, code: ExitCode, said: str
) -> None:
    declare(readers("alpha"))
    if content is None:
        Path("key").mkdir()
    else:
        Path("key").write_bytes(content)
    result = run("plan", "--api-key-file", "key")
    assert result.code == code
    assert said in result.stderr


@pytest.mark.parametrize(
    "address",
    ["http://alter.example", "http://10.0.0.1:8080", "ftp://localhost", "alter.example", "https://"],
)
def test_a_key_is_never_sent_in_the_clear_or_to_no_address(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    declare(readers("alpha"))
    monkeypatch.setenv("ALTER_API_KEY", mint_plaintext("rk"))
    monkeypatch.setenv("ALTER_BASE_URL", address)
    result = run("plan", "-o", "json")
    assert result.code == ExitCode.USAGE
    assert "base URL cannot be used" in result.document["message"]
    assert "https://" in result.document["hint"]


def test_the_address_may_stand_in_the_configuration(
    alter: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ALTER_BASE_URL")
    declare(readers("alpha"), app={"name": "payments-prod", "base_url": alter.base_url})
    assert run("plan").code == ExitCode.OK


def test_no_option_takes_a_key(workplace: Path) -> None:
    for words in COMMANDS:
        assert run(*words, "--api-key", "alter_rk_x").code == ExitCode.USAGE
