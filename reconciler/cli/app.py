"""All commands in one typer application."""

from __future__ import annotations

from typing import Annotated

import typer

from reconciler.cli.commands import adopt as adopt_command
from reconciler.cli.commands import agents as agents_commands
from reconciler.cli.commands import apply as apply_command
from reconciler.cli.commands import ci as ci_commands
from reconciler.cli.commands import demo as demo_command
from reconciler.cli.commands import drift as drift_command
from reconciler.cli.commands import export as export_command
from reconciler.cli.commands import plan as plan_command
from reconciler.cli.commands import rotate as rotate_command
from reconciler.cli.commands import sandbox as sandbox_command
from reconciler.cli.commands import sandbox_dashboard as dashboard_command
from reconciler.cli.commands import schema as schema_command
from reconciler.cli.commands import status as status_command
from reconciler.cli.commands import validate as validate_command
from reconciler.errors import ExitCode

# The bare command shows these and not the whole help: a newcomer needs a first step, not a reference.
EXAMPLES = """\
  alter-sync demo                    the whole story on an embedded Alter, in under a minute
  alter-sync plan -c agents.yaml     what would change, and why
  alter-sync apply -c agents.yaml    show it, ask, and do it"""
FIRST_STEPS = f"""\
alter-sync keeps the managed agents of Alter as your YAML declares them.

{EXAMPLES}

All commands: alter-sync --help"""
EPILOG = f"""\b
Examples:
{EXAMPLES}

\b
Environment:
  ALTER_API_KEY     the app's runtime key (alter_rk_…); or --api-key-file
  ALTER_BASE_URL    where the API is, when it is not https://backend.alterauth.com
  ALTER_PAT         a personal access token, for who did what, or instead of the key
  ALTER_APP_ID      the app that the token is used for; or app.id
  ALTER_CLI         the alter executable, when it is not alter on the path
"""

ShowVersion = Annotated[bool, typer.Option("--version", help="Print the version and exit.")]


def build_app() -> typer.Typer:
    """The application. Plain help: it must start quickly and read well in a log."""
    app = typer.Typer(
        name="alter-sync",
        help="Declarative GitOps for the managed agents of Alter: agents, scopes and API keys.",
        invoke_without_command=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        pretty_exceptions_show_locals=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(epilog=EPILOG)(_root)
    app.command("validate", epilog=validate_command.EPILOG)(validate_command.validate)
    app.command("plan", epilog=plan_command.EPILOG)(plan_command.plan)
    app.command("apply", epilog=apply_command.EPILOG)(apply_command.apply)
    app.command("rotate", epilog=rotate_command.EPILOG)(rotate_command.rotate)
    app.command("drift", epilog=drift_command.EPILOG)(drift_command.drift)
    app.command("export", epilog=export_command.EPILOG)(export_command.export)
    app.command("adopt", epilog=adopt_command.EPILOG)(adopt_command.adopt)
    app.command("status", epilog=status_command.EPILOG)(status_command.status)
    app.add_typer(agents_commands.build_agents(), name="agents")
    app.add_typer(ci_commands.build_ci(), name="ci")
    app.command("schema", epilog=schema_command.EPILOG)(schema_command.schema)
    app.command("demo", epilog=demo_command.EPILOG)(demo_command.demo)
    sandbox = typer.Typer(invoke_without_command=True, rich_markup_mode=None)
    sandbox.callback(epilog=sandbox_command.EPILOG)(sandbox_command.sandbox)
    sandbox.command("serve", epilog=sandbox_command.SERVE_EPILOG)(sandbox_command.serve)
    sandbox.command("dashboard", epilog=dashboard_command.EPILOG)(dashboard_command.dashboard)
    sandbox.command("reset", epilog=sandbox_command.RESET_EPILOG)(sandbox_command.reset)
    sandbox.command("advance", epilog=sandbox_command.ADVANCE_EPILOG)(sandbox_command.advance)
    sandbox.command("use", epilog=sandbox_command.USE_EPILOG)(sandbox_command.use)
    app.add_typer(sandbox, name="sandbox")
    return app


def _root(context: typer.Context, version: ShowVersion = False) -> ExitCode:
    if version:
        from reconciler.cli.wiring import tool_version

        typer.echo(f"alter-sync {tool_version()}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(FIRST_STEPS)
    return ExitCode.OK
