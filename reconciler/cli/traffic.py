"""Tells what goes between us and Alter: on stderr those who want to know, and the trace."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from reconciler.cli.console import Console

if TYPE_CHECKING:
    from reconciler.alter.retry import ApiEvent, Exchange
    from reconciler.alter.stats import ApiStats

# Who waited that long without having asked for it wants to know what for.
_LONG_SECONDS = 2.0
_MANY_RETRIES = 5


class HasStats(Protocol):
    """A conversation that counts what it costs."""

    def stats(self) -> ApiStats: ...


@dataclass(frozen=True, slots=True)
class Traffic:
    """Listens to one conversation, from whatever thread speaks."""

    console: Console

    def on_exchange(self, exchange: Exchange) -> None:
        """One request, and what made it one more attempt. Neither its body nor its query."""
        self.console.trace.exchanged(exchange)
        if not self.console.is_verbose:
            return
        result = str(exchange.status) if exchange.status else exchange.error or "done"
        parts = [f"{exchange.route}: {result} in {exchange.seconds * 1000:.0f} ms"]
        if exchange.attempt > 1:
            parts.append(f"attempt {exchange.attempt} after {exchange.reason}")
        if exchange.request_id:
            parts.append(f"request {exchange.request_id}")
        self.console.say(", ".join(parts))

    def on_event(self, event: ApiEvent) -> None:
        """A wait that begins."""
        self.console.trace.retried(event)
        if self.console.is_verbose or event.attempt >= 3:  # one hiccup is nobody's business, a long wait is
            what = f"{event.route}: {event.reason}, trying again" if event.attempt else "rate limit: going on"
            self.console.say(f"{what} in {event.wait_seconds:.1f} s")

    @contextmanager
    def summed_up(self, conversation: HasStats) -> Iterator[None]:
        """What it cost, when it is over: for those who want to know, and for all when it waited much."""
        try:
            yield
        finally:
            cost = conversation.stats()
            is_worth_telling = cost.waited_seconds >= _LONG_SECONDS or cost.retries >= _MANY_RETRIES
            if cost.requests and (self.console.is_verbose or is_worth_telling):
                self.console.say(
                    f"{_count(cost.requests, 'request')}, at most {cost.peak} at once, "
                    f"{_count(cost.retries, 'retry', 'retries')}, {cost.waited_seconds:.1f} s waited"
                )


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
