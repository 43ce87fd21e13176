"""The `alter` executable is run without a shell, for a limited time, and its failures become ours."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from reconciler import errors
from reconciler.alter.program import PERMISSIONS, DashboardAccess, Program
from reconciler.model.secret import Secret
from tests.unit.alter.fakes import APP_KEY, a_program

TOKEN = "alter_pk_secretsecretsecretsec_abcdef"


def program(path: Path, *, app_id: str | None = "app-1", time_limit_seconds: float = 10) -> Program:
    return Program(DashboardAccess(str(path), Secret(TOKEN), app_id), time_limit_seconds)


def test_words_go_as_they_are_and_the_token_in_the_environment_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALTER_API_KEY", "not even shaped like one")
    monkeypatch.setenv("OTHER_APP", APP_KEY)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.test")
    alter = a_program(
        tmp_path,
        "import json, os, sys; print(json.dumps({'argv': sys.argv[1:], 'stdin': sys.stdin.read(),"
        " 'env': {n: os.environ.get(n) for n in ('ALTER_PAT', 'ALTER_API_KEY', 'OTHER_APP', 'HTTPS_PROXY')},"
        " 'length': len(os.environ['ALTER_PAT'])}))",
    )
    nasty = 'a b\'; echo $HOME "`id`"'
    answer = program(alter).run("create", "--name", nasty, body=b'{"x": 1}')
    assert answer["argv"] == ["agents", "create", "--name", nasty, "--output", "json", "--app", "app-1"]
    assert answer["stdin"] == '{"x": 1}'
    # The token arrives, and what the program prints of it is not believed to be fit to be shown.
    assert answer["env"] == {
        "ALTER_PAT": "(token)",
        "ALTER_API_KEY": None,
        "OTHER_APP": None,
        "HTTPS_PROXY": "http://proxy.test",
    }
    assert answer["length"] == len(TOKEN)


def test_without_an_app_the_linked_workspace_decides(tmp_path: Path) -> None:
    alter = a_program(tmp_path, "import json, sys; print(json.dumps(sys.argv[1:]))")
    assert program(alter, app_id=None).run("list") == ["agents", "list", "--output", "json"]


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (1, errors.Unreachable),
        (2, errors.ApiError),
        (3, errors.AuthError),
        (4, errors.NotFound),
        (5, errors.Conflict),
        (6, errors.RateLimited),
        (7, errors.Unreachable),
        (77, errors.Unreachable),
    ],
)
def test_exit_codes_are_mapped_one_to_one(tmp_path: Path, code: int, kind: type[errors.ApiError]) -> None:
    alter = a_program(tmp_path, f"import sys; print('it said so', file=sys.stderr); sys.exit({code})")
    with pytest.raises(kind, match="alter agents show: it said so") as caught:
        program(alter).run("show", "--agent", "x")
    assert type(caught.value) is kind
    if code < 7:
        assert code in (caught.value.exit_code, 2)


@pytest.mark.parametrize(
    ("output", "kind"),
    [
        ('{"error": "last_active_key", "message": "the last one"}', errors.LastActiveKey),
        ('{"error": {"code": "agent_key_limit_reached", "message": "full"}}', errors.KeyLimitReached),
        ('{"exit": 5, "code": "agent_name_exists", "message": "taken"}', errors.NameExists),
        ("Error: agent_concurrent_update: somebody was faster", errors.ConcurrentUpdate),
        ("conflict", errors.Conflict),
    ],
)
def test_a_conflict_is_told_by_its_code_wherever_it_stands(
    tmp_path: Path, output: str, kind: type[errors.Conflict]
) -> None:
    alter = a_program(tmp_path, f"import sys; print({output!r}); sys.exit(5)")
    with pytest.raises(errors.Conflict) as caught:
        program(alter).run("revoke-key")
    assert type(caught.value) is kind


@pytest.mark.parametrize("command", sorted(PERMISSIONS))
def test_a_refusal_names_the_permission_that_the_command_needs(tmp_path: Path, command: str) -> None:
    permission = PERMISSIONS[command]
    known = a_program(
        tmp_path, f"import sys; print('missing {permission}', file=sys.stderr); sys.exit(3)", name="known"
    )
    with pytest.raises(errors.InsufficientScope) as caught:
        program(known).run(command)
    assert caught.value.missing == (permission,)
    assert permission in caught.value.hint
    silent = a_program(tmp_path, "import sys; sys.exit(3)", name="silent")
    with pytest.raises(errors.AuthError, match=r"no reason given \(exit code 3\)") as unknown:
        program(silent).run(command)
    assert permission in unknown.value.hint
    assert "ALTER_PAT" in unknown.value.hint


def test_nothing_that_looks_like_a_key_or_moves_a_cursor_is_repeated(tmp_path: Path) -> None:
    key = "alter_ak_abcdefghijklmnopqrstuv_abcdef"
    alter = a_program(
        tmp_path, f"import sys; print('\\x1b[2J{key} {TOKEN}\\u202e', file=sys.stderr); sys.exit(1)"
    )
    with pytest.raises(errors.Unreachable) as caught:
        program(alter).run("mint-key")
    assert caught.value.message == "alter agents mint-key: [2J(key) (token) (exit code 1)"


def test_a_program_that_takes_too_long_is_ended_with_all_it_started(tmp_path: Path) -> None:
    marker = tmp_path / "child"
    alter = a_program(
        tmp_path,
        "import subprocess, time, sys\n"
        f"child = subprocess.Popen(['sleep', '60']); open({str(marker)!r}, 'w').write(str(child.pid))\n"
        "time.sleep(60)",
    )
    with pytest.raises(errors.Unreachable, match="no answer within 1 s") as caught:
        program(alter, time_limit_seconds=1).run("list")
    assert caught.value.sent
    state = Path(f"/proc/{marker.read_text()}/stat")
    assert not state.exists() or state.read_text().rpartition(")")[2].split()[0] in "ZX"


def test_one_that_is_killed_leaves_the_outcome_open(tmp_path: Path) -> None:
    alter = a_program(tmp_path, f"import os; os.kill(os.getpid(), {signal.SIGKILL})")
    with pytest.raises(errors.Unreachable, match="signal 9"):
        program(alter).run("update")


@pytest.mark.parametrize("output", ["", "done!", "[" * 100_000, '{"a":'])
def test_what_is_not_json_is_no_answer(tmp_path: Path, output: str) -> None:
    alter = a_program(tmp_path, f"print({output!r})")
    with pytest.raises(errors.BadAnswer, match="alter agents list: the answer is not JSON"):
        program(alter).run("list")


def test_a_program_that_is_not_there_is_looked_for_without_running_anything(tmp_path: Path) -> None:
    missing = program(tmp_path / "nothing")
    with pytest.raises(errors.FileMissing, match="there is no program") as caught:
        missing.find()
    assert "ALTER_CLI" in caught.value.hint
    with pytest.raises(errors.Unreachable, match="cannot be started: No such file") as unsent:
        missing.run("list")
    assert not unsent.value.sent
    program(a_program(tmp_path, "")).find()


def test_the_token_is_in_no_process_listing(tmp_path: Path) -> None:
    alter = a_program(
        tmp_path,
        "import json, os; print(json.dumps(open(f'/proc/{os.getpid()}/cmdline').read()))",
    )
    assert TOKEN not in json.dumps(program(alter).run("list"))
    assert TOKEN not in subprocess.run(["ps", "-ef"], capture_output=True, text=True, check=True).stdout
    assert "ALTER_PAT" not in os.environ


@pytest.mark.parametrize("token", ["apat.9f8e-SECRET", "eyJhbGciOi.J9.x_y-z", TOKEN])
def test_a_token_of_any_form_that_the_program_repeats_is_not_repeated(tmp_path: Path, token: str) -> None:
    source = "import json, os, sys; token = os.environ['ALTER_PAT']; print(json.dumps({'message': token}));"
    alter = a_program(tmp_path, f"{source} print('bad', token, file=sys.stderr); sys.exit(3)")
    with pytest.raises(errors.AuthError) as caught:
        Program(DashboardAccess(str(alter), Secret(token))).run("list")
    assert token not in f"{caught.value.message} {caught.value.hint}"
    assert "(token)" in caught.value.message


def test_what_is_too_long_for_an_argument_was_certainly_not_sent(tmp_path: Path) -> None:
    alter = a_program(tmp_path, "print('{}')")
    with pytest.raises(errors.ApiError, match="is no argument: Argument list too long") as caught:
        program(alter).run("update", "--metadata", "x" * 200_000)
    assert type(caught.value) is errors.ApiError
