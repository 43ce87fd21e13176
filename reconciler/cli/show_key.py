"""Shows the plaintext of a new key, once, because a person asked for it: the only place that does."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

from reconciler.cli.console import Console
from reconciler.errors import UsageError
from reconciler.model.secret import Secret


def check_stdout(console: Console) -> None:
    """Refuses, while there is no key yet, a stdout on which nobody would see it."""
    if console.fields and "api_key" not in console.fields:
        raise UsageError(
            "--show-key prints the key in the field api_key, which --fields leaves out",
            hint="add api_key to --fields",
        )
    try:
        leads_nowhere = os.path.samestat(os.fstat(sys.stdout.fileno()), os.stat(os.devnull))
    except (OSError, ValueError):  # it has no file, as in a test
        leads_nowhere = False
    if leads_nowhere:
        raise UsageError(
            "--show-key prints the key on stdout, and that leads nowhere", hint="or use --sink NAME"
        )


def print_key(console: Console, plaintext: Secret, *, text: str, document: Mapping[str, Any]) -> None:
    """Writes what was done, and the key with it. ``OutputFailed``: nobody has seen it."""
    if console.is_table:
        console.text(f"{text}\n\n{plaintext.reveal()}")
        console.say("this key is not shown again: keep it now")
    else:
        console.document({**document, "api_key": plaintext.reveal()})
