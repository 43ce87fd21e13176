"""Several apps as one subject: nothing is mixed up, and what is hostile in one stays harmless in all."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.errors import ExitCode
from reconciler.model.agent import AgentName
from reconciler.model.plan import Blocked
from reconciler.reports.advice import refusals
from reconciler.reports.formats import FORMATS, text_of
from reconciler.reports.markdown_report import markdown_report
from reconciler.reports.several import merged, narrowed
from reconciler.reports.subject import Subject
from tests.unit.reports import subjects
from tests.unit.reports.inert import cells_in, foreign_in


def of_app(app: str, subject: Subject) -> Subject:
    return replace(subject, app=app, apply_command=f"alter-sync apply -c {app}.yaml")


def together(*parts: Subject) -> Subject:
    return merged(parts, whole=subjects.subject(parts[0].command, ExitCode.REFUSED, owner="", app=""))


def test_equal_plans_of_two_apps_stay_apart() -> None:
    one = together(of_app("a", subjects.PLAN), of_app("b", subjects.PLAN))
    plan, single = one.plan, subjects.PLAN.plan
    assert plan is not None
    assert single is not None
    assert len({operation.id for operation in plan.operations}) == 2 * len(single.operations)
    links = {(operation.id, *operation.depends_on) for operation in plan.operations}
    alone = [(operation.id, *operation.depends_on) for operation in single.operations]
    assert links == {tuple(f"{app}/{id_}" for id_ in ids) for app in "ab" for ids in alone}
    assert {operation.agent.partition("/")[0] for operation in plan.operations} == {"a", "b"}
    assert plan.in_sync == 2 * single.in_sync
    assert len(plan.blocked) == 2 * len(single.blocked)
    assert (one.app, one.owner) == ("2 apps", subjects.PLAN.owner)
    assert plan.plan_digest not in {"", single.plan_digest}


def test_an_interrupted_apply_of_one_app_is_one_of_all_and_goes_on_with_all() -> None:
    whole = replace(subjects.APPLIED, apply_command="alter-sync apply -c apps")
    one = merged([of_app("a", subjects.APPLIED), of_app("b", subjects.APPLIED)], whole=whole)
    assert one.outcome is not None
    assert one.outcome.interrupted is not None
    assert one.outcome.resume.startswith("alter-sync apply -c apps")
    assert len({operation.id for operation in one.outcome.operations}) == len(one.outcome.operations)


def test_what_lets_something_pass_in_one_app_does_so_in_no_other() -> None:
    entry = Blocked("freeze", AgentName("bot"), "frozen", "--allow freeze=bot")
    whole_app = Blocked("empty-config", None, "none declared", "--allow empty-config")
    plan = replace(subjects.NO_CHANGES.plan, blocked=(entry, whole_app))  # type: ignore[type-var]
    parts = [of_app("a", replace(subjects.PLAN, plan=plan)), of_app("b", subjects.NO_CHANGES)]
    one = replace(together(*parts), apply_command="alter-sync apply -c apps")
    assert one.plan is not None
    found = narrowed(refusals(one.plan.blocked, command="alter-sync apply -c apps"), one)
    assert [(view.agents, view.command) for view in found] == [
        (("a/bot",), "alter-sync apply -c a.yaml --allow freeze=bot"),
        (("a/*",), "alter-sync apply -c a.yaml --allow empty-config"),
    ]


def test_apps_that_failed_are_counted_and_the_first_are_named() -> None:
    failed = [of_app(f"app-{number}", subjects.REFUSED_BY_API) for number in range(7)]
    one = together(*failed, of_app("fine", subjects.PLAN))
    assert one.failure is not None
    assert one.failure.message.startswith("7 of 8 apps failed: app-0: ")
    assert one.failure.message.endswith("; and 2 more")
    assert one.failure.exit_code is ExitCode.REFUSED
    assert one.plan is not None


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("kind", subjects.SAMPLES)
def test_every_format_takes_several_of_every_kind(name: str, kind: str) -> None:
    parts = [of_app("a", subjects.SAMPLES[kind]), of_app("b", subjects.SAMPLES[kind])]
    assert text_of(name, together(*parts), parts)


@pytest.mark.parametrize("kind", subjects.hostile_subjects())
def test_hostile_names_of_apps_and_agents_are_inert_in_the_comment(kind: str) -> None:
    hostile = subjects.hostile_subjects()[kind]
    text = markdown_report(together(hostile, of_app("fine", hostile)))
    assert foreign_in(text, url=subjects.RUN.run_url) == []
    assert set(cells_in(text)) <= {3}
