"""Reads the JSON that a command line gives: scopes, metadata, the whole body of a new agent."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn, cast, get_args

from reconciler.errors import FileMissing, UsageError
from reconciler.model.agent import AgentName, AgentType, NewAgent
from reconciler.model.mark import MARK_KEY
from reconciler.model.nearest import did_you_mean
from reconciler.model.scopes import MAX_SCOPES_BYTES, Scopes

_LARGEST_BODY_BYTES = 1024 * 1024
_FIELDS = ("name", "type", "scopes", "display_name", "metadata", "policy")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_SCOPES_ARE = 'an object of provider and scopes, like {"google": ["gmail.readonly"]}'

Document = Mapping[str, Any]


def read_input(source: str) -> NewAgent:
    """The body in ``@path``, or on standard input for ``-``."""
    return new_agent(read_object(_text_of(source), flag="--input"), flag="--input")


def read_object(text: str, *, flag: str) -> Document:
    """A JSON object. What is wrong with another text is said with its line and column."""
    try:
        value = json.loads(text, object_pairs_hook=_without_repetition, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise UsageError(
            f"{flag}: not JSON at line {error.lineno}, column {error.colno}: {error.msg}",
            hint=f"{flag} takes a JSON object; quote it for the shell: '{{…}}'",
        ) from error
    except (ValueError, RecursionError) as error:
        what = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise UsageError(f"{flag}: {what}", hint=f"{flag} takes a JSON object") from error
    if not isinstance(value, dict):
        raise UsageError(f"{flag}: {_kind(value)} instead of an object", hint=f"{flag} takes a JSON object")
    return value


def new_agent(body: Document, *, flag: str) -> NewAgent:
    """The body of a create, checked as far as it can be without the server. ``flag`` is for messages."""
    for field in body:
        if field not in _FIELDS:
            near = did_you_mean(field, _FIELDS)
            raise UsageError(
                f"{flag}: there is no field {field!r}", hint=near or f"fields: {', '.join(_FIELDS)}"
            )
    name, kind = body.get("name"), body.get("type", "agent")
    if not (isinstance(name, str) and _NAME.fullmatch(name)):
        where = "--input: at name" if flag == "--input" else "--name"
        raise UsageError(
            f"{where}: {name!r} cannot be the name of an agent",
            hint="lower-case letters, digits, - and _, a letter or digit first",
        )
    if kind not in get_args(AgentType):
        _refuse(flag, "type", kind, allowed=" or ".join(get_args(AgentType)))
    display_name = body.get("display_name")
    if not isinstance(display_name, str | None):
        _refuse(flag, "display_name", display_name, allowed="a text")
    for field in ("metadata", "policy"):
        if not isinstance(body.get(field, {}), dict):
            _refuse(flag, field, body[field], allowed="an object")
    return NewAgent(
        name=AgentName(name),
        type=cast(AgentType, kind),
        scopes=scopes_of(body.get("scopes", {}), flag=flag),
        metadata=own_metadata(body.get("metadata", {}), flag=flag),
        display_name=display_name,
        policy=body.get("policy"),
    )


def scopes_of(value: Any, *, flag: str) -> Scopes:
    """Provider → scopes. ``flag`` is where they come from."""
    where = "scopes" if flag == "--input" else ""
    if not isinstance(value, dict):
        _refuse(flag, where, value, allowed=_SCOPES_ARE)
    for provider, names in value.items():
        at = f"{where}.{provider}" if where else provider
        if not isinstance(names, list):
            _refuse(flag, at, names, allowed="a list of scopes")
        for place, name in enumerate(names):
            if not (isinstance(name, str) and name):
                _refuse(flag, f"{at}[{place}]", name, allowed="the name of a scope")
    scopes = Scopes.of(value)
    if scopes.size_bytes() > MAX_SCOPES_BYTES:
        raise UsageError(
            f"{flag}: scopes of {scopes.size_bytes()} bytes", hint=f"Alter allows {MAX_SCOPES_BYTES}"
        )
    return scopes


def own_metadata(value: Document, *, flag: str) -> Document:
    """A user's metadata, in which the mark has no place."""
    if MARK_KEY in value:
        raise UsageError(
            f"{flag}: {MARK_KEY!r} is where alter-sync keeps its mark, and is never written by hand",
            hint="leave it out: a mark that is there is kept",
        )
    return value


def _text_of(source: str) -> str:
    if source != "-" and not source.startswith("@"):
        raise UsageError(f"--input {source}: neither a file nor standard input", hint="--input @PATH, or -")
    try:
        if source == "-":
            text = sys.stdin.read(_LARGEST_BODY_BYTES + 1)
        else:
            with Path(source[1:]).open(encoding="utf-8") as file:
                text = file.read(_LARGEST_BODY_BYTES + 1)
    except FileNotFoundError as error:
        raise FileMissing(f"there is no file {source[1:]}", hint="check --input") from error
    except OSError as error:
        raise UsageError(f"--input {source} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"--input {source} is not UTF-8 at byte {error.start}") from error
    if len(text) > _LARGEST_BODY_BYTES:
        raise UsageError(f"--input {source} is too large to be an agent", hint="1 MiB at most")
    return text


def _refuse(flag: str, at: str, value: Any, *, allowed: str) -> NoReturn:
    place = f"{flag}: at {at}" if at else flag
    raise UsageError(f"{place}: {_shown(value)}", hint=f"allowed is {allowed}")


def _shown(value: Any) -> str:
    return (
        f"{_kind(value)} instead" if isinstance(value, dict | list) else json.dumps(value, ensure_ascii=False)
    )


def _kind(value: Any) -> str:
    match value:
        case dict():
            return "an object"
        case list():
            return "a list"
        case str():
            return "a text"
        case None:
            return "null"
        case bool():
            return "true or false"
        case _:
            return "a number"


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"the key {name!r} is there twice")
        found[name] = value
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")
