"""Lists every command in one table, and has the pages that need nothing else; it imports nothing heavy."""

from __future__ import annotations

from collections.abc import Sequence

# What the shell, the help and the completion call it. The module of a command has its name.
SECTIONS = {
    "Begin": {
        "demo": "the whole story on an embedded Alter, in under a minute",
        "init": "a first configuration, and the files around it",
        "export": "write live agents as a configuration",
        "adopt": "put live agents under this configuration's owner",
    },
    "Every day": {
        "validate": "check the YAML offline: syntax, schema, meaning",
        "plan": "what would change, why, and what guards refuse",
        "apply": "carry a plan out: agents, scopes, keys",
        "drift": "what was changed outside, by whom and when",
        "status": "agents, their keys, and how far each rotation is",
        "rotate": "a new key now, although nothing is due",
        "agents": "agents and keys one by one, by hand",
    },
    "In pipelines": {
        "matrix": "one job for each app of a fleet, or for each part of one",
        "ci": "comments, issues, which plan was reviewed",
    },
    "Around it": {
        "doctor": "credentials, permissions, clock, sinks; the fix for each",
        "sandbox": "the embedded Alter for any client, with its own clock",
        "schema": "JSON Schemas of the configuration and the documents",
        "completion": "completion for bash, zsh and fish, agent names included",
    },
}
# What the scripts of `completion` call; no command for people.
COMPLETE = "__complete"
COMMANDS = {name: summary for section in SECTIONS.values() for name, summary in section.items()}

EXAMPLES = """\
  alter-sync demo                    the whole story on an embedded Alter, in under a minute
  alter-sync plan -c agents.yaml     what would change, and why
  alter-sync apply -c agents.yaml    show it, ask, and do it"""
# The bare command shows these and not the whole help: a newcomer needs a first step, not a reference.
FIRST_STEPS = f"""\
alter-sync keeps the managed agents of Alter as your YAML declares them.

{EXAMPLES}

All commands: alter-sync --help"""
_HELP = """\
Usage: alter-sync COMMAND [OPTIONS]

  Keeps the managed agents of Alter as your YAML declares them: agents, scopes
  and API keys. Each command has a --help with examples.

{sections}

Options:
  --version     Print the version and exit.
  -h, --help    Show this message and exit.

Examples:
{examples}

Environment:
  ALTER_API_KEY     the app's runtime key (alter_rk_…); or --api-key-file
  ALTER_BASE_URL    where the API is, if not at https://backend.alterauth.com
  ALTER_PAT         a personal access token, for who did what, or instead of
                    the key
  ALTER_APP_ID      the app that the token is used for; or app.id
  ALTER_CLI         the alter executable, when it is not alter on the path
  NO_COLOR          no colours; FORCE_COLOR: colours also in a pipe

Exit codes:
  0 done   1 error   2 usage   3 credential   4 not found   5 conflict
  6 rate limit   10 changes, when asked   11 partly done   12 refused by a guard
  13 stale plan   14 sink   130, 143 interrupted
"""


def page_of(arguments: Sequence[str]) -> str | None:
    """What a command line without any command shows; ``None`` when there is one."""
    match list(arguments):
        case []:
            return FIRST_STEPS
        case ["-h" | "--help", *_]:
            return help_page()
        case ["--version", *_]:
            from reconciler.cli.wiring import tool_version

            return f"alter-sync {tool_version()}"
        case _:
            return None


def help_page() -> str:
    """What ``alter-sync --help`` shows."""
    return _HELP.format(sections="\n\n".join(map(_section, SECTIONS)), examples=EXAMPLES)


def _section(title: str) -> str:
    lines = [f"  {name:<12}{summary}" for name, summary in SECTIONS[title].items()]
    return "\n".join([f"{title}:", *lines])
