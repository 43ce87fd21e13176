"""``alter-sync schema``: what it prints is a schema, and the one that the tool itself uses."""

import json
from pathlib import Path

import jsonschema
import pytest

from tests.support.commands import run

SCHEMAS = Path(__file__).parents[2] / "schemas"


@pytest.mark.parametrize("name", ["agents", "plan", "outcome", "drift", "check", "policy", "doctor", "runs"])
def test_a_schema_is_printed_as_it_is_shipped(name: str) -> None:
    result = run("schema", name)
    assert (result.code, result.stderr) == (0, "")
    assert result.document == json.loads((SCHEMAS / f"{name}.schema.json").read_text())
    jsonschema.Draft7Validator.check_schema(result.document)


def test_without_a_name_it_is_the_one_of_the_configuration() -> None:
    assert run("schema").stdout == run("schema", "agents").stdout
