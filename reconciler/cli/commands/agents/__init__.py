"""``alter-sync agents``: the 13 commands of Alter's own command line, one for one."""

from __future__ import annotations

import typer

from reconciler.cli.commands.agents import changing, keys, reading
from reconciler.cli.help import PlainGroup
from reconciler.errors import ExitCode

EXAMPLES = """\
  alter-sync agents list --status active        who is there; show, list-keys tell more
  alter-sync agents create --name a --sink NAME a new agent, its key in a sink
  alter-sync agents mint-key --agent a --sink NAME, list-keys, revoke-key     a rotation by hand
  alter-sync agents audit --agent a             what was done to it, and by whom"""
EPILOG = f"""\b
Examples:
{EXAMPLES}

\b
Environment:
  ALTER_API_KEY     the app's runtime key (alter_rk_…): all but audit and the registry
  ALTER_PAT         a personal access token: all of it; with ALTER_APP_ID or --app
  ALTER_CLI         the alter executable that a token needs, when it is not `alter`
"""


def build() -> typer.Typer:
    """The group with its commands."""
    group = PlainGroup(_agents, epilog=EPILOG)
    group.command("list", epilog=reading.LIST_EPILOG)(reading.list_agents)
    group.command("create", epilog=changing.CREATE_EPILOG)(changing.create)
    group.command("show", epilog=reading.SHOW_EPILOG)(reading.show)
    group.command("audit", epilog=reading.AUDIT_EPILOG)(reading.audit)
    group.command("registry-list", epilog=reading.REGISTRY_LIST_EPILOG)(reading.registry_list)
    group.command("registry-show", epilog=reading.REGISTRY_SHOW_EPILOG)(reading.registry_show)
    group.command("update", epilog=changing.UPDATE_EPILOG)(changing.update)
    group.command("revoke", epilog=changing.REVOKE_EPILOG)(changing.revoke)
    group.command("mint-key", epilog=keys.MINT_EPILOG)(keys.mint_key)
    group.command("list-keys", epilog=reading.LIST_KEYS_EPILOG)(reading.list_keys)
    group.command("revoke-key", epilog=keys.REVOKE_KEY_EPILOG)(keys.revoke_key)
    group.command("deprecate-key", epilog=keys.DEPRECATE_EPILOG)(keys.deprecate_key)
    group.command("undeprecate-key", epilog=keys.UNDEPRECATE_EPILOG)(keys.undeprecate_key)
    return group


def _agents(context: typer.Context) -> ExitCode:
    """Agents and keys one by one, by hand: the commands of Alter's own command line, one for one.

    They need no configuration. An agent that alter-sync owns can be changed here, too; the next apply puts
    back what is declared, and each command says so.
    """
    if context.invoked_subcommand is None:
        typer.echo(f"{EXAMPLES}\n\nMore: alter-sync agents --help")
    return ExitCode.OK
