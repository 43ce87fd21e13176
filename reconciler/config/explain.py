"""Says why data does not fit the schema: what was found, what is allowed, and where."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias

from reconciler.config.findings import MAX_KEPT, Findings, listed, shown
from reconciler.config.nodes import Node, dotted, node_at, position
from reconciler.config.schema import SchemaName, decider, schema_document
from reconciler.model.values import Json, JsonObject

if TYPE_CHECKING:
    from jsonschema import ValidationError
    from jsonschema.protocols import Validator

Path: TypeAlias = tuple[str | int, ...]

_ALLOWED = {
    "string": "text",
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "object": "a mapping",
    "array": "a list",
}
_ABOUT_KEYS = ("additionalProperties", "required")
_RULES = {
    "type": "wrong-type",
    "enum": "bad-value",
    "const": "bad-value",
    "pattern": "bad-value",
    "minLength": "bad-text",
    "maxLength": "bad-text",
    "minimum": "out-of-range",
    "maximum": "out-of-range",
}
_HINTS = {
    "agents-null": "Write `agents: {}` to declare that there are none: every owned agent would be revoked.",
    "empty-scope-list": "Leave the provider out, or write null instead of [] to remove an inherited one.",
    "empty-for-each": "Remove the block to declare no agent of it.",
    "unsupported-version": "This version of alter-sync reads version 1.",
    "require-or-deny": "`require` says what has to be true, `deny` what must not be.",
    "unknown-sink-type": "The types are in the README, with what each of them needs.",
}


def explain(
    data: Json, root: Node, *, file: str, findings: Findings, name: SchemaName = "agents"
) -> list[Path] | None:
    """Reports every violation; returns their paths, or ``None`` when there are too many to go on with."""
    paths: list[Path] = []
    judged: set[tuple[Path, Json]] = set()
    for error in _explainer(name).iter_errors(data):
        path = tuple(error.absolute_path)
        if error.validator not in _ABOUT_KEYS:
            # A value of the wrong type violates more than one keyword; the first one says enough.
            value = (path, error.instance if "propertyNames" in error.absolute_schema_path else None)
            if value in judged:
                continue
            judged.add(value)
        paths.append(_report(error, path, root, file=file, findings=findings))
        if len(paths) >= MAX_KEPT:
            return None
    if not paths:
        # The two validators disagree, for instance on what a space is. The one that decides has the word.
        for refusal in decider(name).iter_errors(data):
            path = tuple(refusal.instance_path)
            at = position(file, node_at(root, path))
            findings.error("bad-value", f"{dotted(path)} is not allowed: {shown(refusal.message)}", at)
            paths.append(path)
    return paths


def _report(error: ValidationError, path: Path, root: Node, *, file: str, findings: Findings) -> Path:
    keyword = str(error.validator)
    schema: Json = error.schema
    found: Json = error.instance
    if keyword == "additionalProperties":
        _unknown_keys(found, schema, path, root=root, file=file, findings=findings)
        return path
    if keyword == "required":
        at = position(file, node_at(root, path, prefers_key=True))
        for key in schema["required"]:
            if key not in found:
                hint = f"Add `{key}: …`."
                findings.error("missing-key", f"{dotted(path)} lacks the key {shown(key)}", at, hint=hint)
        return path
    is_name = "propertyNames" in error.absolute_schema_path
    where = (*path, found) if is_name else path
    at = position(file, node_at(root, where, prefers_key=is_name))
    label = "the name" if is_name else dotted(path)
    rule, message = _message(keyword, found, error.validator_value, schema=schema, label=label)
    findings.error(rule, message, at, hint=_hint(rule, keyword, found, schema=schema, findings=findings))
    return where


def _unknown_keys(
    instance: JsonObject, schema: JsonObject, path: Path, *, root: Node, file: str, findings: Findings
) -> None:
    allowed = schema["properties"]
    unknown = [key for key in instance if key not in allowed]
    for index, key in enumerate(unknown):
        if findings.is_full:
            findings.count_errors(len(unknown) - index)
            return
        at = position(file, node_at(root, (*path, key), prefers_key=True))
        hint = findings.suggest(key, allowed, listing="Allowed here")
        findings.error("unknown-key", f"{dotted(path)} has no key {shown(key)}", at, hint=hint)


def _message(keyword: str, value: Json, limit: Json, *, schema: JsonObject, label: str) -> tuple[str, str]:
    rule = str(schema.get("$comment") or _RULES.get(keyword, "bad-value"))
    found = shown(value)
    match keyword:
        case "type":
            rule = rule if rule == "agents-null" else "wrong-type"
            return rule, f"{label} is {found}; allowed: {_kinds(limit)}"
        case "enum":
            return (
                rule,
                f"{label} is {found}; allowed: {listed(str(one) for one in limit if one is not None)}",
            )
        case "const":
            return rule, f"{label} is {found}; allowed: {limit}"
        case "minLength" if limit == 1:
            return rule, f"{label} is empty"
        case "oneOf":
            names = listed(str(key) for one in limit for key in one["required"])
            return rule, f"{label} needs exactly one of these keys: {names}"
        case "minItems" | "minProperties":
            return rule, f"{label} is empty; at least one is needed"
        case "maxLength":
            return rule, f"{label} has {len(value):,} characters; at most {limit:,} are allowed"
        case "minimum":
            return rule, f"{label} is {found}; it has to be at least {limit:,}"
        case "maximum":
            return rule, f"{label} is {found}; it has to be at most {limit:,}"
        case _:
            return rule, f"{label} is {found}, which is not allowed"


def _hint(rule: str, keyword: str, found: Json, *, schema: JsonObject, findings: Findings) -> str:
    fallback = _HINTS.get(rule, "")
    match keyword:
        case "enum" if isinstance(found, str):
            return findings.suggest(found, (one for one in schema["enum"] if one), otherwise=fallback)
        case "type" if isinstance(found, str) and "boolean" in schema["type"]:
            return "Write true or false without quotes; yes, no, on and off are plain text in YAML 1.2."
        case "type" if isinstance(found, str) and re.fullmatch(r"[0-9.]+", found):
            return "Write the number without quotes."
        case "pattern" | "minLength":
            return fallback or str(schema.get("patternErrorMessage", ""))
        case "type":
            return fallback or str(schema.get("description", ""))
        case _:
            return fallback


def _kinds(kinds: Json) -> str:
    names = [kinds] if isinstance(kinds, str) else kinds
    return " or ".join(_ALLOWED[kind] for kind in names if kind != "null")


@cache
def _explainer(name: SchemaName) -> Validator:
    # jsonschema takes 0.1 s to import, and most configurations have nothing to explain.
    from jsonschema import Draft7Validator, ValidationError
    from jsonschema.validators import extend

    def pattern(_: Any, regex: str, instance: Json, __: Any) -> Iterator[ValidationError]:
        # Python's `$` also matches before a last line break, that of JSON Schema does not.
        if isinstance(instance, str) and not re.search(regex.replace("$", r"\Z"), instance):
            yield ValidationError("")

    validator: Validator = extend(Draft7Validator, {"pattern": pattern})(  # type: ignore[no-untyped-call]
        schema_document(name)
    )
    return validator
