"""How a key stands in a file that also holds things of the user's."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from reconciler.errors import SinkError
from reconciler.model.secret import Secret
from reconciler.ports import SinkReading
from tests.unit.sinks.samples import AGENT, FIRST_KEY, SECOND_KEY, delivery, each, second_delivery, told
from tests.unit.sinks.test_file import FIRST, SECOND, file_sink, probe

FACTS = (
    '{"owner": "payments", "app": "payments-prod", "agent": "nightly-sync", "key_id": "key-1", '
    f'"fingerprint": "{FIRST}"}}'
)


def test_a_new_dotenv_file_has_the_facts_above_the_variable(tmp_path: Path) -> None:
    file_sink(tmp_path / ".env", "dotenv", variable="SYNC_KEY").deliver(delivery())
    assert (tmp_path / ".env").read_text() == f"# alter-sync: {FACTS}\nSYNC_KEY={FIRST_KEY}\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("A=1\n# mine\n\nB=2\n", "A=1\n# mine\n\nB=2\n{facts}AGENT_API_KEY={key}\n"),
        ("A=1", "A=1\n{facts}AGENT_API_KEY={key}\n"),
        ("AGENT_API_KEY=\nB=2", "{facts}AGENT_API_KEY={key}\nB=2"),
        ("A=1\r\n export AGENT_API_KEY = '' # y\nB=2\n", "A=1\r\n{facts} export AGENT_API_KEY={key}\nB=2\n"),
        ("AGENT_API_KEY= # none\nA=1\nAGENT_API_KEY=\r\n", "A=1\n{facts}AGENT_API_KEY={key}\n"),
        (
            "AGENT_API_KEY_2=x\n#AGENT_API_KEY=y\n",
            "AGENT_API_KEY_2=x\n#AGENT_API_KEY=y\n{facts}AGENT_API_KEY={key}\n",
        ),
        (
            'P="a\nAGENT_API_KEY=in\\" text\n"\n',
            'P="a\nAGENT_API_KEY=in\\" text\n"\n{facts}AGENT_API_KEY={key}\n',
        ),
        ("P='a\nAGENT_API_KEY=x\n'\n", "P='a\nAGENT_API_KEY=x\n'\n{facts}AGENT_API_KEY={key}\n"),
        ("if true; then\n  A=Ä\nfi\n", "if true; then\n  A=Ä\nfi\n{facts}AGENT_API_KEY={key}\n"),
        ('AGENT_API_KEY=""\nB=2\n', "{facts}AGENT_API_KEY={key}\nB=2\n"),
    ],
)
def test_all_other_lines_of_a_dotenv_file_survive(tmp_path: Path, before: str, after: str) -> None:
    path = tmp_path / ".env"
    path.write_bytes(before.encode())
    sink = file_sink(path, "dotenv")
    sink.deliver(delivery())
    expected = after.replace("{facts}", f"# alter-sync: {FACTS}\n").replace("{key}", FIRST_KEY)
    assert path.read_bytes().decode() == expected
    assert sink.read_back(AGENT) == SinkReading(delivery().key_id, FIRST)
    sink.deliver(second_delivery())
    assert path.read_bytes().decode().count("\n") == expected.count("\n")
    assert sink.read_back(AGENT) == SinkReading(second_delivery().key_id, SECOND)


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("AGENT_API_KEY=abc", "abc"),
        ("AGENT_API_KEY = abc # comment", "abc"),
        ("AGENT_API_KEY='abc'", "abc"),
        ('export AGENT_API_KEY="abc" # comment', "abc"),
        ("AGENT_API_KEY=a\nAGENT_API_KEY=abc", "abc"),
        ("AGENT_API_KEY=", None),
        ("AGENT_API_KEY=''", None),
        ("AGENT_API_KEY= # comment", None),
        ("# AGENT_API_KEY=abc", None),
    ],
)
def test_a_variable_is_read_as_a_shell_would(tmp_path: Path, line: str, value: str | None) -> None:
    (tmp_path / ".env").write_text(line)
    expected = SinkReading(None, Secret(value).fingerprint()) if value else None
    assert file_sink(tmp_path / ".env", "dotenv").read_back(AGENT) == expected


@pytest.mark.parametrize("key", [FIRST_KEY, "-_-", "a@b%c+d=e:f,g./h"])
def test_a_shell_reads_back_exactly_the_key(tmp_path: Path, key: str) -> None:
    file_sink(tmp_path / "env", "dotenv").deliver(delivery(key, owner="o'x\"$(false)\n`x`"))
    script = '. "$1"; printf %s "$AGENT_API_KEY"'
    done = subprocess.run(
        ["/bin/sh", "-eu", "-c", script, "sh", str(tmp_path / "env")],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": os.defpath},
    )
    assert (done.stdout, done.stderr) == (key, "")


@pytest.mark.parametrize("key", ["a'b-secret", "$HOME-secret", "a\\b-secret", "~secret", "a#secret"])
def test_a_key_that_shells_and_parsers_read_differently_is_refused(tmp_path: Path, key: str) -> None:
    (tmp_path / ".env").write_text("AGENT_API_KEY=\n")
    with pytest.raises(SinkError, match="read differently") as caught:
        file_sink(tmp_path / ".env", "dotenv").deliver(delivery(key))
    assert key not in told(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == [".env"]


def test_of_several_values_of_ours_only_the_new_one_remains(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    sink = file_sink(path, "dotenv")
    sink.deliver(delivery())
    path.write_text(f'AGENT_API_KEY="two\nlines"\nA=1\n{path.read_text()}')
    sink.deliver(second_delivery())
    assert path.read_text().startswith("A=1\n# alter-sync: ")
    assert path.read_text().endswith(f"}}\nAGENT_API_KEY={SECOND_KEY}\n")


@pytest.mark.parametrize(
    "text",
    [
        "A=1\nAGENT_API_KEY=mine\n",
        " export AGENT_API_KEY = 'mine' # y\n",
        'AGENT_API_KEY="mine\nlines"\n',
        "AGENT_API_KEY=mine\nAGENT_API_KEY=\n",
        'AGENT_API_KEY="mine',
        'AGENT_API_KEY=""mine\n',
        'AGENT_API_KEY=""#mine\n',
        "AGENT_API_KEY=#mine\n",
    ],
)
def test_a_variable_of_the_users_is_not_overwritten(tmp_path: Path, text: str) -> None:
    (tmp_path / ".env").write_text(text)
    refused(tmp_path / ".env", "dotenv", "the value of AGENT_API_KEY in", setting="variable")
    other = file_sink(tmp_path / ".env", "dotenv", variable="OTHER")
    probe(other)
    other.deliver(delivery())
    assert (tmp_path / ".env").read_text().startswith(text.rstrip("\n"))


def test_a_json_field_of_the_users_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "key.json").write_text('{"api_key": "mine"}')
    refused(tmp_path / "key.json", "json", "the field 'api_key' of", setting="field")
    file_sink(tmp_path / "key.json", "json", field="other").deliver(delivery())
    assert json.loads((tmp_path / "key.json").read_text())["api_key"] == "mine"


def refused(path: Path, format_name: str, part: str, *, setting: str) -> None:
    sink, before = file_sink(path, format_name), path.read_text()
    for act in each(lambda: probe(sink), lambda: sink.deliver(delivery())):
        with pytest.raises(SinkError, match="was not written by alter-sync") as caught:
            act()
        assert caught.value.message.startswith(f"{part} {path} ")
        assert f"choose another `{setting}`" in caught.value.hint
        assert "mine" not in told(caught.value)
    assert path.read_text() == before
    assert [one.name for one in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(
    "text", [f"# alter-sync: {FACTS}\n" * 2, "# alter-sync: nonsense\n", "# alter-sync: {}\n"]
)
def test_unclear_facts_in_a_dotenv_file_are_refused_with_its_name(tmp_path: Path, text: str) -> None:
    (tmp_path / ".env").write_text(text + f"AGENT_API_KEY={FIRST_KEY}\n")
    sink = file_sink(tmp_path / ".env", "dotenv")
    for act in each(
        lambda: probe(sink), lambda: sink.deliver(second_delivery()), lambda: sink.read_back(AGENT)
    ):
        with pytest.raises(SinkError, match=r"cannot read .*/\.env: the") as caught:
            act()
        assert FIRST_KEY not in told(caught.value)


def test_a_new_json_file_has_the_facts_next_to_the_field(tmp_path: Path) -> None:
    file_sink(tmp_path / "key.json", "json", field="token").deliver(delivery())
    assert json.loads((tmp_path / "key.json").read_text()) == {
        "alter-sync": json.loads(FACTS),
        "token": FIRST_KEY,
    }


@pytest.mark.parametrize(
    "text",
    [
        '{"url": "https://x", "api_key": "", "deep": {"list": [1, 2.5, -0.1, 1e-7, null, true]}}',
        '{"big": 123456789012345678901234567890, "name": "Zoë", "api_key": null}',
        '{"escaped": "\\ud800", "name": "\\u00e4"}',
        '{"escaped": "\\ud800", "name": "Zoë"}',
        "{}",
    ],
)
def test_all_other_fields_of_a_json_file_survive(tmp_path: Path, text: str) -> None:
    path = tmp_path / "key.json"
    path.write_text(text)
    sink = file_sink(path, "json")
    sink.deliver(delivery())
    written = json.loads(path.read_text())
    before = json.loads(text)
    assert {**before, "api_key": FIRST_KEY, "alter-sync": json.loads(FACTS)} == written
    kept_in_order = [name for name in written if name in before]
    assert kept_in_order == list(before)
    assert ("Zoë" in path.read_text()) == ("Zoë" in text and "ud800" not in text)
    assert sink.read_back(AGENT) == SinkReading(delivery().key_id, FIRST)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[]", "not a JSON object"),
        ("{", "not a JSON object"),
        ('{"a": 1, "a": 2}', "duplicate fields"),
        ('{"a": NaN}', "NaN"),
        ('{"a": -Infinity}', "NaN"),
        ('{"a": 1e999}', "many digits"),
        ('{"a": 1e-999}', "many digits"),
        ('{"a": 1e-99999999}', "many digits"),
        ('{"a": 1e-99999999999999999999}', "many digits"),
        ('{"a": ' + "1" * 5000 + "}", "many digits"),
        ('{"a": 0.12345678901234567890123}', "many digits"),
        ('{"a": ' + "[" * 200 + "]" * 200 + "}", "more than 100 levels"),
        ("[" * 100_000, "more than 100 levels"),
        ('{"alter-sync": 1}', "'alter-sync' is not what"),
        ('{"alter-sync": null}', "'alter-sync' is not what"),
        ('{"alter-sync": {"owner": "a", "app": "b", "agent": "c", "key_id": 1}}', "'alter-sync' is not what"),
        ('{"api_key": {"nested": "x"}}', "'api_key' is not text"),
    ],
)
def test_a_json_file_that_would_lose_something_is_refused(tmp_path: Path, text: str, why: str) -> None:
    text = text.replace("{", f'{{"other": "{SECOND_KEY}", ', 1) if text.startswith('{"') else text
    (tmp_path / "key.json").write_text(text)
    sink = file_sink(tmp_path / "key.json", "json")
    with pytest.raises(SinkError, match=why) as caught:
        sink.deliver(delivery())
    assert SECOND_KEY not in told(caught.value)
    assert (tmp_path / "key.json").read_text() == text
