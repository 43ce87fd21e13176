"""The example that is shipped, and the worst file that anybody ever wrote."""

from __future__ import annotations

import gc
import os
from datetime import timedelta
from pathlib import Path

import pytest

from reconciler.config.loader import catalogue_findings, load
from reconciler.model.desired import RotationPolicy
from reconciler.sandbox.catalog import provider_catalog
from reconciler.sinks.registry import AVAILABLE_TYPES
from tests.unit.config.documents import HEAD, NOW, loaded

ROOT = Path(__file__).parents[3]
GOLDEN = ROOT / "tests" / "golden"


def test_the_example_has_no_finding_at_all() -> None:
    found = load([ROOT / "examples" / "agents.yaml"], now=NOW)
    assert found.diagnostics == ()
    assert found.desired is not None
    assert list(found.desired.agents) == [
        "invoice-archiver",
        "nightly-sync",
        "release-notes",
        "support-assistant",
        "tenant-acme",
        "tenant-globex",
        "tenant-initech",
        "weekly-report",
    ]
    assert (found.desired.owner, found.desired.app.name) == ("payments/agents", "payments-prod")


@pytest.mark.parametrize("name", ["agents.yaml", "rotation.yaml"])
def test_an_example_asks_only_for_what_the_catalogue_has(name: str) -> None:
    providers = provider_catalog()["providers"]
    catalogue = {name: frozenset(entry["available_scopes"]) for name, entry in providers.items()}
    desired = load([ROOT / "examples" / name], now=NOW).desired
    assert desired is not None
    assert catalogue_findings(desired, catalogue) == ()


def test_the_example_of_rotation_has_no_finding_and_means_what_its_comments_say() -> None:
    found = load([ROOT / "examples" / "rotation.yaml"], now=NOW)
    assert found.diagnostics == ()
    desired = found.desired
    assert desired is not None
    policies = {name: agent.rotation for name, agent in desired.agents.items()}
    day = timedelta(days=1)
    assert policies == {
        "nightly-sync": RotationPolicy(
            max_age=90 * day, min_overlap=day, quiet_for=day, max_overlap=14 * day
        ),
        "release-notes": RotationPolicy(max_age=30 * day, max_overlap=7 * day, on_overdue="block"),
        "support-assistant": RotationPolicy(max_age=60 * day),
        "month-end-report": RotationPolicy(
            max_age=180 * day, min_overlap=32 * day, quiet_for=32 * day, max_overlap=70 * day
        ),
    }
    assert (desired.guards.max_rotations_per_run, desired.guards.key_cap) == (20, 4)


def test_the_example_of_rotation_shows_every_type_of_sink() -> None:
    desired = load([ROOT / "examples" / "rotation.yaml"], now=NOW).desired
    assert desired is not None
    assert {sink.type for sink in desired.sinks.values()} == set(AVAILABLE_TYPES)
    assert {name for agent in desired.agents.values() for name in agent.deliver_to} == {"env-files"}


def test_the_example_of_rotation_can_say_after_a_leak_which_keys_must_go(tmp_path: Path) -> None:
    text = (ROOT / "examples" / "rotation.yaml").read_text(encoding="utf-8")
    edited = tmp_path / "rotation.yaml"
    edited.write_text(text.replace("# rotate_keys_before:", "rotate_keys_before:"), encoding="utf-8")
    found = load([edited], now=NOW)
    assert found.diagnostics == ()
    assert found.desired is not None
    policies = {name: agent.rotation for name, agent in found.desired.agents.items()}
    concerned = {name for name, policy in policies.items() if policy and policy.rotate_keys_before}
    assert concerned == {"nightly-sync", "support-assistant"}


def test_everything_wrong_is_reported_at_once_in_these_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """To renew the golden file, write what this compares into it and read the difference."""
    monkeypatch.chdir(GOLDEN)
    lines = []
    for one in load([Path("diagnostics.yaml")], now=NOW).diagnostics:
        lines += [f"{one.position}: {one.severity}: {one.message} [{one.rule}]", f"    {one.excerpt}"]
        lines += [f"    hint: {one.hint}"] if one.hint else []
    if os.environ.get("UPDATE_GOLDEN"):
        Path("diagnostics.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert Path("diagnostics.txt").read_text(encoding="utf-8") == "\n".join(lines) + "\n"


@pytest.mark.parametrize("was_enabled", [True, False])
def test_garbage_collection_is_left_as_it_was(tmp_path: Path, was_enabled: bool) -> None:
    (gc.enable if was_enabled else gc.disable)()
    try:
        loaded(tmp_path, HEAD + "agents: {}")
        loaded(tmp_path, "[")
        assert gc.isenabled() == was_enabled
    finally:
        gc.enable()


DOCUMENTED = """\
version: 1
owner: payments/agents
former_owners: [payments]
app: {name: payments-prod, id: 3f0c, base_url: https://backend.alterauth.com, api_key_env: ALTER_API_KEY}
defaults: {type: agent, metadata: {team: payments}, rotation: standard, deliver_to: vault}
templates:
  reader: {scopes: {google: [gmail.readonly]}}
rotation_policies:
  standard: {max_age: 90d, min_overlap: 24h, max_overlap: 14d, quiet_for: 24h}
sinks:
  vault: {type: vault, path: "secret/agents/{agent}", field: api_key}
  local: {type: file, path: "secrets/{agent}.env", format: dotenv, variable: AGENT_API_KEY}
guards: {max_revocations: {count: 3, percent: 10}, sensitive_scopes: ["google:drive", "*:*admin*"]}
freeze:
  - {from: 2026-12-20, to: 2027-01-03, reason: year end}
agents:
  nightly-sync:
    template: reader
    display_name: Nightly Sync
    type: service
    status: active
    scopes:
      slack: [chat:write]
      managed_secret_slugs: [stripe-production]
    metadata: {cost_center: "4711"}
    policy: {}
    protect: true
    expires_at: 2027-06-30
    rotation: {max_age: 30d, rotate_keys_before: 2026-11-01T00:00:00Z}
    deliver_to: [vault, local]
    ignore: [display_name]
    narrowing_grace: 24h
  tenant-{tenant}:
    for_each: {tenant: [acme, globex]}
    template: reader
"""


def test_the_documented_example_means_what_it_says(tmp_path: Path) -> None:
    found = loaded(tmp_path, DOCUMENTED)
    assert found.diagnostics == ()
    desired = found.desired
    assert desired is not None
    nightly, *tenants = desired.agents.values()
    assert nightly.protect is True
    assert nightly.policy == {}
    assert nightly.metadata == {"team": "payments", "cost_center": "4711"}
    assert nightly.ignore == {"display_name"}
    assert nightly.rotation is not None
    assert (nightly.rotation.max_age, nightly.rotation.quiet_for) == (timedelta(days=30), timedelta(hours=24))
    assert [one.name for one in tenants] == ["tenant-acme", "tenant-globex"]
