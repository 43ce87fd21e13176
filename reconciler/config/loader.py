"""Loads a configuration: the one entry to this room."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from reconciler.config import schema
from reconciler.config.agents import AgentBuilder
from reconciler.config.apps import by_app
from reconciler.config.combine import NAMED_SECTIONS, Combined, Document, combine
from reconciler.config.expand import expand
from reconciler.config.explain import explain
from reconciler.config.files import config_files, is_readable, read_text
from reconciler.config.findings import Findings, shown
from reconciler.config.lint import lint
from reconciler.config.nodes import Table
from reconciler.config.settings import drift_ignores, freeze_windows, guard_settings
from reconciler.config.shapes import read
from reconciler.config.sink_refs import check_places, check_places_apart, sink_refs
from reconciler.config.source import parse
from reconciler.model.desired import DEFAULT_API_KEY_ENV, AppRef, Desired
from reconciler.model.diagnostic import Diagnostic
from reconciler.model.scopes import LEGACY_PROVIDER, SLUGS_PROVIDER

# About a thousand agents.
_MANY_OBJECTS = 50_000


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a configuration means. ``desired`` is ``None`` exactly when a finding is an error."""

    desired: Desired | None
    diagnostics: tuple[Diagnostic, ...]


@dataclass(frozen=True, slots=True)
class LoadedApp:
    """One app's configuration and the files that it is made of."""

    desired: Desired
    files: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class LoadedApps:
    """What the files of a run mean, app by app. There are no ``apps`` exactly when a finding is an error."""

    apps: tuple[LoadedApp, ...]
    diagnostics: tuple[Diagnostic, ...]


def load(paths: Sequence[Path], *, now: datetime | None = None) -> Loaded:
    """Reads files and folders as one configuration; ``now`` (aware) decides which ``ignore`` entries ended.

    What is wrong inside the files comes back as diagnostics, sorted by position. Raises ``FileMissing`` for a
    path that is not there and ``UsageError`` for one that cannot be read.
    """
    findings = Findings()
    desired: Desired | None = None
    with _without_gc():
        if documents := _documents(config_files(paths), findings):
            desired = _desired(documents, now or datetime.now(UTC), findings)
    return Loaded(None if findings.has_errors else desired, findings.sorted())


def load_apps(paths: Sequence[Path], *, now: datetime | None = None) -> LoadedApps:
    """Reads files and folders as one configuration for each app that they name; else as ``load``."""
    findings = Findings()
    with _without_gc():
        documents = _documents(config_files(paths), findings)
        groups = by_app(documents, findings) if documents else ()
        apps = tuple(
            LoadedApp(
                _desired(group, now or datetime.now(UTC), findings),
                tuple(Path(document.file) for document in group),
            )
            for group in groups
        )
        check_places_apart([app.desired for app in apps], findings)
    return LoadedApps(() if findings.has_errors else apps, findings.sorted())


def load_text(text: str, *, file: str, now: datetime) -> Loaded:
    """The same for one text that is no file yet; ``file`` is what positions call it."""
    findings = Findings()
    desired: Desired | None = None
    with _without_gc():
        is_clean = is_readable(text, file=file, findings=findings)
        document = _parsed(text, file, findings) if is_clean else None
        if document is not None:
            desired = _desired([document], now, findings)
    return Loaded(None if findings.has_errors else desired, findings.sorted())


def schema_text() -> str:
    """The JSON Schema of the configuration, as it is shipped."""
    return schema.schema_text("agents")


def catalogue_findings(desired: Desired, catalogue: Mapping[str, frozenset[str]]) -> tuple[Diagnostic, ...]:
    """Warnings for providers and scopes that the catalogue (provider → scopes) does not have."""
    findings = Findings()
    for agent in desired.agents.values():
        for provider, names in agent.scopes.by_provider:
            if provider in (SLUGS_PROVIDER, LEGACY_PROVIDER):
                continue
            if provider in catalogue and catalogue[provider].issuperset(names):
                continue
            at = agent.position_of(f"scopes.{provider}")
            if provider not in catalogue:
                hint = findings.suggest(provider, catalogue)
                findings.warning(
                    "unknown-provider", f"the catalogue has no provider {shown(provider)}", at, hint=hint
                )
                continue
            for name in names:
                if name not in catalogue[provider]:
                    hint = findings.suggest(name, catalogue[provider])
                    findings.warning("unknown-scope", f"{provider} has no scope {shown(name)}", at, hint=hint)
    return findings.sorted()


def _documents(files: Sequence[Path], findings: Findings) -> Sequence[Document]:
    """What the files say; nothing when one of them cannot be understood.

    It may hold what the others refer to, so nothing more can be said.
    """
    documents = [document for file in files if (document := _document(file, findings))]
    return documents if len(documents) == len(files) else ()


def _document(path: Path, findings: Findings) -> Document | None:
    text = read_text(path, findings)
    return None if text is None else _parsed(text, str(path), findings)


def _parsed(text: str, file: str, findings: Findings) -> Document | None:
    root = parse(text, file=file, findings=findings)
    if root is None:
        return None
    data = read(root, schema.shape("agents"))
    broken: frozenset[tuple[str, str]] = frozenset()
    if not schema.fits("agents", data):
        wrong = explain(data, root, file=file, findings=findings)
        if wrong is None:
            return None
        broken = frozenset(_section(path) for path in wrong if path)
    if not isinstance(root, Table) or "version" not in data or ("version", "") in broken:
        return None
    return Document(file, data, root, broken)


def _section(path: tuple[str | int, ...]) -> tuple[str, str]:
    section = str(path[0])
    return section, str(path[1]) if section in NAMED_SECTIONS and len(path) > 1 else ""


def _desired(documents: Sequence[Document], now: datetime, findings: Findings) -> Desired:
    combined = combine(documents, findings)
    lint(combined, findings)
    sinks = sink_refs(combined.sinks, findings)
    builder = AgentBuilder(combined, sinks, now, findings)
    agents = builder.build(expand(combined, findings))
    check_places(agents, sinks, findings)
    return Desired(
        owner=combined.owner,
        app=_app(combined),
        agents=agents,
        position=combined.position,
        former_owners=_former_owners(combined, findings),
        sinks=sinks,
        guards=guard_settings(combined.guards, findings),
        freeze=freeze_windows(combined.freeze, findings),
        ignore_drift=drift_ignores(combined.ignore_drift, now, findings),
    )


def _app(combined: Combined) -> AppRef:
    app = combined.app
    return AppRef(
        name=app.get("name", ""),
        id=app.get("id"),
        base_url=app.get("base_url"),
        api_key_env=app.get("api_key_env", DEFAULT_API_KEY_ENV),
    )


def _former_owners(combined: Combined, findings: Findings) -> tuple[str, ...]:
    for entry in combined.former_owners:
        if entry.data == combined.owner:
            message = f"{shown(combined.owner)} is the owner itself"
            findings.warning("former-owner-is-owner", message, entry.at, hint="Remove it.")
    return tuple(sorted({entry.data for entry in combined.former_owners} - {combined.owner}))


@contextmanager
def _without_gc() -> Iterator[None]:
    """A million small objects, none of them garbage: collecting them over and over doubles the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            if gc.get_count()[0] > _MANY_OBJECTS:
                # They live as long as the run, so that to look at them even once is lost time.
                gc.freeze()
            gc.enable()
