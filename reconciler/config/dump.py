"""Writes JSON values as YAML that this program, and any other reader, takes for the same values."""

from __future__ import annotations

import re
from typing import Any

import yaml

from reconciler.config.shapes import plain_value
from reconciler.model.values import Json, JsonObject

# Where lists are continued on the next line. Texts are never broken.
_WIDTH = 100
_TAG = "tag:yaml.org,2002:"
_TAGS = {type(None): f"{_TAG}null", bool: f"{_TAG}bool", int: f"{_TAG}int", float: f"{_TAG}float"}
# A number to readers of YAML 1.2, and to ours only where its text survives a round trip.
_NUMBER = re.compile(r"0[ox][0-9a-fA-F]+|[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
# Lines that read the same in a block: nothing at their ends, and no indentation that the first would set.
_LINES = re.compile(r"(?:[^\s](?:[^\n]*[^\s])?\n*)+")


def dump(value: JsonObject) -> str:
    """Block style with lists of single values on one line, keys in the order that they have."""
    text = yaml.dump(
        value,
        Dumper=_Dumper,
        allow_unicode=True,
        default_flow_style=False,
        sort_keys=False,
        width=_WIDTH,
    )
    return str(text)


class _Dumper(yaml.SafeDumper):
    """Quotes every text that our reader or one of YAML 1.1 would take for something else."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        """The tag of a plain scalar, first as ``config/shapes.py`` reads it."""
        if kind is yaml.ScalarNode and implicit[0]:
            read = plain_value(value)
            if not isinstance(read, str):
                return _TAGS[type(read)]
            if _NUMBER.fullmatch(value):
                return _TAGS[float]
        return super().resolve(kind, value, implicit)  # type: ignore[no-untyped-call]

    def choose_scalar_style(self) -> Any:
        """One kind of quotes."""
        style = super().choose_scalar_style()
        return '"' if style == "'" else style

    def write_plain(self, text: Any, _split: bool = True) -> None:
        """In one line: a broken one is hard to read and to search for."""
        super().write_plain(text, split=False)

    def write_double_quoted(self, text: Any, _split: bool = True) -> None:
        """In one line, too."""
        super().write_double_quoted(text, split=False)

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        """Lists further in than what they belong to."""
        super().increase_indent(flow, indentless=False)

    def ignore_aliases(self, _data: Any) -> bool:
        """Every value stands where it is meant."""
        return True


def _text(dumper: _Dumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value and _LINES.fullmatch(value) else None
    return dumper.represent_scalar(f"{_TAG}str", value, style=style)


def _number(dumper: _Dumper, value: float) -> yaml.ScalarNode:
    # As our reader expects it; PyYAML would write 1e+16 as 1.0e+16.
    return dumper.represent_scalar(f"{_TAG}float", repr(value))


def _list(dumper: _Dumper, value: list[Json]) -> yaml.SequenceNode:
    is_flat = not any(
        isinstance(item, dict | list) or (isinstance(item, str) and "\n" in item) for item in value
    )
    return dumper.represent_sequence(f"{_TAG}seq", value, flow_style=is_flat)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(float, _number)
_Dumper.add_representer(list, _list)
