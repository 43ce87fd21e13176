"""The Kubernetes sink: what it applies, what it leaves alone, and what it says when the cluster refuses."""

from __future__ import annotations

import base64
import json
import logging
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import SinkError
from reconciler.model.agent import AgentName
from reconciler.ports import SecretSink
from reconciler.sinks.kubernetes import open_kubernetes_sink
from tests.support.kubernetes_server import NAMESPACE, TOKEN, KubernetesServer, status_reply
from tests.support.wire_server import Received, Reply
from tests.unit.sinks.samples import AGENT, FIRST_KEY, SECOND_KEY, delivery, reference, second_delivery, told

PREVIOUS = f"{AGENT}.alter-sync-previous"
THIRD_KEY = "alter_ak_7777888899990000aaaayy_mnopqr"


@pytest.fixture
def cluster() -> Iterator[KubernetesServer]:
    with KubernetesServer() as server:
        yield server


@pytest.fixture
def sink(cluster: KubernetesServer, tmp_path: Path) -> SecretSink:
    return open_sink(cluster.kubeconfig(tmp_path / "kubeconfig"))


def open_sink(config: Path, *, former_owners: tuple[str, ...] = (), **settings: Any) -> SecretSink:
    given = {"namespace": NAMESPACE, "kubeconfig": str(config), **settings}
    return open_kubernetes_sink(reference("kubernetes", **given), former_owners)


def probe(sink: SecretSink, agent: str = AGENT) -> None:
    sink.probe(AgentName(agent), owner="payments", app="payments-prod")


def answer(reply: Reply, _request: Received) -> Reply:
    return reply


def failure(act: Callable[[], object]) -> SinkError:
    with pytest.raises(SinkError) as caught:
        act()
    shown = told(caught.value)
    for key in (FIRST_KEY, SECOND_KEY, THIRD_KEY):
        assert key not in shown
        assert base64.b64encode(key.encode()).decode() not in shown
    assert TOKEN not in shown
    assert caught.value.hint
    assert not caught.value.message.endswith(".")
    assert not caught.value.hint.endswith(".")
    return caught.value


def test_key_and_facts_are_one_write(cluster: KubernetesServer, sink: SecretSink) -> None:
    sink.deliver(delivery())
    assert cluster.value(AGENT) == FIRST_KEY
    annotations = cluster.objects[AGENT]["metadata"]["annotations"]
    assert annotations["alter-sync/owner"] == "payments"
    assert annotations["alter-sync/app"] == "payments-prod"
    assert annotations["alter-sync/agent"] == AGENT
    assert annotations["alter-sync/key_id"] == "key-1"
    assert cluster.objects[AGENT]["type"] == "Opaque"
    assert [request.method for request in cluster.received] == ["GET", "GET", "PATCH"]
    assert cluster.received[2].query["fieldManager"] == "alter-sync"


def test_the_previous_key_is_kept_beside_the_secret_until_it_is_forgotten(
    cluster: KubernetesServer, sink: SecretSink
) -> None:
    sink.deliver(delivery())
    sink.deliver(second_delivery())
    assert (cluster.value(AGENT), cluster.value(PREVIOUS, "key")) == (SECOND_KEY, FIRST_KEY)
    sink.forget_previous(AGENT)
    assert set(cluster.objects) == {AGENT}


def test_a_restored_key_is_still_kept(cluster: KubernetesServer, sink: SecretSink) -> None:
    sink.deliver(delivery())
    sink.deliver(second_delivery())
    assert sink.restore_previous(AGENT)
    before = cluster.objects[AGENT]["metadata"]["resourceVersion"]
    assert sink.restore_previous(AGENT)
    assert cluster.objects[AGENT]["metadata"]["resourceVersion"] == before
    assert (cluster.value(AGENT), cluster.value(PREVIOUS, "key")) == (FIRST_KEY, FIRST_KEY)


def test_a_restore_brings_back_a_secret_that_somebody_deleted(
    cluster: KubernetesServer, sink: SecretSink
) -> None:
    sink.deliver(delivery())
    sink.deliver(second_delivery())
    del cluster.objects[AGENT], cluster.owned[AGENT]
    assert sink.read_back(AGENT) is None
    assert sink.restore_previous(AGENT)
    assert cluster.value(AGENT) == FIRST_KEY


def test_what_others_keep_in_the_secret_stays(cluster: KubernetesServer, sink: SecretSink) -> None:
    cluster.edit(AGENT, "helm", kind="example.com/app", url="https://x", region="eu")
    cluster.objects[AGENT]["metadata"]["annotations"]["owner"] = "somebody"
    for each_delivery in (delivery(), second_delivery()):
        sink.deliver(each_delivery)
    assert [cluster.value(AGENT, name) for name in ("url", "region", "api_key")] == [
        "https://x",
        "eu",
        SECOND_KEY,
    ]
    assert cluster.objects[AGENT]["type"] == "example.com/app"
    assert cluster.objects[AGENT]["metadata"]["annotations"]["owner"] == "somebody"


def test_the_place_is_that_of_the_settings(cluster: KubernetesServer, tmp_path: Path) -> None:
    config = cluster.kubeconfig(tmp_path / "kubeconfig")
    sink = open_sink(config, secret="alter-{agent}", field="KEY", context="other")
    sink.deliver(delivery())
    assert cluster.value(f"alter-{AGENT}", "KEY") == FIRST_KEY
    assert sink.place(AGENT) == f"field KEY of Secret payments/alter-{AGENT}"
    assert open_sink(config, namespace="ns-{agent}").place(AgentName("a")) == "field api_key of Secret ns-a/a"


def test_the_kubeconfig_of_the_environment_is_used(
    cluster: KubernetesServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig(tmp_path / "kubeconfig")))
    open_kubernetes_sink(reference("kubernetes", namespace=NAMESPACE), ()).deliver(delivery())
    assert cluster.value(AGENT) == FIRST_KEY


def test_a_value_that_was_there_before_is_not_overwritten(
    cluster: KubernetesServer, sink: SecretSink
) -> None:
    cluster.edit(AGENT, "kubectl-edit", api_key="by hand")
    for act in (lambda: probe(sink), lambda: sink.deliver(delivery())):
        assert "was not written by alter-sync; it is not overwritten" in failure(act).message
    assert cluster.value(AGENT) == "by hand"


def test_a_value_that_was_changed_since_is_neither_claimed_nor_overwritten(
    cluster: KubernetesServer, sink: SecretSink
) -> None:
    sink.deliver(delivery())
    cluster.edit(AGENT, "kubectl-edit", api_key="by hand")
    reading = sink.read_back(AGENT)
    assert reading is not None
    assert reading.key_id is None
    for act in (lambda: probe(sink), lambda: sink.deliver(second_delivery())):
        assert "was not written by alter-sync; it is not overwritten" in failure(act).message
    cluster.edit(AGENT, "kubectl-edit", api_key="")
    sink.restore_previous(AGENT)
    assert cluster.value(AGENT) == ""


def test_a_field_that_another_manager_holds_too_is_refused_by_its_name_before_there_is_a_key(
    cluster: KubernetesServer, sink: SecretSink
) -> None:
    sink.deliver(delivery())
    cluster.edit(AGENT, "argocd", api_key=FIRST_KEY)
    for act in (lambda: probe(sink), lambda: sink.deliver(second_delivery())):
        assert '(.data.api_key: conflict with "argocd")' in failure(act).message
    assert cluster.value(AGENT) == FIRST_KEY


def test_a_foreign_secret_in_the_place_of_the_previous_one_stays(
    cluster: KubernetesServer, sink: SecretSink
) -> None:
    cluster.edit(PREVIOUS, "somebody", other="value")
    for act in (lambda: sink.deliver(delivery()), lambda: sink.forget_previous(AGENT)):
        assert "was not written by alter-sync" in failure(act).message
    assert set(cluster.objects) == {PREVIOUS}


def test_a_former_owners_secret_is_taken_over_and_stays_so_after_a_restore(
    cluster: KubernetesServer, sink: SecretSink, tmp_path: Path
) -> None:
    sink.deliver(delivery(owner="old"))
    assert "two configurations write one place" in failure(lambda: probe(sink)).message
    taking = open_sink(tmp_path / "kubeconfig", former_owners=("old",))
    probe(taking)
    taking.deliver(second_delivery())
    assert taking.restore_previous(AGENT)
    assert cluster.value(AGENT) == FIRST_KEY
    assert cluster.objects[AGENT]["metadata"]["annotations"]["alter-sync/owner"] == "payments"


@pytest.mark.parametrize("agent", ["night_sync", "Nightly", "a" * 240, "a..b", "a-"])
def test_a_name_that_kubernetes_does_not_take_is_refused_when_it_is_used(
    cluster: KubernetesServer, sink: SecretSink, agent: str
) -> None:
    error = failure(lambda: probe(sink, agent))
    assert "Kubernetes takes no Secret" in error.message
    assert cluster.received == []


@pytest.mark.parametrize("field", ["", ".", "..", "a/b", "a b"])
def test_a_field_that_no_secret_can_have_is_refused_when_the_sink_is_opened(
    tmp_path: Path, field: str
) -> None:
    assert "is no field of a Secret" in failure(lambda: open_sink(tmp_path, field=field)).message


def test_an_immutable_secret_is_refused_before_there_is_a_key(
    cluster: KubernetesServer, sink: SecretSink
) -> None:
    sink.deliver(delivery())
    cluster.objects[AGENT]["immutable"] = True
    for act in (lambda: probe(sink), lambda: sink.deliver(second_delivery())):
        assert "HTTP 422" in failure(act).message
        assert "immutable" in failure(act).message


def test_a_namespace_that_is_missing_is_told_before_there_is_a_key(
    cluster: KubernetesServer, sink: SecretSink, tmp_path: Path
) -> None:
    other = open_sink(tmp_path / "kubeconfig", namespace="nowhere")
    assert "there is no namespace for Secret nowhere/" in failure(lambda: probe(other)).message
    assert other.read_back(AGENT) is None


@pytest.mark.parametrize("number", [1, 2, 3, 4])
@pytest.mark.parametrize(
    ("reply", "says", "hints"),
    [
        (status_reply(401, "Unauthorized", "Unauthorized"), "HTTP 401, 'Unauthorized'", "not valid"),
        (status_reply(403, "Forbidden", "no\x1b[2J"), r"HTTP 403, 'no\\x1b", "get, patch, create and delete"),
        (status_reply(422, "Invalid", f"no {TOKEN}"), r"HTTP 422, 'no \(hidden\)'", "correct what it names"),
        (Reply(404, body=b"404 page not found"), "HTTP 404, 'no usable answer", "Kubernetes API server"),
        (Reply(302, headers={"Location": "http://127.0.0.1:1/"}), "HTTP 302", "Kubernetes API server"),
        (Reply(500, body=b"<html>oops"), r"HTTP 500, 'no usable answer \(JSONDecodeError\)'", "API server"),
        (Reply(200, body=b"<html>hello"), "HTTP 200", "Kubernetes API server"),
        (Reply(200, [1]), "HTTP 200", "Kubernetes API server"),
        (Reply(503, {}), "HTTP 503, 'not what Kubernetes answers'", "Kubernetes API server"),
        (Reply(drop=True), r"sync\S*: no usable answer \(ProtocolError\)", "check network"),
        (Reply(200, {"kind": "Secret"}, truncate=True), "no usable answer", "check network"),
    ],
)
def test_an_answer_that_is_no_success_is_explained_and_the_next_delivery_works(
    cluster: KubernetesServer, tmp_path: Path, *, number: int, reply: Reply, says: str, hints: str
) -> None:
    sink = open_sink(cluster.kubeconfig(tmp_path / "kubeconfig"))
    sink.deliver(delivery())
    cluster.faults = {len(cluster.received) + number: lambda _: reply}
    error = failure(lambda: sink.deliver(second_delivery()))
    assert re.search(says, error.message)
    assert hints in error.hint
    sink.deliver(second_delivery())
    assert (cluster.value(AGENT), cluster.value(PREVIOUS, "key")) == (SECOND_KEY, FIRST_KEY)


@pytest.mark.parametrize("number", [3, 4])
@pytest.mark.parametrize("is_stored", [False, True])
@pytest.mark.parametrize("next_key", [SECOND_KEY, THIRD_KEY])
def test_killed_at_any_write_the_next_delivery_works_and_no_key_id_is_wrong(
    cluster: KubernetesServer, sink: SecretSink, number: int, is_stored: bool, next_key: str
) -> None:
    def cut_off(request: Received) -> Reply:
        if is_stored:
            cluster.carry_out(request)
        return Reply(drop=True)

    sink.deliver(delivery())
    cluster.faults = {len(cluster.received) + number: cut_off}
    failure(lambda: sink.deliver(second_delivery()))
    reading = sink.read_back(AGENT)
    assert reading is not None
    held = {FIRST_KEY: "key-1", SECOND_KEY: "key-2"}[cluster.value(AGENT) or ""]
    assert reading.key_id == held
    sink.deliver(delivery(next_key, key_id="next"))
    assert cluster.value(AGENT) == next_key
    sink.forget_previous(AGENT)
    assert set(cluster.objects) == {AGENT}


def test_a_secret_that_changes_between_reading_and_writing_is_read_again(
    cluster: KubernetesServer, sink: SecretSink
) -> None:
    def changing(request: Received) -> Reply:
        cluster.edit(AGENT, "helm", region=str(len(cluster.received)))
        return cluster.carry_out(request)

    sink.deliver(delivery())
    cluster.faults = {len(cluster.received) + 4: changing}
    sink.deliver(second_delivery())
    assert cluster.value(AGENT) == SECOND_KEY
    cluster.faults = dict.fromkeys(range(1, 200), changing)
    error = failure(lambda: sink.deliver(delivery(THIRD_KEY, key_id="key-3")))
    assert "changed whenever it was to be written" in error.message


def test_a_previous_secret_that_changes_is_not_deleted_unseen(
    cluster: KubernetesServer, sink: SecretSink
) -> None:
    def changing(request: Received) -> Reply:
        cluster.edit(PREVIOUS, "helm", region="eu")
        return cluster.carry_out(request)

    sink.deliver(delivery())
    sink.deliver(second_delivery())
    cluster.faults = {len(cluster.received) + 3: changing}
    sink.forget_previous(AGENT)
    assert [request.method for request in cluster.received[-6:]] == ["GET", "GET", "DELETE"] * 2
    assert set(cluster.objects) == {AGENT}


def test_a_server_that_repeats_the_key_in_its_refusal_is_not_repeated(
    cluster: KubernetesServer, sink: SecretSink
) -> None:
    for said in (FIRST_KEY, base64.b64encode(FIRST_KEY.encode()).decode()):
        reply = status_reply(422, "Invalid", said)
        cluster.faults = {len(cluster.received) + 3: partial(answer, reply)}
        assert "HTTP 422, '(hidden)'" in failure(lambda: sink.deliver(delivery())).message


def test_a_cluster_that_is_not_there_is_an_error_with_a_hint(tmp_path: Path) -> None:
    config = tmp_path / "kubeconfig"
    with KubernetesServer() as cluster:
        cluster.kubeconfig(config)
        sink = open_sink(config)
    for act in (lambda: probe(sink), lambda: sink.deliver(delivery()), lambda: sink.read_back(AGENT)):
        assert "no usable answer (NewConnectionError)" in failure(act).message


def test_a_kubeconfig_that_cannot_be_used_is_told_without_its_content(tmp_path: Path) -> None:
    config = tmp_path / "kubeconfig"
    assert "cannot be used (no such file)" in failure(lambda: probe(open_sink(config))).message
    for text in ("", "[", f'{{"users": [{{"name": "{TOKEN}"}}]}}', f"users: {TOKEN}\n\tx", "- 1"):
        config.write_text(text)
        assert f"kubeconfig {config} cannot be used" in failure(lambda: probe(open_sink(config))).message


def test_outside_of_a_cluster_a_kubeconfig_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"):
        monkeypatch.delenv(name, raising=False)
    sink = open_kubernetes_sink(reference("kubernetes", namespace=NAMESPACE), ())
    assert "`kubeconfig` or KUBECONFIG" in failure(lambda: probe(sink)).hint


def test_a_context_that_is_missing_is_told_with_the_known_ones(
    cluster: KubernetesServer, tmp_path: Path
) -> None:
    config = cluster.kubeconfig(tmp_path / "kubeconfig")
    error = failure(lambda: probe(open_sink(config, context="prod")))
    assert error.message.endswith("has no context 'prod'")
    assert error.hint == "known: tests, other"


def test_a_token_that_is_wrong_is_not_shown(cluster: KubernetesServer, tmp_path: Path) -> None:
    sink = open_sink(cluster.kubeconfig(tmp_path / "kubeconfig", token="another.token"))
    error = failure(lambda: probe(sink))
    assert "HTTP 401" in error.message
    assert "another.token" not in told(error)


def test_the_libraries_log_no_key_and_no_token(
    cluster: KubernetesServer,
    sink: SecretSink,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    for name in ("", "urllib3", "urllib3.connectionpool", "kubernetes", "kubernetes.client.rest"):
        caplog.set_level(logging.DEBUG, logger=name)
    for each_delivery in (delivery(), second_delivery()):
        sink.deliver(each_delivery)
    sink.read_back(AGENT)
    assert "urllib3" in {record.name.partition(".")[0] for record in caplog.records}
    logged = caplog.text + "".join(capfd.readouterr())
    for text in (FIRST_KEY, base64.b64encode(FIRST_KEY.encode()).decode(), TOKEN):
        assert text not in logged


def test_no_file_of_the_kubeconfig_is_changed(
    cluster: KubernetesServer, sink: SecretSink, tmp_path: Path
) -> None:
    before = (tmp_path / "kubeconfig").read_text()
    sink.deliver(delivery())
    assert (tmp_path / "kubeconfig").read_text() == before
    assert json.loads(before)["current-context"] == "tests"


def test_without_the_library_the_sink_says_what_to_install() -> None:
    program = """
import sys
sys.modules["kubernetes"] = None
from reconciler.errors import SinkError
from reconciler.sinks.kubernetes import open_kubernetes_sink
from tests.unit.sinks.samples import reference
assert "urllib3" not in sys.modules
try:
    open_kubernetes_sink(reference("kubernetes", namespace="payments"), ())
except SinkError as error:
    print(error.message, "|", error.hint)
"""
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=25
    )
    assert ran.stdout.startswith("sink 'local' needs a library that is not installed: kubernetes")
    assert ran.stdout.endswith("| pip install 'alter-sync[kubernetes]'\n")
