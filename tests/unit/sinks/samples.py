"""Keys, deliveries and references for the tests of sinks, and a search for leaks in failures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import reconciler
from reconciler.model.agent import AgentName
from reconciler.model.desired import SinkRef
from reconciler.model.diagnostic import Position
from reconciler.model.key import KeyId
from reconciler.model.secret import Secret
from reconciler.ports import Delivery

AGENT = AgentName("nightly-sync")
FIRST_KEY = "alter_ak_aaaabbbbccccddddeeeeff_abcdef"
SECOND_KEY = "alter_ak_22223333444455556666zz_ghijkl"
_PACKAGE = str(Path(reconciler.__file__).parent)


def delivery(
    plaintext: str = FIRST_KEY,
    *,
    key_id: str = "key-1",
    owner: str = "payments",
    app: str = "payments-prod",
    agent: str = AGENT,
) -> Delivery:
    return Delivery(
        owner=owner,
        app=app,
        agent=AgentName(agent),
        key_id=KeyId(key_id),
        key_prefix="alter_ak_prefix",
        plaintext=Secret(plaintext),
    )


def second_delivery() -> Delivery:
    return delivery(SECOND_KEY, key_id="key-2")


def reference(type_name: str, **settings: Any) -> SinkRef:
    return SinkRef(name="local", type=type_name, settings=settings, position=Position("agents.yaml", 3, 5))


def each(*acts: Callable[[], object]) -> tuple[Callable[[], object], ...]:
    """Several things to try in turn."""
    return acts


def told(error: BaseException) -> str:
    """All that a failure carries: messages, hints, attributes, causes, and the locals of our frames."""
    return "\n".join(_told(error, set()))


def _told(error: BaseException | None, seen: set[int]) -> Iterator[str]:
    if error is None or id(error) in seen:
        return
    seen.add(id(error))
    yield from (str(error), repr(error.args), repr(vars(error)))
    yield repr([getattr(error, name, None) for name in ("doc", "object", "hint", "message")])
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename.startswith(_PACKAGE):
            yield repr(trace.tb_frame.f_locals)
        trace = trace.tb_next
    yield from _told(error.__cause__, seen)
    yield from _told(error.__context__, seen)
