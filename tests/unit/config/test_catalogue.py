"""Scopes against the catalogue of providers."""

from __future__ import annotations

from pathlib import Path

from reconciler.config.loader import catalogue_findings
from tests.unit.config.documents import desired, of_agent, of_agents, place

CATALOGUE = {"google": frozenset({"gmail.readonly", "drive"}), "slack": frozenset({"chat:write"})}


def test_scopes_that_the_catalogue_has_are_no_finding(tmp_path: Path) -> None:
    found = desired(tmp_path, of_agent("scopes: {google: [drive], slack: [chat:write]}"))
    assert catalogue_findings(found, CATALOGUE) == ()


def test_an_unknown_scope_names_the_nearest(tmp_path: Path) -> None:
    config = desired(tmp_path, of_agent("scopes: {google: [gmail.readonyl, drive]}"))
    (found,) = catalogue_findings(config, CATALOGUE)
    assert (found.severity, found.rule, place(found)) == ("warning", "unknown-scope", (7, 14))
    assert found.hint == 'Did you mean "gmail.readonly"?'


def test_an_unknown_provider_names_the_nearest(tmp_path: Path) -> None:
    config = desired(tmp_path, of_agent("scopes: {gogle: [drive], qqqqqqq: [x]}"))
    findings = catalogue_findings(config, CATALOGUE)
    assert [(one.rule, one.hint) for one in findings] == [
        ("unknown-provider", 'Did you mean "google"?'),
        ("unknown-provider", ""),
    ]


def test_managed_secrets_are_no_providers(tmp_path: Path) -> None:
    config = desired(tmp_path, of_agent("scopes: {managed_secret_slugs: [a], managed_secrets: [b]}"))
    assert catalogue_findings(config, CATALOGUE) == ()


def test_a_wrong_scope_of_a_template_is_one_finding(tmp_path: Path) -> None:
    text = of_agents(
        "a: {template: t}\nb: {template: t}", more="templates: {t: {scopes: {google: [x]}, deliver_to: []}}\n"
    )
    assert len(catalogue_findings(desired(tmp_path, text), CATALOGUE)) == 1
