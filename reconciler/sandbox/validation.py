"""The server's strict reading of bodies and query parameters: all findings at once, nothing guessed."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from reconciler.sandbox.answers import Invalid, Json, canonical, compact, finding

SCOPES_MAX_BYTES = 12_288
GRACE_MAX_SECONDS = 604_800
LIMIT_MAX = 1_000
NAME_MAX_LENGTH = 100
DISPLAY_NAME_MAX_LENGTH = 255

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_DIGITS = re.compile(r"-?[0-9]{1,10}")
_CREATE_FIELDS = frozenset({"name", "type", "scopes", "display_name", "metadata", "policy"})
_CHANGE_FIELDS = frozenset({"display_name", "metadata", "scopes", "policy", "status"})

Scopes = dict[str, list[str]]
Findings = list[dict[str, Json]]


@dataclass(frozen=True, slots=True)
class NewAgent:
    name: str
    type: str
    scopes: Scopes
    display_name: str | None
    metadata: dict[str, Json]
    policy: dict[str, Json]


@dataclass(frozen=True, slots=True)
class AgentChange:
    """`fields` holds what the body names, already checked."""

    fields: Mapping[str, Json]
    expected_version: int | None
    grace_seconds: int | None


@dataclass(frozen=True, slots=True)
class Page:
    limit: int
    offset: int
    include_revoked: bool
    name: str | None


def read_object(raw: bytes) -> dict[str, Json]:
    """An empty body is an empty object, as it is for the routes that take none."""
    if not raw:
        return {}
    try:
        value = json.loads(raw, parse_constant=_refuse_constant)
        canonical(value).encode()
    except (ValueError, RecursionError) as exc:  # wrong JSON or UTF-8, 1e999, a lone surrogate, too deep
        raise Invalid([finding(["body"], "The body is not valid JSON.", kind="json_invalid")]) from exc
    if not isinstance(value, dict):
        raise Invalid([finding(["body"], "The body must be an object.", kind="model_type")])
    return value


def new_agent(body: Mapping[str, Json]) -> NewAgent:
    findings = _unknown_fields(body, _CREATE_FIELDS)
    for field in ("name", "scopes"):
        if field not in body:
            findings.append(finding(["body", field], "Field required", kind="missing"))
    if "name" in body:
        findings += _check_name(body["name"])
    if body.get("type", "agent") not in ("agent", "service"):
        findings.append(finding(["body", "type"], "Must be agent or service.", kind="literal_error"))
    findings += _check_shared(body)
    _refuse_if_any(findings)
    return NewAgent(
        name=body["name"],
        type=body.get("type", "agent"),
        scopes=without_repetition(body["scopes"]),
        display_name=body.get("display_name"),
        metadata=body.get("metadata", {}),
        policy=body.get("policy", {}),
    )


def agent_change(body: Mapping[str, Json], query: Mapping[str, str]) -> AgentChange:
    findings = _unknown_fields(body, _CHANGE_FIELDS)
    findings += _check_shared(body)
    if "status" in body and body["status"] not in ("active", "inactive"):
        findings.append(finding(["body", "status"], "Must be active or inactive.", kind="literal_error"))
    expected_version = _integer(query, "expected_version", findings, low=1)
    grace_seconds = _integer(query, "grace_seconds", findings, low=0, high=GRACE_MAX_SECONDS)
    if "scopes" in body and "expected_version" not in query:
        findings.append(finding(["query", "expected_version"], "Required with scopes.", kind="missing"))
    if "scopes" not in body and "grace_seconds" in query:
        findings.append(finding(["query", "grace_seconds"], "Only together with scopes."))
    _refuse_if_any(findings)
    fields = dict(body)
    if "scopes" in fields:
        fields["scopes"] = without_repetition(fields["scopes"])
    return AgentChange(fields=fields, expected_version=expected_version, grace_seconds=grace_seconds)


def page(query: Mapping[str, str]) -> Page:
    findings: Findings = []
    limit = _integer(query, "limit", findings, low=1, high=LIMIT_MAX)
    offset = _integer(query, "offset", findings, low=0)
    include_revoked = flag(query, "include_revoked", findings)
    _refuse_if_any(findings)
    return Page(
        limit=100 if limit is None else limit,
        offset=offset or 0,
        include_revoked=include_revoked,
        name=query.get("name"),
    )


def force(query: Mapping[str, str]) -> bool:
    findings: Findings = []
    value = flag(query, "force", findings)
    _refuse_if_any(findings)
    return value


def empty_body(body: Mapping[str, Json]) -> None:
    _refuse_if_any(_unknown_fields(body, frozenset()))


def flag(query: Mapping[str, str], name: str, findings: Findings) -> bool:
    text = query.get(name, "false")
    if text not in ("true", "false"):
        findings.append(finding(["query", name], "Must be true or false.", kind="bool_parsing"))
    return text == "true"


def without_repetition(scopes: Mapping[str, list[str]]) -> Scopes:
    return {provider: list(dict.fromkeys(names)) for provider, names in scopes.items()}


def _check_shared(body: Mapping[str, Json]) -> Findings:
    findings: Findings = []
    display_name = body.get("display_name")
    if not (display_name is None or _is_text(display_name, DISPLAY_NAME_MAX_LENGTH)):
        findings.append(finding(["body", "display_name"], "Must be 1 to 255 characters.", kind="string_type"))
    for field in ("metadata", "policy"):
        if field in body and not isinstance(body[field], dict):
            findings.append(finding(["body", field], "Must be an object.", kind="dict_type"))
    if "scopes" in body:
        findings += _check_scopes(body["scopes"])
    if isinstance(body.get("policy"), dict):
        findings += _check_policy(body["policy"])
    return findings


def _check_name(name: Json) -> Findings:
    if isinstance(name, str) and len(name) <= NAME_MAX_LENGTH and _NAME.fullmatch(name):
        return []
    message = "Must be 1 to 100 lower-case letters, digits, - or _, and begin with a letter or digit."
    return [finding(["body", "name"], message, kind="string_pattern_mismatch")]


def _check_scopes(scopes: Json) -> Findings:
    if not isinstance(scopes, dict):
        return [finding(["body", "scopes"], "Must map providers to lists of scopes.", kind="dict_type")]
    findings: Findings = []
    for provider, names in scopes.items():
        location = ["body", "scopes", provider]
        if not _is_trimmed(provider):
            findings.append(finding(location, "A provider is a non-empty name without edge whitespace."))
        if not isinstance(names, list) or not names:
            findings.append(finding(location, "Must be a non-empty list.", kind="list_type"))
        elif not all(_is_trimmed(name) for name in names):
            findings.append(finding(location, "A scope is a non-empty string without edge whitespace."))
    if not findings and len(compact(scopes).encode()) > SCOPES_MAX_BYTES:
        message = f"At most {SCOPES_MAX_BYTES} bytes of compact JSON."
        findings.append(finding(["body", "scopes"], message, kind="too_long"))
    return findings


def _check_policy(policy: Mapping[str, Json]) -> Findings:
    rule = policy.get("requires_approval")
    if rule is None:
        return []
    location = ["body", "policy", "requires_approval"]
    if not isinstance(rule, dict):
        return [finding(location, "Must be an object.", kind="dict_type")]
    if "approvers_count" in rule:
        # Accepting its own redacted answer would silently drop the approvers.
        return [finding([*location, "approvers_count"], "Read-only: send approvers.", kind="extra_forbidden")]
    approvers = rule.get("approvers", [])
    if not isinstance(approvers, list) or not all(_is_trimmed(one) for one in approvers):
        return [finding([*location, "approvers"], "Must be a list of addresses.", kind="list_type")]
    return []


def _unknown_fields(body: Mapping[str, Json], known: frozenset[str]) -> Findings:
    return [
        finding(["body", field], "Extra inputs are not permitted", kind="extra_forbidden")
        for field in body
        if field not in known
    ]


def _integer(
    query: Mapping[str, str], name: str, findings: Findings, *, low: int, high: int | None = None
) -> int | None:
    text = query.get(name)
    if text is None:
        return None
    if not _DIGITS.fullmatch(text):
        findings.append(finding(["query", name], "Must be an integer.", kind="int_parsing"))
        return None
    value = int(text)
    if value < low or (high is not None and value > high):
        limits = f"at least {low}" if high is None else f"from {low} to {high}"
        findings.append(finding(["query", name], f"Must be {limits}.", kind="out_of_range"))
    return value


def _is_trimmed(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip()) and value == value.strip()


def _is_text(value: Any, max_length: int) -> bool:
    return isinstance(value, str) and 1 <= len(value) <= max_length


def _refuse_if_any(findings: Findings) -> None:
    if findings:
        raise Invalid(findings)


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")
