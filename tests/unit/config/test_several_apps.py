"""Files that name several apps are several configurations, and only when that is meant."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.config.loader import LoadedApps, load, load_apps
from tests.unit.config.documents import NOW

AGENT = "{scopes: {}, deliver_to: []}"


def app(name: str, *agents: str, key: str = "", more: str = "", owner: str = "team") -> str:
    own = f", api_key_env: {key}" if key else ""
    head = f"version: 1\nowner: {owner}\napp: {{name: {name}{own}}}\n"
    return head + more + "agents: {" + ", ".join(f"{agent}: {AGENT}" for agent in agents) + "}\n"


def together(folder: Path, *texts: str) -> LoadedApps:
    """The files a.yaml, b.yaml …"""
    for name, text in zip("abcdef", texts, strict=False):
        (folder / f"{name}.yaml").write_text(text)
    return load_apps([folder], now=NOW)


def summary(loaded: LoadedApps) -> list[str]:
    return [
        f"{one.rule} {Path(one.position.file).name}:{one.position.line}"
        for one in loaded.diagnostics
        if one.position
    ]


def test_each_app_is_a_configuration_of_its_own_files_in_the_order_of_names(tmp_path: Path) -> None:
    found = together(
        tmp_path,
        app("shop", "x", key="SHOP", owner="o1"),
        app("bank", "x", key="BANK", owner="o2"),
        app("shop", "y", key="SHOP", owner="o1"),
    )
    assert summary(found) == []
    assert [(one.desired.app.name, one.desired.owner, list(one.desired.agents)) for one in found.apps] == [
        ("bank", "o2", ["x"]),
        ("shop", "o1", ["x", "y"]),
    ]
    assert [[file.name for file in one.files] for one in found.apps] == [["b.yaml"], ["a.yaml", "c.yaml"]]


def test_one_app_may_be_in_files_that_do_not_name_it(tmp_path: Path) -> None:
    found = together(tmp_path, app("shop", "x"), f"version: 1\nagents: {{y: {AGENT}}}\n")
    assert [list(one.desired.agents) for one in found.apps] == [["x", "y"]]


def test_a_mistyped_name_is_refused_at_its_place_and_not_taken_for_a_second_app(tmp_path: Path) -> None:
    found = together(tmp_path, app("paymnets", "x"), app("payments", "y"), app("payments", "z"))
    assert found.apps == ()
    assert summary(found) == ["app-mismatch a.yaml:3"]  # the name that fewer files have
    (one,) = found.diagnostics
    assert "b.yaml:3:7" in one.message
    assert "ALTER_API_KEY" in one.message
    assert 'Did you mean "payments"?' in one.hint


@pytest.mark.parametrize(
    ("first", "second", "is_fine"),
    [
        ("{name: a, api_key_env: K}", "{name: b, api_key_env: K}", False),
        ("{name: a, api_key_env: K}", "{name: b, api_key_env: L}", True),
        ("{name: a, base_url: 'https://a.example'}", "{name: b, base_url: 'https://b.example'}", False),
        ("{name: a, base_url: 'https://a.example'}", "{name: b, base_url: 'https://A.example.:443/'}", False),
        ("{name: a}", "{name: b, api_key_env: ALTER_API_KEY}", False),
        ("{name: a, id: x}", "{name: b, id: y}", False),
        ("{name: a}", "{name: A}", False),
    ],
)
def test_two_apps_need_a_credential_each(tmp_path: Path, first: str, second: str, is_fine: bool) -> None:
    texts = [f"version: 1\nowner: o\napp: {text}\nagents: {{}}\n" for text in (first, second)]
    found = together(tmp_path, *texts)
    assert len(found.apps) == (2 if is_fine else 0)
    assert summary(found) == ([] if is_fine else ["app-mismatch b.yaml:3"])


def test_among_several_apps_every_file_says_which_it_is_for(tmp_path: Path) -> None:
    found = together(
        tmp_path, app("a", key="A"), app("b", key="B"), "version: 1\nsinks: {s: {type: file, path: x}}\n"
    )
    assert found.apps == ()
    assert summary(found) == ["missing-key c.yaml:1"]
    assert "There are: a, b." in found.diagnostics[0].hint


def test_what_is_wrong_with_one_app_is_wrong_with_the_run(tmp_path: Path) -> None:
    found = together(
        tmp_path,
        app("a", "x", key="A"),
        "version: 1\nowner: o\napp: {name: b, api_key_env: B}\nagents: {y: {deliver_to: []}}\n",
        app("a", "x", key="A", owner="other"),
    )
    assert found.apps == ()
    assert summary(found) == [
        "scopes-missing b.yaml:4",
        "owner-mismatch c.yaml:2",
        "duplicate-agent c.yaml:4",
    ]


def test_a_file_whose_app_is_refused_already_is_not_asked_for_it_again(tmp_path: Path) -> None:
    found = together(tmp_path, app("a", key="A"), app("b", key="B"), "version: 1\napp: {}\nagents: {}\n")
    assert found.apps == ()
    assert summary(found) == ["missing-key c.yaml:2"]


def test_two_apps_do_not_deliver_to_one_place(tmp_path: Path) -> None:
    sink = "sinks: {s: {type: file, path: 'keys/{agent}'}}\n"
    texts = [
        app(name, key=name.upper(), more=sink).replace("{}", f"{{{agent}: {{scopes: {{}}, deliver_to: s}}}}")
        for name, agent in (("a", "bot"), ("b", "bot"), ("c", "other"))
    ]
    found = together(tmp_path, *texts)
    assert summary(found) == ["same-place b.yaml:5"]
    assert "a.yaml:5:10" in found.diagnostics[0].message


NAMES = st.sampled_from(["x", "y", "z", "w"])


@given(
    files=st.lists(
        st.tuples(st.sets(NAMES), st.booleans(), st.sampled_from(["o", "p"])), min_size=1, max_size=4
    )
)
def test_files_of_one_app_mean_what_they_meant_as_one_configuration(
    files: list[tuple[set[str], bool, str]],
) -> None:
    with TemporaryDirectory() as folder:
        for number, (agents, says_app, owner) in enumerate(files):
            text = app("shop", *sorted(agents), owner=owner)
            kept = text if says_app or number == 0 else text.replace("app: {name: shop}\n", "")
            Path(folder, f"{number}.yaml").write_text(kept)
        one, apps = load([Path(folder)], now=NOW), load_apps([Path(folder)], now=NOW)
    assert apps.diagnostics == one.diagnostics
    assert [found.desired for found in apps.apps] == ([] if one.desired is None else [one.desired])
