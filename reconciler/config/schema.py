"""Finds the JSON Schemas and decides whether data fits one."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from reconciler.config.shapes import Shape, shape_of
from reconciler.errors import FileMissing
from reconciler.model.values import Json

if TYPE_CHECKING:
    from jsonschema_rs import Draft7Validator

SchemaName = Literal["agents", "plan", "outcome", "drift", "check", "policy", "doctor", "runs"]
# A message of the validator repeats the value, which may be the whole document.
_LONGEST_FAULT = 200


def schema_text(name: SchemaName = "agents") -> str:
    """A schema as it is shipped. Raises ``FileMissing`` when this installation lacks it."""
    file_name = f"{name}.schema.json"
    # In a wheel the schemas lie inside the package, in a checkout beside it.
    for place in (files("reconciler") / "schemas", Path(__file__).parents[2] / "schemas"):
        if (place / file_name).is_file():
            return (place / file_name).read_text(encoding="utf-8")
    raise FileMissing(f"this installation has no {file_name}", hint="Install alter-sync again.")


@cache
def schema_document(name: SchemaName) -> dict[str, Any]:
    """A schema as data."""
    document: dict[str, Any] = json.loads(schema_text(name))
    return document


@cache
def shape(name: SchemaName) -> Shape:
    """What a schema wants at each place."""
    document = schema_document(name)
    return shape_of(document, document)


def fits(name: SchemaName, data: Json) -> bool:
    """Whether the data fits a schema."""
    return decider(name).is_valid(data)


@cache
def decider(name: SchemaName) -> Draft7Validator:
    """The compiled schema: a hundred times faster than what explains."""
    from jsonschema_rs import Draft7Validator

    return Draft7Validator(schema_document(name))


def first_fault(name: SchemaName, document: Json) -> str:
    """Where a document does not fit one of our schemas, and why; empty when it fits."""
    from jsonschema_rs import validator_for

    fault = next(iter(validator_for(schema_document(name)).iter_errors(document)), None)
    if fault is None:
        return ""
    where = "/".join(str(step) for step in fault.instance_path) or "the top"
    return f"at {where}: {fault.message[:_LONGEST_FAULT]}"
