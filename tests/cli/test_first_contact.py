"""The first minute: the bare command, its help, its version, typing errors."""

from importlib import import_module
from pathlib import Path

import pytest

from reconciler.cli.overview import COMMANDS as TABLE
from reconciler.cli.wiring import tool_version
from reconciler.errors import ExitCode
from tests.support.commands import APP, declare, process, run

# Those of the command reference of Alter's own command line.
AGENTS_COMMANDS = (
    *("list", "create", "show", "audit", "registry-list", "registry-show", "update", "revoke"),
    *("mint-key", "list-keys", "revoke-key", "deprecate-key", "undeprecate-key"),
)
COMMANDS = (
    ("init",),
    ("validate",),
    ("plan",),
    ("apply",),
    ("rotate",),
    ("drift",),
    ("export",),
    ("adopt",),
    ("status",),
    ("agents",),
    *(("agents", command) for command in AGENTS_COMMANDS),
    ("matrix",),
    ("ci",),
    *(("ci", command) for command in ("comment", "issue", "reviewed-plan", "ping")),
    ("doctor",),
    ("schema",),
    ("completion",),
    ("demo",),
    ("sandbox",),
    ("sandbox", "serve"),
    ("sandbox", "dashboard"),
    ("sandbox", "reset"),
    ("sandbox", "advance"),
    ("sandbox", "use"),
)

pytestmark = pytest.mark.usefixtures("workplace")


def test_the_bare_command_shows_three_steps_and_where_the_rest_is() -> None:
    result = run()
    assert result.code == ExitCode.OK
    assert "alter-sync demo" in result.stdout
    assert "alter-sync plan" in result.stdout
    assert "alter-sync apply" in result.stdout
    assert result.stdout.endswith("All commands: alter-sync --help\n")
    assert result.stderr == ""


def test_the_bare_group_shows_what_it_can_do() -> None:
    result = run("sandbox")
    assert result.code == ExitCode.OK
    assert "alter-sync sandbox serve" in result.stdout
    assert result.stderr == ""


def test_the_version_is_the_installed_one() -> None:
    result = run("--version")
    assert (result.code, result.stdout, result.stderr) == (0, f"alter-sync {tool_version()}\n", "")


def test_the_help_names_every_command_and_the_variables_that_are_needed() -> None:
    result = run("--help")
    assert result.code == ExitCode.OK
    for name in {words[0] for words in COMMANDS}:
        assert f"\n  {name} " in result.stdout
    assert "ALTER_API_KEY" in result.stdout
    assert "ALTER_BASE_URL" in result.stdout


def test_the_table_of_commands_has_every_command_and_no_other() -> None:
    assert set(TABLE) == {words[0] for words in COMMANDS}
    for name in TABLE:
        module = import_module(f"reconciler.cli.commands.{name}")
        assert hasattr(module, "build") or hasattr(module, name)


def test_the_help_fits_an_ordinary_terminal_and_needs_no_parser() -> None:
    page = run("--help").stdout
    assert max(map(len, page.split("Examples:")[0].splitlines())) <= 80
    assert run("-h").stdout == page
    assert run("--help", "plan").stdout == page


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_the_help_of_a_command_has_examples_that_begin_with_it(words: tuple[str, ...], flag: str) -> None:
    result = run(*words, flag)
    assert result.code == ExitCode.OK
    _, _, examples = result.stdout.partition("Example")
    assert f"\n    alter-sync {' '.join(words)}" in examples
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["pln"], "Did you mean 'plan'?"),
        (["sandbox", "serv"], "Did you mean 'serve'?"),
        (["plan", "--taget", "x"], "--taget. Did you mean '--target' or '--trace' or '--save'?"),
        (["plan", "--output", "xml"], "'xml' is not one of 'table', 'json', 'jsonl'"),
        (["plan", "--save"], "--save"),
        (["apply", "--parallelism", "0"], "0 is not in the range 1<=x<=64"),
        (["apply", "a.json", "b.json"], "unexpected extra argument"),
        (["schema", "planet"], "'planet' is not one of"),
        (["schema", "pln"], "Did you mean 'plan'?"),
        (["plan", "--output", "jsn"], "Did you mean 'json'?"),
        (["agents", "list", "-o", "tabel"], "Did you mean 'table'?"),
        (["completion", "bsh"], "Did you mean 'bash'?"),
        (["completion"], "Choose from: bash, zsh, fish"),
        (["--verison"], "No such option: --verison. Did you mean '--version'?"),
        (["help"], "hint: see: alter-sync --help"),
        (["help", "plan"], "hint: see: alter-sync plan --help"),
        (["help", "me"], "hint: see: alter-sync --help"),
        (["apply", "--parallelism", "abc"], "'abc' is not a whole number"),
        (["sandbox", "serve", "--port", "70000"], "70000 is not in the range"),
        (["sandbox", "serve", "--latency", "long"], "long"),
        (["sandbox", "advance"], "DURATION"),
        (["--output", "json", "plan"], "options come after the command: alter-sync COMMAND --output"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_typing_error_is_a_usage_error_that_names_what_was_meant(words: list[str], said: str) -> None:
    result = run(*words)
    assert result.code == ExitCode.USAGE
    assert said in result.stderr
    assert "see: alter-sync" in result.stderr.partition("hint: ")[2]
    assert "Traceback" not in result.stderr


def test_a_plan_file_that_is_not_there_is_looked_for_beside_it() -> None:
    declare({}, app={"name": APP})
    Path("plan.json").write_text("{}")
    mistyped = run("apply", "plan.jsn", "--sandbox", "-v")
    assert mistyped.code == ExitCode.NOT_FOUND
    assert "0 requests" not in mistyped.stderr  # nothing was asked, so there is nothing to sum up
    assert "hint: did you mean 'plan.json'?" in mistyped.stderr
    unlike = run("apply", "nowhere/monday", "--sandbox")
    assert "hint: write one with `alter-sync plan --save`" in unlike.stderr


def test_an_agent_that_is_not_there_is_looked_for_among_the_live_ones() -> None:
    assert run("agents", "create", "--sandbox", "--name", "invoice-reader", "--show-key").code == ExitCode.OK
    result = run("agents", "show", "--sandbox", "--agent", "invoice-raeder")
    assert result.code == ExitCode.NOT_FOUND
    assert "hint: did you mean 'invoice-reader'?" in result.stderr


def test_a_mistyped_channel_is_told_without_what_was_given_for_it() -> None:
    result = run("plan", "--notify", "slck=https://hooks.slack.com/services/T0/B0/secret")
    assert result.code == ExitCode.USAGE
    assert "hint: did you mean 'slack'?" in result.stderr
    assert "secret" not in result.stderr


@pytest.mark.parametrize(
    "words", [["plan", "--output", "json", "--oops"], ["plan", "--output=jsonl", "--oops"]]
)
def test_a_typing_error_is_a_document_when_a_program_asked(words: list[str]) -> None:
    result = run(*words)
    assert result.code == ExitCode.USAGE
    assert result.document["exit"] == ExitCode.USAGE
    assert result.document["code"] == "usage"


def test_the_script_is_installed_and_ends_with_the_exit_code() -> None:
    assert process("--version").stdout == f"alter-sync {tool_version()}\n"
    refused = process("pln")
    assert refused.code == ExitCode.USAGE
    assert refused.stdout == ""
    assert "Traceback" not in refused.stderr
