"""The HTML report as a file: whole, strict, escaped, of a bearable size. What it does is in tests/browser."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser

import pytest

from reconciler.model.access import Access
from reconciler.model.agent import AgentName
from reconciler.model.plan import Change
from reconciler.reports import html_report as module
from reconciler.reports.html_report import MAX_DATA, html_report
from reconciler.reports.subject import Subject
from tests.support.many_agents import many_agents
from tests.unit.reports import subjects
from tests.unit.reports.samples import EMPTY, HOSTILE, NOW, RICH, hostile_plan, operation

# Where HTML names another file, or runs or styles something without asking the policy.
_REFERS = {"src", "href", "action", "formaction", "data", "srcdoc", "poster", "background", "style", "ping"}


class Reader(HTMLParser):
    """What a page consists of, as a parser of HTML sees it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inside: dict[str, list[str]] = {"script": [], "style": []}
        self._open = ""
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open = tag
        if tag in self.inside:
            self.inside[tag].append("")

    def handle_data(self, data: str) -> None:
        if self._open in self.inside:
            self.inside[self._open][-1] += data
        else:
            self.words.append(data)

    def handle_endtag(self, tag: str) -> None:
        self._open = ""


def hashed(text: str) -> str:
    return "'sha256-" + b64encode(sha256(text.encode()).digest()).decode() + "'"


@pytest.mark.parametrize("name", list(subjects.SAMPLES))
def test_a_page_names_its_one_style_and_its_one_script_and_nothing_else(name: str) -> None:
    page = Reader(html_report(subjects.SAMPLES[name]))
    data, script = page.inside["script"]
    (style,) = page.inside["style"]
    (policy,) = [
        one["content"] for tag, one in page.tags if one.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy == (
        f"default-src 'none'; style-src {hashed(style)}; script-src {hashed(script)}; "
        "base-uri 'none'; form-action 'none'"
    )
    assert json.loads(data)["strings"] is not None


@pytest.mark.parametrize(
    "subject",
    [*subjects.SAMPLES.values(), *subjects.hostile_subjects().values()],
    ids=lambda one: one.command,
)
def test_a_page_refers_to_nothing_but_itself_and_its_ci_run(subject: Subject) -> None:
    for tag, attributes in Reader(html_report(subject)).tags:
        assert tag not in {
            "img",
            "iframe",
            "link",
            "base",
            "object",
            "embed",
            "form",
            "area",
            "video",
            "audio",
        }
        assert not [one for one in attributes if one.startswith("on")]
        for refers in _REFERS & attributes.keys():
            target = attributes[refers] or ""
            assert tag == "a"
            assert target.startswith("#") or target == subjects.RUN.run_url


@pytest.mark.parametrize("name", list(subjects.hostile_subjects()))
def test_whatever_somebody_is_called_the_page_has_the_same_two_scripts(name: str) -> None:
    text = html_report(subjects.hostile_subjects()[name])
    page = Reader(text)
    assert len(page.inside["script"]) == 2
    assert len(page.inside["style"]) == 1
    # Nothing invisible, and nothing that turns what stands around it, is left in what anybody else wrote.
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]", text)
    assert not re.search("[<>&\u2028\u2029]", page.inside["script"][0])
    text.encode("utf-8")


def test_what_is_grave_stands_in_the_page_itself() -> None:
    words = " ".join(" ".join(Reader(html_report(subjects.PLAN)).words).split())
    for text in (
        "Revocations, which cannot be undone",
        "retired 9 days ago and quiet since",
        "+ google:gmail.readonly",
        "12 of 40 owned agents at once (30 %)",
        "alter-sync apply --allow revoke-in-use=busy-bot",
        "nothing lets this through",
        "template `writer` is never used",
        "dashboard-13",
    ):
        assert text in words


def test_a_long_list_of_the_grave_is_complete_and_only_for_pages_without_a_script() -> None:
    page = html_report(many_agents(1_000))
    assert page.count('<li class="item">') >= 10 + 250
    assert page.partition("<noscript><ul>")[2].partition("</noscript>")[0].count('<li class="item">') == 150


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("valid", "The configuration is valid"),
        ("invalid", "The run ended before there was anything to tell"),
        ("failure", "the key lacks agents:read"),
        ("no_changes", "no changes; 12 in sync"),
        ("no_drift", "No drift: nothing was changed outside."),
        ("apply", "3 done, 2 failed, 3 not tried; 1 blocked"),
        ("drift", "by jane@corp.example at 2026-11-24 08:55 UTC (agent.update)"),
    ],
)
def test_every_end_of_a_run_has_its_words(name: str, words: str) -> None:
    assert words in " ".join(" ".join(Reader(html_report(subjects.SAMPLES[name])).words).split())


def test_a_command_is_never_cut() -> None:
    target = "tenant-" + "x" * 4_000
    page = html_report(subjects.subject("plan", plan=replace(RICH, targets=(target,))))
    assert page.count(f"apply --target {target}") >= 2


def test_a_page_that_would_be_too_large_shortens_its_texts_and_says_so() -> None:
    long = [f"{number}-" + "v" * 280 for number in range(30)]

    def changes(number: int) -> list[Change]:
        return [Change(f"metadata.{at}", one, f"{number}{one}") for at, one in enumerate(long)]

    updates = tuple(operation("update_agent", f"a-{at}", "x", *changes(at)) for at in range(900))
    plan = replace(EMPTY, operations=updates)
    page = html_report(subjects.subject("plan", plan=plan))
    assert "long texts are cut" in page
    assert len(page) < MAX_DATA
    assert "long texts are cut" not in html_report(subjects.PLAN)


def test_five_thousand_agents_stay_far_below_ten_megabytes() -> None:
    assert len(html_report(many_agents()).encode()) < 6_000_000


def test_a_page_says_when_access_could_not_be_read() -> None:
    access = Access(NOW, unread="the key lacks agents:read")
    page = html_report(replace(subjects.PLAN, access=access))
    assert "What does not change was not read." in page
    assert "The keys were not read: the key lacks agents:read" in page


def test_the_parts_of_the_page_cannot_end_the_elements_that_they_stand_in() -> None:
    for name in ("page.css", *module._SCRIPTS):
        assert "</" not in re.sub(r"</(?=[\w ]*>`)", "", module._asset(name))
        assert "<!--" not in module._asset(name)
    for name in module._SCRIPTS:
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|Function\(", module._asset(name)
        )
        assert not re.search(
            r"localStorage|sessionStorage|cookie|fetch\(|XMLHttp|import\(|WebSocket", module._asset(name)
        )


def test_a_name_of_an_agent_stays_one_line_whatever_it_is() -> None:
    plan = replace(hostile_plan(), unmanaged=tuple(map(AgentName, HOSTILE)))
    words = Reader(html_report(subjects.subject("plan", plan=plan))).words
    assert "\\u202egnp.tob" in words
    assert "two\\nlines\\r\\n::add-mask::x" in words
