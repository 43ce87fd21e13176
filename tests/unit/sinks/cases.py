"""What the conformance suite runs against: sinks over real stores, and a second look into those stores."""

from __future__ import annotations

import importlib
import json
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from reconciler.ports import SecretSink
from reconciler.sinks.registry import open_sink
from tests.unit.sinks.samples import AGENT, reference

STORE = Path(__file__).with_name("store_program.py")


@dataclass(frozen=True)
class Case:
    """A sink over a real store, and an independent look into that store that uses none of the sink's code.

    ``held`` is what a consumer of an agent's key would read now. ``places_with`` names all places, in the
    store and beside it, whose content holds a text, after undoing the store's own encoding or encryption;
    ``holders`` names those of them that may hold the current key of an agent. ``state`` differs after every
    write (versions, times). After ``break_store`` every write fails. ``refusal`` is ``None`` where the sink
    cannot see whose place it is.
    """

    sink: SecretSink
    held: Callable[[str], str | None]
    places_with: Callable[[str], set[str]]
    holders: Callable[[str], set[str]]
    state: Callable[[], object]
    break_store: Callable[[], None]
    place_shows: str
    tells_key_ids: bool = True
    is_readable: bool = True
    keeps_versions: bool = True
    probe_sees_owner: bool = True
    refusal: str | None = "two configurations write one place"


CaseOpener = Callable[[Path], AbstractContextManager[Case]]


def files_with(root: Path, text: str) -> set[str]:
    """The names of all files in a folder, and beside it, that hold the text."""
    found = (path for path in root.parent.rglob("*") if path.is_file())
    return {path.name for path in found if text in path.read_text()}


def versions_of_files(root: Path) -> dict[Path, int]:
    """When each file was written. A folder only counts as being there: a trial file renews its time."""
    return {path: path.stat().st_mtime_ns if path.is_file() else 0 for path in root.rglob("*")}


def put_a_file_in_place_of(root: Path) -> None:
    """Fails every write below a folder, also for root."""
    shutil.rmtree(root)
    root.write_text("a file where a folder is needed")


def file_case(format_name: str, key_in: Callable[[str], str]) -> CaseOpener:
    """A folder of files; ``key_in`` finds the key in the text of one."""

    @contextmanager
    def opened(root: Path) -> Iterator[Case]:
        path = root / "keys" / "{agent}.key"

        def held(agent: str) -> str | None:
            file = path.with_name(f"{agent}.key")
            return key_in(file.read_bytes().decode()) if file.exists() else None

        yield Case(
            sink=open_sink(reference("file", path=str(path), format=format_name)),
            held=held,
            places_with=lambda text: files_with(root, text),
            holders=lambda agent: {f"{agent}.key"},
            state=lambda: versions_of_files(root),
            break_store=lambda: put_a_file_in_place_of(root),
            place_shows=str(root / "keys" / f"{AGENT}.key"),
        )

    return opened


@contextmanager
def command_case(root: Path) -> Iterator[Case]:
    """A program that writes each time it is told to, so that only what its files hold can stay the same."""
    folder = root / "keys"
    argv = [sys.executable, "-I", "-S", str(STORE), str(folder)]

    def held(agent: str) -> str | None:
        file = folder / f"{agent}.json"
        return str(json.loads(file.read_text())["key"]) if file.exists() else None

    yield Case(
        sink=open_sink(reference("command", write=argv, read=argv, timeout="20s")),
        held=held,
        places_with=lambda text: files_with(root, text),
        holders=lambda agent: {f"{agent}.json"},
        state=lambda: {path: path.read_text() for path in root.rglob("*") if path.is_file()},
        break_store=lambda: put_a_file_in_place_of(root),
        place_shows=str(folder),
        tells_key_ids=False,
        keeps_versions=False,
        probe_sees_owner=False,
        refusal="ended with exit code 8$",
    )


def case_of(type_name: str, variant: str = "") -> CaseOpener:
    """The case in ``case_<type>.py``, imported when it runs: it takes ``Case`` from here."""

    def opened(root: Path) -> AbstractContextManager[Case]:
        module = importlib.import_module(f"tests.unit.sinks.case_{type_name}")
        opener: CaseOpener = getattr(module, f"{type_name}_case{variant}")
        return opener(root)

    return opened


CASES: Mapping[str, CaseOpener] = {
    "raw": file_case("raw", str),
    "dotenv": file_case("dotenv", lambda text: text.partition("\nAGENT_API_KEY=")[2].removesuffix("\n")),
    "json": file_case("json", lambda text: str(json.loads(text)["api_key"])),
    "command": command_case,
    "age": case_of("age"),
    "age_without_identity": case_of("age", "_without_identity"),
    "vault": case_of("vault"),
    "aws_secrets_manager": case_of("aws_secrets_manager"),
    "kubernetes": case_of("kubernetes"),
    "github_actions": case_of("github_actions"),
}
