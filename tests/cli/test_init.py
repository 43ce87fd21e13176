"""``alter-sync init``: what it writes works at once, what is there stays, and it is all of it or nothing."""

import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path

import pytest

from reconciler.cli.new_files import new_files
from reconciler.errors import ExitCode, UsageError
from reconciler.sandbox import SandboxServer
from tests.support.commands import APP, OWNER, declare, mutations, process, readers, run, terminal, use_key_of
from tests.support.sandbox_server import SignedClient

NAMES = ("agents.yaml", "agents.schema.json", ".gitignore", ".github/workflows/agents.yml")
CONFIGURATION, SCHEMA, IGNORED, WORKFLOW = map(Path, NAMES)
NO_QUESTIONS = ("--owner", OWNER, "--app-name", APP)


def everything(folder: Path = Path()) -> Mapping[str, bytes | None]:
    """Every file with its content and every folder, whatever is hidden."""
    found = sorted(folder.rglob("*"))
    return {str(path): path.read_bytes() if path.is_file() else None for path in found}


def fail_after_writing(*names: str) -> None:
    assert everything().keys() >= set(names)
    raise UsageError("stop")


def assert_plan_is_empty(*source: str) -> None:
    plan = run("plan", "--detailed-exitcode", "--output", "json", *source)
    assert plan.code == ExitCode.OK, plan.stdout
    assert (plan.document["operations"], plan.document["blocked"]) == ([], [])


def test_a_fresh_folder_is_valid_and_its_plan_is_empty(workplace: Path) -> None:
    result = run("init", "--sandbox", *NO_QUESTIONS)
    assert (result.code, [line.split()[:2] for line in result.stdout.splitlines()]) == (
        ExitCode.OK,
        [["written", name] for name in NAMES],
    )
    assert f'owner "{OWNER}", app "{APP}"' in result.stdout
    valid = run("validate")
    assert (valid.code, valid.stdout, valid.stderr) == (0, f"valid: 0 agents of {OWNER}\n", "")
    assert_plan_is_empty("--sandbox")


def test_the_example_in_the_comments_is_an_agent_that_gets_a_key(workplace: Path) -> None:
    assert run("init", "--sandbox", *NO_QUESTIONS).code == ExitCode.OK
    head, _, example = CONFIGURATION.read_text().partition("agents: {}\n")
    block = "".join(f"{line.removeprefix('#')}\n" for line in example.splitlines())
    CONFIGURATION.write_text(f"{head}agents:\n{block}")
    valid = run("validate")
    assert (valid.stdout, valid.stderr) == (f"valid: 1 agent of {OWNER}\n", "")
    assert run("apply", "--sandbox", "--yes").code == ExitCode.OK
    assert Path("secrets/nightly-sync.env").is_file()


def test_an_editor_finds_the_schema_that_the_first_line_names(workplace: Path) -> None:
    assert run("init", *NO_QUESTIONS).code == ExitCode.OK
    first, _, _ = CONFIGURATION.read_text().partition("\n")
    assert first == f"# yaml-language-server: $schema={SCHEMA}"
    assert (CONFIGURATION.parent / SCHEMA).read_text() == run("schema").stdout


def test_the_next_steps_say_how_to_give_the_key_and_work(
    alter: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ALTER_API_KEY")
    result = run("init", "my agents", *NO_QUESTIONS)
    assert [line.partition("#")[0].strip() for line in result.stderr.split("Next:\n")[1].splitlines()] == [
        "cd 'my agents'",
        "read -rs ALTER_API_KEY && export ALTER_API_KEY",
        "alter-sync plan",
        "alter-sync apply",
    ]
    monkeypatch.chdir("my agents")
    use_key_of(monkeypatch, alter, "agents:read")
    assert_plan_is_empty()
    assert "ALTER_API_KEY" not in run("init", "../another", *NO_QUESTIONS).stderr


def test_the_next_steps_use_the_sandbox_and_the_key_file_that_were_named(workplace: Path) -> None:
    here = run("init", "--sandbox", *NO_QUESTIONS).stderr
    assert ("alter-sync plan --sandbox " in here, "ALTER_API_KEY" in here) == (True, False)
    assert "alter-sync plan --sandbox " in run("init", "a", "--sandbox", *NO_QUESTIONS).stderr
    inside = run("init", "b", "--sandbox=s.db", "--api-key-file", "app.key", *NO_QUESTIONS).stderr
    assert f"alter-sync plan --sandbox={workplace}/s.db --api-key-file {workplace}/app.key" in inside


def test_live_agents_are_declared_as_they_are_and_nothing_is_changed(
    alter: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SignedClient(alter) as somebody:
        somebody.create(
            "reader",
            display_name="Reads: mail",
            type="service",
            scopes={"google": ["gmail.readonly"], "slack": ["chat:write"]},
            metadata={"team": "payments", "cost_center": "0471"},
        )
        idle = somebody.create("idle", metadata={"deep": {"a": [1, None, "no"]}})
        document = {"status": "inactive"}
        assert somebody.send("PATCH", f"/sdk/agents/{idle['id']}", document=document).is_success
    use_key_of(monkeypatch, alter, "agents:read")
    before = len(mutations(alter))
    result = run("init", "--from-live", *NO_QUESTIONS)
    assert result.code == ExitCode.OK, result.stderr
    assert "2 agents exported\n" in result.stderr
    assert "alter-sync adopt" in result.stderr
    assert run("validate").stdout == f"valid: 2 agents of {OWNER}\n"
    assert "status: inactive" in CONFIGURATION.read_text()
    assert_plan_is_empty()
    assert len(mutations(alter)) == before


def test_live_agents_can_be_those_of_the_sandbox_also_for_another_folder(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(readers("alpha"))
    assert run("apply", "--sandbox", "--yes").code == ExitCode.OK
    result = run("init", "elsewhere", "--from-live", "--sandbox", "--owner", OWNER)
    assert result.code == ExitCode.OK, result.stderr
    monkeypatch.chdir("elsewhere")
    # The mark of the agent says what the app is called.
    assert f"  name: {APP}\n" in CONFIGURATION.read_text()
    sandbox = f"--sandbox={workplace}/.alter-sync/sandbox.sqlite3"
    assert f"alter-sync plan {sandbox} " in result.stderr
    assert_plan_is_empty(sandbox)


def test_the_same_command_again_keeps_every_file(workplace: Path) -> None:
    assert run("init", *NO_QUESTIONS).code == ExitCode.OK
    before = everything()
    for words in (NO_QUESTIONS, (), ("--owner", OWNER)):
        again = run("init", *words)
        assert (again.code, again.stdout) == (0, "".join(f"kept      {name}\n" for name in NAMES))
        assert everything() == before


def test_what_is_there_stays_and_the_rest_is_written(workplace: Path) -> None:
    CONFIGURATION.write_text("mine")
    WORKFLOW.parent.mkdir(parents=True)
    WORKFLOW.write_text("mine, too")
    result = run("init")
    assert [line.split()[:2] for line in result.stdout.splitlines()] == [
        ["kept", NAMES[0]],
        ["written", NAMES[1]],
        ["written", NAMES[2]],
        ["kept", NAMES[3]],
    ]
    assert (CONFIGURATION.read_text(), WORKFLOW.read_text()) == ("mine", "mine, too")


def test_ignored_files_get_the_lines_that_are_missing_and_keep_the_others(workplace: Path) -> None:
    IGNORED.write_bytes(b"*.pyc\r\n/secrets\ncaf\xe9")
    IGNORED.chmod(0o640)
    result = run("init", *NO_QUESTIONS)
    assert "extended  .gitignore  (by .alter-sync/, plan.json)\n" in result.stdout
    kept, _, added = IGNORED.read_bytes().partition(b"\n\n")
    assert kept == b"*.pyc\r\n/secrets\ncaf\xe9"
    assert added.splitlines()[1:] == [b".alter-sync/", b"plan.json"]
    assert stat.S_IMODE(IGNORED.stat().st_mode) == 0o640
    assert "kept      .gitignore\n" in run("init", *NO_QUESTIONS).stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--from-live"], "agents.yaml is there already, so --from-live has nothing to write"),
        (["--owner", "else"], 'agents.yaml is there already and says "payments/agents", not --owner "else"'),
        (["--app-name", "b"], 'agents.yaml is there already and says "payments-prod", not --app-name "b"'),
    ],
)
def test_a_configuration_that_is_there_and_another_than_asked_for_is_refused(
    alter: SandboxServer, words: list[str], said: str
) -> None:
    declare({})
    before = everything()
    result = run("init", *words)
    assert (result.code, said in result.stderr, "hint: " in result.stderr) == (ExitCode.USAGE, True, True)
    assert (everything(), alter.store.request_log()) == (before, [])


def test_the_owner_and_the_app_are_asked_for_on_a_terminal(workplace: Path) -> None:
    with terminal("team/a\n") as stdin:  # Enter alone for the app
        result = run("init", stdin=stdin)
    assert "Who owns the agents? [work] What is the app called? [default] " in result.stderr
    assert (
        "owner: team/a\n" in CONFIGURATION.read_text(),
        "  name: default\n" in CONFIGURATION.read_text(),
    ) == (
        True,
        True,
    )


@pytest.mark.parametrize("words", [["--no-input"], []])
def test_where_nobody_is_asked_the_folder_names_the_owner(workplace: Path, words: list[str]) -> None:
    with terminal("never read") as stdin:
        result = run("init", *words, stdin=stdin if words else None)
    assert (result.code, "?" in result.stderr) == (ExitCode.OK, False)
    assert 'owner "work", app "default"' in result.stdout
    assert "owner: work\n" in CONFIGURATION.read_text()


@pytest.mark.parametrize("flags", [("--owner", " edge"), ("--owner", OWNER, "--app-name", "two\nlines")])
def test_names_that_no_configuration_can_have_are_refused_before_alter_is_asked(
    alter: SandboxServer, flags: tuple[str, ...]
) -> None:
    result = run("init", "--from-live", *flags)
    assert (result.code, "cannot be the head of a configuration" in result.stderr) == (ExitCode.USAGE, True)
    assert (everything(), alter.store.request_log()) == ({}, [])


def test_names_that_yaml_would_take_for_something_else_are_written_as_text(workplace: Path) -> None:
    assert run("init", "--owner", "no", "--app-name", "1.10 # beta: x").code == ExitCode.OK
    assert run("validate").stdout == "valid: 0 agents of no\n"
    assert "  name: 1.10 # beta" not in CONFIGURATION.read_text()


def test_a_key_given_as_a_name_is_refused_and_repeated_nowhere(alter: SandboxServer) -> None:
    with SignedClient(alter) as somebody:
        key = somebody.create("alpha")["api_key"]
    for flag in ("--owner", "--app-name"):
        result = run("init", "-vv", "--owner", OWNER, flag, key)
        assert result.code == ExitCode.USAGE
        assert (key in result.stdout + result.stderr, everything()) == (False, {})


@pytest.mark.parametrize("words", [[], ["--from-live"]])
@pytest.mark.parametrize("name", NAMES)
def test_a_link_to_nowhere_in_the_place_of_a_file_is_refused(
    alter: SandboxServer, name: str, words: list[str]
) -> None:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).symlink_to("nowhere")
    before = everything()
    result = run("init", *words, *NO_QUESTIONS)
    assert (result.code, f"{name} is there already and no regular file" in result.stderr) == (
        ExitCode.USAGE,
        True,
    )
    assert (everything(), alter.store.request_log()) == (before, [])


def test_nothing_is_written_through_a_link(workplace: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    Path(".github").symlink_to(outside)
    result = run("init", *NO_QUESTIONS)
    assert (result.code, ".github is no folder of its own" in result.stderr) == (ExitCode.USAGE, True)
    Path(".github").unlink()
    outside.joinpath("ignored").write_text("mine")
    IGNORED.symlink_to(outside / "ignored")
    assert run("init", *NO_QUESTIONS).code == ExitCode.USAGE
    assert everything(outside) == {str(outside / "ignored"): b"mine"}
    assert os.listdir() == [".gitignore"]


@pytest.mark.parametrize("place", ["a file", "a file/below", "/proc/agents", "x" * 300])
def test_a_folder_that_cannot_be_made_is_a_failure_that_leaves_nothing_behind(
    workplace: Path, place: str
) -> None:
    Path("a file").write_text("mine")
    result = run("init", place, *NO_QUESTIONS)
    assert (result.code, "Traceback" in result.stderr, "internal" in result.stderr) == (2, False, False)
    assert everything() == {"a file": b"mine"}


def test_a_failure_on_the_way_takes_back_what_was_written_before(workplace: Path) -> None:
    Path("mine").write_text("mine")
    for second in (Path("mine"), Path("mine/below"), Path("new/again/two")):
        with pytest.raises(UsageError), new_files({Path("new/one"): "1", second: "2"}):
            fail_after_writing("new/one", "new/again/two")
        assert everything() == {"mine": b"mine"}


def test_a_part_of_a_repository_gets_no_workflow_that_github_would_not_see(workplace: Path) -> None:
    Path(".git").mkdir()
    result = run("init", "teams/payments", *NO_QUESTIONS)
    assert result.code == ExitCode.OK
    assert (
        f"left out  teams/payments/{WORKFLOW}  (GitHub reads workflows in {workplace} alone" in result.stdout
    )
    assert not Path("teams/payments/.github").exists()
    assert f"written   {WORKFLOW}  " in run("init", *NO_QUESTIONS).stdout


def test_without_a_workflow_its_place_does_not_matter(workplace: Path) -> None:
    Path(".github").write_text("mine")
    result = run("init", "--no-workflow", *NO_QUESTIONS)
    assert (result.code, "workflows" in result.stdout) == (ExitCode.OK, False)
    assert Path(".github").read_text() == "mine"


def test_a_program_gets_what_was_written_and_what_to_call_next(workplace: Path) -> None:
    IGNORED.write_text("secrets/\n")
    result = run("init", "--output", "json", "--sandbox", *NO_QUESTIONS)
    assert result.document["format"] == "alter-sync.init/1"
    assert [(item["path"], item["action"]) for item in result.document["items"]] == [
        (NAMES[0], "written"),
        (NAMES[1], "written"),
        (NAMES[2], "extended"),
        (NAMES[3], "written"),
    ]
    assert result.document["next"] == ["alter-sync plan --sandbox", "alter-sync apply --sandbox"]
    rows = run("init", "--output", "jsonl").rows
    assert [row["action"] for row in rows] == ["kept"] * 4


def test_quiet_means_the_files_alone(workplace: Path) -> None:
    result = run("init", "-q", *NO_QUESTIONS)
    assert (result.stdout.count("\n"), result.stderr) == (4, "")


def test_a_working_directory_that_is_gone_is_told(workplace: Path) -> None:
    gone = workplace / "gone"
    gone.mkdir()
    os.chdir(gone)
    gone.rmdir()
    result = process("init", *NO_QUESTIONS)
    assert (result.code, "cannot be read" in result.stderr) == (ExitCode.USAGE, True)


def test_a_folder_that_looks_like_an_option_can_be_entered(workplace: Path) -> None:
    result = run("init", *NO_QUESTIONS, "--", "-dash")
    assert result.code == ExitCode.OK
    assert "  cd ./-dash\n" in result.stderr


def test_reading_what_is_live_can_be_traced(alter: SandboxServer) -> None:
    assert run("init", "--from-live", *NO_QUESTIONS, "--trace", "run.jsonl").code == ExitCode.OK
    told = [json.loads(line) for line in Path("run.jsonl").read_text().splitlines()]
    assert told[0]["command"] == "init"
    assert [line["route"] for line in told if line["event"] == "request"] == ["GET /sdk/agents"]
