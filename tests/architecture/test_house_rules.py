"""The rules of the house that no linter knows: who reveals, who prints, how modules and failures look."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from reconciler import errors
from reconciler.planning.guards import REFUSERS

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "reconciler"
MODULES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))
MAX_LINES = 250
# One list of one thing reads better in one place.
LONG_FOR_A_REASON = {"errors.py"}


@cache
def text_of(module: str) -> str:
    return (PACKAGE / module).read_text(encoding="utf-8")


@cache
def tree_of(module: str) -> ast.Module:
    return ast.parse(text_of(module))


def names_in(tree: ast.AST) -> Iterator[str]:
    """Every name that is bound or used, also as an attribute or as a keyword of a call."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
                yield name
            case ast.keyword(arg=str(name)):
                yield name
            case _:
                pass


def is_reveal(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "reveal"


def is_print(node: ast.AST) -> bool:
    match node:
        case ast.Call(func=ast.Name(id="print")):
            return True
        case ast.Attribute(value=ast.Name(id="sys"), attr="stdout" | "stderr" | "__stdout__" | "__stderr__"):
            return True
        case ast.Attribute(value=ast.Name(id="typer"), attr="echo" | "secho"):
            return True
        case _:
            return False


def test_a_plaintext_is_revealed_only_where_it_is_sent_or_stored() -> None:
    found = {module for module in MODULES if any(map(is_reveal, ast.walk(tree_of(module))))}
    allowed = {"applying/delivery.py", "alter/wire.py", "model/secret.py"}
    # `agents create` and `agents mint-key` print a new key once when a person asks for it with --show-key.
    allowed |= {"cli/show_key.py"}
    # These reveal no key of Alter: a job's token to GitHub, and addresses that somebody keeps secret.
    allowed |= {"ci/github.py", "ci/ping.py", "ci/slack.py"}
    assert {module for module in found if not module.startswith("sinks/")} <= allowed


def test_only_the_command_line_prints() -> None:
    found = {module for module in MODULES if any(map(is_print, ast.walk(tree_of(module))))}
    assert {module for module in found if not module.startswith("cli/")} == set()


@pytest.mark.parametrize("module", MODULES)
def test_a_module_begins_with_one_line_on_its_job(module: str) -> None:
    docstring = ast.get_docstring(tree_of(module))
    assert docstring
    first, _, rest = docstring.partition("\n")
    assert first.endswith(".")
    assert rest == "" or rest.startswith("\n")
    assert ast.get_docstring(tree_of(module), clean=False) == text_of(module)[3:].partition('"""')[0]


def test_modules_are_small() -> None:
    sizes = {module: text_of(module).count("\n") for module in MODULES}
    assert {
        module: size for module, size in sizes.items() if size > MAX_LINES and module not in LONG_FOR_A_REASON
    } == {}


def test_no_module_is_a_drawer_for_everything() -> None:
    drawers = {"utils", "util", "helpers", "helper", "common", "base", "misc"}
    assert [module for module in MODULES if drawers & {*Path(module).with_suffix("").parts}] == []


def test_planning_makes_a_value_so_nothing_runs_dry() -> None:
    assert [module for module in MODULES if "dry_run" in names_in(tree_of(module))] == []
    assert [module for module in MODULES if "dry-run" in text_of(module)] == []


def test_imports_are_absolute() -> None:
    relative = [
        module
        for module in MODULES
        if any(isinstance(node, ast.ImportFrom) and node.level for node in ast.walk(tree_of(module)))
    ]
    assert relative == []


def test_the_last_key_of_an_agent_is_forced_away_by_a_person_alone() -> None:
    """No plan and no run does it: the planes can, the port names it, one command by hand asks for it."""
    planes, by_hand = {"alter/sdk_plane.py", "alter/dashboard_plane.py"}, "cli/commands/agents/keys.py"
    forced = re.compile(r"""force["']?\s*[=:]\s*["']?true|["']--force\b""", re.IGNORECASE)
    clients = [module for module in MODULES if not module.startswith("sandbox/")]
    assert {module for module in clients if forced.search(text_of(module))} <= {*planes, by_hand}
    assert {module for module in clients if "force" in names_in(tree_of(module))} == {by_hand}
    asking = {module for module in clients if "revoke_last_key" in text_of(module)}
    assert asking == {"ports.py", *planes, by_hand}


def failures() -> list[type[errors.AlterSyncError]]:
    """Every class of failure, those of other modules included."""
    import importlib

    for module in MODULES:
        if not module.startswith("sandbox/"):
            importlib.import_module("reconciler." + module.removesuffix(".py").replace("/", "."))
    found: list[type[errors.AlterSyncError]] = []
    todo: list[type[errors.AlterSyncError]] = [errors.AlterSyncError]
    while todo:
        kind = todo.pop()
        found.append(kind)
        todo += kind.__subclasses__()
    return found


def test_every_failure_has_an_exit_code_a_code_and_a_sentence() -> None:
    kinds = failures()
    assert len(kinds) > 15
    for kind in kinds:
        assert isinstance(kind.exit_code, errors.ExitCode)
        assert kind.exit_code is not errors.ExitCode.OK
        assert re.fullmatch(r"[a-z][a-z_]+", kind.code)
        assert kind.__doc__
    # Tests have failures of their own, in other modules.
    own = [kind.code for kind in kinds if "code" in vars(kind) and kind.__module__.startswith("reconciler.")]
    assert len(own) == len(set(own))


def test_the_documents_name_exactly_the_guards_there_are() -> None:
    documents = [path for path in ROOT.glob("*.md") if "| guard |" in path.read_text(encoding="utf-8")]
    if not documents:
        pytest.skip("no document has a table of guards")
    for path in documents:
        table = path.read_text(encoding="utf-8").partition("| guard |")[2].partition("\n\n")[0]
        rows = [line.split("|")[1] for line in table.splitlines()[2:]]
        named = {name for row in rows for name in re.findall(r"`([a-z-]+)`", row)}
        assert named == set(REFUSERS), path.name
