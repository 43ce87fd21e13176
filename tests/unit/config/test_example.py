"""The example that is shipped, and the worst file that anybody ever wrote."""

from __future__ import annotations

import gc
import os
from datetime import timedelta
from pathlib import Path

import pytest

from reconciler.config.loader import catalogue_findings, load
from reconciler.sandbox.catalog import provider_catalog
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


def test_the_example_asks_only_for_what_the_catalogue_has() -> None:
    providers = provider_catalog()["providers"]
    catalogue = {name: frozenset(entry["available_scopes"]) for name, entry in providers.items()}
    desired = load([ROOT / "examples" / "agents.yaml"], now=NOW).desired
    assert desired is not None
    assert catalogue_findings(desired, catalogue) == ()


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
