"""How sinks are found by the name of their type, and which settings they take."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from reconciler.errors import SinkError
from reconciler.sinks.registry import AVAILABLE_TYPES, open_sink
from tests.unit.sinks.samples import AGENT, reference

TYPES = ("file", "command", "age", "vault", "aws_secrets_manager", "kubernetes", "github_actions")
LIBRARIES = ("pyrage", "hvac", "boto3", "botocore", "kubernetes", "nacl", "httpx")


def test_the_types_are_named_in_one_place() -> None:
    assert AVAILABLE_TYPES == TYPES


@pytest.mark.parametrize("type_name", TYPES)
def test_every_type_is_opened_by_a_function_of_its_own_module_which_imports_no_library(
    type_name: str,
) -> None:
    program = (
        "import sys, importlib\n"
        f"module = importlib.import_module('reconciler.sinks.{type_name}')\n"
        f"assert callable(module.open_{type_name}_sink)\n"
        f"print(*sorted(set({LIBRARIES!r}) & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("\n", "")


def test_an_unknown_type_is_refused_with_its_place_and_the_known_ones() -> None:
    with pytest.raises(SinkError, match=r"agents\.yaml:3:5") as caught:
        open_sink(reference("s3"))
    assert caught.value.hint == f"known: {', '.join(TYPES)}"


@pytest.mark.parametrize(
    "settings",
    [
        {"path": ""},
        {"path": "/"},
        {"path": "keys/.."},
        {"path": "a\0b"},
        {"path": "key", "format": "yaml"},
        {"path": "key", "format": "dotenv", "variable": "MY-KEY"},
        {"path": "key", "format": "dotenv", "variable": "CLÉ"},
        {"path": "key", "format": "json", "field": "alter-sync"},
    ],
)
def test_settings_that_cannot_work_are_refused_when_the_sink_is_opened(settings: dict[str, Any]) -> None:
    with pytest.raises(SinkError) as caught:
        open_sink(reference("file", **settings))
    assert caught.value.hint


def test_the_agents_name_stands_where_the_path_and_the_arguments_want_it() -> None:
    assert open_sink(reference("file", path="a/{agent}/{agent}.env")).place(AGENT) == (
        "a/nightly-sync/nightly-sync.env"
    )
    sink = open_sink(reference("command", write=["store", "--to", "keys of {agent}"]))
    assert sink.place(AGENT) == "command `store --to 'keys of nightly-sync'`"
