"""How a configuration is called in Alter's audit log: the value of the header ``X-Alter-Caller``."""

from __future__ import annotations

from urllib.parse import quote

# alter-sdk 0.29 refuses a longer one.
MAX_CALLER_CHARACTERS = 255
# Stands in the place of an owner for what a person does with `alter-sync agents`. It is not the owner of the
# configuration: what is done by hand is, for `drift`, done outside of it.
BY_HAND = "agents"


def caller_of(owner: str) -> str:
    """Who we are in the audit log: printable ASCII, 255 characters at most, never cut inside an escape."""
    text = "alter-sync/" + quote(owner, safe="/:@+,=!$&'()*;")
    if len(text) <= MAX_CALLER_CHARACTERS:
        return text
    cut = text[:MAX_CALLER_CHARACTERS]
    return cut if "%" not in cut[-2:] else cut[: cut.rindex("%")]
