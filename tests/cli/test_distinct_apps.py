"""Two apps of a run that are one, as a mistyped name makes them: nothing is done for either."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reconciler.errors import ExitCode
from reconciler.sandbox import SandboxServer
from reconciler.sandbox.catalog import APP_PERMISSIONS
from tests.support.commands import Result, declare, mutations, readers, run
from tests.support.several_apps import Fleet, declare_app, variable_of

AGENTS = ("clerk", "cook", "guard", "teller")


@pytest.fixture
def fleet(alter: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    """The agents of one app are live, from two files."""
    made = Fleet(alter, monkeypatch)
    declare_part("bank", *AGENTS[:-1], file="most")
    declare_part("bank", "teller", file="part")
    assert call("apply", "--yes").code == ExitCode.OK
    alter.store.clear_request_log()
    return made


def declare_part(app: str, *agents: str, file: str, variable: str = "", base_url: str = "") -> None:
    about = {"name": app, "api_key_env": variable or variable_of(app)}
    if base_url:
        about["base_url"] = base_url
    declare(readers(*agents), file=f"apps/{file}.yaml", owner="bank/agents", app=about)


def mistype(*, variable: str = "", base_url: str = "") -> None:
    """Somebody writes `bnak` into one of the two files."""
    declare_part("bnak", "teller", file="part", variable=variable, base_url=base_url)


def call(*words: str) -> Result:
    return run(*words, "-c", "apps")


@pytest.mark.parametrize("variable", ["BANK_KEY", "BNAK_KEY"])
@pytest.mark.parametrize(
    "addresses",
    [
        ("http://127.0.0.1:4010", "http://localhost:4010"),
        ("https://alter.example", "https://ALTER.example"),
        ("https://alter.example", "https://alter.example.:443/"),
    ],
)
def test_one_key_is_of_one_app_however_its_address_is_spelled(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch, variable: str, addresses: tuple[str, str]
) -> None:
    monkeypatch.delenv("ALTER_BASE_URL")
    monkeypatch.setenv("BNAK_KEY", fleet.keys["bank"])
    declare_part("bank", *AGENTS[:-1], file="most", base_url=addresses[0])
    mistype(variable=variable, base_url=addresses[1])
    result = call("apply", "--yes")
    assert result.code == ExitCode.USAGE
    told = (
        "both take their key from BANK_KEY"
        if variable == "BANK_KEY"
        else "apps bank and bnak have the same key, in BANK_KEY and BNAK_KEY"
    )
    assert told in result.stderr
    assert fleet.keys["bank"] not in result.stderr


@pytest.mark.parametrize(
    "words", [("apply", "--yes"), ("apply",), ("plan",), ("apply", "--yes", "--only-drift")]
)
@pytest.mark.parametrize("form", ["table", "json"])
def test_two_keys_of_one_app_are_found_out_by_the_agents_that_both_list(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], form: str
) -> None:
    monkeypatch.setenv("BNAK_KEY", fleet.server.create_app_key(APP_PERMISSIONS, app="bank"))
    mistype()
    result = call(*words, "--output", form, "--report", "json=r.json")
    assert result.code == ExitCode.REFUSED
    assert mutations(fleet.server) == []
    assert fleet.live()["bank"] == list(AGENTS)
    assert "apps bank (apps/most.yaml) and bnak (apps/part.yaml) are one: both list the" in result.stderr
    assert "did you mean 'bank'?" in result.stderr
    assert json.loads(Path("r.json").read_text())["exit"] == ExitCode.REFUSED


def test_of_two_names_the_one_in_fewer_files_is_taken_for_the_mistyped_one(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BNAK_KEY", fleet.server.create_app_key(APP_PERMISSIONS, app="bank"))
    mistype()
    declare_part("bnak", "porter", file="more")
    result = call("plan")
    assert result.code == ExitCode.REFUSED
    assert "apps bnak (apps/more.yaml, apps/part.yaml) and bank (apps/most.yaml) are one" in result.stderr
    assert "did you mean 'bnak'?" in result.stderr


def test_apps_that_are_two_may_have_agents_of_one_name(fleet: Fleet) -> None:
    declare_app("shop", readers(*AGENTS))
    assert call("apply", "--yes").code == ExitCode.OK
    assert fleet.live()["shop"] == list(AGENTS)


@pytest.mark.parametrize("words", [("apply", "--yes"), ("plan",)])
def test_nothing_is_revoked_that_is_declared_for_an_app_which_cannot_be_looked_at(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    key = fleet.server.create_app_key(("agents:write",), app="bank")
    monkeypatch.setenv("BNAK_KEY", key)
    mistype()
    declare_app("shop", readers("bot"))
    result = call(*words)
    assert result.code == ExitCode.REFUSED
    assert mutations(fleet.server) == []
    told = "app bank (apps/most.yaml) would revoke teller, and bnak (apps/part.yaml) declares that"
    assert told in result.stderr
    assert "bnak was not planned: GET /sdk/agents: The key lacks agents:read" in result.stderr
    assert "did you mean 'bnak'?" in result.stderr
    assert key not in result.stderr


def test_what_no_other_app_declares_is_revoked_although_one_cannot_be_looked_at(fleet: Fleet) -> None:
    Path("apps/part.yaml").unlink()
    fleet.use_key("shop", "agents:write")
    declare_app("shop", readers("bot"))
    assert call("apply", "--yes").code == ExitCode.AUTH
    assert fleet.live()["bank"] == list(AGENTS[:-1])


@pytest.mark.parametrize("words", [("apply", "--yes"), ("plan",), ("drift",), ("status",)])
def test_apps_without_their_keys_stop_all_before_anything_is_asked(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    for app in ("mill", "shop"):
        declare_app(app, readers("bot"))
        monkeypatch.delenv(variable_of(app))
    result = call(*words)
    assert result.code == ExitCode.AUTH
    assert "no API key for app mill, shop in environment variable MILL_KEY, SHOP_KEY" in result.stderr
    assert fleet.server.store.request_log() == []


def test_one_address_in_the_environment_does_not_replace_two_of_the_configuration(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BNAK_KEY", fleet.keys["shop"])
    mistype(base_url="https://elsewhere.example")
    result = call("apply", "--yes")
    assert result.code == ExitCode.USAGE
    told = (
        "ALTER_BASE_URL is one address, and apps bank (apps/most.yaml) and bnak (apps/part.yaml) are at two"
    )
    assert told in result.stderr
    assert fleet.server.store.request_log() == []
    # It may move both together.
    declare_part("bank", *AGENTS[:-1], file="most", base_url="https://elsewhere.example/")
    assert call("plan").code == ExitCode.OK
