"""The AWS Secrets Manager sink over HTTP: versions and tags, what fails at AWS, and being killed half-way."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from reconciler.errors import SinkError
from reconciler.model.agent import AgentName
from reconciler.model.key import KeyId
from reconciler.model.secret import Secret
from reconciler.ports import Delivery, SecretSink, SinkReading
from reconciler.sinks.aws_secrets_manager import AwsSecretsManagerSink
from tests.unit.sinks.case_aws_secrets_manager import (
    ACCESS_KEY,
    READS,
    REGION,
    SECRET_ACCESS_KEY,
    SESSION_TOKEN,
    Fault,
    Gate,
    aws_sink,
    consumer,
    contents,
    empty,
    empty_store,
    error,
    held,
    secrets,
    snapshot,
    tags,
)
from tests.unit.sinks.samples import (
    AGENT,
    FIRST_KEY,
    SECOND_KEY,
    delivery,
    each,
    second_delivery,
    told,
)

NAME = f"agents/{AGENT}"
THIRD_KEY = "alter_ak_77776666555544443333yy_mnopqr"
KEYS = {"key-1": FIRST_KEY, "key-2": SECOND_KEY, "key-3": THIRD_KEY}
ROOT = Path(__file__).parents[3]


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    with empty_store(tmp_path) as opened:
        yield opened


def third_delivery() -> Delivery:
    return delivery(THIRD_KEY, key_id="key-3")


def reading(key_id: str | None, key: str) -> SinkReading:
    return SinkReading(None if key_id is None else KeyId(key_id), Secret(key).fingerprint())


@functools.cache
def shared_client() -> Callable[[], Any]:
    """One client for many tests: to make one takes longer than most of them."""
    sink = aws_sink()
    assert isinstance(sink, AwsSecretsManagerSink)
    return sink.client


def shared_sink(**settings: Any) -> SecretSink:
    sink = aws_sink(**settings)
    assert isinstance(sink, AwsSecretsManagerSink)
    return replace(sink, client=shared_client())


@functools.cache
def impatient_client(url: str) -> Any:
    config = Config(read_timeout=0.3, connect_timeout=0.3, retries={"total_max_attempts": 1})
    keys = {"aws_access_key_id": ACCESS_KEY, "aws_secret_access_key": SECRET_ACCESS_KEY}
    return boto3.client("secretsmanager", region_name=REGION, endpoint_url=url, config=config, **keys)


def impatient(gate: Gate) -> SecretSink:
    """A sink whose client neither retries nor waits, as a test cannot wait for AWS."""
    sink = aws_sink()
    assert isinstance(sink, AwsSecretsManagerSink)
    return replace(sink, client=lambda: impatient_client(gate.url))


def refusal(act: Callable[[], object], match: str) -> SinkError:
    with pytest.raises(SinkError, match=match) as caught:
        act()
    text = told(caught.value)
    for secret in (*KEYS.values(), SECRET_ACCESS_KEY, SESSION_TOKEN, ACCESS_KEY):
        assert secret not in text
    assert caught.value.hint
    assert not caught.value.hint.endswith(".")
    return caught.value


def probe(sink: SecretSink) -> None:
    sink.probe(AGENT, owner="payments", app="payments-prod")


def test_the_first_key_comes_with_its_facts_in_one_request(gate: Gate) -> None:
    shared_sink().deliver(delivery())
    assert gate.operations() == ["DescribeSecret", "CreateSecret"]
    assert contents(NAME) == {"AWSCURRENT": FIRST_KEY}
    assert tags(NAME) == {
        "alter-sync-owner": "payments",
        "alter-sync-app": "payments-prod",
        "alter-sync-agent": AGENT,
        "alter-sync-key-id": "key-1",
        "alter-sync-fingerprint": Secret(FIRST_KEY).fingerprint(),
        "alter-sync-previous": "none",
    }


def test_the_facts_of_the_next_key_are_written_before_it(gate: Gate) -> None:
    sink = shared_sink()
    sink.deliver(delivery())
    gate.requests.clear()
    sink.deliver(second_delivery())
    assert gate.operations() == ["DescribeSecret", "GetSecretValue", "TagResource", "PutSecretValue"]
    assert contents(NAME) == {"AWSPREVIOUS": FIRST_KEY, "AWSCURRENT": SECOND_KEY}


def test_a_version_is_named_for_its_key_so_that_aws_itself_refuses_a_double(gate: Gate) -> None:
    shared_sink().deliver(delivery())
    token = gate.requests[-1][1]["ClientRequestToken"]
    assert list(secrets()[NAME].versions) == [token]
    consumer().delete_secret(SecretId=NAME, ForceDeleteWithoutRecovery=True)
    shared_sink().deliver(delivery())
    assert list(secrets()[NAME].versions) == [token]


def test_the_key_of_kms_is_that_of_the_settings(gate: Gate) -> None:
    shared_sink(kms_key_id="alias/agents").deliver(delivery())
    assert gate.requests[-1][1]["KmsKeyId"] == "alias/agents"


def test_the_place_names_field_secret_and_region() -> None:
    sink = shared_sink(secret_id="prod/{agent}/keys", field="api_key")
    assert sink.place(AGENT) == f"field 'api_key' of AWS secret prod/{AGENT}/keys in {REGION}"
    assert shared_sink(region=None).place(AGENT) == f"AWS secret agents/{AGENT}"


@pytest.mark.parametrize(
    "settings", [{"secret_id": "a b"}, {"secret_id": "a{app}"}, {"field": "alter-sync"}, {"secret_id": "ä"}]
)
def test_settings_that_cannot_work_are_refused_when_the_sink_is_opened(settings: dict[str, Any]) -> None:
    refusal(lambda: shared_sink(**settings), "cannot use the secret_id")


def test_an_empty_secret_of_the_users_is_taken_and_its_tags_stay(gate: Gate) -> None:
    consumer().create_secret(Name=NAME, Tags=[{"Key": "team", "Value": "blue"}])
    sink = shared_sink()
    probe(sink)
    assert sink.read_back(AGENT) is None
    for one in (delivery(), second_delivery()):
        sink.deliver(one)
    sink.forget_previous(AGENT)
    assert tags(NAME)["team"] == "blue"
    assert sink.read_back(AGENT) == reading("key-2", SECOND_KEY)


@pytest.mark.parametrize("value", [{"SecretString": THIRD_KEY}, {"SecretBinary": THIRD_KEY.encode()}])
def test_a_secret_that_we_did_not_write_is_not_overwritten(gate: Gate, value: dict[str, Any]) -> None:
    consumer().create_secret(Name=NAME, **value)
    sink, before = shared_sink(), snapshot(gate)
    for act in each(lambda: probe(sink), lambda: sink.deliver(delivery())):
        refusal(act, "was not written by alter-sync; it is not overwritten")
    if "SecretString" in value:
        sink.forget_previous(AGENT)
        assert sink.restore_previous(AGENT) is False
        assert sink.read_back(AGENT) == reading(None, THIRD_KEY)
    assert snapshot(gate) == before


def test_a_value_that_somebody_put_over_ours_is_kept_as_the_previous_one(gate: Gate) -> None:
    sink = shared_sink()
    sink.deliver(delivery())
    consumer().put_secret_value(SecretId=NAME, SecretString=THIRD_KEY)
    assert sink.read_back(AGENT) == reading(None, THIRD_KEY)
    sink.deliver(second_delivery())
    assert sink.restore_previous(AGENT)
    assert sink.read_back(AGENT) == reading(None, THIRD_KEY)
    sink.deliver(delivery())
    assert (sink.read_back(AGENT), held(AGENT)) == (reading("key-1", FIRST_KEY), FIRST_KEY)


def test_a_secret_scheduled_for_deletion_says_how_to_get_it_back(gate: Gate) -> None:
    sink = shared_sink()
    sink.deliver(delivery())
    consumer().delete_secret(SecretId=NAME)
    for act in each(lambda: probe(sink), lambda: sink.deliver(delivery()), lambda: sink.read_back(AGENT)):
        failed = refusal(act, "is scheduled for deletion$")
        assert failed.hint == f"run `aws secretsmanager restore-secret --secret-id {NAME}`"


def test_a_former_owners_secret_is_taken_over_with_its_previous_key(gate: Gate) -> None:
    shared_sink().deliver(delivery())
    ours = shared_sink(former_owners=("payments",))
    ours.probe(AGENT, owner="platform", app="payments-prod")
    ours.deliver(delivery(SECOND_KEY, key_id="key-2", owner="platform"))
    refusal(lambda: probe(shared_sink()), "two configurations write one place")
    assert ours.restore_previous(AGENT)
    assert (ours.read_back(AGENT), held(AGENT)) == (reading("key-1", FIRST_KEY), FIRST_KEY)
    assert tags(NAME)["alter-sync-owner"] == "platform"


@pytest.mark.parametrize("owner", ["Zahlungen & Köln", "支付", "a=b%41~", "payments/agents:x@y", "💶'\"\\"])
def test_any_name_fits_into_a_tag_and_comes_back_as_it_was(gate: Gate, owner: str) -> None:
    sink = shared_sink()
    sink.deliver(delivery(owner=owner))
    sink.probe(AGENT, owner=owner, app="payments-prod")
    assert all(sign.isalnum() or sign in " +-._:/@=" for value in tags(NAME).values() for sign in value)
    failed = refusal(lambda: probe(sink), "two configurations write one place")
    assert repr(owner) in failed.message


def test_a_name_that_fits_into_no_tag_is_refused_before_anything_is_written(gate: Gate) -> None:
    owner = "💶" * 100
    refusal(lambda: shared_sink().probe(AGENT, owner=owner, app="payments-prod"), "too long for tags")
    refusal(lambda: shared_sink().deliver(delivery(owner=owner)), "too long for tags")
    assert gate.writes() == []


def test_a_secret_named_by_its_arn_has_to_exist(gate: Gate) -> None:
    shared_sink().deliver(delivery())
    shared_sink(secret_id=secrets()[NAME].arn).deliver(second_delivery())
    assert held(AGENT) == SECOND_KEY
    missing = shared_sink(secret_id=f"arn:aws:secretsmanager:{REGION}:123456789012:secret:other-AbCdEf")
    for act in each(lambda: probe(missing), lambda: missing.deliver(delivery())):
        refusal(act, "there is no AWS secret arn:.*other-AbCdEf")


# One field of a secret that is JSON.


def json_sink() -> SecretSink:
    return shared_sink(field="api_key")


def test_the_other_fields_survive_a_delivery_a_restoration_and_edits_in_between(gate: Gate) -> None:
    consumer().create_secret(Name=NAME, SecretString='{"user": "zoë", "port": 5432}')
    sink = json_sink()
    probe(sink)
    assert sink.read_back(AGENT) is None
    sink.deliver(delivery())
    sink.deliver(second_delivery())
    edited = {"user": "zoë", "port": 6543, "api_key": SECOND_KEY}
    consumer().put_secret_value(SecretId=NAME, SecretString=json.dumps(edited))
    assert sink.read_back(AGENT) == reading("key-2", SECOND_KEY)
    for _ in range(2):
        assert sink.restore_previous(AGENT)
        assert json.loads(contents(NAME)["AWSCURRENT"] or "") == {**edited, "api_key": FIRST_KEY}
        assert sink.read_back(AGENT) == reading("key-1", FIRST_KEY)
    sink.deliver(second_delivery())  # its first version holds another port
    assert json.loads(contents(NAME)["AWSCURRENT"] or "") == edited
    sink.forget_previous(AGENT)
    assert FIRST_KEY not in str(contents(NAME))
    assert sink.restore_previous(AGENT) is False


def test_a_new_json_secret_has_the_field_alone(gate: Gate) -> None:
    json_sink().deliver(delivery())
    assert json.loads(held(AGENT) or "") == {"api_key": FIRST_KEY}


def test_a_version_of_the_users_with_the_same_key_keeps_its_label(gate: Gate) -> None:
    sink = json_sink()
    sink.deliver(delivery())
    edited = json.dumps({"api_key": FIRST_KEY, "port": 1})
    consumer().put_secret_value(SecretId=NAME, SecretString=edited)
    sink.forget_previous(AGENT)
    assert set(contents(NAME)) == {"AWSCURRENT", "AWSPREVIOUS"}


def test_a_field_of_the_users_is_not_overwritten(gate: Gate) -> None:
    consumer().create_secret(Name=NAME, SecretString='{"api_key": "mine"}')
    for act in each(lambda: probe(json_sink()), lambda: json_sink().deliver(delivery())):
        assert "mine" not in told(refusal(act, "^field 'api_key' of .* was not written by alter-sync"))


@pytest.mark.parametrize("text", ["plain", "[1]", '{"a": 1, "a": 2}', '{"api_key": 5}'])
def test_a_secret_that_would_lose_something_is_refused(gate: Gate, text: str) -> None:
    consumer().create_secret(Name=NAME, SecretString=text)
    for act in each(lambda: json_sink().deliver(delivery()), lambda: json_sink().read_back(AGENT)):
        assert refusal(act, "^cannot read field").hint == "correct the secret, or choose another `secret_id`"


# What fails.


@pytest.mark.parametrize(
    ("code", "what", "hint"),
    [
        ("AccessDeniedException", "AWS does not allow it", "PutSecretValue, TagResource"),
        ("UnrecognizedClientException", "credentials are refused", "clock"),
        ("InvalidSignatureException", "credentials are refused", "clock"),
        ("ExpiredTokenException", "login has expired", "AWS_SESSION_TOKEN"),
        ("ThrottlingException", "takes no more for now", "later"),
        ("LimitExceededException", "takes no more for now", "Service Quotas"),
        ("EncryptionFailure", "KMS key does not work", "kms: Decrypt"),
        ("InvalidRequestException", "does not take it", "replica"),
        ("ResourceNotFoundException", "somebody changes it", "again"),
        ("InternalServiceError", "out of order", "later"),
        ("SomethingNew", "no answer of AWS", "endpoint_url"),
        (f"<{FIRST_KEY}>", "no answer of AWS", "endpoint_url"),
    ],
)
def test_each_refusal_of_aws_says_what_to_do(gate: Gate, code: str, what: str, hint: str) -> None:
    sink = impatient(gate)
    sink.deliver(delivery())
    gate.rule = lambda operation, number: error(code) if operation == "PutSecretValue" else None
    failed = refusal(lambda: sink.deliver(second_delivery()), f"PutSecretValue failed, .*{what}")
    assert hint in failed.hint
    gate.rule = lambda operation, number: None
    assert sink.read_back(AGENT) == reading("key-1", FIRST_KEY)


@pytest.mark.parametrize("operation", ["DescribeSecret", "GetSecretValue", "TagResource", "PutSecretValue"])
@pytest.mark.parametrize(
    "fault",
    [
        Fault(200, f"<html>{SECOND_KEY}</html>".encode(), "text/html"),
        Fault(502, f"<html>{SECOND_KEY}</html>".encode(), "text/html"),
        Fault(200, b'{"ARN": "arn:aws'),
        Fault(200, b"[]"),
        Fault(200, b'{"ARN": 5, "Tags": 5, "VersionIdsToStages": 5, "VersionStages": 5}'),
        Fault(200),
        Fault(0),
        Fault(0, is_carried_out=True),
    ],
)
def test_an_answer_that_is_none_is_not_believed(gate: Gate, operation: str, fault: Fault) -> None:
    sink = impatient(gate)
    sink.deliver(delivery())
    gate.rule = lambda asked, number: fault if asked == operation else None
    refusal(lambda: sink.deliver(second_delivery()), f"{operation} failed")
    gate.rule = lambda asked, number: None
    sink.deliver(second_delivery())
    assert (sink.read_back(AGENT), held(AGENT)) == (reading("key-2", SECOND_KEY), SECOND_KEY)


def test_a_store_that_does_not_answer_is_not_waited_for(gate: Gate) -> None:
    def wait(operation: str, number: int) -> Fault:
        time.sleep(1)
        return Fault(0)

    gate.rule = wait
    refusal(lambda: probe(impatient(gate)), "there is no answer in time")


def test_a_lost_answer_is_asked_for_again(gate: Gate) -> None:
    gate.rule = lambda operation, number: Fault(0, is_carried_out=True) if number == 1 else None
    aws_sink().deliver(delivery())
    assert gate.writes() == ["CreateSecret", "CreateSecret"]
    assert contents(NAME) == {"AWSCURRENT": FIRST_KEY}


def test_without_a_server_there_is_no_connection(gate: Gate) -> None:
    failed = refusal(lambda: probe(aws_sink(endpoint_url="http://127.0.0.1:1")), "there is no connection")
    assert "endpoint_url" in failed.hint


@pytest.mark.parametrize("missing", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_without_credentials_it_says_how_to_give_them(
    gate: Gate, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.delenv(missing)
    assert "`profile`" in refusal(lambda: probe(aws_sink()), "there are no credentials").hint


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"region": None}, "there is no usable region"),
        ({"region": "eu central"}, "there is no usable region"),
        ({"profile": "nobody"}, "the profile cannot be read"),
        ({"endpoint_url": "localhost"}, "that is no address"),
    ],
)
def test_settings_that_boto_cannot_use_are_told_by_the_probe(
    gate: Gate, settings: dict[str, Any], what: str
) -> None:
    refusal(lambda: probe(aws_sink(**settings)), what)


def test_a_profile_gives_region_and_credentials(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = f"[profile deploy]\nregion={REGION}\naws_access_key_id=from-the-file\naws_secret_access_key=x\n"
    Path(os.environ["AWS_CONFIG_FILE"]).write_text(lines)
    aws_sink(profile="deploy", region="").deliver(delivery())
    assert held(AGENT) == FIRST_KEY


def test_a_missing_library_is_told_when_the_sink_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    assert refusal(aws_sink, "needs the library boto3").hint == "pip install 'alter-sync[aws]'"


def test_the_library_is_imported_when_the_sink_is_opened() -> None:
    program = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("boto3", "botocore"):
            raise ImportError(name)
from reconciler.sinks.registry import open_sink
from tests.unit.sinks.samples import reference
import reconciler.sinks.aws_secrets_manager
assert not {"boto3", "botocore"} & set(sys.modules)
sys.meta_path.insert(0, Blocker())
from reconciler.errors import SinkError
from reconciler.sinks.aws_secrets_manager import open_aws_secrets_manager_sink
try:
    open_aws_secrets_manager_sink(reference("aws_secrets_manager"), ())
except SinkError as error:
    print(error.message, "|", error.hint)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.endswith("is not installed | pip install 'alter-sync[aws]'\n")


def test_with_every_logger_open_neither_keys_nor_credentials_are_logged(gate: Gate) -> None:
    program = f"""
import logging
logging.basicConfig(level=logging.DEBUG)
from tests.unit.sinks.samples import AGENT, delivery, reference, second_delivery
from reconciler.sinks.aws_secrets_manager import open_aws_secrets_manager_sink
import boto3, botocore.endpoint, botocore.parsers
for name in ("botocore.endpoint", "botocore.parsers"):
    logging.getLogger(name).setLevel(logging.DEBUG)
ref = reference("aws_secrets_manager", endpoint_url={gate.url!r}, region={REGION!r})
sink = open_aws_secrets_manager_sink(ref, ())
for one in (delivery(), second_delivery()):
    sink.deliver(one)
sink.read_back(AGENT)
logging.getLogger("botocore").setLevel(logging.DEBUG)
logging.getLogger("botocore.endpoint").setLevel(logging.DEBUG)
sink.restore_previous(AGENT)
sink.read_back(AGENT)
logging.getLogger("mine").debug("is heard")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert held(AGENT) == FIRST_KEY
    assert "is heard" in done.stderr
    for secret in (FIRST_KEY, SECOND_KEY, SECRET_ACCESS_KEY, SESSION_TOKEN):
        assert secret not in done.stdout + done.stderr


# At once, and half-way.


def test_who_creates_the_secret_at_the_same_moment_is_seen_by_the_next_attempt(gate: Gate) -> None:
    def overtake(operation: str, number: int) -> None:
        if operation == "CreateSecret":
            consumer().create_secret(Name=NAME, SecretString="mine")

    gate.rule = overtake
    sink = shared_sink()
    refusal(lambda: sink.deliver(delivery()), "CreateSecret failed, somebody changes it")
    refusal(lambda: sink.deliver(delivery()), "was not written by alter-sync")
    assert held(AGENT) == "mine"


def test_thirty_two_threads_share_one_sink(gate: Gate) -> None:
    sink = shared_sink()
    names = [f"agent-{number}" for number in range(32)]
    keys = {name: f"{FIRST_KEY}{name}" for name in names}
    with ThreadPoolExecutor(32) as pool:
        for _ in pool.map(lambda name: sink.deliver(delivery(keys[name], agent=name, key_id=name)), names):
            pass
        found = list(pool.map(lambda name: sink.read_back(AgentName(name)), names))
    assert found == [reading(name, keys[name]) for name in names]


def test_the_same_key_id_with_another_key_replaces_it(gate: Gate) -> None:
    sink = shared_sink()
    sink.deliver(delivery())
    sink.deliver(delivery(THIRD_KEY))
    assert (sink.read_back(AGENT), held(AGENT)) == (reading("key-1", THIRD_KEY), THIRD_KEY)
    assert sink.restore_previous(AGENT)
    assert held(AGENT) == FIRST_KEY


def test_the_same_key_under_another_id_is_recorded_without_a_new_version(gate: Gate) -> None:
    sink = shared_sink()
    sink.deliver(delivery())
    sink.deliver(delivery(key_id="key-9"))
    assert gate.writes() == ["CreateSecret", "TagResource"]
    assert sink.read_back(AGENT) == reading("key-9", FIRST_KEY)


@pytest.mark.parametrize("loss", ["version", "value"])
def test_a_previous_version_that_is_gone_or_another_is_not_restored(gate: Gate, loss: str) -> None:
    sink = shared_sink()
    sink.deliver(delivery())
    sink.deliver(second_delivery())
    versions = secrets()[NAME].versions
    previous = next(one for one, version in versions.items() if version["secret_string"] == FIRST_KEY)
    if loss == "version":
        del versions[previous]
    else:
        versions[previous]["secret_string"] = THIRD_KEY
    assert sink.restore_previous(AGENT) is False
    assert held(AGENT) == SECOND_KEY


def first(sink: SecretSink) -> None:
    sink.deliver(delivery())


def second(sink: SecretSink) -> None:
    sink.deliver(second_delivery())


def restored(sink: SecretSink) -> None:
    sink.restore_previous(AGENT)


def forgotten(sink: SecretSink) -> None:
    sink.forget_previous(AGENT)


def edited(sink: SecretSink) -> None:
    fields = {**json.loads(contents(NAME)["AWSCURRENT"] or ""), "port": len(secrets()[NAME].versions)}
    consumer().put_secret_value(SecretId=NAME, SecretString=json.dumps(fields))


Act = Callable[[SecretSink], None]


def check_honest(sink: SecretSink) -> None:
    """A key id is claimed, and only for its own key, which is the one that a consumer reads."""
    found = sink.read_back(AGENT)
    if found is None:
        assert not secrets()
        return
    assert found.plaintext is not None
    assert found.plaintext.reveal() in (contents(NAME)["AWSCURRENT"] or "")
    assert found.key_id is not None
    assert found.plaintext.reveal() == KEYS[found.key_id]


@pytest.mark.parametrize(
    ("field", "acts"),
    [
        ("", (first,)),
        ("", (first, second)),
        ("", (first, second, restored)),
        ("", (first, second, restored, second)),
        ("", (first, second, forgotten)),
        ("", (first, second, restored, forgotten)),
        ("api_key", (first, second)),
        ("api_key", (first, second, edited, restored, second)),
    ],
    ids=lambda value: "-".join(act.__name__ for act in value) if value and callable(value[0]) else None,
)
def test_killed_before_or_after_any_write_the_sink_never_lies_and_the_next_one_works(
    gate: Gate, acts: tuple[Act, ...], field: str
) -> None:
    *before, last = acts
    sink = shared_sink(field=field)
    for number in writes_of(sink, before, last, gate):
        for is_carried_out in (False, True):
            prepare(sink, before, gate)
            fault = error("AccessDeniedException", is_carried_out=is_carried_out)
            gate.rule = functools.partial(at, number, fault)
            with pytest.raises(SinkError):
                last(sink)
            gate.rule = lambda operation, number: None
            check_recovered(sink, last)


def at(number: int, fault: Fault, _operation: str, asked: int) -> Fault | None:
    return fault if asked == number else None


def writes_of(sink: SecretSink, before: Sequence[Act], last: Act, gate: Gate) -> list[int]:
    """The numbers of the last act's writes. To be killed at a read is to be killed before the next write."""
    prepare(sink, before, gate)
    last(sink)
    assert gate.writes()
    return [number for number, operation in enumerate(gate.operations()) if operation not in READS]


def prepare(sink: SecretSink, acts: Sequence[Act], gate: Gate) -> None:
    empty()
    for act in acts:
        act(sink)
    gate.requests.clear()


def check_recovered(sink: SecretSink, last: Act) -> None:
    """What the next run may do: look, finish what was begun, deliver another key, restore and forget."""
    check_honest(sink)
    last(sink)
    check_honest(sink)
    current = contents(NAME)["AWSCURRENT"]
    sink.deliver(third_delivery())
    assert sink.restore_previous(AGENT)
    assert contents(NAME)["AWSCURRENT"] == current
    check_honest(sink)
    sink.forget_previous(AGENT)
    check_honest(sink)
    assert contents(NAME) == {"AWSCURRENT": current}
    assert sink.restore_previous(AGENT) is False


def test_killed_between_its_facts_and_a_key_the_older_key_is_the_one_that_is_known(gate: Gate) -> None:
    sink = shared_sink()
    first(sink)
    gate.rule = lambda operation, number: error("AccessDenied") if operation == "PutSecretValue" else None
    with pytest.raises(SinkError):
        second(sink)
    assert tags(NAME)["alter-sync-key-id"] == "key-2"
    assert sink.read_back(AGENT) == reading("key-1", FIRST_KEY)
    assert sink.restore_previous(AGENT)
    sink.forget_previous(AGENT)
    assert tags(NAME)["alter-sync-key-id"] == "key-1"
    assert sink.read_back(AGENT) == reading("key-1", FIRST_KEY)
