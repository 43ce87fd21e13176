"""What ``init`` writes depends on what is there and on where the program came from."""

import json

import pytest

from reconciler.cli.starter import extended, missing_lines, starter_text, workflow_text
from tests.support.commands import APP, OWNER

COMMIT = "0123456789abcdef0123456789abcdef01234567"
WORKFLOWS = ("plan", "apply", "drift")


def origin(url: str, commit: str = COMMIT) -> str:
    """As pip notes it."""
    return json.dumps({"url": url, "vcs_info": {"vcs": "git", "commit_id": commit}})


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/acme/alter-sync",
        "https://github.com/acme/alter-sync.git",
        "https://github.com/acme/alter-sync/",
        "ssh://git@github.com/acme/alter-sync.git",
    ],
)
def test_the_workflow_calls_the_very_commit_that_was_installed_from_github(url: str) -> None:
    text = workflow_text(origin(url))
    for name in WORKFLOWS:
        assert f"uses: acme/alter-sync/.github/workflows/{name}.yml@{COMMIT} # v" in text
    assert ("OWNER" in text, "SHA" in text) == (False, False)


@pytest.mark.parametrize(
    "noted",
    [
        None,
        "",
        json.dumps({"url": "file:///src/alter-sync", "dir_info": {"editable": True}}),
        origin("https://gitlab.com/acme/alter-sync"),
        origin("https://github.com.example/acme/alter-sync"),
        origin("https://token@github.com/acme/alter-sync"),
        origin("https://github.com/acme/alter-sync/tree"),
        origin("https://github.com/acme/alter-sync\n"),
        origin("https://github.com/acme/alter-sync", commit="main"),
    ],
)
def test_after_any_other_installation_the_places_to_fill_in_stay(noted: str | None) -> None:
    text = workflow_text(noted)
    for name in WORKFLOWS:
        assert f"uses: OWNER/alter-sync/.github/workflows/{name}.yml@SHA # v" in text


@pytest.mark.parametrize(
    ("ignored", "missing"),
    [
        ("", [".alter-sync/", "secrets/", "plan.json"]),
        ("# secrets/\n!plan.json\nsecrets/a\n", [".alter-sync/", "secrets/", "plan.json"]),
        ("/.alter-sync\n  secrets  \n/plan.json", []),
        ("secrets/\r\n", [".alter-sync/", "plan.json"]),
    ],
)
def test_a_line_is_missing_unless_it_is_there_with_or_without_slashes(
    ignored: str, missing: list[str]
) -> None:
    assert missing_lines(ignored) == missing


@pytest.mark.parametrize("ignored", ["", "*.pyc", "*.pyc\n", "secrets/\n", ".alter-sync\nsecrets\nplan.json"])
def test_extended_twice_is_extended_once_and_begins_as_it_was(ignored: str) -> None:
    once = extended(ignored)
    assert (once.startswith(ignored), missing_lines(once), extended(once)) == (True, [], once)


def test_the_configuration_says_owner_and_app_where_the_template_leaves_a_place() -> None:
    text = starter_text(OWNER, APP)
    assert f"\nowner: {OWNER}\n" in text
    assert f"\napp:\n  name: {APP}\n" in text
    assert ("OWNER" in text, "APP" in text) == (False, False)
