"""Checks the dashboard plane, when there is a token: the executable, the token, the app, the audit feed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from reconciler.cli.checks.permissions import APP, check_app
from reconciler.cli.checks.setup import Setup
from reconciler.errors import AlterSyncError, ApiError, CredentialMissing, InsufficientScope
from reconciler.reports.doctor_report import Check, failed_by, ok, skipped, warning

if TYPE_CHECKING:
    from reconciler.alter.dashboard_wire import Document
    from reconciler.alter.program import DashboardAccess, Program

_PROGRAM, _TOKEN, _AUDIT = "alter executable", "dashboard token", "audit feed"
_TIME_LIMIT_SECONDS = 10.0
_LIST, _PAGE = "alter agents list", 1000


def check_dashboard(setup: Setup) -> Iterator[Check]:
    """By commands that read. What does not work is a failure when there is no key for the other plane."""
    from reconciler.alter.program import Program

    if setup.dashboard is None:
        yield skipped(_TOKEN, "there is none in ALTER_PAT: drift cannot tell who did it")
        return
    if misplaced := _kind_of_key(setup.dashboard):
        what = f"ALTER_PAT holds {misplaced}, and no personal access token"
        yield _broken(
            setup, _TOKEN, CredentialMissing(what, hint="put a personal access token into ALTER_PAT")
        )
        return
    program = Program(setup.dashboard, time_limit_seconds=_TIME_LIMIT_SECONDS)
    try:
        program.find()
    except AlterSyncError as error:
        yield _broken(setup, _PROGRAM, error)
        yield from (skipped(name, "there is no executable") for name in (_TOKEN, _AUDIT))
        return
    found = shutil.which(setup.dashboard.executable)
    yield ok(_PROGRAM, f"{found}, {program.version() or 'which does not tell its version'}")
    try:
        rows = _rows(program)
    except ApiError as error:
        yield _broken(setup, _TOKEN, error)
        yield skipped(_AUDIT, "the token is of no use")
        return
    app = f"app {setup.dashboard.app_id} (from {setup.app_id_origin})"
    where = app if setup.dashboard.app_id else setup.app_id_origin
    yield ok(_TOKEN, f"accepted for {where}, with dashboard_agents:read")
    yield _check_audit(program, rows)
    if setup.api_key is None:  # else both are known from the other plane
        yield skipped("permissions", "unknown: this plane does not tell of changes without making one")
        yield _check_app(setup, rows)


def _rows(program: Program) -> Sequence[Document]:
    from reconciler.alter.dashboard_wire import rows_of

    listed = program.run("list", "--status", "active,inactive", "--limit", str(_PAGE))
    return rows_of(listed, what="agent", route=_LIST)


def _check_app(setup: Setup, rows: Sequence[Document]) -> Check:
    from reconciler.alter.dashboard_wire import is_whole_agent, read_agent

    if len(rows) == _PAGE or not all(map(is_whole_agent, rows)):
        return skipped(APP, "the list does not show all agents with their marks")
    try:
        return check_app(setup, [read_agent(row, route=_LIST) for row in rows])
    except ApiError as error:
        return failed_by(APP, error)


def _check_audit(program: Program, rows: Sequence[Document]) -> Check:
    from reconciler.alter.dashboard_wire import agent_id_of

    agent_id = agent_id_of(rows[0]) if rows else ""
    if not agent_id:
        return skipped(_AUDIT, "there is no agent to ask about")
    try:
        program.run("audit", "--agent", agent_id, "--limit", "1")
    except InsufficientScope as error:
        fix = f"use a token that also has {', '.join(error.missing)}"
        return warning(_AUDIT, "the token may not read it: drift cannot tell who did it", fix=fix)
    except ApiError as error:
        return failed_by(_AUDIT, error, is_needed=False)
    return ok(_AUDIT, "can be read: drift tells who did it")


def _kind_of_key(access: DashboardAccess) -> str:
    """What was put in the place of a token; empty when it may be one."""
    if access.token.starts_with("alter_ak_"):
        return "an agent's own key (alter_ak_…)"
    return "a key of an app (alter_rk_…)" if access.token.starts_with("alter_rk_") else ""


def _broken(setup: Setup, name: str, error: AlterSyncError) -> Check:
    otherwise = f"check the app id (from {setup.app_id_origin}), and that the token is for it"
    return failed_by(name, error, is_needed=setup.api_key is None, otherwise=otherwise)
