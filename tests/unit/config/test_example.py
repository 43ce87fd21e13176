"""The example that is shipped, and the worst file that anybody ever wrote."""

from __future__ import annotations

import gc
import os
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
