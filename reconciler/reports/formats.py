"""The formats of ``--report``: a literal registry. Each turns a ``Subject`` into the text of one file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module

from reconciler.reports.subject import Subject

Writer = Callable[[Subject], str]

# format → module and function; loaded when the format is asked for, because some are heavy.
FORMATS: Mapping[str, tuple[str, str]] = {
    "json": ("reconciler.reports.json_report", "json_report"),
}


def writer_of(name: str) -> Writer:
    """The function behind a format of ``FORMATS``."""
    module, function = FORMATS[name]
    writer: Writer = getattr(import_module(module), function)
    return writer
