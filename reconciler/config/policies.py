"""Reads the files of ``--policy`` into rules, with the places of everything that is wrong in them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from reconciler.config import schema
from reconciler.config.explain import explain
from reconciler.config.files import policy_files, read_text
from reconciler.config.findings import Findings, shown
from reconciler.config.nodes import Listing, Node, Scalar, Table, node_at, position
from reconciler.config.shapes import read
from reconciler.config.source import parse
from reconciler.model.diagnostic import Diagnostic, Position
from reconciler.model.policy import PolicyRule
from reconciler.model.values import JsonObject
from reconciler.planning.policies import VARIABLES

_CONDITIONS = ("when", "require", "deny")
_TEXT = re.compile(r"""'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*\"""")
_FIELD = re.compile(r"(?<![\w.])(operation|agent|plan)\s*\.\s*([A-Za-z_]\w*)")
_UNDECLARED = re.compile(r"undeclared reference to '(\w+)")
_PIECE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


@dataclass(frozen=True, slots=True)
class Expression:
    """One CEL expression: what it has to be, and where its text begins. ``is_condition``: true or false."""

    text: str
    is_condition: bool


@dataclass(frozen=True, slots=True)
class ExpressionFault:
    """Why an expression cannot be used. Line and column are those inside it, from 1; 0 is unknown."""

    message: str
    line: int = 0
    column: int = 0


# For each expression its fault, or ``None``.
Checker = Callable[[Sequence[Expression]], Sequence[ExpressionFault | None]]


@dataclass(frozen=True, slots=True)
class LoadedPolicies:
    """The rules of all files. ``rules`` is empty exactly when a finding is an error."""

    rules: tuple[PolicyRule, ...]
    diagnostics: tuple[Diagnostic, ...]


def load_policies(paths: Sequence[Path], check: Checker) -> LoadedPolicies:
    """The rules of these folders. Raises ``FileMissing`` and ``UsageError`` for what cannot be read.

    ``check`` compiles expressions; what it finds stands at its place in the file.
    """
    findings = Findings()
    rules: list[PolicyRule] = []
    asked: list[tuple[Expression, Path, Node]] = []
    for file in policy_files(paths):
        for entry, table in _entries(file, findings):
            found, expressions = _rule(entry, table, str(file), findings)
            asked += ((expression, file, place) for expression, place in expressions)
            _refuse_second(found, rules, findings)
            rules.append(found)
    faults = check([expression for expression, _, _ in asked]) if asked else ()
    for (expression, file, node), fault in zip(asked, faults, strict=True):
        for one in (fault, *_unknown_fields(expression.text, findings)):
            if one is not None:
                _report(one, expression, node, file=str(file), findings=findings)
    return LoadedPolicies(() if findings.has_errors else tuple(rules), findings.sorted())


def _entries(file: Path, findings: Findings) -> Iterator[tuple[JsonObject, Table]]:
    """Every rule of a file as data and as the node that it stands in; none when the file is broken."""
    text = read_text(file, findings)
    root = None if text is None else parse(text, file=str(file), findings=findings)
    if root is None:
        return
    data = read(root, schema.shape("policy"))
    if not schema.fits("policy", data):
        explain(data, root, file=str(file), findings=findings, name="policy")
        return
    listing = node_at(root, ("rules",))
    if isinstance(listing, Listing):
        for entry, node in zip(data["rules"], listing.items, strict=True):
            if isinstance(node, Table):
                yield entry, node


def _rule(
    entry: JsonObject, node: Table, file: str, findings: Findings
) -> tuple[PolicyRule, list[tuple[Expression, Node]]]:
    place = position(file, node.values["message"])
    message = _message(entry["message"], place, findings)
    expressions = [
        (Expression(entry[key], is_condition=True), node.values[key]) for key in _CONDITIONS if key in entry
    ]
    expressions += [(Expression(text, is_condition=False), node.values["message"]) for text in message[1::2]]
    rule = PolicyRule(
        name=entry["name"],
        position=position(file, node.values["name"]),
        when=entry.get("when", "true"),
        require=entry.get("require", ""),
        deny=entry.get("deny", ""),
        message=message,
        severity=entry.get("severity", "deny"),
        exempt=tuple(entry.get("exempt", ())),
    )
    return rule, expressions


def _message(text: str, place: Position, findings: Findings) -> tuple[str, ...]:
    """Text, expression, text, expression, …, text."""
    parts, end = [""], 0
    for found in _PIECE.finditer(text):
        parts[-1] += text[end : found.start()]
        end = found.end()
        if found[0] in ("{{", "}}"):
            parts[-1] += found[0][0]
        elif found[1] is not None and found[1].strip():
            parts += [found[1].strip(), ""]
        else:
            message = f"a brace stands alone, or nothing is inside: {shown(text)}"
            hint = "Braces hold CEL, as in {agent.name}; write {{ and }} for braces."
            findings.error("bad-message", message, place, hint=hint)
    parts[-1] += text[end:]
    return tuple(parts)


def _refuse_second(rule: PolicyRule, rules: Sequence[PolicyRule], findings: Findings) -> None:
    for other in rules:
        if other.name == rule.name:
            message = f"the rule {shown(rule.name)} stands here and at {other.position}"
            findings.error("duplicate-rule", message, rule.position, hint="Rename or remove one of them.")
            return


def _unknown_fields(text: str, findings: Findings) -> Iterator[ExpressionFault]:
    """Fields that a variable never has: they would fail at each operation, so they are refused at once."""
    # Texts are blanked, not removed, so that columns stay.
    bare = _TEXT.sub(lambda found: " " * len(found[0]), text)
    for found in _FIELD.finditer(bare):
        variable, name = found[1], found[2]
        if name not in VARIABLES[variable]:
            before = text[: found.start(2)]
            column = len(before) - (before.rfind("\n") + 1) + 1
            hint = findings.suggest(name, VARIABLES[variable], listing="It has")
            yield ExpressionFault(
                f"{variable} has no field {shown(name)}. {hint}".rstrip(), before.count("\n") + 1, column
            )


def _report(
    fault: ExpressionFault, expression: Expression, node: Node, *, file: str, findings: Findings
) -> None:
    at, is_exact = _place(fault, expression.text, node, file=file, findings=findings)
    where = "" if is_exact or not fault.line else f" (line {fault.line}, column {fault.column} of it)"
    unknown = _UNDECLARED.search(fault.message)
    hint = "The language is CEL: docs/policies.md shows what it is and what there is."
    if unknown:
        hint = findings.suggest(unknown[1], VARIABLES, listing="Variables are", otherwise=hint)
    findings.error("bad-expression", f"{fault.message}{where}", at, hint=hint)


def _place(
    fault: ExpressionFault, text: str, node: Node, *, file: str, findings: Findings
) -> tuple[Position, bool]:
    """The very character, when the expression stands in the file as it was read; else its beginning."""
    start = position(file, node)
    if not isinstance(node, Scalar) or fault.line < 1 or fault.column < 1:
        return start, False
    wanted = text.split("\n")[fault.line - 1]
    # A text of one line stands where it begins, or under a `|` or `>` like the lines of a longer one.
    for line in (start.line + fault.line - 1, start.line + fault.line):
        source = findings.line(file, line)
        at = source.find(wanted, start.column - 1 if line == start.line else 0) if wanted.strip() else -1
        if at >= 0:
            return Position(file, line, at + fault.column), True
    return start, False
