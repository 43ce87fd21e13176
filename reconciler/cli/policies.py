"""Puts ``--policy`` together: rules from files, evaluated by a process of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.cli.boundary import ConfigInvalid

if TYPE_CHECKING:
    from reconciler.config.policies import Expression, ExpressionFault
    from reconciler.model.policy import Policies


def load_policies(folders: Sequence[Path]) -> Policies | None:
    """The rules of these folders; ``None`` when none was named, ``ConfigInvalid`` when one is wrong."""
    if not folders:
        return None
    from reconciler.config.policies import load_policies
    from reconciler.model.policy import Policies
    from reconciler.policies.process import EngineProcess, check_installed

    check_installed()
    loaded = load_policies(folders, _check)
    if not loaded.rules:
        raise ConfigInvalid(loaded.diagnostics, what="policy")
    return Policies(loaded.rules, EngineProcess().judge_of(loaded.rules))


def policy_words(folders: Sequence[Path]) -> list[str]:
    """The options again, for a command that is made to be copied: without them it would ask no rule."""
    return [word for folder in folders for word in ("--policy", str(folder))]


def _check(expressions: Sequence[Expression]) -> list[ExpressionFault | None]:
    from reconciler.config.policies import ExpressionFault
    from reconciler.policies.process import EngineProcess

    asked = [{"text": one.text, "is_condition": one.is_condition} for one in expressions]
    return [None if fault is None else ExpressionFault(*fault) for fault in EngineProcess().faults(asked)]
