"""The formats of ``--report``: a literal registry. Each turns a ``Subject`` into the text of one file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module

from reconciler.reports.subject import Subject

Writer = Callable[[Subject], str]

# format → module and function; loaded when the format is asked for, because some are heavy.
FORMATS: Mapping[str, tuple[str, str]] = {
    "codequality": ("reconciler.reports.gitlab_reports", "codequality_report"),
    "github": ("reconciler.reports.github_report", "github_report"),
    "html": ("reconciler.reports.html_report", "html_report"),
    "json": ("reconciler.reports.json_report", "json_report"),
    "junit": ("reconciler.reports.junit_report", "junit_report"),
    "markdown": ("reconciler.reports.markdown_report", "markdown_report"),
    "sarif": ("reconciler.reports.sarif_report", "sarif_report"),
    "terraform": ("reconciler.reports.gitlab_reports", "terraform_report"),
}


# Those that show `Subject.access`, which has to be read for them.
WITH_ACCESS = frozenset({"html"})


def writer_of(name: str) -> Writer:
    """The function behind a format of ``FORMATS``."""
    module, function = FORMATS[name]
    writer: Writer = getattr(import_module(module), function)
    return writer
