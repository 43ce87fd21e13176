"""Names and values that want to be more than text stay text, in every part of the HTML report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.model.access import Access, AgentAccess, KeyLine
from reconciler.model.agent import AgentName
from reconciler.model.key import KeyId
from reconciler.model.scopes import Scopes
from reconciler.reports.html_report import html_report
from tests.support.browser import Page
from tests.unit.reports import subjects
from tests.unit.reports.samples import HOSTILE, NOW

ATTACKS = (
    "<script>window.__pwned=1</script>",
    "</script><script>window.__pwned=2</script>",
    "<!--<script>window.__pwned=3</script>",
    "]]></script></style></title></noscript><img src=x onerror=window.__pwned=4>",
    '"><svg onload=window.__pwned=5>',
    "'><iframe srcdoc='<script>parent.__pwned=6</script>'></iframe>",
    '" onmouseover="window.__pwned=7" autofocus onfocus="window.__pwned=8" x="',
    "javascript:window.__pwned=9",
    "{{ 7*7 }}{% raw %}${7*7}",
    "\u2028window.__pwned=10\u2029",
    "__proto__",
    "constructor",
    "<base href=https://evil.test><link rel=stylesheet href=//evil.test/x.css>",
)
# Everything that would mean that a text has become more than text.
ALIVE = """document.querySelectorAll("img, iframe, object, embed, base, link, form, area").length
  + document.querySelectorAll("[onload], [onerror], [onmouseover], [onfocus], [autofocus]").length
  + document.querySelectorAll("[style*='url'], [href^='javascript' i]").length
  + document.scripts.length - 2 + document.styleSheets.length - 1"""


def hostile_access() -> Access:
    """The same texts in everything that is read of agents and their keys."""
    texts = (*ATTACKS, *HOSTILE)
    agents = tuple(
        AgentAccess(
            AgentName(text),
            "agent",
            "active",
            Scopes.of({text: [text], "google": [text]}),
            stage=text,
            reason=text,
            sinks=(text,),
            keys=(KeyLine(KeyId(text), text, NOW, next=text, reason=text, is_delivered=True),),
        )
        for text in texts
    )
    return Access(NOW, agents)


@pytest.mark.parametrize("name", list(subjects.hostile_subjects()))
def test_no_text_of_anybody_ever_runs(page: Page, tmp_path: Path, name: str) -> None:
    path = tmp_path / "report.html"
    path.write_text(html_report(replace(subjects.hostile_subjects()[name], access=hostile_access())), "utf-8")
    page.open(path)
    for tab in ("changes", "access", "keys"):
        page.run(f"document.getElementById('tab-{tab}').click()")
        page.settle()
        page.run(
            "document.querySelectorAll('[role=tabpanel]:not([hidden]) .open').forEach((one) => one.click())"
        )
        page.run("""document.querySelectorAll("[data-tip]").forEach((one) =>
          one.dispatchEvent(new MouseEvent("mouseover", { bubbles: true })))""")
        page.settle()
        assert page.run(ALIVE) == 0
    for attack in ATTACKS[:4]:
        page.run(f"document.getElementById('find').value = {attack!r}")
        page.run("document.getElementById('find').dispatchEvent(new Event('input'))")
    assert page.run("window.__pwned") is None
    assert page.run("({}).pwned") is None
    assert page.complaints() == []
    assert page.requests() == [path.resolve().as_uri()]


def test_a_hostile_name_is_shown_as_it_is_written(page: Page, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(html_report(replace(subjects.NO_CHANGES, access=hostile_access())), "utf-8")
    page.open(path)
    page.run("document.getElementById('tab-access').click()")
    page.settle()
    page.run("dispatchEvent(new Event('beforeprint'))")  # paper shows all rows
    shown = page.run("[...document.querySelectorAll('.matrix .name')].map((one) => one.textContent)")
    assert {"<script>window.__pwned=1</script>", "{{ 7*7 }}{% raw %}${7*7}", "__proto__"} <= set(shown)
    # What cannot be seen, or changes what is seen, is written out.
    assert {"\\u202egnp.tob", "\\x1b[2J\\x1b[31mred", "\\u2028window.__pwned=10\\u2029"} <= set(shown)
