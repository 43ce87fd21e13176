"""Groups the files of a run by the app that they name: each app is a configuration of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reconciler.config.combine import Document, Entry, sections
from reconciler.config.findings import Findings, listed, shown
from reconciler.model.desired import DEFAULT_API_KEY_ENV
from reconciler.model.diagnostic import Position
from reconciler.model.nearest import nearest
from reconciler.model.values import Json


def by_app(documents: Sequence[Document], findings: Findings) -> tuple[tuple[Document, ...], ...]:
    """The files of each app, in the order of the apps' names; all as one group unless they name several.

    A name that is mistyped would split a configuration in two, and each part would revoke what the other one
    declares. So two apps have to be two on purpose: every file says which it is for, and each app has a
    credential of its own. No group at all comes back when that is not so.
    """
    named = {document.file: entry for document in documents for entry in sections([document], "app")}
    names = {entry.data["name"] for entry in named.values()}
    if len(names) < 2:
        return (tuple(documents),)
    stray = [document for document in documents if document.file not in named]
    for document in stray:
        if ("app", "") not in document.broken:
            hint = f"Add `app: {{name: …}}`. There are: {listed(names)}."
            message = "this file does not say which app it is for, and there are several"
            findings.error("missing-key", message, Position(document.file, 1, 1), hint=hint)
    groups = {
        name: tuple(one for one in documents if one.file in named and named[one.file].data["name"] == name)
        for name in sorted(names)
    }
    places = {name: [named[one.file] for one in group] for name, group in groups.items()}
    is_clear = _each_has_its_own_key(places, findings)
    return tuple(groups.values()) if is_clear and not stray else ()


def _each_has_its_own_key(apps: Mapping[str, Sequence[Entry]], findings: Findings) -> bool:
    """Reports apps that take their key from one variable, at whatever addresses.

    A key is of one app, and two addresses may be two spellings of one.
    """
    sharing: dict[Json, list[str]] = {}
    for name, entries in apps.items():
        variable = next(
            (entry.data["api_key_env"] for entry in entries if "api_key_env" in entry.data),
            DEFAULT_API_KEY_ENV,
        )
        sharing.setdefault(variable, []).append(name)
    for variable, names in sharing.items():
        # Of two names the one that fewer files have is more likely the mistyped one.
        first, *others = sorted(names, key=lambda name: (-len(apps[name]), apps[name][0].at))
        for name in others:
            entry = apps[name][0]
            near = nearest(name, set(names) - {name})
            advice = f"Two apps need two keys: name a variable for each with app.api_key_env, not {variable}."
            findings.error(
                "app-mismatch",
                f"`app.name` is {shown(name)} here and {shown(first)} at {_place(apps[first][0])}, "
                f"and both take their key from {variable}",
                _place(entry),
                hint=f"Did you mean {shown(near)}? {advice}" if near else advice,
            )
    return all(len(names) == 1 for names in sharing.values())


def _place(entry: Entry) -> Position:
    return entry.place("name", prefers_key=True)
