"""The report ``html``: one file with everything in it, that asks the network for nothing.

Nothing that comes from outside is ever markup. The template escapes what it shows, the rest stands in a block
of data and becomes text in the page; a policy in the page names the one style and the one script that count.
"""

from __future__ import annotations

import json
from base64 import b64encode
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from reconciler.reports.escaping import COMMAND_LIMIT, for_data_block, for_html
from reconciler.reports.html_headline import headline_of
from reconciler.reports.html_rows import Rows, rows_of
from reconciler.reports.html_strings import TIGHT, Lengths
from reconciler.reports.subject import Subject
from reconciler.reports.view import view_of

if TYPE_CHECKING:
    from jinja2 import Environment

# Beyond this much data a browser takes its time, and CI keeps no artifact gladly.
MAX_DATA = 6_000_000
_SCRIPTS = ("data.js", "rows.js", "changes.js", "access.js", "keys.js", "page.js")


def html_report(subject: Subject) -> str:
    """The page. One that would become too large shows less of each text, and says so."""
    plan = view_of(subject.plan, command=subject.apply_command) if subject.plan else None
    rows = rows_of(subject, plan, Lengths())
    data = _data_block(rows)
    is_tight = len(data) > MAX_DATA
    if is_tight:
        rows = rows_of(subject, plan, TIGHT)
        data = _data_block(rows)
    style, script = _asset("page.css"), _script()
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    # The template escapes everything but the last three, which are ours or were made inert above.
    return (
        _environment()
        .get_template("page.html")
        .render(
            head=headline_of(subject, plan, rows),
            subject=subject,
            rows=rows,
            is_tight=is_tight,
            policy=policy,
            style=style,
            script=script,
            data=data,
        )
    )


def _data_block(rows: Rows) -> str:
    return for_data_block(json.dumps(rows.data, ensure_ascii=False, separators=(",", ":")))


def _script() -> str:
    parts = "\n".join(map(_asset, _SCRIPTS))
    return f'(() => {{\n"use strict";\n{parts}}})();\n'


@cache
def _asset(name: str) -> str:
    return (files("reconciler.reports") / "page" / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "sha256-" + b64encode(sha256(text.encode()).digest()).decode()


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FunctionLoader, StrictUndefined
    from markupsafe import escape

    made = Environment(
        loader=FunctionLoader(_asset),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_shown,
    )
    made.filters["number"] = lambda count: f"{count:,}"
    made.filters["whole"] = lambda text: escape(for_html(text, limit=COMMAND_LIMIT))
    return made


def _shown(value: Any) -> Any:
    """Every plain text that the template prints, made visible and cut: nobody can forget it."""
    return for_html(value, limit=1_000) if type(value) is str else value
