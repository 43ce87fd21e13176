"""Whatever bytes a file holds, loading it ends with a configuration or with findings, never with a crash."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.config.loader import Loaded, load
from reconciler.errors import AlterSyncError, ExitCode
from reconciler.model.desired import Desired, DesiredAgent

EXAMPLE = Path(__file__).parents[2] / "examples" / "agents.yaml"
hostile = settings(
    max_examples=1_000,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def judge(folder: Path, raw: bytes) -> Loaded:
    """Loads the bytes and checks what holds for every input."""
    file = folder / "agents.yaml"
    file.write_bytes(raw)
    loaded = load([file])
    errors = [one for one in loaded.diagnostics if one.severity == "error"]
    assert (loaded.desired is None) == bool(errors)
    for one in loaded.diagnostics:
        assert one.rule
        assert one.message
        assert len(one.message) < 1_000
        assert one.message.isprintable(), one.message
        assert len(one.excerpt) <= 200
        assert one.position is None or (one.position.line >= 1 and one.position.column >= 1)
    return loaded


def meaning(desired: Desired) -> dict[str, Any]:
    """Everything of a configuration but where it stands."""

    def agent(one: DesiredAgent) -> dict[str, Any]:
        return {name: getattr(one, name) for name in one.__slots__ if name not in ("position", "positions")}

    return {
        "owner": desired.owner,
        "app": desired.app,
        "former_owners": desired.former_owners,
        "guards": desired.guards,
        "agents": [agent(one) for one in desired.agents.values()],
        "sinks": [(one.name, one.type, one.settings) for one in desired.sinks.values()],
        "freeze": [(one.start, one.end, one.reason) for one in desired.freeze],
    }


@hostile
@given(raw=st.binary(max_size=400))
def test_random_bytes(tmp_path: Path, raw: bytes) -> None:
    judge(tmp_path, raw)


@hostile
@given(text=st.text(alphabet=st.sampled_from(list("ab:-?[]{}&*!|>'\"%@`#,<~ \n\t0\r.é")), max_size=200))
def test_random_yaml_syntax(tmp_path: Path, text: str) -> None:
    judge(tmp_path, text.encode())


@hostile
@given(text=st.text(alphabet=st.characters(codec="utf-8"), max_size=200), prefix=st.booleans())
def test_random_unicode(tmp_path: Path, text: str, prefix: bool) -> None:
    judge(tmp_path, (("version: 1\nowner: " if prefix else "") + text).encode())


KEYS = st.sampled_from(
    [
        *("version", "owner", "app", "name", "id", "base_url", "defaults", "templates", "sinks", "guards"),
        *(
            "freeze",
            "agents",
            "scopes",
            "metadata",
            "policy",
            "template",
            "for_each",
            "deliver_to",
            "rotation",
        ),
        *(
            "rotation_policies",
            "ignore",
            "protect",
            "status",
            "type",
            "expires_at",
            "path",
            "format",
            "count",
        ),
        *(
            "max_revocations",
            "percent",
            "from",
            "to",
            "reason",
            "field",
            "until",
            "a",
            "b",
            "{a}",
            "alter-sync",
        ),
        *("google", "write", "read", "timeout"),
    ]
)
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(alphabet=st.characters(codec="utf-8"), max_size=8),
    st.sampled_from(
        ["file", "command", "vault", "1d", "2027-01-01", "9999-12-31", "{a}", "local", "a", "[]", "no"]
    ),
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=5)),
    max_leaves=25,
)


@settings(hostile, max_examples=500)
@given(tree=st.dictionaries(KEYS, TREES, max_size=8))
def test_random_structures(tmp_path: Path, tree: dict[str, Any]) -> None:
    judge(tmp_path, yaml.safe_dump({"version": 1, **tree}, allow_unicode=True).encode())


@settings(hostile, max_examples=500)
@given(agent=st.dictionaries(KEYS, TREES, max_size=6), name=st.sampled_from(["a", "a-{a}", "{b}", "é", ""]))
def test_random_agents_in_a_valid_configuration(tmp_path: Path, agent: dict[str, Any], name: str) -> None:
    document = {
        "version": 1,
        "owner": "o",
        "app": {"name": "x"},
        "templates": {"a": {"scopes": {"google": ["a"]}, "metadata": {"a": {"b": 1}}}},
        "rotation_policies": {"a": {"max_age": "1d"}},
        "sinks": {"local": {"type": "file", "path": "{agent}"}},
        "agents": {name: agent, "z": {"template": "a", "deliver_to": "local"}},
    }
    judge(tmp_path, yaml.safe_dump(document, allow_unicode=True).encode())


def mutations(seed: int, count: int) -> Iterator[bytes]:
    """The example with a few lines or characters moved, doubled, dropped or replaced."""
    chance = random.Random(seed)
    original = EXAMPLE.read_text(encoding="utf-8")
    pieces = [
        "\t",
        "{",
        "}",
        "[",
        "]",
        "&a ",
        "*a",
        "<<: ",
        "null",
        "~",
        '"',
        "'",
        "!!x ",
        "\x00",
        "\u202e",
        ": ",
        "- ",
    ]
    for _ in range(count):
        text = original
        for _ in range(chance.randint(1, 4)):
            lines = text.split("\n")
            at, other = chance.randrange(len(lines)), chance.randrange(len(lines))
            kind = chance.randrange(6)
            if kind == 0:
                lines[at], lines[other] = lines[other], lines[at]
            elif kind == 1:
                lines.insert(other, lines[at])
            elif kind == 2:
                del lines[at]
            elif kind == 3:
                lines[at] = " " * chance.randint(0, 6) + lines[at].strip()
            else:
                spot = chance.randint(0, len(lines[at]))
                lines[at] = (
                    lines[at][:spot] + chance.choice(pieces) + lines[at][spot + chance.randint(0, 3) :]
                )
            text = "\n".join(lines) or "\n"
        yield text.encode()


@pytest.mark.parametrize("seed", range(5))
def test_mutations_of_the_example(tmp_path: Path, seed: int) -> None:
    for raw in mutations(seed, 1_000):
        judge(tmp_path, raw)


def generated(seed: int, count: int) -> Iterator[bytes]:
    """Documents that are deep, wide, long or full of aliases."""
    chance = random.Random(seed)
    makers: list[Callable[[int], str]] = [
        lambda n: "[" * n,
        lambda n: "{a: " * n,
        lambda n: "- " * n,
        lambda n: "? " * n,
        lambda n: "\n".join("  " * level + "a:" for level in range(n)),
        lambda n: "[" * n + "]" * n,
        lambda n: "a: &a [x]\n" + "".join(f"b{i}: *a\n" for i in range(n)),
        lambda n: "".join(f"a{i}: &a{i} [*a{max(i - 1, 0)}, *a{max(i - 1, 0)}]\n" for i in range(n)),
        lambda n: "x: &x [y]\n" + "".join(f"a{i}: &x [*x,*x,*x,*x,*x,*x]\n" for i in range(n)),
        lambda n: "a: &a [*a]\n" * n,
        lambda n: "a" * n + ": " + "b" * n,
        lambda n: '"' + "\\u202e" * n + '"',
        lambda n: "&a " * n,
        lambda n: "!!python/object/apply:os.system " * n,
        lambda n: "---\n" * n,
        lambda n: "%TAG ! tag:x\n" * n,
        lambda n: "a: |\n" + " x\n" * n,
        lambda n: "\ufeff" * n + "a: b",
        lambda n: "a: " + "0" * n,
        lambda n: "metadata: {a: " + "9" * n + "e" + "9" * n + "}",
    ]
    head = "version: 1\nowner: o\napp: {name: x}\nagents: {}\n"
    for _ in range(count):
        text = chance.choice(makers)(int(10 ** chance.uniform(0, 2.7)))
        yield ((head if chance.random() < 0.5 else "") + text).encode()


def test_deep_wide_and_aliased_documents(tmp_path: Path) -> None:
    for raw in generated(1, 1_000):
        judge(tmp_path, raw)


@pytest.mark.parametrize("unit", ["[", "{a: ", "- ", "? ", "[\n", "{? "])
def test_a_hundred_thousand_levels(tmp_path: Path, unit: str) -> None:
    assert judge(tmp_path, (unit * 100_000).encode()).desired is None


@pytest.mark.parametrize("seed", range(3))
def test_random_paths_end_in_a_documented_exit_code(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(100):
        name = "".join(
            chance.choice("a/.\x00é\n*" + chr(chance.randrange(1, 0xD800)))
            for _ in range(chance.randint(0, 20))
        )
        with pytest.raises(AlterSyncError) as caught:
            load([tmp_path / "sub" / name.lstrip("/").replace("..", ".")])
        assert caught.value.exit_code in (ExitCode.USAGE, ExitCode.NOT_FOUND)


@settings(hostile, max_examples=150)
@given(data=st.data())
def test_the_order_of_keys_never_matters(tmp_path: Path, data: st.DataObject) -> None:
    original = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8").replace("2030-06-30", '"2030-06-30"'))
    original["freeze"] = [{"from": "2030-12-20", "to": "2031-01-03", "reason": "year end"}]

    def shuffled(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: shuffled(value[key]) for key in data.draw(st.permutations(list(value)))}
        return value

    expected = load([EXAMPLE]).desired
    found = judge(tmp_path, yaml.safe_dump(shuffled(original), sort_keys=False).encode()).desired
    assert expected is not None
    assert found is not None
    assert meaning(found) == meaning(expected)


@settings(hostile, max_examples=100)
@given(data=st.data())
def test_how_agents_are_split_over_files_never_matters(tmp_path: Path, data: st.DataObject) -> None:
    lines = EXAMPLE.read_text(encoding="utf-8").split("\nagents:\n")
    blocks = lines[1].split("\n\n")
    names = data.draw(st.permutations(["a.yaml", "b.yml", "c.yaml", "d.yaml"]))
    parts: dict[str, list[str]] = {name: [] for name in names}
    for block in blocks:
        parts[data.draw(st.sampled_from(names))].append(block)
    for index, (name, own) in enumerate(parts.items()):
        head = lines[0] if index == 0 else "version: 1\nowner: payments/agents\napp: {name: payments-prod}"
        body = "\nagents:\n" + "\n".join(own) + "\n" if own else "\nagents: {}\n"
        (tmp_path / name).write_text(head + body, encoding="utf-8")
    order = data.draw(st.permutations([tmp_path / name for name in names]))
    expected, found = load([EXAMPLE]).desired, load(order).desired
    assert expected is not None
    assert found is not None, load(order).diagnostics
    assert meaning(found) == meaning(expected)
    assert load([tmp_path]).desired == found
