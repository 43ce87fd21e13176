"""The HTML report of five thousand agents: small, and never in the way of whoever types."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.reports.html_report import html_report
from tests.support.browser import Page
from tests.support.many_agents import many_agents

# With the whole list as elements there would be hundreds of thousands.
FEW_ELEMENTS = 5_000


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("many") / "report.html"
    path.write_text(html_report(many_agents()), encoding="utf-8")
    return path


def elements(page: Page) -> int:
    count: int = page.run("document.querySelectorAll('*').length")
    return count


def test_five_thousand_agents_make_a_file_that_a_mail_would_take(report: Path) -> None:
    assert report.stat().st_size < 6_000_000


def test_each_key_press_is_answered_at_once_with_few_elements(page: Page, report: Path) -> None:
    page.open(report)
    assert elements(page) < FEW_ELEMENTS
    page.run("""(() => { window.took = []; const box = document.getElementById("find");
      box.addEventListener("input", () => { window.start = performance.now(); }, { capture: true });
      box.addEventListener("input", () => {
        document.body.offsetHeight;
        took.push(performance.now() - start);
      }); })()""")
    page.press("/")
    page.type("tenant-0421")
    assert page.run("document.getElementById('shown').textContent") == "2 of 1,850 agents"
    took = page.run("took")
    assert len(took) == len("tenant-0421")
    # It takes about ten; a busy machine may take its time, and a list that is drawn whole cannot pass.
    assert sorted(took)[len(took) // 2] < 100
    assert elements(page) < FEW_ELEMENTS
    assert page.complaints() == []


@pytest.mark.parametrize("tab", ["changes", "access", "keys"])
def test_scrolling_to_the_end_shows_the_last_agent_and_keeps_few_elements(
    page: Page, report: Path, tab: str
) -> None:
    page.open(report)
    page.run(f"document.getElementById('tab-{tab}').click()")
    for _ in range(8):
        page.run("""(() => { const inner = document.querySelector(".scroll");
          if (inner.checkVisibility()) inner.scrollTo(0, inner.scrollHeight);
          scrollTo(0, document.documentElement.scrollHeight); })()""")
        page.settle()
    last = page.run(
        "[...document.querySelectorAll('[role=tabpanel]:not([hidden]) .name')].at(-1).textContent"
    )
    assert last == ("tenant-04992-github-worker" if tab == "changes" else "tenant-04999-zoom-worker")
    assert elements(page) < FEW_ELEMENTS
    page.run("scrollTo(0, 0)")
    page.settle()
    assert elements(page) < FEW_ELEMENTS


def test_a_row_stays_open_when_it_was_scrolled_away_and_back(page: Page, report: Path) -> None:
    page.open(report)
    page.run("document.getElementById('tab-keys').click()")
    page.run("document.querySelectorAll('.keys .open')[2].click(); document.activeElement.blur()")
    page.run("scrollTo(0, 100000)")
    page.settle()
    assert page.run("document.querySelectorAll('.lives').length") == 0
    page.run("scrollTo(0, 0)")
    page.settle()
    assert page.run("document.querySelectorAll('.lives').length") == 1
    assert page.run("document.querySelectorAll('.keys .open')[2].getAttribute('aria-expanded')") == "true"
