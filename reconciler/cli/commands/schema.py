"""``alter-sync schema``: prints a JSON Schema."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated

import typer

from reconciler.cli import options as opt
from reconciler.cli.boundary import guarded
from reconciler.cli.console import Console
from reconciler.errors import ExitCode

EPILOG = """\b
Examples:
  alter-sync schema > agents.schema.json     of the configuration, for an editor
  alter-sync schema plan                     of the plan document
  alter-sync schema policy                   of the rules for `plan --policy`
"""


class SchemaName(StrEnum):
    """What there is a schema of."""

    AGENTS = "agents"
    PLAN = "plan"
    OUTCOME = "outcome"
    DRIFT = "drift"
    CHECK = "check"
    POLICY = "policy"
    DOCTOR = "doctor"
    RUNS = "runs"


Name = Annotated[
    SchemaName,
    typer.Argument(help="Which schema.", metavar="[agents|plan|outcome|drift|check|policy|doctor|runs]"),
]


def schema(name: Name = SchemaName.AGENTS) -> ExitCode:
    """Print the JSON Schema (draft-07) of the configuration or of a document."""
    console = opt.make_console()
    return guarded(console, lambda: _schema(console, name))


def _schema(console: Console, name: SchemaName) -> ExitCode:
    from reconciler.config.schema import schema_document

    console.text(json.dumps(schema_document(name.value), indent=2, ensure_ascii=False))
    return ExitCode.OK
