"""Several files make one configuration, whatever their order."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.config.loader import Loaded, load
from tests.unit.config.documents import HEAD, NOW

NONE = "version: 1\nagents: {}\n"


def together(folder: Path, *texts: str) -> Loaded:
    """The files a.yaml, b.yaml … as one configuration, given in reverse order."""
    files = []
    for name, text in zip("abcdef", texts, strict=False):
        (folder / f"{name}.yaml").write_text(text)
        files.append(folder / f"{name}.yaml")
    return load(files[::-1], now=NOW)


def summary(loaded: Loaded) -> list[str]:
    return [
        f"{one.rule} {Path(one.position.file).name}:{one.position.line}"
        for one in loaded.diagnostics
        if one.position
    ]


def test_sections_are_shared_over_all_files(tmp_path: Path) -> None:
    found = together(
        tmp_path,
        HEAD
        + "templates: {t: {scopes: {}}}\nformer_owners: [z]\nfreeze: [{from: 2027-01-01, to: 2027-01-02}]\n",
        "version: 1\ndefaults: {deliver_to: local}\nformer_owners: [y]\nguards: {max_rotations_per_run: 1}\n",
        "version: 1\nrotation_policies: {p: {max_age: 1d}}\nagents: {x: {template: t, rotation: p}}\n",
        "version: 1\nagents: {w: {template: t}}\nfreeze: [{from: 2026-01-01, to: 2026-01-02}]\n",
    )
    desired = found.desired
    assert desired is not None, summary(found)
    assert list(desired.agents) == ["w", "x"]
    assert desired.agents[next(iter(desired.agents))].deliver_to == ("local",)
    assert desired.former_owners == ("y", "z")
    assert [one.start.year for one in desired.freeze] == [2026, 2027]
    assert desired.guards.max_rotations_per_run == 1
    assert desired.position.file.endswith("c.yaml")


def test_what_is_repeated_equally_is_no_contradiction(tmp_path: Path) -> None:
    more = "templates: {t: {scopes: {}}}\ndefaults: {deliver_to: local}\nguards: {max_rotations_per_run: 1}\n"
    found = together(tmp_path, HEAD + more + "agents: {x: {template: t}}", HEAD + more + "agents: {}")
    assert summary(found) == []
    assert found.desired is not None


@pytest.mark.parametrize(
    ("first", "second", "rule", "part"),
    [
        ("owner: a", "owner: b", "owner-mismatch", '("b" and "a")'),
        ("app: {name: a}", "app: {name: b}", "app-mismatch", '"b" here and "a" at'),
        ("app: {name: a, id: x}", "app: {name: a, id: y}", "app-mismatch", "app.id"),
        ("defaults: {type: agent}", "defaults: {type: service}", "defaults-mismatch", "a.yaml:2:1"),
        ("guards: {max_rotations_per_run: 1}", "guards: {}", "guards-mismatch", "a.yaml:2:1"),
        ("templates: {t: {type: agent}}", "templates: {t: {}}", "name-defined-twice", "templates.t"),
        (
            "rotation_policies: {t: {max_age: 1d}}",
            "rotation_policies: {t: {}}",
            "name-defined-twice",
            "a.yaml:2:21",
        ),
        (
            "sinks: {t: {type: file, path: x}}",
            "sinks: {t: {type: file, path: y}}",
            "name-defined-twice",
            "sinks.t",
        ),
    ],
)
def test_a_contradiction_names_both_places(
    tmp_path: Path, first: str, second: str, rule: str, part: str
) -> None:
    found = together(tmp_path, f"version: 1\n{first}\n", f"version: 1\n{second}\n", NONE)
    mine = [one for one in found.diagnostics if one.rule == rule]
    assert len(mine) == 1, summary(found)
    assert mine[0].position is not None
    assert mine[0].position.file.endswith("b.yaml")
    assert mine[0].position.line == 2
    assert part in mine[0].message
    assert "a.yaml" in mine[0].message


def test_the_parts_of_app_may_be_spread(tmp_path: Path) -> None:
    found = together(
        tmp_path,
        HEAD,
        "version: 1\napp: {name: a, id: i}\nagents: {}\n",
        "version: 1\napp: {name: a, api_key_env: K}\n",
    )
    assert found.desired is not None
    assert (found.desired.app.id, found.desired.app.api_key_env) == ("i", "K")


def test_an_agent_in_two_files_is_refused_with_both_places(tmp_path: Path) -> None:
    agents = "agents: {x: {scopes: {}, deliver_to: []}}\n"
    found = together(tmp_path, HEAD + agents, "version: 1\n" + agents)
    assert summary(found) == ["duplicate-agent b.yaml:2"]
    assert "a.yaml:5:10" in found.diagnostics[0].message


def test_owner_app_and_agents_are_needed_once(tmp_path: Path) -> None:
    found = together(tmp_path, "version: 1\n", "version: 1\nsinks: {}\n")
    assert summary(found) == ["agents-missing a.yaml:1", "missing-key a.yaml:1", "missing-key a.yaml:1"]
    assert "revoke everything" in found.diagnostics[0].message
    assert "`agents: {}`" in found.diagnostics[0].hint


def test_no_agents_at_all_can_be_declared(tmp_path: Path) -> None:
    desired = together(tmp_path, HEAD + "agents: {}").desired
    assert desired is not None
    assert desired.agents == {}
    assert (desired.position.line, desired.position.column) == (5, 1)


def test_what_is_wrong_already_is_not_reported_as_missing(tmp_path: Path) -> None:
    found = together(tmp_path, "version: 1\nowner: []\napp: {}\nagents: []\n")
    assert summary(found) == ["wrong-type a.yaml:2", "missing-key a.yaml:3", "agents-null a.yaml:4"]


def test_a_file_that_cannot_be_read_keeps_the_others_from_being_judged(tmp_path: Path) -> None:
    found = together(tmp_path, HEAD + "agents: {x: {template: elsewhere}}", "version: 1\ntemplates: {\n")
    assert summary(found) == ["yaml-syntax b.yaml:3"]


def test_findings_of_all_files_are_sorted(tmp_path: Path) -> None:
    found = together(tmp_path, HEAD + "agents: {x: {}}\nzzz: 1\n", "version: 1\nyyy: 1\n")
    assert summary(found) == [
        "deliver-to-missing a.yaml:5",
        "scopes-missing a.yaml:5",
        "unknown-key a.yaml:6",
        "unknown-key b.yaml:2",
    ]
