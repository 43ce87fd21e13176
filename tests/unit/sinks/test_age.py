"""The age sink: what it writes, whom it believes, and that the age program agrees."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyrage
import pytest

from reconciler.errors import SinkError
from reconciler.model.agent import AgentName
from reconciler.model.key import KeyId
from reconciler.model.secret import Secret
from reconciler.ports import SecretSink, SinkReading
from reconciler.sinks.registry import open_sink
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

IDENTITY = pyrage.x25519.Identity.generate()
OTHER = pyrage.x25519.Identity.generate()
PUBLIC = str(IDENTITY.to_public())
THIRD_KEY = "alter_ak_77778888999900001111aa_mnopqr"
FIRST = SinkReading(KeyId("key-1"), Secret(FIRST_KEY).fingerprint())
SECOND = SinkReading(KeyId("key-2"), Secret(SECOND_KEY).fingerprint())
UNKNOWN = SinkReading(None, None)
NAMES = ("key.age", ".key.age.alter-sync.json", ".key.age.previous")


def age_sink(
    folder: Path,
    *recipients: str,
    identity: object = None,
    former_owners: tuple[str, ...] = (),
) -> SecretSink:
    """A sink that writes ``key.age``; the text of an identity is put into a file of its own."""
    settings: dict[str, object] = {
        "path": str(folder / "key.age"),
        "recipients": list(recipients or [PUBLIC]),
    }
    if identity is not None:
        file = folder.parent / f"identity-of-{folder.name}"
        file.write_text(f"{identity}\n")
        settings["identity_file"] = str(file)
    return open_sink(reference("age", **settings), former_owners=former_owners)


def probe(sink: SecretSink) -> None:
    sink.probe(AGENT, owner="payments", app="payments-prod")


def content(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def encrypt_by_hand(folder: Path, key: str) -> None:
    (folder / "key.age").write_bytes(pyrage.encrypt(key.encode(), [IDENTITY.to_public()], armored=True))


def needs(program: str) -> str:
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"the program {program} is not installed")
    return path


def test_the_age_program_decrypts_what_is_written_to_the_byte(tmp_path: Path) -> None:
    program = needs("age")
    (tmp_path / "identity").write_text(f"{IDENTITY}\n")
    age_sink(tmp_path).deliver(delivery())
    argv = [program, "-d", "-i", str(tmp_path / "identity"), str(tmp_path / "key.age")]
    assert subprocess.run(argv, capture_output=True, check=True).stdout == FIRST_KEY.encode()


def test_what_the_age_program_encrypted_anew_for_somebody_else_too_is_still_our_key(tmp_path: Path) -> None:
    program = needs("age")
    sink = age_sink(tmp_path, identity=IDENTITY)
    sink.deliver(delivery())
    argv = [program, "-a", "-r", PUBLIC, "-r", str(OTHER.to_public()), "-o", str(tmp_path / "key.age")]
    subprocess.run(argv, input=FIRST_KEY.encode(), check=True)
    assert sink.read_back(AGENT) == FIRST
    assert age_sink(tmp_path).read_back(AGENT) == UNKNOWN
    sink.deliver(delivery())
    assert age_sink(tmp_path).read_back(AGENT) == FIRST
    sink.deliver(second_delivery())
    assert sink.restore_previous(AGENT)
    assert sink.read_back(AGENT) == FIRST
    for identity in (IDENTITY, OTHER):
        assert pyrage.decrypt((tmp_path / "key.age").read_bytes(), [identity]) == FIRST_KEY.encode()


@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
def test_ssh_keys_are_recipients_and_identities(tmp_path: Path, kind: str) -> None:
    pair = tmp_path / "id"
    argv = [needs("ssh-keygen"), "-q", "-t", kind, "-N", "", "-C", "me@here", "-f", str(pair)]
    subprocess.run([*argv, *(["-b", "2048"] if kind == "rsa" else [])], check=True)
    (tmp_path / "keys").mkdir()
    public = pair.with_suffix(".pub").read_text()
    sink = age_sink(tmp_path / "keys", public, PUBLIC, identity=pair.read_text())
    probe(sink)
    sink.deliver(delivery())
    assert sink.read_back(AGENT) == FIRST


def test_an_ssh_key_with_a_passphrase_is_refused_before_there_is_a_key(tmp_path: Path) -> None:
    pair = tmp_path / "id"
    argv = [needs("ssh-keygen"), "-q", "-t", "ed25519", "-N", "secret phrase", "-f", str(pair)]
    subprocess.run(argv, check=True)
    (tmp_path / "keys").mkdir()
    with pytest.raises(SinkError, match="holds no identity that can be used") as caught:
        probe(age_sink(tmp_path / "keys", identity=pair.read_text()))
    assert "without passphrase" in caught.value.hint


def test_beside_the_file_stand_facts_without_any_plaintext_for_nobody_else_to_read(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    sink = age_sink(folder)
    sink.deliver(delivery())
    sink.deliver(second_delivery())
    assert sorted(content(folder)) == sorted(NAMES)
    assert {stat.S_IMODE((folder / name).stat().st_mode) for name in NAMES} == {0o600}
    assert json.loads((folder / ".key.age.alter-sync.json").read_text()) == {
        "owner": "payments",
        "app": "payments-prod",
        "agent": "nightly-sync",
        "key_id": "key-2",
        "fingerprint": SECOND.fingerprint,
        "ciphertext": Secret((folder / "key.age").read_text()).fingerprint(),
    }
    everything = "".join(content(folder).values())
    assert FIRST_KEY not in everything
    assert SECOND_KEY not in everything
    assert everything.count("-----BEGIN AGE ENCRYPTED FILE-----") == 2


def test_without_an_identity_the_plaintext_is_not_known_but_which_key_it_is(tmp_path: Path) -> None:
    sink = age_sink(tmp_path)
    sink.deliver(delivery())
    reading = sink.read_back(AGENT)
    assert reading == FIRST
    assert reading is not None
    assert reading.plaintext is None
    opened = age_sink(tmp_path, identity=IDENTITY).read_back(AGENT)
    assert opened is not None
    assert opened.plaintext == Secret(FIRST_KEY)


def test_the_decrypted_text_counts_and_not_what_is_said_of_it(tmp_path: Path) -> None:
    age_sink(tmp_path).deliver(delivery())
    encrypt_by_hand(tmp_path, SECOND_KEY)
    by_hand = SinkReading(None, SECOND.fingerprint)
    assert age_sink(tmp_path, identity=IDENTITY).read_back(AGENT) == by_hand
    assert age_sink(tmp_path).read_back(AGENT) == UNKNOWN


def test_another_agents_file_is_read_without_its_key_id(tmp_path: Path) -> None:
    age_sink(tmp_path).deliver(delivery())
    other = AgentName("weekly-report")
    assert age_sink(tmp_path).read_back(other) == UNKNOWN
    read = age_sink(tmp_path, identity=IDENTITY).read_back(other)
    assert read == SinkReading(None, FIRST.fingerprint)


@pytest.mark.parametrize("identity", [None, IDENTITY])
@pytest.mark.parametrize("key", [FIRST_KEY, "of the user"])
@pytest.mark.parametrize("delivered_before", [True, False])
def test_a_file_that_we_did_not_write_is_not_overwritten(
    tmp_path: Path, identity: object, key: str, delivered_before: bool
) -> None:
    (tmp_path / "keys").mkdir()
    sink = age_sink(tmp_path / "keys", identity=identity)
    if delivered_before:
        sink.deliver(second_delivery())
    encrypt_by_hand(tmp_path / "keys", key)
    before = content(tmp_path / "keys")
    for act in each(lambda: probe(sink), lambda: sink.deliver(delivery(THIRD_KEY, key_id="key-3"))):
        with pytest.raises(SinkError, match="was not written by alter-sync; it is not overwritten") as caught:
            act()
        assert "choose another `path`" in caught.value.hint
        assert key not in told(caught.value)
        assert THIRD_KEY not in told(caught.value)
    assert content(tmp_path / "keys") == before


def test_where_nothing_is_ours_there_is_nothing_to_forget_or_restore(tmp_path: Path) -> None:
    sink = age_sink(tmp_path)
    for _ in range(2):
        before = content(tmp_path)
        sink.forget_previous(AGENT)
        assert sink.restore_previous(AGENT) is False
        assert content(tmp_path) == before
        encrypt_by_hand(tmp_path, "of the user")


def test_a_file_that_was_removed_is_written_anew(tmp_path: Path) -> None:
    sink = age_sink(tmp_path)
    sink.deliver(delivery())
    (tmp_path / "key.age").unlink()
    assert sink.read_back(AGENT) is None
    probe(sink)
    sink.deliver(delivery())
    assert sink.read_back(AGENT) == FIRST


def test_with_the_wrong_identity_a_probe_fails_before_there_is_a_key(tmp_path: Path) -> None:
    sink = age_sink(tmp_path, identity=OTHER)
    with pytest.raises(SinkError, match="opens nothing that sink 'local' encrypts") as caught:
        probe(sink)
    assert "identity of one of the recipients" in caught.value.hint
    sink.deliver(delivery())
    with pytest.raises(SinkError, match="cannot decrypt") as caught:
        sink.read_back(AGENT)
    assert "identity of one of the recipients" in caught.value.hint
    assert str(OTHER) not in told(caught.value)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:-60],
        lambda text: text.replace("\n", "", 2),
        lambda text: text[:100] + ("B" if text[100] == "A" else "A") + text[101:],
        lambda text: "<<<<<<< ours\n" + text,
    ],
)
def test_a_damaged_file_is_told_and_not_overwritten(tmp_path: Path, damage: Callable[[str], str]) -> None:
    (tmp_path / "keys").mkdir()
    sink = age_sink(tmp_path / "keys", identity=IDENTITY)
    sink.deliver(delivery())
    sink.deliver(second_delivery())
    file = tmp_path / "keys" / "key.age"
    whole = file.read_text()
    file.write_text(damage(whole))
    with pytest.raises(SinkError, match=r"cannot decrypt .*key\.age with .*damaged") as caught:
        sink.read_back(AGENT)
    assert "put back the last version" in caught.value.hint
    assert age_sink(tmp_path / "keys").read_back(AGENT) == UNKNOWN
    for act in each(lambda: sink.deliver(delivery()), lambda: sink.restore_previous(AGENT)):
        with pytest.raises(SinkError, match="not overwritten"):
            act()
    file.write_text(whole)
    assert sink.restore_previous(AGENT)
    assert sink.read_back(AGENT) == FIRST


@pytest.mark.parametrize("plaintext", [b"", b"\xff\xfe"])
def test_an_encrypted_text_that_is_no_key_is_never_ours(tmp_path: Path, plaintext: bytes) -> None:
    (tmp_path / "keys").mkdir()
    sink = age_sink(tmp_path / "keys", identity=IDENTITY)
    encrypted = pyrage.encrypt(plaintext, [IDENTITY.to_public()], armored=True)
    (tmp_path / "keys" / "key.age").write_bytes(encrypted)
    with pytest.raises(SinkError, match="not overwritten"):
        sink.deliver(delivery())


def test_a_binary_age_file_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "key.age").write_bytes(pyrage.encrypt(b"x", [IDENTITY.to_public()]))
    with pytest.raises(SinkError, match="is not UTF-8 text"):
        age_sink(tmp_path).deliver(delivery())


@pytest.mark.parametrize(
    ("recipients", "why"),
    [
        ([], "Missing recipients"),
        ([PUBLIC, "age1qqqqqq"], "recipient 2 of sink 'local' is not a public key"),
        ([""], "recipient 1 of sink 'local' is not a public key"),
        ([PUBLIC[:-1]], "is not a public key"),
        (["ssh-ed25519 AAAA"], "is not a public key"),
        (["ssh-rsa AAAA"], "is not a public key"),
        (["ecdsa-sha2-nistp256 AAAA"], "is not a public key"),
        (["age1plugin1xyz"], "is not a public key"),
        ([str(OTHER)], "is a private key"),
        ([str(OTHER).lower()], "is a private key"),
    ],
)
def test_bad_recipients_are_found_when_the_sink_is_opened(recipients: list[str], why: str) -> None:
    with pytest.raises(SinkError, match=why) as caught:
        open_sink(reference("age", path="key.age", recipients=recipients))
    assert caught.value.hint
    assert not any(len(text) > 10 and text in caught.value.message for text in recipients)
    assert str(OTHER).lower() not in (caught.value.message + caught.value.hint).lower()


@pytest.mark.parametrize(
    "settings", [{"path": ""}, {"path": "keys/.."}, {"path": "a\0b"}, {"path": "k", "identity_file": "a\0b"}]
)
def test_paths_that_cannot_work_are_found_when_the_sink_is_opened(settings: dict[str, str]) -> None:
    with pytest.raises(SinkError, match="names no file") as caught:
        open_sink(reference("age", recipients=[PUBLIC], **settings))
    assert caught.value.hint


@pytest.mark.parametrize(
    "text",
    ["", "# nothing\n", f"{OTHER}\nnonsense", "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n", "x" * 70_000],
    ids=["empty", "a-comment", "more-than-one", "damaged", "too-long"],
)
def test_a_file_without_a_usable_identity_is_refused_and_not_shown(tmp_path: Path, text: str) -> None:
    (tmp_path / "keys").mkdir()
    sink = age_sink(tmp_path / "keys", identity=text)
    age_sink(tmp_path / "keys").deliver(delivery())
    for act in each(lambda: probe(sink), lambda: sink.read_back(AGENT)):
        with pytest.raises(SinkError, match="holds no identity that can be used") as caught:
            act()
        assert "AGE-SECRET-KEY-1…" in caught.value.hint
        assert str(OTHER) not in told(caught.value)


@pytest.mark.parametrize(("name", "why"), [("missing", "No such file"), (".", "Is a directory")])
def test_an_identity_file_that_cannot_be_read_is_an_error_of_the_sink(
    tmp_path: Path, name: str, why: str
) -> None:
    settings = {"path": str(tmp_path / "key.age"), "recipients": [PUBLIC]}
    sink = open_sink(reference("age", **settings, identity_file=str(tmp_path / name)))
    sink.deliver(delivery())
    with pytest.raises(SinkError, match=f"cannot read the identity .*{why}"):
        sink.read_back(AGENT)


def test_an_identity_file_that_is_a_pipe_makes_nobody_wait(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    settings = {"path": str(tmp_path / "key.age"), "recipients": [PUBLIC]}
    sink = open_sink(reference("age", **settings, identity_file=str(tmp_path / "pipe")))
    with pytest.raises(SinkError, match="holds no identity"):
        probe(sink)


@pytest.mark.parametrize("hidden", NAMES[1:])
@pytest.mark.parametrize(
    "text", ["no JSON", "[]", '{"file": "x"}', '{"owner": "a", "app": "b", "agent": "c"}']
)
def test_a_hidden_file_that_we_did_not_write_is_neither_used_nor_replaced(
    tmp_path: Path, hidden: str, text: str
) -> None:
    sink = age_sink(tmp_path)
    (tmp_path / hidden).write_text(text)
    for act in each(lambda: sink.deliver(delivery()), lambda: sink.forget_previous(AGENT)):
        with pytest.raises(SinkError, match=r"cannot read .*/\.key\.age\.") as caught:
            act()
        assert caught.value.hint
    assert content(tmp_path) == {hidden: text}


def test_facts_without_the_hash_of_a_ciphertext_are_refused(tmp_path: Path) -> None:
    sink = age_sink(tmp_path)
    sink.deliver(delivery())
    file = tmp_path / ".key.age.alter-sync.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "ciphertext": 1}))
    with pytest.raises(SinkError, match="the facts in it are incomplete"):
        sink.read_back(AGENT)


@pytest.mark.parametrize("name", NAMES)
def test_a_link_is_not_followed(tmp_path: Path, name: str) -> None:
    (tmp_path / "elsewhere").write_text("")
    (tmp_path / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SinkError, match="is a symbolic link"):
        age_sink(tmp_path).deliver(delivery())


def test_a_former_owners_place_is_taken_over_and_stays_so_after_a_rollback(tmp_path: Path) -> None:
    age_sink(tmp_path).deliver(delivery(owner="former"))
    with pytest.raises(SinkError, match="two configurations write one place"):
        age_sink(tmp_path).deliver(second_delivery())
    heir = age_sink(tmp_path, former_owners=("former",))
    ciphertext = (tmp_path / "key.age").read_text()
    heir.deliver(delivery())
    assert (tmp_path / "key.age").read_text() == ciphertext
    heir.deliver(second_delivery())
    assert heir.restore_previous(AGENT)
    heir.forget_previous(AGENT)
    probe(age_sink(tmp_path))
    with pytest.raises(SinkError, match="two configurations write one place"):
        age_sink(tmp_path).probe(AGENT, owner="former", app="payments-prod")


def states_between(
    folder: Path, act: Callable[[SecretSink], object], order: tuple[str, ...]
) -> list[dict[str, str]]:
    """What stands in the folder after each single write of an act, which are in this order."""
    sink = age_sink(folder)
    sink.deliver(delivery())
    sink.deliver(second_delivery())
    before = content(folder)
    act(sink)
    after, now, states = content(folder), dict(before), [before]
    changed = {name for name in NAMES if before.get(name) != after.get(name)}
    assert changed == set(order)
    written_at = [(folder / name).stat().st_mtime_ns for name in order if name in after]
    assert written_at == sorted(written_at)
    for name in order:
        if name in after:
            now[name] = after[name]
        else:
            del now[name]
        states.append(dict(now))
    return states


def third(sink: SecretSink) -> None:
    sink.deliver(delivery(THIRD_KEY, key_id="key-3"))


ACTS = {
    "deliver": (third, (".key.age.previous", ".key.age.alter-sync.json", "key.age")),
    "restore": (lambda sink: sink.restore_previous(AGENT), ("key.age", ".key.age.alter-sync.json")),
    "forget": (lambda sink: sink.forget_previous(AGENT), (".key.age.previous",)),
}


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("identity", [None, IDENTITY])
def test_killed_between_any_two_writes_every_key_is_known_and_the_next_act_works(
    tmp_path: Path, act: str, identity: object
) -> None:
    (tmp_path / "made").mkdir()
    key_ids = {SECOND_KEY: "key-2", FIRST_KEY: "key-1", THIRD_KEY: "key-3"}
    for number, state in enumerate(states_between(tmp_path / "made", *ACTS[act])):
        for next_act in ("same", "other", "forget", "restore"):
            folder = tmp_path / f"{number}-{next_act}"
            folder.mkdir()
            for name, text in state.items():
                (folder / name).write_text(text)
            sink = age_sink(folder, identity=identity)
            held = pyrage.decrypt(state["key.age"].encode(), [IDENTITY]).decode()
            assert sink.read_back(AGENT) == SinkReading(KeyId(key_ids[held]), Secret(held).fingerprint())
            probe(sink)
            if next_act == "restore":
                sink.restore_previous(AGENT)
            elif next_act == "forget":
                sink.forget_previous(AGENT)
            else:
                new = SECOND_KEY if next_act == "same" else THIRD_KEY
                sink.deliver(delivery(new, key_id=key_ids[new]))
                held = new
            now = pyrage.decrypt((folder / "key.age").read_bytes(), [IDENTITY]).decode()
            assert now == held or next_act == "restore"
            assert sink.read_back(AGENT) == SinkReading(KeyId(key_ids[now]), Secret(now).fingerprint())
            sink.deliver(delivery(THIRD_KEY, key_id="key-3"))
            assert sink.read_back(AGENT) == SinkReading(KeyId("key-3"), Secret(THIRD_KEY).fingerprint())


def test_what_a_killed_process_left_half_written_goes_with_the_next_delivery(tmp_path: Path) -> None:
    for name in NAMES:
        (tmp_path / f".{name}.0123456789abcdef.tmp").write_text("half of")
    age_sink(tmp_path).deliver(delivery())
    assert set(content(tmp_path)) == {"key.age", ".key.age.alter-sync.json"}


def test_killed_before_the_first_file_the_place_is_still_ours(tmp_path: Path) -> None:
    sink = age_sink(tmp_path)
    sink.deliver(delivery())
    (tmp_path / "key.age").unlink()
    with pytest.raises(SinkError, match="two configurations write one place"):
        sink.deliver(delivery(owner="fraud"))
    sink.deliver(second_delivery())
    assert sink.read_back(AGENT) == SECOND
    assert sink.restore_previous(AGENT) is False


def test_without_its_library_the_sink_does_not_open_and_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "pyrage", None)
    with pytest.raises(SinkError, match="its library pyrage is not installed") as caught:
        open_sink(reference("age", path="key.age", recipients=[PUBLIC]))
    assert caught.value.hint == "pip install 'alter-sync[age]'"
