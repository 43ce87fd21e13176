"""What a shell offers: commands, options, values, guards, agents. Asked by the shells that are there."""

import os
import pty
import select
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.errors import ExitCode
from tests.support.commands import SCRIPT, environment, process, run

pytestmark = pytest.mark.usefixtures("workplace")

HEAVY = {"httpx", "jsonschema", "jsonschema_rs", "deepdiff", "rich", "yaml"}
TEMPLATES = """\
version: 1
agents:   # the fleet
  # nobody: {}
  nightly-sync:
    display_name: "agents:"
    scopes: {google: [gmail.readonly]}

  "quoted":
    purpose: |
      text: of several lines
  tenant-{tenant}:
    for_each: {tenant: [acme]}
  flow: {scopes: {}}
guards:
  max_revocations: {count: 3}
"""


def offered(line: str, shell: str = "fish") -> list[str]:
    """The candidates for a line that begins with the command's name, without their meanings."""
    result = run("__complete", shell, f"alter-sync {line}")
    assert (result.code, result.stderr) == (ExitCode.OK, "")
    return [answer.partition("\t")[0] for answer in result.stdout.splitlines()]


def test_commands_come_with_what_they_do() -> None:
    assert run("__complete", "fish", "alter-sync dri").stdout == (
        "drift\twhat was changed outside, by whom and when\n"
    )
    assert offered("sandbox adv") == ["advance"]
    assert "registry-list" in offered("agents ")


@pytest.mark.parametrize(
    ("line", "candidates"),
    [
        ("plan --det", ["--detailed-exitcode"]),
        ("plan --output j", ["json", "jsonl"]),
        ("plan --output=js", ["--output=json", "--output=jsonl"]),
        ("apply --report m", ["markdown="]),
        ("completion ", ["bash", "zsh", "fish"]),
        ("plan --config ", []),
        ("plan --report html=", []),
        ("plan --output xml --ta", ["--target"]),
        ("plan --nonsense --ta", ["--target"]),
    ],
)
def test_options_and_values_are_offered_and_files_are_left_to_the_shell(
    line: str, candidates: list[str]
) -> None:
    assert offered(line) == candidates


def test_agents_are_offered_by_their_names_in_the_configuration_that_the_line_names() -> None:
    Path("agents.yaml").write_text(TEMPLATES)
    assert offered("plan --target ") == ["nightly-sync", "quoted", "tenant-*", "flow"]
    assert offered("rotate qu") == ["quoted"]
    assert offered("agents show --agent ") == ["nightly-sync", "quoted", "flow"]
    Path("others").mkdir()
    Path("others/one.yml").write_text(TEMPLATES.replace("nightly-sync", "another"))
    assert offered("plan -c others --target a") == ["another"]
    assert offered("plan --target 'ni") == ["nightly-sync"]


def test_a_guard_is_offered_and_then_the_agents_that_it_may_let_through() -> None:
    Path("agents.yaml").write_text(TEMPLATES)
    assert offered("plan --allow revoke") == ["revoke-in-use="]
    assert offered("plan --allow last") == []  # nothing lets it through
    assert offered("plan --allow revoke-in-use=q") == ["revoke-in-use=quoted"]
    assert offered("plan --allow revoke-in-use=") == [
        f"revoke-in-use={name}" for name in ("nightly-sync", "quoted", "flow")
    ]


def test_bash_gets_what_stands_behind_the_last_equals_sign() -> None:
    Path("agents.yaml").write_text(TEMPLATES)
    assert offered("plan --allow=revoke-in-use=q", "bash") == ["quoted"]
    assert offered("plan --output=js", "bash") == ["json", "jsonl"]


@pytest.mark.parametrize("text", ["", "agents", "agents: {a: {}}", "agents:\n\t- x", "\0", "- agents:\n  a:"])
def test_a_text_that_is_no_such_configuration_offers_nothing(text: str) -> None:
    Path("agents.yaml").write_text(text)
    assert offered("plan --target ") == []


def test_without_a_configuration_nothing_is_offered_and_nothing_complained() -> None:
    assert offered("plan --target ") == []
    assert offered("plan -c nowhere --target ") == []


@pytest.mark.parametrize("words", [("--help",), ("-h",), ("__complete", "zsh", "alter-sync plan --target ")])
def test_help_and_completion_load_nothing_heavy(words: tuple[str, ...]) -> None:
    Path("agents.yaml").write_text(TEMPLATES)
    program = (
        "import sys; from reconciler.cli.main import run; code = run(sys.argv[1:]);"
        f"print(sorted({HEAVY!r} & sys.modules.keys()), file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *words], env=environment(), capture_output=True, text=True, check=True
    )
    assert done.stderr == "[]\n"
    assert done.stdout


def shell_or_skip(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"there is no {name} here")
    return found


def shell_environment(**variables: str) -> dict[str, str]:
    path = os.pathsep.join([str(Path(SCRIPT).parent), os.environ["PATH"]])
    return environment(**variables) | {"PATH": path, "HOME": str(Path.cwd())}


def test_bash_completes_with_the_script() -> None:
    Path("agents.yaml").write_text(TEMPLATES)
    Path("tenant-$(touch pwned)").touch()  # which the glob of the template matches
    program = """\
source <(alter-sync completion bash)
complete -p alter-sync
for line in "alter-sync val" "alter-sync plan --allow revoke-in-use=ni" "alter-sync plan --target "; do
    COMP_LINE=$line COMP_POINT=${#line}
    _alter_sync
    echo "${COMPREPLY[@]}"
done
"""
    done = subprocess.run(
        [shell_or_skip("bash"), "--norc", "-c", program],
        env=shell_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == [
        "complete -o default -F _alter_sync alter-sync",
        "validate",
        "nightly-sync",
        "nightly-sync quoted 'tenant-*' flow",
    ]


def test_fish_completes_with_the_script() -> None:
    Path("agents.yaml").write_text(TEMPLATES)
    program = "alter-sync completion fish | source; complete -C"
    lines = {
        "alter-sync val": "validate\tcheck the YAML offline: syntax, schema, meaning",
        "alter-sync plan --allow revoke-in-use=ni": "revoke-in-use=nightly-sync",
        "alter-sync plan --config age": "agents.yaml",
    }
    for line, answer in lines.items():
        done = subprocess.run(
            [shell_or_skip("fish"), "--no-config", "-c", f"{program} '{line}'"],
            env=shell_environment(),
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.splitlines() == [answer]


def test_zsh_completes_with_the_script() -> None:
    Path("agents.yaml").write_text(TEMPLATES)
    shell = shell_or_skip("zsh")
    child, terminal = pty.fork()
    if child == 0:  # pragma: no cover - another process
        os.execve(shell, ["zsh", "-f", "-i"], shell_environment(TERM="dumb", COLUMNS="120"))
    try:
        os.write(terminal, b"autoload -U compinit; compinit -D -u; source <(alter-sync completion zsh)\n")
        os.write(terminal, b"PS1='ready> '\n")
        seen(terminal, until="\rready> ")
        for typed, completed in (
            ("alter-sync val", "alter-sync validate"),
            (
                "alter-sync plan --allow revoke-in-use=n",
                "alter-sync plan --allow revoke-in-use=nightly-sync",
            ),
            ("alter-sync plan --config age", "alter-sync plan --config agents.yaml"),
        ):
            # Once it is complete, the line is printed instead of run: to its start, to its end, Enter.
            os.write(terminal, f"{typed}\t\x01print -r -- '\x05.'\n".encode())
            assert f"\n{completed}." in seen(terminal, until=f"\n{completed}.")
    finally:
        os.close(terminal)
        os.waitpid(child, 0)


def seen(terminal: int, *, until: str) -> str:
    """What the shell wrote until the text was there, or for eight seconds after its last sign of life."""
    screen = ""
    while until not in screen and select.select([terminal], [], [], 8)[0]:
        screen += os.read(terminal, 65536).decode(errors="replace")
    return screen


def test_a_shell_without_a_script_is_named() -> None:
    refused = process("completion", "tcsh")
    assert refused.code == ExitCode.USAGE
    assert "'tcsh' is not one of 'bash', 'zsh', 'fish'" in refused.stderr
