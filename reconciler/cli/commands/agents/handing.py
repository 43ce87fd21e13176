"""Where the plaintext of a new key goes: into a sink of the configuration, or onto stdout, once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from reconciler.cli.commands.agents.call import Call
from reconciler.cli.console import OutputFailed
from reconciler.cli.show_key import check_stdout, print_key
from reconciler.errors import UsageError
from reconciler.model.nearest import did_you_mean

if TYPE_CHECKING:
    from reconciler.applying.context import RunContext
    from reconciler.model.agent import LiveAgent
    from reconciler.model.desired import Desired
    from reconciler.model.key import MintedKey
    from reconciler.ports import SecretSink
    from reconciler.reports.agents_documents import HandedOver

Sink = Annotated[
    str | None,
    typer.Option("--sink", help="Deliver the key to this sink of the configuration.", metavar="NAME"),
]
ShowKey = Annotated[bool, typer.Option("--show-key", help="Print the key on stdout, once.")]


@dataclass(frozen=True, slots=True)
class Recipient:
    """Who gets the key: the sink, or whoever reads stdout. ``desired`` is the configuration, if any."""

    desired: Desired | None
    sink: SecretSink | None

    def handed_over(self, live: LiveAgent) -> HandedOver | None:
        """Where the sink keeps it."""
        from reconciler.reports.agents_documents import HandedOver

        return HandedOver(self.sink.name, self.sink.place(live.name)) if self.sink else None


def choose_recipient(call: Call, *, sink: str | None, show_key: bool, verb: str) -> Recipient:
    """The one that the flags name. Refused without one, while there is no key yet."""
    if sink is not None and show_key:
        raise UsageError("--sink and --show-key exclude each other", hint="give one of them")
    if sink is None and not show_key:
        raise UsageError(
            f"{verb} makes a key, and has to know where its plaintext goes",
            hint="--sink NAME delivers it to a sink of the configuration, --show-key prints it once",
        )
    desired = call.configuration(is_needed=sink is not None)
    if desired is None or sink is None:
        check_stdout(call.console)
        return Recipient(desired, None)
    if sink not in desired.sinks:
        names = ", ".join(desired.sinks) or "none"
        near = did_you_mean(sink, desired.sinks)
        raise UsageError(
            f"--sink {sink}: the configuration has no such sink", hint=near or f"it has: {names}"
        )
    from reconciler.cli.traced_sinks import traced_sink
    from reconciler.sinks.registry import open_sink

    opened = open_sink(desired.sinks[sink], former_owners=desired.former_owners)
    return Recipient(desired, traced_sink(opened, call.console.trace))


def show_result(
    call: Call,
    context: RunContext,
    recipient: Recipient,
    *,
    made: tuple[LiveAgent, MintedKey],
    text: str,
    document: Mapping[str, Any],
) -> None:
    """Writes what was made; with the key, if no sink has it. A key that nobody could see is taken back."""
    live, minted = made
    if recipient.sink is not None or minted.plaintext is None:
        if call.console.is_table:
            call.console.text(text)
        else:
            call.console.document(document)
        return
    try:
        print_key(call.console, minted.plaintext, text=text, document=document)
    except OutputFailed as error:
        from reconciler.applying.hand_out import take_back

        fate = take_back(context, live, minted)
        raise OutputFailed(
            f"{error.message}. A new key of agent {live.name} ({live.id}) is lost: {fate}",
            hint="mint another with `alter-sync agents mint-key`",
        ) from error
