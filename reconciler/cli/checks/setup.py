"""Checks what can be known offline: the configuration, the address, and where the key comes from."""

from __future__ import annotations

import shlex
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.cli.boundary import ConfigInvalid
from reconciler.cli.console import Console
from reconciler.cli.source import (
    Source,
    find_api_key,
    find_app_id,
    find_base_url,
    find_dashboard,
    open_endpoint,
)
from reconciler.cli.wiring import SeveralApps, load_configuration
from reconciler.errors import AlterSyncError, AuthError, ExitCode, UsageError
from reconciler.model.desired import AppRef, Desired
from reconciler.reports.doctor_report import Check, failed, failed_by, ok, skipped, warning

if TYPE_CHECKING:
    from reconciler.alter.program import DashboardAccess
    from reconciler.model.diagnostic import Diagnostic
    from reconciler.model.secret import Secret
    from reconciler.ports import Clock

_FIRST_FINDINGS = 10
_OF_ONE_APP = ("address", "api key", "network", "dashboard token", "sinks")
# By its beginning, which is public. An agent's own key cannot be used here, and is refused before this.
_KINDS = {
    "alter_rk_": "a runtime key (alter_rk_…)",
    "alter_dk_": "a derived key (alter_dk_…)",
    "alter_pk_": "a publishable key (alter_pk_…)",
    "alter_key_": "a key of the old form (alter_key_…)",
}


class Purpose(StrEnum):
    """What the setup is to be good for; each includes the ones before."""

    PLAN = "plan"
    APPLY = "apply"
    REVOKE = "revoke"


@dataclass(frozen=True, slots=True)
class Setup:
    """What the other checks have to work with; ``None`` where there is nothing that can be used."""

    source: Source
    clock: Clock
    app: AppRef
    desired: Desired | None = None
    base_url: str | None = None
    api_key: Secret | None = None
    key_origin: str = ""
    dashboard: DashboardAccess | None = None
    app_id_origin: str = ""

    @property
    def owner(self) -> str:
        """Whose requests these are, in the audit log."""
        return self.desired.owner if self.desired else "doctor"


@contextmanager
def open_setup(console: Console, source: Source) -> Iterator[tuple[Setup | None, tuple[Check, ...]]]:
    """The setup, and the checks of it; with ``--sandbox`` the embedded Alter runs as long as this is open.

    There is no setup for several apps: each has its own address and key, and none the default ones.
    """
    from reconciler.alter.clock import SystemClock

    try:
        desired, configuration = check_configuration(source)
    except SeveralApps as error:
        why = "the configuration is of several apps; name one of them with -c"
        yield None, (failed_by("configuration", error), *(skipped(name, why) for name in _OF_ONE_APP))
        return
    setup = Setup(source, SystemClock(), desired.app if desired else AppRef(""), desired)
    if source.sandbox is None:
        setup, address = check_address(setup)
        app_id_origin = find_app_id(source, setup.app)[1]
        dashboard = find_dashboard(source, setup.app)
        setup = replace(setup, dashboard=dashboard, app_id_origin=app_id_origin)
        setup, api_key = check_api_key(setup)
        yield setup, (configuration, address, api_key)
        return
    with open_endpoint(console, source, setup.app) as endpoint:
        setup = replace(
            setup,
            base_url=endpoint.base_url,
            api_key=endpoint.api_key,
            key_origin="the sandbox",
            dashboard=endpoint.dashboard,
            app_id_origin="the sandbox",
        )
        address = ok("address", f"the embedded Alter in {source.sandbox}")
        yield setup, (configuration, address, ok("api key", "that of the sandbox, which may do everything"))


def check_configuration(source: Source) -> tuple[Desired | None, Check]:
    """Whether it can be planned, and how many agents it declares. Raises ``SeveralApps``."""
    name, paths = "configuration", ", ".join(map(str, source.config))
    validate = Source(source.config).command("validate")  # it takes no other options
    try:
        configuration = load_configuration(source, what="doctor")
    except SeveralApps:
        raise
    except ConfigInvalid as error:
        message, details = f"{paths}: {error.message}", _listed(error.diagnostics)
        return None, failed(name, message, fix=validate, details=details, exit_code=ExitCode.USAGE)
    except AlterSyncError as error:
        return None, failed_by(name, error, otherwise=validate)
    desired, findings = configuration.desired, configuration.findings
    count = len(desired.agents)
    message = (
        f"{paths}: {count} agent{'' if count == 1 else 's'} of {desired.owner} in app {desired.app.name}"
    )
    if findings:
        return desired, warning(name, f"{message}, with warnings", fix=validate, details=_listed(findings))
    return desired, ok(name, message)


def check_address(setup: Setup) -> tuple[Setup, Check]:
    """Where the API is, and who says so."""
    from reconciler.alter.transport import checked_base_url

    address, origin = find_base_url(setup.app)
    try:
        checked, _ = checked_base_url(address)
    except UsageError as error:
        message = f"{error.message} (from {origin})"
        return setup, failed("address", message, fix=error.hint, exit_code=error.exit_code)
    setup, declared = replace(setup, base_url=checked), (setup.app.base_url or "").rstrip("/")
    if declared and declared != checked:
        message = f"{checked} from {origin}, which wins over app.base_url: {declared}"
        return setup, warning("address", message, fix="unset ALTER_BASE_URL, or make the two the same")
    return setup, ok("address", f"{checked} from {origin}")


def check_api_key(setup: Setup) -> tuple[Setup, Check]:
    """Whether there is a key that looks like one of an app, and where it comes from; never the key."""
    from reconciler.alter.wire import Credential

    name, variable = "api key", setup.app.api_key_env
    try:
        api_key, origin = find_api_key(setup.source, setup.app)
    except AlterSyncError as error:
        return setup, failed_by(name, error, otherwise="check --api-key-file")
    setup = replace(setup, key_origin=origin)
    if api_key is None:
        missing = f"no API key in {origin}"
        if setup.dashboard is not None and setup.source.api_key_file is None:
            return setup, skipped(name, f"{missing}: the dashboard plane alone is used")
        fix = f"put the app's runtime key (alter_rk_…) into {variable}, or name its file: --api-key-file PATH"
        return setup, failed(name, missing, fix=fix, exit_code=ExitCode.AUTH)
    try:
        Credential(api_key)
    except AuthError as error:
        fix = error.hint
        if api_key.starts_with("alter_ak_"):
            fix = "leave that key to its workload, and use the app's runtime key (alter_rk_…)"
        elif api_key.starts_with("alter_pat_"):
            fix = f"a personal access token goes into ALTER_PAT; {variable} is for the app's key (alter_rk_…)"
        message = f"{error.message} (from {origin})"
        return setup, failed(name, message, fix=fix, exit_code=error.exit_code)
    kind = next(kind for prefix, kind in _KINDS.items() if api_key.starts_with(prefix))
    setup, message = replace(setup, api_key=api_key), f"{kind} from {origin}"
    path = setup.source.api_key_file
    if path is not None and _others_may_read(path):
        return setup, warning(
            name, f"{message}, which others may read", fix=shlex.join(["chmod", "600", str(path)])
        )
    return setup, ok(name, message)


def _others_may_read(path: Path) -> bool:
    return bool(path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH))


def _listed(findings: tuple[Diagnostic, ...]) -> list[str]:
    lines = [f"{finding.position}: {finding.message}" for finding in findings[:_FIRST_FINDINGS]]
    more = len(findings) - len(lines)
    return [*lines, *([f"… and {more} more"] if more else [])]


def describe_tool() -> str:
    """Which program this is, and what runs it."""
    import platform

    from reconciler.cli.wiring import tool_version

    system = f"{platform.system()} {platform.machine()}"
    return f"alter-sync {tool_version()}, Python {platform.python_version()}, {system}"
