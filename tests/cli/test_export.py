"""``alter-sync export``: where it takes owner and app from, where it writes, and that it only ever reads."""

import json
import os
import stat
from pathlib import Path

import pytest

from reconciler.cli.new_files import write_new_file, write_new_folder
from reconciler.errors import ExitCode, UsageError
from reconciler.sandbox import SandboxServer
from tests.support.commands import APP, OWNER, declare, mutations, readers, run, use_key_of
from tests.support.sandbox_server import SignedClient


@pytest.fixture
def made_by_hand(alter: SandboxServer) -> SandboxServer:
    """Three agents of nobody; no configuration is there yet."""
    with SignedClient(alter) as somebody:
        for name in ("tenant-a", "tenant-b", "other"):
            somebody.create(name, scopes={"google": ["gmail.readonly"]}, metadata={"team": "payments"})
    return alter


def test_without_a_configuration_the_owner_has_to_be_said(alter: SandboxServer) -> None:
    result = run("export")
    assert result.code == ExitCode.USAGE
    assert "There is no agents.yaml that says it" in result.stderr
    assert "hint: --owner team/agents" in result.stderr
    assert alter.store.request_log() == []


def test_the_yaml_goes_to_stdout_and_the_rest_to_stderr(made_by_hand: SandboxServer) -> None:
    result = run("export", "--owner", OWNER, "--app-name", APP)
    assert (result.code, result.stderr) == (ExitCode.OK, "3 agents exported\n")
    assert f"owner: {OWNER}\n" in result.stdout
    assert f"  name: {APP}\n" in result.stdout
    assert run("export", "-q", "--owner", OWNER).stderr == ""
    assert list(Path().iterdir()) == []


def test_what_is_exported_needs_nothing_and_is_adopted_with_one_command(made_by_hand: SandboxServer) -> None:
    result = run("export", "--owner", OWNER, "--app-name", APP, "--out", "agents.yaml")
    assert (result.code, result.stdout) == (ExitCode.OK, "")
    assert result.stderr == (
        "3 agents exported to agents.yaml\ngo on with: alter-sync plan, then: alter-sync adopt\n"
    )
    plan = run("plan", "--detailed-exitcode")
    assert plan.code == ExitCode.OK
    assert "3 declared agents are live without an owner (other, tenant-a, tenant-b)" in plan.stdout
    assert "Nothing to do: live agents match the configuration." in plan.stdout
    assert run("adopt", "--yes").code == ExitCode.OK
    plan = run("plan", "--detailed-exitcode")
    assert (plan.code, "without an owner" in plan.stdout) == (ExitCode.OK, False)


def test_a_key_that_may_only_read_is_enough(
    made_by_hand: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_key_of(monkeypatch, made_by_hand, "agents:read")
    before = len(mutations(made_by_hand))
    result = run("export", "--owner", OWNER, "-v")
    assert result.code == ExitCode.OK
    assert "1 request, at most 1 at once, 0 retries" in result.stderr
    assert len(mutations(made_by_hand)) == before


def test_owner_app_and_address_are_those_of_the_configuration_unless_flags_say_otherwise(
    alter: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ALTER_BASE_URL")
    app = {"name": APP, "base_url": alter.base_url, "api_key_env": "ALTER_API_KEY"}
    declare(readers("alpha"), app=app)
    assert run("apply", "--yes").code == ExitCode.OK
    result = run("export")
    assert (result.code, f"  base_url: {alter.base_url}\n" in result.stdout) == (ExitCode.OK, True)
    assert "\n  alpha:\n" in result.stdout
    other = run("export", "--owner", "somebody/else", "--app-name", "other-app")
    assert "owner: somebody/else\n" in other.stdout
    assert "  name: other-app\n" in other.stdout
    assert "agents: {}\n" in other.stdout
    assert other.stderr == "0 agents exported; 1 of other owners left out\n"


def test_a_configuration_elsewhere_is_named_and_a_broken_one_is_refused(made_by_hand: SandboxServer) -> None:
    declare({}, file="team a/agents.yaml")
    assert f"owner: {OWNER}\n" in run("export", "-c", "team a/agents.yaml").stdout
    Path("agents.yaml").write_text("version: 1\n")
    assert run("export", "--owner", OWNER).code == ExitCode.USAGE
    missing = run("export", "-c", "nowhere.yaml")
    assert (missing.code, "There is no nowhere.yaml" in missing.stderr) == (ExitCode.USAGE, True)


def test_the_app_is_called_as_the_owners_marks_say_or_gets_a_name_to_be_changed(
    made_by_hand: SandboxServer,
) -> None:
    unknown = run("export", "--owner", OWNER).stdout
    assert "  name: default\n" in unknown
    assert "Put its name here before you adopt" in unknown
    declare(readers("alpha"))
    assert run("apply", "--yes").code == ExitCode.OK
    Path("agents.yaml").unlink()
    assert f"  name: {APP}\n" in run("export", "--owner", OWNER).stdout
    assert "  name: default\n" in run("export", "--owner", "somebody/else").stdout


@pytest.mark.parametrize("flags", [("--owner", " edge"), ("--owner", OWNER, "--app-name", "two\nlines")])
def test_an_owner_that_no_configuration_can_have_is_refused_before_anything_is_read(
    alter: SandboxServer, flags: tuple[str, ...]
) -> None:
    result = run("export", *flags)
    assert (result.code, "cannot be the head of a configuration" in result.stderr) == (ExitCode.USAGE, True)
    assert alter.store.request_log() == []


def test_targets_are_names_or_globs_and_one_that_no_agent_has_is_refused(made_by_hand: SandboxServer) -> None:
    chosen = run("export", "--owner", OWNER, "--target", "tenant-*").stdout
    assert ("  tenant-a:\n" in chosen, "  tenant-b:\n" in chosen, "  other:\n" in chosen) == (
        True,
        True,
        False,
    )
    wrong = run("export", "--owner", OWNER, "--target", "tenant-aa")
    assert (wrong.code, "did you mean 'tenant-a'?" in wrong.stderr) == (ExitCode.USAGE, True)


def test_owned_agents_that_a_target_leaves_out_are_warned_of_also_when_it_should_be_quiet(
    alter: SandboxServer,
) -> None:
    declare(readers("alpha", "beta"))
    assert run("apply", "--yes").code == ExitCode.OK
    result = run("export", "--target", "alpha", "-q")
    assert (result.code, result.stderr.count("\n")) == (ExitCode.OK, 1)
    assert result.stderr.startswith(
        'warning: 1 agent is of "payments/agents" and not in this export, e.g. "beta"'
    )


def test_a_folder_gets_one_file_for_each_agent_and_is_a_configuration(made_by_hand: SandboxServer) -> None:
    result = run("export", "--owner", OWNER, "--app-name", APP, "--split", "my agents")
    assert result.code == ExitCode.OK
    assert (
        "go on with: alter-sync plan -c 'my agents', then: alter-sync adopt -c 'my agents'" in result.stderr
    )
    files = sorted(path.name for path in Path("my agents").iterdir())
    assert files == ["_common.yaml", "other.yaml", "tenant-a.yaml", "tenant-b.yaml"]
    assert [path.name for path in Path().iterdir()] == ["my agents"]
    assert run("validate", "-c", "my agents").stdout == f"valid: 3 agents of {OWNER}\n"
    assert run("plan", "-c", "my agents", "--detailed-exitcode").code == ExitCode.OK


def test_an_empty_folder_may_be_filled(made_by_hand: SandboxServer) -> None:
    Path("agents").mkdir()
    assert run("export", "--owner", OWNER, "--split", "agents").code == ExitCode.OK
    assert len(list(Path("agents").iterdir())) == 4


def test_nothing_that_is_there_is_written_over(made_by_hand: SandboxServer) -> None:
    Path("mine.yaml").write_text("mine")
    Path("link.yaml").symlink_to("nowhere")
    Path("folder").mkdir()
    Path("folder", "mine").write_text("mine")
    before = len(made_by_hand.store.request_log())
    for flag, target in (
        ("--out", "mine.yaml"),
        ("--out", "link.yaml"),
        ("--out", "folder"),
        ("--split", "folder"),
        ("--split", "mine.yaml"),
        ("--split", "link.yaml"),
    ):
        result = run("export", "--owner", OWNER, flag, target)
        assert (result.code, f"{target} is there already" in result.stderr) == (ExitCode.USAGE, True)
    assert len(made_by_hand.store.request_log()) == before
    assert Path("mine.yaml").read_text() == "mine"
    assert not Path("nowhere").exists()


@pytest.mark.parametrize(("flag", "target"), [("--out", "no/where.yaml"), ("--split", "no/where")])
def test_where_nothing_can_be_written_is_a_failure_that_leaves_nothing_behind(
    made_by_hand: SandboxServer, flag: str, target: str
) -> None:
    result = run("export", "--owner", OWNER, flag, target)
    assert (result.code, f"{target} cannot be written" in result.stderr) == (ExitCode.USAGE, True)
    assert list(Path().iterdir()) == []


def test_what_is_written_has_the_permissions_of_any_file(made_by_hand: SandboxServer) -> None:
    before = os.umask(0o022)
    try:
        assert run("export", "--owner", OWNER, "--out", "agents.yaml").code == ExitCode.OK
    finally:
        os.umask(before)
    assert stat.S_IMODE(Path("agents.yaml").stat().st_mode) == 0o644


def test_a_file_and_a_folder_exclude_each_other(workplace: Path) -> None:
    result = run("export", "--owner", OWNER, "--out", "a.yaml", "--split", "b")
    assert (result.code, "exclude each other" in result.stderr) == (ExitCode.USAGE, True)


def test_what_cannot_be_written_is_told_of_on_stderr_and_in_the_file(alter: SandboxServer) -> None:
    with SignedClient(alter) as somebody:
        somebody.create("alpha", policy={"requires_approval": {"approvers": ["a@example.com"]}})
        somebody.create("beta", metadata={"bad": "\x1b[31m"})
    result = run("export", "--owner", OWNER, "-q")
    assert [line.partition(":")[0] for line in result.stderr.splitlines()] == ["warning", "warning"]
    assert "left out of alpha: policy, because Alter does not show who may approve" in result.stderr
    assert "# left out: policy, because Alter does not show who may approve" in result.stdout
    assert '# left out: metadata "bad", ' in result.stdout
    assert "\x1b" not in result.stdout + result.stderr


def test_the_embedded_alter_can_be_exported_too(workplace: Path) -> None:
    declare(readers("alpha"))
    assert run("apply", "--sandbox", "--yes", "-q").code == ExitCode.OK
    result = run("export", "--sandbox", "--out", "copy.yaml")
    assert "go on with: alter-sync plan -c copy.yaml --sandbox" in result.stderr
    assert run("plan", "--sandbox", "-c", "copy.yaml", "--detailed-exitcode").code == ExitCode.OK


def test_a_file_or_folder_that_appears_meanwhile_is_not_written_over(workplace: Path) -> None:
    Path("agents.yaml").write_text("mine")
    Path("agents").mkdir()
    Path("agents", "mine").write_text("mine")
    with pytest.raises(UsageError, match=r"agents\.yaml is there already"):
        write_new_file(Path("agents.yaml"), "theirs")
    with pytest.raises(UsageError, match="agents is there already"):
        write_new_folder(Path("agents"), {"mine": "theirs"})
    assert sorted(path.name for path in Path().iterdir()) == ["agents", "agents.yaml"]
    assert (Path("agents.yaml").read_text(), Path("agents", "mine").read_text()) == ("mine", "mine")


def test_an_export_can_be_traced(made_by_hand: SandboxServer) -> None:
    assert run("export", "--owner", OWNER, "--trace", "run.jsonl").code == ExitCode.OK
    told = [json.loads(line) for line in Path("run.jsonl").read_text().splitlines()]
    assert told[0]["command"] == "export"
    assert [line["route"] for line in told if line["event"] == "request"] == ["GET /sdk/agents"]
    assert told[-1]["event"] == "run_end"
