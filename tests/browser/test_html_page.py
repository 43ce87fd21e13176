"""What a person sees and does in the HTML report of a rich plan."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.reports.html_report import html_report
from reconciler.reports.subject import Subject
from tests.support.browser import Page
from tests.support.many_agents import many_agents
from tests.unit.reports import subjects

# Every text that can be seen against what is behind it, where it is too faint: WCAG 2.1, 1.4.3.
FAINT = """(() => {
  const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const linear = (one) => (one <= 0.03928 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4);
  const light = (colour) => {
    const [r, g, b] = parts(colour).map((one) => linear(one / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if ((parts(colour)[3] ?? 1) === 1) return colour;
    }
    return "rgb(255,255,255)";
  };
  const speaks = (element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  const faint = new Set();
  for (const element of document.querySelectorAll("body *")) {
    // The dots of empty cells say nothing.
    if (!element.checkVisibility() || !speaks(element) || element.matches(".none")) continue;
    const [front, back] = [light(getComputedStyle(element).color), light(behind(element))];
    const ratio = (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05);
    if (ratio < 4.5) faint.add(`${element.tagName}.${element.className} ${ratio.toFixed(2)}`);
  }
  return [...faint];
})()"""


@pytest.fixture
def report(tmp_path: Path) -> Path:
    return written(tmp_path, replace(subjects.PLAN, access=many_agents(60).access))


def written(folder: Path, subject: Subject, name: str = "report.html") -> Path:
    path = folder / name
    path.write_text(html_report(subject), encoding="utf-8")
    return path


def words(page: Page, selector: str) -> list[str]:
    """What the elements say."""
    found: list[str] = page.run(
        f"[...document.querySelectorAll({selector!r})].map(one => one.innerText.replace(/\\s+/g, ' ').trim())"
    )
    return found


def focused(page: Page) -> str:
    """The element with the focus, in a word."""
    found: str = page.run("document.activeElement.id || document.activeElement.className || 'body'")
    return found


@pytest.mark.parametrize("name", list(subjects.SAMPLES))
def test_every_report_is_quiet_and_asks_nobody_for_anything(page: Page, tmp_path: Path, name: str) -> None:
    path = written(tmp_path, subjects.SAMPLES[name])
    page.open(path)
    page.settle()
    assert page.complaints() == []
    assert page.requests() == [path.resolve().as_uri()]
    assert len(words(page, "h1")) == 1


def test_the_policy_is_in_force(page: Page, report: Path) -> None:
    page.open(report)
    page.run("""(() => {
      const script = document.createElement("script");
      script.textContent = "window.__pwned = 1";
      document.body.append(script);
      document.body.insertAdjacentHTML("beforeend", "<img src=x onerror='window.__pwned = 2'>");
      return fetch("https://alter.test/").catch(() => 0).then(() => 0);
    })()""")
    page.settle()
    assert page.run("window.__pwned") is None
    assert any("Content Security Policy" in complaint for complaint in page.complaints())


def test_the_gravest_comes_first_and_the_rest_follows_agent_by_agent(page: Page, report: Path) -> None:
    page.open(report)
    # Revocations, widenings, narrowings, blocked; billing-bot gains a scope and loses one: it is in two.
    assert words(page, ".tiles b")[:4] == ["3", "3", "3", "14"]
    assert [title.rstrip(" 0123456789") for title in words(page, ".panel h2")][:3] == [
        "Revocations, which cannot be undone",
        "Widenings: who may do more than before",
        "Blocked by guards",
    ]
    first = words(page, ".agent .name")[:4]
    assert first == ["mailer", "old-bot", "shifter", "billing-bot"]
    billing = words(page, ".agent")[3]
    assert "scopes.slack + chat:write − channels:read" in billing
    assert "agents.yaml:50:3" in billing


def test_what_a_guard_refuses_names_the_flag_that_lets_it_through(page: Page, report: Path) -> None:
    page.open(report)
    (busy,) = [text for text in words(page, ".agent") if text.startswith("× busy-bot")]
    assert "Blocked by revoke-in-use" in busy
    assert "alter-sync apply --allow revoke-in-use=busy-bot" in busy


def test_an_apply_says_of_each_step_what_became_of_it(page: Page, tmp_path: Path) -> None:
    page.open(written(tmp_path, subjects.APPLIED))
    assert words(page, ".tiles span")[:3] == ["Failed", "Not tried", "Done"]
    first = words(page, ".agent")[0]
    assert "✗ failed" in first
    assert "somebody changed the agent since it was read [agent_concurrent_update]" in first
    assert "plan again and look at what they did" in first


def test_drift_is_shown_with_who_did_it_and_when(page: Page, tmp_path: Path) -> None:
    page.open(written(tmp_path, subjects.DRIFT))
    (nightly,) = [text for text in words(page, ".agent") if text.startswith("! nightly-sync")]
    assert "scopes.google + drive − calendar" in nightly
    assert "by jane@corp.example at 2026-11-24 08:55 UTC (agent.update)" in nightly


def test_the_matrix_counts_what_is_gained_and_lost_and_names_it_when_opened(page: Page, report: Path) -> None:
    page.open(report)
    page.run("document.getElementById('tab-access').click()")
    head = words(page, ".matrix thead th")
    row = page.run("""(() => { const row = [...document.querySelectorAll('.matrix tbody tr')]
      .find((one) => one.querySelector('.name').textContent === 'billing-bot');
      row.querySelector('.open').click();
      return [[...row.cells].map((one) => one.textContent), row.nextSibling.textContent]; })()""")
    assert head[0] == "Agent"
    assert row[0][head.index("slack")] == "1+1−1"
    assert row[1] == "slack+ chat:write− channels:read"
    page.run("""document.querySelector('.matrix td.some').dispatchEvent(
      new MouseEvent('mouseover', {bubbles: true}))""")
    assert page.run("!document.getElementById('tip').hidden")


def test_the_timeline_draws_every_key_and_tells_it_in_words(page: Page, report: Path) -> None:
    page.open(report)
    page.run("document.getElementById('tab-keys').click()")
    page.settle()
    drawn = page.run("""(() => { const svg = document.querySelectorAll('.life > svg')[4];
      return { label: svg.getAttribute('aria-label'), bars: svg.querySelectorAll('rect').length,
               uses: svg.querySelectorAll('.use').length, due: svg.querySelectorAll('.due').length }; })()""")
    assert drawn["label"].startswith("2 keys: Key alter_ak_o")
    for what in ("Minted 2026-", "Deprecated 2026-", "Last used 2026-", "Quiet since 2026-", "Due 2027-"):
        assert what in drawn["label"]
    assert drawn["bars"] >= 3
    assert drawn["uses"] == 2
    assert drawn["due"] == 1
    page.run("document.querySelector('.keys .open').click()")
    assert words(page, ".lives thead th") == [
        "Key", "State", "Minted", "Deprecated", "Revoked", "Last used", "Quiet since", "Next",
    ]  # fmt: skip
    assert len(words(page, ".lives tbody tr")) == 2


def test_search_and_filters_narrow_all_views_and_say_how_many_fit(page: Page, report: Path) -> None:
    page.open(report)
    everybody = words(page, "#shown")[0]
    page.press("/")
    assert focused(page) == "find"
    page.type("chat:write")
    assert words(page, "#shown") == [f"1 of {everybody}"]
    assert words(page, ".agent .name") == ["billing-bot"]
    page.run("document.getElementById('clear').click()")
    assert words(page, "#shown") == [everybody]
    for select, label, at_least in (
        ("kind", "blocked", 14),
        ("provider", "zoom", 1),
        ("stage", "overdue", 1),
    ):
        page.run(f"""(() => {{ const select = document.getElementById({select!r});
          select.value = [...select.options].find((one) => one.text.startsWith({label!r})).value;
          select.dispatchEvent(new Event('change')); }})()""")
        counts = [int(words(page, f"#tab-{tab} .count")[0]) for tab in ("changes", "access", "keys")]
        assert max(counts) >= at_least
        assert max(counts) < 60
        page.run("document.getElementById('clear').click()")
    page.run("document.querySelector('.tiles [data-kind]').click()")
    assert words(page, "#shown") == [f"3 of {everybody}"]


def test_without_a_script_everything_grave_is_still_there(page: Page, tmp_path: Path) -> None:
    page.open(written(tmp_path, many_agents(1_000)), scripts=False)
    text = page.run("document.body.innerText")
    assert "need JavaScript" in text
    assert page.run("document.querySelectorAll('.filters')[0].checkVisibility()") is False
    page.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    # Those behind a fold are there, and so are those that are too many for one.
    assert len(words(page, "#revocations .item")) == 10
    assert len(words(page, "#widenings .item")) == 250
    assert "--allow max-revocations" in words(page, "#blocked .item")[0]


def test_light_and_dark_follow_the_system_until_somebody_chooses(page: Page, report: Path) -> None:
    def ground() -> str:
        colour: str = page.run("getComputedStyle(document.body).backgroundColor")
        return colour

    page.open(report)
    light = ground()
    page.run("document.getElementById('dark').click()")
    dark = ground()
    page.prefer("dark")
    page.run("document.getElementById('auto').click()")
    assert ground() == dark != light
    page.run("document.getElementById('light').click()")
    assert ground() == light
    assert page.complaints() == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["plan", "apply", "drift", "invalid"])
def test_every_text_stands_out_from_its_ground(page: Page, tmp_path: Path, scheme: str, name: str) -> None:
    page.prefer(scheme)
    page.open(written(tmp_path, replace(subjects.SAMPLES[name], access=many_agents(30).access)))
    assert page.run(FAINT) == []
    for tab in ("access", "keys"):
        page.run(f"document.getElementById('tab-{tab}')?.click()")
        page.run("document.querySelector('[role=tabpanel]:not([hidden]) .open')?.click()")
        assert page.run(FAINT) == []


@pytest.mark.parametrize("width", [360, 800, 1400])
def test_no_width_makes_the_page_scroll_sideways(page: Page, report: Path, width: int) -> None:
    page.open(report, width=width)
    for tab in ("changes", "access", "keys"):
        page.run(f"document.getElementById('tab-{tab}').click()")
        page.settle()
        assert page.run("document.documentElement.scrollWidth") <= width, tab


def test_a_keyboard_reaches_and_works_every_control(page: Page, report: Path) -> None:
    page.open(report)
    walk: list[str] = []
    while "open" not in walk and len(walk) < 60:
        page.press("Tab")
        walk.append(focused(page))
        assert (
            page.run("getComputedStyle(document.activeElement).outlineStyle") != "none" or walk[-1] == "auto"
        )
    assert walk[:2] == ["skip", "auto"]
    reached = [name for name in walk if name in {"find", "kind", "provider", "stage", "tab-changes", "open"}]
    assert reached == ["find", "kind", "provider", "stage", "tab-changes", "open"]
    page.press("Enter")
    assert page.run("document.activeElement.getAttribute('aria-expanded')") == "false"
    assert page.run(
        "document.querySelector('.agent .body') === document.querySelectorAll('.agent')[1].lastChild"
    )
    page.run("document.getElementById('tab-changes').focus()")
    page.press("ArrowRight")
    assert focused(page) == "tab-access"
    assert page.run("document.getElementById('view-changes').hidden") is True
    page.press("ArrowLeft")
    page.press("ArrowLeft")
    assert focused(page) == "tab-keys"


def test_a_screen_reader_finds_landmarks_names_and_tables(page: Page, report: Path) -> None:
    page.open(report)
    page.run("document.getElementById('tab-keys').click()")
    nodes = page.call("Accessibility.getFullAXTree")["nodes"]
    seen = [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in nodes
        if not node["ignored"]
    ]
    roles = {role for role, _ in seen}
    assert {"banner", "main", "navigation", "search", "contentinfo", "tablist", "status", "table"} <= roles
    for role in ("searchbox", "combobox", "radio", "tab", "button", "link", "table"):
        names = [name for found, name in seen if found == role]
        assert names, role
        assert all(names), role
    assert page.run("[...document.querySelectorAll('table')].every((one) => one.caption)")
    assert page.run("[...document.querySelectorAll('th')].every((one) => one.scope)")
