"""Applies defaults, templates and for_each: from what is written to one set of fields for each agent."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from math import prod

from reconciler.config.combine import Combined, Entry
from reconciler.config.findings import Findings, shown
from reconciler.config.nodes import FieldKey, Place, Places, Table
from reconciler.model.diagnostic import Position
from reconciler.model.values import Json, JsonObject, without_nulls

MAX_GENERATED = 20_000
# Bounds what templates times agents and texts times for_each can grow to. A value weighs roughly what a copy
# of it takes in bytes; ten thousand agents of the usual size weigh 25 million.
MAX_WEIGHT = 200_000_000
_VALUE_WEIGHT = 50
_LONGEST_VALUE = 100
_PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_]*)\}")
# Fields whose single entries are compared, and so have places of their own.
_WITH_PLACES = ("scopes", "metadata")


@dataclass(frozen=True, slots=True)
class Layer:
    """Fields and where each stands. ``rotation`` is a tuple: each layer's own, the outermost first."""

    data: JsonObject = field(default_factory=dict)
    places: Mapping[FieldKey, Place] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Flat:
    """One agent with everything it inherits."""

    name: str
    at: Position
    data: JsonObject
    places: Mapping[str, Position]


def expand(combined: Combined, findings: Findings) -> Iterator[Flat]:
    """Every agent that is declared, ``for_each`` carried out. Reports unknown templates and placeholders."""
    bases = _bases(combined)
    weights = {name: _weight(base.data) for name, base in bases.items()}
    generated, weight = 0, 0
    for entry in combined.agents:
        template = entry.data.get("template")
        if template not in bases:
            _refuse_template(template, entry, combined, findings=findings)
            continue
        loops = entry.data.get("for_each", {})
        if not _placeholders_fit(entry, loops, findings):
            continue
        own = _layer(entry)
        count = prod(len(values) for values in loops.values())
        generated += count if loops else 0
        weight += count * (weights[template] + _weight(own.data))
        if generated > MAX_GENERATED or weight > MAX_WEIGHT:
            _refuse_growth(entry, generated, findings)
            return
        merged = merge(bases[template], own)
        if loops:
            yield from _generated(entry, merged, loops)
        else:
            yield Flat(entry.name, entry.at, merged.data, Places(merged.places))


def merge(base: Layer, over: Layer) -> Layer:
    """Maps merge, lists and texts replace, null removes. An empty map says "nothing", so it replaces too."""
    data, places = dict(base.data), dict(base.places)
    for key, value in over.data.items():
        inherited = data.get(key)
        if value is None:
            data.pop(key, None)
            _forget(places, key, inherited)
        elif key == "rotation":
            data[key] = (*(inherited or ()), value)
        elif isinstance(value, dict) and value and isinstance(inherited, dict):
            data[key] = _merged_maps(inherited, value)
            if key == "scopes" and not data[key]:
                # Everything inherited was removed one by one. That is not yet the wish to deny all.
                del data[key]
            for inner in value:
                if value[inner] is None:
                    places.pop((key, inner), None)
        else:
            if inherited is not None:
                _forget(places, key, inherited)
            data[key] = without_nulls(value)
    places |= {
        (key, inner): place
        for (key, inner), place in over.places.items()
        if key in data and (inner is None or inner in data[key])
    }
    return Layer(data, places)


def _bases(combined: Combined) -> dict[str | None, Layer]:
    """What agents start from, by the name of the template; ``None`` is for those without one."""
    defaults = merge(Layer(), _layer(combined.defaults)) if combined.defaults else Layer()
    templates = combined.templates.items()
    return {None: defaults, **{name: merge(defaults, _layer(template)) for name, template in templates}}


def _layer(entry: Entry) -> Layer:
    table, file, places = entry.node, entry.file, dict[FieldKey, Place]()
    if isinstance(table, Table):
        for key, scalar in table.keys.items():
            places[key, None] = file, scalar
            value = table.values[key]
            if key in _WITH_PLACES and isinstance(value, Table):
                for inner, inner_key in value.keys.items():
                    places[key, inner] = file, inner_key
    own = {key: value for key, value in (entry.data or {}).items() if key not in ("template", "for_each")}
    return Layer(own, places)


def _forget(places: dict[FieldKey, Place], key: str, inherited: Json) -> None:
    places.pop((key, None), None)
    if isinstance(inherited, dict):
        for inner in inherited:
            places.pop((key, inner), None)


def _merged_maps(base: JsonObject, over: JsonObject) -> JsonObject:
    merged = dict(base)
    for key, value in over.items():
        inherited = merged.get(key)
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict) and value and isinstance(inherited, dict):
            merged[key] = _merged_maps(inherited, value)
        else:
            merged[key] = without_nulls(value)
    return merged


def _placeholders_fit(entry: Entry, loops: JsonObject, findings: Findings) -> bool:
    used = set(_PLACEHOLDER.findall(entry.name))
    for name in sorted(used - loops.keys()):
        hint = findings.suggest(name, loops, listing="Variables here", otherwise="Declare it with for_each.")
        findings.error(
            "unknown-placeholder", f"for_each declares no variable {shown(name)}", entry.at, hint=hint
        )
    for name in sorted(loops.keys() - used):
        at = entry.place("for_each", name, prefers_key=True)
        message = f"the agent's name does not contain {{{name}}}, so its agents would all be called the same"
        findings.error("unused-variable", message, at, hint=f"Put {{{name}}} into the name.")
    if "agent" in loops:
        at = entry.place("for_each", "agent", prefers_key=True)
        message = "the variable {agent} is reserved: it stands for the agent's name in sinks"
        findings.error("reserved-variable", message, at, hint="Give it another name.")
        return False
    return used == loops.keys()


def _generated(entry: Entry, merged: Layer, loops: Mapping[str, list[Json]]) -> Iterator[Flat]:
    pattern = re.compile("|".join(re.escape(f"{{{name}}}") for name in loops))
    places = Places(merged.places)
    for values in product(*loops.values()):
        texts = {f"{{{name}}}": str(value) for name, value in zip(loops, values, strict=True)}
        data = {key: _substituted(value, pattern, texts) for key, value in merged.data.items()}
        yield Flat(_substituted(entry.name, pattern, texts), entry.at, data, places)


def _substituted(value: Json, pattern: re.Pattern[str], texts: Mapping[str, str]) -> Json:
    match value:
        case str():
            return pattern.sub(lambda found: texts[found.group()], value) if "{" in value else value
        case list():
            return [_substituted(inner, pattern, texts) for inner in value]
        case dict():
            return {key: _substituted(inner, pattern, texts) for key, inner in value.items()}
        case _:  # numbers, booleans and the layers of the rotation, which hold names and durations only
            return value


def _weight(value: Json) -> int:
    if isinstance(value, str):
        return _VALUE_WEIGHT + (len(value) + _LONGEST_VALUE * value.count("{") if "{" in value else 0)
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list):
        return _VALUE_WEIGHT
    return _VALUE_WEIGHT + sum(map(_weight, value))


def _refuse_template(name: str, entry: Entry, combined: Combined, *, findings: Findings) -> None:
    if not combined.is_broken("templates", name):
        otherwise = "There are none: add `templates`."
        hint = findings.suggest(name, combined.templates, listing="There are", otherwise=otherwise)
        findings.error(
            "unknown-template", f"there is no template {shown(name)}", entry.place("template"), hint=hint
        )


def _refuse_growth(entry: Entry, generated: int, findings: Findings) -> None:
    if generated > MAX_GENERATED:
        message = f"for_each makes more than {MAX_GENERATED:,} agents in all"
    else:
        message = "templates and for_each make the configuration too large"
    hint = "Use several configurations, each with an owner of its own."
    findings.error("too-many-agents", message, entry.place("for_each", prefers_key=True), hint=hint)
