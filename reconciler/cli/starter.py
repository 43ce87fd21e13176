"""The texts that a folder of agents starts with: configuration, schema, ignored files, workflow."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from textwrap import indent

CONFIGURATION = "agents.yaml"
# Beside the configuration and in git with it: so every editor finds it, also offline and in a fresh clone.
SCHEMA = "agents.schema.json"
IGNORED = ".gitignore"
WORKFLOW = ".github/workflows/agents.yml"

_IGNORED_ABOUT = "# alter-sync: the embedded Alter, keys in files, saved plans"
_IGNORED_LINES = (".alter-sync/", "secrets/", "plan.json")
_GITHUB = re.compile(r"(?:https://|ssh://git@)github\.com/([\w.-]+/[\w.-]+?)(?:\.git)?/?", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}", re.ASCII)


def starter_text(owner: str, app_name: str) -> str:
    """A configuration that declares no agent yet, with comments that lead to the first one."""
    from reconciler.config.dump import dump

    text = _template("agents.yaml").replace("owner: OWNER\n", dump({"owner": owner}))
    return text.replace("  name: APP\n", indent(dump({"name": app_name}), "  "))


def schema_text() -> str:
    """What ``alter-sync schema`` prints."""
    from reconciler.config.schema import schema_document

    return json.dumps(schema_document("agents"), indent=2, ensure_ascii=False) + "\n"


def missing_lines(ignored: str) -> list[str]:
    """The lines that a ``.gitignore`` lacks, whether it names a folder with or without its slashes."""
    there = {line.strip().strip("/") for line in ignored.splitlines()}
    return [line for line in _IGNORED_LINES if line.strip("/") not in there]


def extended(ignored: str) -> str:
    """A ``.gitignore`` with what it lacks at its end, and nothing else changed."""
    missing = missing_lines(ignored)
    if not missing:
        return ignored
    gap = "" if not ignored else "\n" if ignored.endswith("\n") else "\n\n"
    return ignored + gap + "\n".join([_IGNORED_ABOUT, *missing]) + "\n"


def workflow_text(origin: str | None) -> str:
    """The workflow that ``docs/ci.md`` shows.

    ``origin`` is what pip noted on where this program came from (``direct_url.json``). After an installation
    from a commit on GitHub the workflow calls the same commit; else the places to fill in stay.
    """
    text = _template("workflow.yml")
    noted = json.loads(origin or "{}")
    repository = _GITHUB.fullmatch(noted.get("url", ""))
    commit = _COMMIT.fullmatch(noted.get("vcs_info", {}).get("commit_id", ""))
    if repository is None or commit is None:
        return text
    return text.replace("OWNER/alter-sync", repository[1]).replace("@SHA", f"@{commit[0]}")


def _template(name: str) -> str:
    return (files("reconciler.cli") / "templates" / name).read_text(encoding="utf-8")
