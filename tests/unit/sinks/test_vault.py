"""The vault sink over real HTTP: what it keeps, what it refuses, and what is left when it is cut off."""

from __future__ import annotations

import json
import shutil
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import SinkError
from reconciler.model.agent import AgentName
from reconciler.model.secret import Secret
from reconciler.ports import SinkReading
from reconciler.sinks.vault import VaultSink, open_vault_sink
from tests.support.kv2_server import ROOT, Fault, Kv2Server, Request
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

PATH = f"agents/{AGENT}"
THIRD_KEY = "alter_ak_33334444555566667777yy_mnopqr"
FIRST = SinkReading(delivery().key_id, Secret(FIRST_KEY).fingerprint())
SECOND = SinkReading(second_delivery().key_id, Secret(SECOND_KEY).fingerprint())
DROPPED = Fault()
LOST = Fault(carried_out=True)


@pytest.fixture
def vault(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kv2Server]:
    with Kv2Server() as server:
        monkeypatch.setenv("VAULT_ADDR", server.url)
        monkeypatch.setenv("VAULT_TOKEN", ROOT)
        yield server


def sink_of(*former: str, path: str = "secret/agents/{agent}", **settings: Any) -> VaultSink:
    return open_vault_sink(reference("vault", path=path, **settings), former)


def probe(sink: VaultSink) -> None:
    sink.probe(AGENT, owner="payments", app="payments-prod")


def acts_of(sink: VaultSink) -> tuple[Callable[[], object], ...]:
    return each(
        lambda: probe(sink),
        lambda: sink.deliver(delivery()),
        lambda: sink.read_back(AGENT),
        lambda: sink.forget_previous(AGENT),
        lambda: sink.restore_previous(AGENT),
    )


def failure(act: Callable[[], object], match: str) -> SinkError:
    with pytest.raises(SinkError, match=match) as caught:
        act()
    everything = told(caught.value)
    assert not [one for one in (FIRST_KEY, SECOND_KEY, ROOT, "users-own-text") if one in everything]
    assert caught.value.hint
    assert caught.value.__cause__ is None
    return caught.value


def denied(rights: dict[str, set[str]]) -> dict[str, set[str]]:
    everything = {
        "secret/data/*": {"create", "read", "update"},
        "secret/metadata/*": {"create", "read", "update", "patch"},
        "secret/destroy/*": {"update"},
        "sys/capabilities-self": {"update"},
    }
    return {**everything, **rights}


def third_delivery() -> Any:
    return delivery(THIRD_KEY, key_id="key-3")


def test_what_is_written_is_the_field_and_the_facts_as_custom_metadata(vault: Kv2Server) -> None:
    sink_of().deliver(delivery())
    sink_of().deliver(second_delivery())
    assert vault.value(PATH) == {"api_key": SECOND_KEY}
    assert vault.entries[PATH].custom == {
        "alter-sync-owner": "payments",
        "alter-sync-app": "payments-prod",
        "alter-sync-agent": "nightly-sync",
        "alter-sync-key-id": "key-2",
        "alter-sync-fingerprint": SECOND.fingerprint,
        "alter-sync-since": "1",
        "alter-sync-previous-key-id": "key-1",
        "alter-sync-previous-fingerprint": FIRST.fingerprint,
        "alter-sync-previous-version": "1",
    }


def test_other_fields_and_the_metadata_of_others_survive_every_write(vault: Kv2Server) -> None:
    odd = {
        "url": "https://x",
        "n": 12345678901234567,
        "f": 1.5,
        "deep": {"list": [1, None, True, "é\U0001f511"]},
    }
    vault.put(PATH, **odd)
    entry = vault.entries[PATH]
    entry.custom["team"], entry.delete_version_after, entry.cas_required = "fraud", "3h25m19s", True
    sink = sink_of()
    for act in each(
        lambda: sink.deliver(delivery()),
        lambda: sink.deliver(second_delivery()),
        lambda: sink.restore_previous(AGENT),
        lambda: sink.deliver(third_delivery()),
        lambda: sink.forget_previous(AGENT),
    ):
        act()
        value = vault.value(PATH)
        assert value is not None
        assert {**value, "api_key": ""} == {**odd, "api_key": ""}
        assert entry.custom["team"] == "fraud"
    assert (entry.delete_version_after, entry.cas_required, entry.max_versions) == ("3h25m19s", True, 0)
    assert entry.versions[1].data == odd


def test_every_write_is_checked_against_the_version_seen(vault: Kv2Server) -> None:
    sink_of().deliver(delivery())
    sink_of().deliver(second_delivery())
    writes = [one.json for one in vault.received if one.method == "POST" and "/data/" in one.path]
    assert [one["options"]["cas"] for one in writes] == [0, 1]


def test_a_write_of_somebody_else_meanwhile_is_not_lost(vault: Kv2Server) -> None:
    meddled: list[int] = []

    def meddle(request: Request) -> None:
        if request.method == "POST" and "/data/" in request.path and len(meddled) < 3:
            meddled.append(vault.put(PATH, **{**(vault.value(PATH) or {}), "theirs": len(meddled)}))

    vault.before = meddle
    sink_of().deliver(delivery())
    assert vault.value(PATH) == {"theirs": 2, "api_key": FIRST_KEY}
    meddled.clear()
    sink_of().deliver(second_delivery())
    meddled.clear()
    assert sink_of().restore_previous(AGENT) is True
    assert vault.value(PATH) == {"theirs": 2, "api_key": FIRST_KEY}
    assert sink_of().read_back(AGENT) == FIRST


def test_who_never_finds_a_quiet_moment_gives_up(vault: Kv2Server) -> None:
    sink = sink_of()
    sink.deliver(delivery())
    sink.deliver(second_delivery())

    def meddle(request: Request) -> None:
        if request.method == "POST" and "/data/" in request.path:
            vault.put(PATH, **(vault.value(PATH) or {}))

    vault.before = meddle
    failure(lambda: sink.restore_previous(AGENT), "again and again")
    failure(lambda: sink.deliver(third_delivery()), "again and again")
    assert sink.read_back(AGENT) == SECOND


@pytest.mark.parametrize("kill", ["delete", "destroy"])
def test_a_deleted_latest_version_holds_nothing_and_still_tells_whose_it_is(
    vault: Kv2Server, kill: str
) -> None:
    sink = sink_of()
    sink.deliver(delivery())
    sink.deliver(second_delivery())
    version = vault.entries[PATH].versions[2]
    version.deletion_time, version.destroyed = (
        ("2026-01-01T00:00:00Z" if kill == "delete" else ""),
        kill == "destroy",
    )
    assert sink.read_back(AGENT) is None
    failure(lambda: sink.deliver(delivery(owner="fraud")), "two configurations write one place")
    probe(sink)
    assert sink.restore_previous(AGENT) is True
    assert sink.read_back(AGENT) == FIRST
    sink.deliver(third_delivery())
    assert vault.value(PATH) == {"api_key": THIRD_KEY}


@pytest.mark.parametrize("value", ["users-own-text", {"nested": "users-own-text"}, 7])
def test_a_field_of_the_users_is_not_overwritten(vault: Kv2Server, value: object) -> None:
    vault.put(PATH, api_key=value)
    before = vault.state()
    match = "was not written by alter-sync"
    for act in each(lambda: probe(sink_of()), lambda: sink_of().deliver(delivery())):
        failure(act, match)
    assert vault.state() == before
    other = sink_of(field="other")
    other.deliver(delivery())
    assert vault.value(PATH) == {"api_key": value, "other": FIRST_KEY}


@pytest.mark.parametrize("empty", ["", None])
def test_an_empty_field_is_free(vault: Kv2Server, empty: object) -> None:
    vault.put(PATH, api_key=empty)
    assert sink_of().read_back(AGENT) is None
    sink_of().deliver(delivery())
    assert sink_of().read_back(AGENT) == FIRST


def test_custom_metadata_that_was_taken_away_makes_the_key_a_foreign_one(vault: Kv2Server) -> None:
    sink_of().deliver(delivery())
    del vault.entries[PATH].custom["alter-sync-fingerprint"]
    assert sink_of().read_back(AGENT) == SinkReading(None, FIRST.fingerprint)
    failure(lambda: sink_of().deliver(second_delivery()), "was not written by alter-sync")
    assert sink_of().restore_previous(AGENT) is False


def test_a_key_put_by_hand_in_place_of_ours_is_kept_without_a_key_id(vault: Kv2Server) -> None:
    sink = sink_of()
    sink.deliver(delivery())
    vault.put(PATH, api_key="by-hand.1")
    by_hand = SinkReading(None, Secret("by-hand.1").fingerprint())
    assert sink.read_back(AGENT) == by_hand
    sink.deliver(second_delivery())
    assert sink.restore_previous(AGENT) is True
    assert sink.read_back(AGENT) == by_hand


def test_the_place_of_another_agent_is_refused_in_everything_but_reading(vault: Kv2Server) -> None:
    sink = sink_of(path="secret/agents/nightly-sync")
    sink.deliver(delivery(agent="other"))
    probing, delivering, _, forgetting, restoring = acts_of(sink)
    for act in (probing, delivering, forgetting):
        failure(act, "two configurations write one place")
    assert restoring() is False
    sink.deliver(delivery(SECOND_KEY, key_id="key-2", agent="other"))
    failure(restoring, "two configurations write one place")
    assert sink.read_back(AGENT) == SinkReading(None, SECOND.fingerprint)


def test_a_former_owners_place_is_taken_over_and_stays_so_after_a_rollback(vault: Kv2Server) -> None:
    sink_of().deliver(delivery(owner="former"))
    heir = sink_of("former")
    probe(heir)
    heir.deliver(second_delivery())
    assert heir.restore_previous(AGENT) is True
    assert heir.read_back(AGENT) == FIRST
    assert vault.entries[PATH].custom["alter-sync-owner"] == "payments"


def test_two_configurations_that_start_at_once_do_not_both_succeed(vault: Kv2Server) -> None:
    def meddle(request: Request) -> None:
        if request.method == "POST" and "/data/" in request.path:
            vault.entries[PATH].custom["alter-sync-owner"] = "fraud"

    vault.before = meddle
    failure(lambda: sink_of().deliver(delivery()), "two configurations write one place")


def test_to_forget_destroys_every_version_that_can_hold_the_old_key_and_none_before(vault: Kv2Server) -> None:
    vault.put(PATH, url="a")
    sink = sink_of()
    sink.deliver(delivery())
    vault.put(PATH, url="b", api_key=FIRST_KEY)
    vault.entries[PATH].versions[2].deletion_time = "2026-01-01T00:00:00Z"
    sink.deliver(second_delivery())
    vault.put(PATH, url="c", api_key=SECOND_KEY)
    sink.forget_previous(AGENT)
    versions = vault.entries[PATH].versions
    assert [versions[number].destroyed for number in (1, 2, 3, 4, 5)] == [False, True, True, True, False]
    assert FIRST_KEY not in repr(vault.entries)
    assert vault.value(PATH) == {"url": "c", "api_key": SECOND_KEY}
    before = vault.state()
    sink.forget_previous(AGENT)
    assert vault.state() == before


def test_to_forget_keeps_the_delivered_key_where_a_user_has_taken_the_field_out(vault: Kv2Server) -> None:
    sink = sink_of()
    sink.deliver(delivery())
    sink.deliver(second_delivery())
    vault.put(PATH, url="c")
    sink.forget_previous(AGENT)
    versions = vault.entries[PATH].versions
    assert [versions[number].data for number in (1, 2)] == [None, {"api_key": SECOND_KEY}]


@pytest.mark.parametrize("max_versions", [1, 2])
def test_a_previous_version_that_vault_has_pruned_does_not_come_back(
    vault: Kv2Server, max_versions: int
) -> None:
    sink = sink_of()
    sink.deliver(delivery())
    vault.entries[PATH].max_versions = max_versions
    sink.deliver(second_delivery())
    if max_versions == 1:
        assert sink.restore_previous(AGENT) is False
        assert sink.read_back(AGENT) == SECOND
    for _ in range(2 if max_versions == 2 else 0):
        assert sink.restore_previous(AGENT) is True
        assert sink.read_back(AGENT) == FIRST
    sink.forget_previous(AGENT)
    assert sink.restore_previous(AGENT) is False


def test_a_version_that_is_not_the_one_that_was_kept_is_not_restored(vault: Kv2Server) -> None:
    sink = sink_of()
    sink.deliver(delivery())
    sink.deliver(second_delivery())
    vault.entries[PATH].versions[1].data = {"api_key": THIRD_KEY}
    assert sink.restore_previous(AGENT) is False
    assert sink.read_back(AGENT) == SECOND


def test_eight_threads_share_one_sink_and_one_secret(vault: Kv2Server) -> None:
    sink = sink_of()
    with ThreadPoolExecutor(8) as pool:
        jobs = [pool.submit(sink.deliver, delivery()) for _ in range(16)]
        for job in jobs:
            job.result()
    assert sink.read_back(AGENT) == FIRST
    assert vault.entries[PATH].current == 1


def check_nothing_is_claimed_wrongly(vault: Kv2Server) -> None:
    """A key id is only told with the key that it belongs to, and what is held is one of ours."""
    known = {FIRST_KEY: "key-1", SECOND_KEY: "key-2", THIRD_KEY: "key-3"}
    reading, value = sink_of().read_back(AGENT), vault.value(PATH) or {}
    key = value.get("api_key")
    assert (reading is None) == (key is None)
    if reading is not None and key is not None:
        assert reading.fingerprint == Secret(key).fingerprint()
        assert reading.key_id == known[key]


@pytest.mark.parametrize("fault", [DROPPED, LOST], ids=["before", "after"])
@pytest.mark.parametrize("history", [0, 1, 2])
@pytest.mark.parametrize("act", ["deliver", "restore", "forget"])
def test_cut_off_at_any_request_the_place_stays_usable(
    vault: Kv2Server, act: str, history: int, fault: Fault
) -> None:
    acts: dict[str, Callable[[], object]] = {
        "deliver": lambda: sink_of().deliver(third_delivery()),
        "restore": lambda: sink_of().restore_previous(AGENT),
        "forget": lambda: sink_of().forget_previous(AGENT),
    }
    for nth in range(1, 12):
        vault.entries.clear()
        vault.put(PATH, theirs="kept")
        for earlier in (delivery(), second_delivery())[:history]:
            sink_of().deliver(earlier)
        vault.fail(fault, nth=nth)
        try:
            acts[act]()
        except SinkError as error:
            cause = error.message
        else:
            vault.recover()
            break
        assert "no answer that can be used (ConnectionError)" in cause
        check_nothing_is_claimed_wrongly(vault)
        if act == "restore" and history == 2:
            assert sink_of().restore_previous(AGENT) is True
            assert sink_of().read_back(AGENT) == FIRST
        elif act == "forget" and history:
            sink_of().forget_previous(AGENT)
            assert sink_of().restore_previous(AGENT) is False
            check_nothing_is_claimed_wrongly(vault)
        else:
            held_before = (vault.value(PATH) or {}).get("api_key")
            sink_of().deliver(delivery("other.key", key_id="key-4") if nth % 2 else third_delivery())
            if held_before == SECOND_KEY:
                assert sink_of().restore_previous(AGENT) is True
                assert sink_of().read_back(AGENT) == SECOND
        sink_of().deliver(third_delivery())
        assert vault.value(PATH) == {"theirs": "kept", "api_key": THIRD_KEY}
        sink_of().forget_previous(AGENT)
        assert sink_of().read_back(AGENT) == SinkReading(
            third_delivery().key_id, Secret(THIRD_KEY).fingerprint()
        )
        stored = repr(vault.entries)
        assert not [key for key in (FIRST_KEY, SECOND_KEY, "other.key") if key in stored]
    else:
        pytest.fail("it never ends")
    assert nth > 1


@pytest.mark.parametrize(
    ("fault", "match"),
    [
        (Fault(301, headers={"Location": "http://127.0.0.1:1/"}), r"redirect, .* \(301\)"),
        (Fault(307, headers={"Location": "http://127.0.0.1:1/"}), r"redirect, .* \(307\)"),
        (Fault(400, b'{"errors":["users-own-text"]}'), r"refused the request as invalid \(400\)"),
        (Fault(403, b'{"errors":["permission denied"]}'), r"permission denied \(403\)"),
        (Fault(404, b'{"errors":["no handler for route"]}'), r"no KV version 2 engine there"),
        (Fault(404, b"<html>users-own-text</html>"), "does not answer"),
        (Fault(405, b"{}"), r"answered oddly \(405\)"),
        (Fault(412, b"{}"), "not caught up"),
        (Fault(429, b"{}"), "slow down"),
        (Fault(500, b'{"errors":["users-own-text"]}'), r"failed inside \(500\)"),
        (Fault(502, b"<html>users-own-text</html>"), r"failed inside \(502\)"),
        (Fault(503, b'{"errors":["Vault is sealed"]}'), "sealed or down"),
        (Fault(504), r"failed inside \(504\)"),
        (Fault(200, b"<html>users-own-text</html>"), "does not answer"),
        (Fault(200, b'{"data": {"value": "users-own-text"}}'), "does not answer"),
        (Fault(200, b'{"data": "users-own-text'), "does not answer"),
        (Fault(200, b"[" * 100_000), "does not answer"),
        (Fault(200, b"\xff"), "does not answer"),
        (
            Fault(200, b"{}", headers={"Content-Length": "90"}),
            "no answer that can be used",
        ),
        (Fault(200, b"{}", headers={"Content-Encoding": "gzip"}), "no answer that can be used"),
        (DROPPED, "no answer that can be used"),
    ],
)
def test_an_answer_that_is_no_success_is_told_in_our_words(
    vault: Kv2Server, fault: Fault, match: str
) -> None:
    vault.put(PATH, theirs="users-own-text")
    closing = (
        Fault(fault.status, fault.body, {"Connection": "close", **fault.headers}) if fault.status else fault
    )
    vault.fail(closing)
    for act in acts_of(sink_of()):
        error = failure(act, match)
        assert f"secret/{PATH}" in error.message


@pytest.mark.parametrize("nth", [1, 2, 3, 4])
@pytest.mark.parametrize("body", [b"<html>users-own-text</html>", b'{"data": {"data": "users-own-text"}}'])
def test_each_request_may_be_answered_by_something_else(vault: Kv2Server, nth: int, body: bytes) -> None:
    sink_of().deliver(delivery())
    vault.fail(Fault(200, body), nth=nth)
    if nth == 3 and body.startswith(b"{"):
        sink_of().deliver(second_delivery())  # an object is all that is asked of the answer to the mark
    else:
        failure(lambda: sink_of().deliver(second_delivery()), "does not answer")


def test_a_lost_permission_names_the_paths_of_the_policy(vault: Kv2Server) -> None:
    vault.policies[ROOT] = denied({"secret/data/*": {"deny"}})
    sink_of().read_back(AGENT)
    error = failure(lambda: sink_of().deliver(delivery()), "permission denied")
    for area in ("data", "metadata", "destroy"):
        assert f"secret/{area}/{PATH}" in error.hint
    failure(lambda: sink_of(token_env="VAULT_ADDR").read_back(AGENT), "permission denied")


def test_with_the_rights_of_the_hint_everything_works(vault: Kv2Server) -> None:
    vault.policies[ROOT] = denied({})
    sink = sink_of()
    probe(sink)
    sink.deliver(delivery())
    sink.deliver(second_delivery())
    probe(sink)
    assert sink.restore_previous(AGENT) is True
    sink.forget_previous(AGENT)
    assert sink.read_back(AGENT) == FIRST


@pytest.mark.parametrize(
    ("rights", "lacking"),
    [
        ({"secret/data/*": {"read", "create"}}, f"it lacks update on secret/data/{PATH}"),
        (
            {"secret/metadata/*": {"read"}},
            f"create on secret/metadata/{PATH}, patch on secret/metadata/{PATH}",
        ),
        ({"secret/destroy/*": {"deny"}}, f"it lacks update on secret/destroy/{PATH}"),
    ],
)
def test_a_probe_finds_missing_rights_before_there_is_a_key(
    vault: Kv2Server, rights: dict[str, set[str]], lacking: str
) -> None:
    vault.policies[ROOT] = denied(rights)
    failure(lambda: probe(sink_of()), lacking)
    assert vault.writes == 0
    vault.policies[ROOT]["sys/capabilities-self"] = {"deny"}
    probe(sink_of())


def test_too_long_or_too_many_facts_are_told_before_the_key_is_sent(vault: Kv2Server) -> None:
    failure(lambda: sink_of().deliver(delivery(app="x" * 513)), "refused our custom metadata")
    assert not any(FIRST_KEY.encode() in one.body for one in vault.received)


def test_no_key_is_sent_to_an_engine_of_version_one(vault: Kv2Server) -> None:
    stored: dict[str, Any] = {}

    def answer(request: Request) -> None:
        if request.method == "POST":
            stored[request.path] = request.json
        found = json.dumps({"data": stored.get(request.path)}).encode()
        fault = Fault(204) if request.method == "POST" else Fault(200, found)
        vault.fail(fault if request.path in stored else Fault(404, b'{"errors":[]}'))

    vault.before = answer
    failure(lambda: sink_of().deliver(delivery()), "what KV version 2 does not answer")
    assert FIRST_KEY not in repr(stored)


def test_a_redirect_is_not_followed(vault: Kv2Server) -> None:
    with Kv2Server() as other:
        vault.fail(Fault(307, headers={"Location": f"{other.url}/v1/secret/data/x"}))
        for act in acts_of(sink_of()):
            failure(act, "redirect")
        assert other.received == []


def test_an_answer_that_takes_too_long_is_given_up(vault: Kv2Server) -> None:
    sink = sink_of()
    hasty = replace(sink, server=replace(sink.server, timeouts=(5.0, 0.3), call_seconds=0.6))
    vault.fail(Fault(200, b"{}", delay_seconds=0.8))
    failure(lambda: probe(hasty), "ReadTimeout")
    vault.fail(Fault(200, b" " * 100, trickle_seconds=0.1))
    started = time.monotonic()
    failure(lambda: probe(hasty), "does not end")
    assert time.monotonic() - started < 3
    vault.recover()
    failure(lambda: probe(replace(sink, server=replace(sink.server, call_seconds=0.0))), "too long|not end")


def test_nobody_at_the_address_is_an_error_of_the_sink(vault: Kv2Server) -> None:
    for act in acts_of(sink_of(address="http://127.0.0.1:1")):
        failure(act, "ConnectionError")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl to make a certificate")
    folder = tmp_path_factory.mktemp("tls")
    key_file, certificate = folder / "key.pem", folder / "cert.pem"
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
        " -addext subjectAltName=IP:127.0.0.1"
    )
    files = ["-keyout", str(key_file), "-out", str(certificate)]
    subprocess.run([*command.split(), *files], check=True, capture_output=True)
    return key_file, certificate


def test_a_certificate_that_is_not_trusted_is_told_and_can_be_trusted(
    certificate: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAULT_TOKEN", ROOT)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate[1], certificate[0])
    with Kv2Server(context=context) as vault:
        error = failure(lambda: sink_of(address=vault.url).deliver(delivery()), "SSLError")
        assert "ca_file" in error.hint
        assert vault.received == []
        trusting = sink_of(address=vault.url, ca_file=str(certificate[1]))
        trusting.deliver(delivery())
        assert trusting.read_back(AGENT) == FIRST
        missing = sink_of(address=vault.url, ca_file=str(tmp_path / "missing.pem"))
        failure(lambda: probe(missing), "OSError")


def test_the_token_is_read_when_it_is_used(vault: Kv2Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTHER", ROOT)
    monkeypatch.delenv("VAULT_TOKEN")
    sink = sink_of(token_env="OTHER")
    probe(sink)
    monkeypatch.setenv("OTHER", "s.another")
    failure(lambda: probe(sink), "permission denied")
    monkeypatch.delenv("OTHER")
    failure(lambda: probe(sink), "no token for Vault in OTHER")
    assert {one.headers["x-vault-token"] for one in vault.received} == {ROOT, "s.another"}


@pytest.mark.parametrize("text", ["", " \n", f"{ROOT} x", f"{ROOT}\nx", f"{ROOT}\0", f"{ROOT}é"])
def test_what_is_no_token_is_refused_without_being_shown(vault: Kv2Server, tmp_path: Path, text: str) -> None:
    token_file = tmp_path / "token"
    sink = sink_of(token_file=str(token_file))
    failure(lambda: probe(sink), f"no token for Vault in {token_file}")
    token_file.write_text(text)
    for act in acts_of(sink):
        failure(act, f"no token for Vault in {token_file}")
    token_file.write_text(f"{ROOT}\n")
    probe(sink)


def test_a_password_of_netrc_and_a_token_of_the_home_folder_are_not_used(
    vault: Kv2Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".vault-token").write_text(ROOT)
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password users-own-text\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    probe(sink_of())
    assert not any("authorization" in one.headers for one in vault.received)
    monkeypatch.setenv("VAULT_TOKEN", "")
    failure(lambda: probe(sink_of()), "no token")


def test_a_namespace_and_a_mount_of_several_parts_are_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAULT_TOKEN", ROOT)
    with Kv2Server(mount="team/kv", namespace="admin/eu") as vault:
        settings = {"path": "data/{agent}", "mount": "team/kv", "address": f"{vault.url}/"}
        sink = sink_of(**settings, namespace="admin/eu")
        sink.deliver(delivery())
        assert vault.value(f"data/{AGENT}") == {"api_key": FIRST_KEY}
        assert sink.place(AGENT) == (f"field 'api_key' of team/kv/data/{AGENT} in Vault at {vault.url}")
        failure(lambda: probe(sink_of(**settings)), "no KV version 2 engine there")


@pytest.mark.parametrize(
    "path",
    [
        "",
        "secret",
        "/",
        "secret/../x",
        "secret/./x",
        "secret//x",
        "secret/a\nb",
        "secret/data/x",
        "a/metadata/x",
    ],
)
def test_a_path_that_names_no_secret_is_refused_when_the_sink_is_opened(vault: Kv2Server, path: str) -> None:
    failure(lambda: sink_of(path=path), "names no secret")


@pytest.mark.parametrize(
    "address",
    [
        "http://vault.example.com:8200",
        "http://10.0.0.1:8200",
        "ftp://127.0.0.1",
        "vault.example.com",
        "https://",
        "https://me:users-own-text@vault.example.com",
        "https://vault.example.com/?token=users-own-text",
        "https://vault.example.com/#users-own-text",
        "https://vault.example.com:0",
        "https://vault.example.com:x",
        "https://[::1",
        "https://vault.exam\nple.com",
        "https://ключ",
    ],
)
def test_an_address_that_cannot_be_used_is_refused_when_the_sink_is_opened(address: str) -> None:
    with pytest.raises(SinkError, match="the address of Vault for sink 'local'") as caught:
        sink_of(address=address)
    assert caught.value.hint
    assert "users-own-text" not in caught.value.message + caught.value.hint


def test_without_an_address_the_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VAULT_ADDR", raising=False)
    assert "VAULT_ADDR" in failure(sink_of, "not given").hint


@pytest.mark.parametrize(
    "address", ["http://localhost:8200", "http://[::1]:8200", "https://vault.example.com/x/"]
)
def test_addresses_that_can_be_used(address: str) -> None:
    assert sink_of(address=address).place(AGENT).endswith(f"at {address.rstrip('/')}")


def test_without_the_library_the_sink_cannot_be_opened_and_the_rest_goes_on() -> None:
    program = """
import sys
sys.modules["hvac"] = None
from reconciler.sinks.vault import open_vault_sink
from reconciler.errors import SinkError
from tests.unit.sinks.samples import reference
assert "requests" not in sys.modules
try:
    open_vault_sink(reference("vault", path="secret/x", address="https://x"), ())
except SinkError as error:
    print(error.message, "|", error.hint)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == (
        "sink 'local' needs a library that is not installed: hvac | pip install 'alter-sync[vault]'\n"
    )


def test_nothing_is_logged_that_holds_a_key_or_a_token(
    vault: Kv2Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(1)
    sink = sink_of()
    sink.deliver(delivery())
    sink.restore_previous(AgentName("other"))
    vault.fail(DROPPED)
    failure(lambda: sink.deliver(second_delivery()), "no answer")
    assert not [one for one in (FIRST_KEY, SECOND_KEY, ROOT) if one in caplog.text]
