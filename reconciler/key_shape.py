"""How a credential of Alter looks, and how one is hidden in whatever is told to people and programs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

# Any credential of Alter: keys of apps and agents, legacy keys (alter-sdk 0.29), personal access tokens. It
# recognises one where none may be, so it does not insist on the check sum.
KEY_SHAPE = re.compile(r"alter_(?:rk|ak|dk|pk|pat|key)_[A-Za-z0-9_-]{12,}", re.IGNORECASE)
_HIDDEN = "(key)"


def concealed(value: Any) -> Any:
    """A text or JSON value as it may be told: ``(key)`` for whatever looks like a credential, at every depth.

    Only for what is shown or saved, never for what is compared or sent: people's metadata has to survive.
    """
    if isinstance(value, str):
        # By far the most texts have no underscore, which costs a tenth of asking the pattern.
        return KEY_SHAPE.sub(_HIDDEN, value) if "_" in value else value
    if isinstance(value, Mapping):
        return {concealed(key): concealed(item) for key, item in value.items()}
    return [concealed(item) for item in value] if isinstance(value, list | tuple) else value
