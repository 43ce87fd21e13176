"""What a request is called: in messages, and where all agents share one name."""

from __future__ import annotations

import re

# What stands behind one of these is an id.
_ID = re.compile(r"/(agents|keys)/[^/]+")


def template_of(path: str) -> str:
    """A path, or a route with its method, without the ids in it."""
    return _ID.sub(r"/\1/{id}", path.partition("?")[0])


def route_of(method: str, path: str) -> str:
    """What messages call a request: without its query."""
    return f"{method} {path.partition('?')[0]}"
