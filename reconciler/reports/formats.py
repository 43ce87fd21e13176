"""The formats of ``--report``: a literal registry. Each turns subjects into the text of one file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module

from reconciler.reports.subject import Subject

Writer = Callable[..., str]

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
# Those that have a place for several apps; their functions take any number of subjects. The others show all
# apps as one subject.
APART = frozenset({"codequality", "json", "junit", "sarif"})


def text_of(name: str, whole: Subject, parts: Sequence[Subject] = ()) -> str:
    """The text of a format of ``FORMATS``. ``parts`` are the subjects of the apps when there are several."""
    module, function = FORMATS[name]
    writer: Writer = getattr(import_module(module), function)
    return writer(*parts) if parts and name in APART else writer(whole)
