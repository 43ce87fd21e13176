"""Reads many things as one consistent picture: all agents in pages, and the keys of many agents."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from reconciler import errors
from reconciler.alter.wire import Page
from reconciler.model.agent import AgentId, LiveAgent
from reconciler.model.key import AgentKey
from reconciler.ports import AgentApi

PAGE_SIZE = 1000
MAX_READS = 6


@dataclass(frozen=True, slots=True)
class _Read:
    """What one walk through the pages found, or several walks together. ``totals``: what pages claimed."""

    agents: dict[AgentId, LiveAgent]
    totals: frozenset[int]
    has_more: bool = False

    @property
    def is_whole(self) -> bool:
        """Nothing moved while we walked, as far as one can see."""
        return not self.has_more and self.totals == {len(self.agents)}

    def united(self, earlier: _Read) -> _Read:
        """This walk with what an earlier one found, if both were of one list as far as one can see."""
        if self.totals != earlier.totals or len(self.totals) != 1:
            return self
        agents = {**earlier.agents, **self.agents}
        return _Read(agents, self.totals)

    @property
    def content(self) -> frozenset[tuple[AgentId, int]]:
        return frozenset((agent.id, agent.version) for agent in self.agents.values())


def read_agents(fetch_page: Callable[[int], Page]) -> tuple[LiveAgent, ...]:
    """All non-revoked agents in order of their names. ``fetch_page`` takes an offset.

    Pages shift while agents come and go, and Alter promises no order. So walks are repeated, and what they
    found is put together as long as the total stays the same, until it adds up or two walks in succession
    agree; after six of them ``errors.Unreachable`` says that the list does not come to rest.
    """
    before: _Read | None = None
    for _ in range(MAX_READS):
        read = _walk(fetch_page)
        if before is not None and before.content == read.content:
            return _live(read)
        if before is not None:
            read = read.united(before)
        if read.is_whole:
            return _live(read)
        before = read
    raise errors.Unreachable(
        f"the list of agents does not come to rest: {MAX_READS} reads, and they do not add up",
        code="list_unstable",
        hint="try again; if nobody creates or revokes agents, the server's order of pages is at fault",
        sent=False,
    )


def _live(read: _Read) -> tuple[LiveAgent, ...]:
    live = (agent for agent in read.agents.values() if agent.status != "revoked")
    return tuple(sorted(live, key=lambda agent: agent.name))


def read_keys(
    api: AgentApi, agent_ids: Iterable[AgentId], *, parallelism: int
) -> dict[AgentId, tuple[AgentKey, ...]]:
    """The keys of each agent. The first failure ends it all: half a picture is none."""
    wanted = tuple(dict.fromkeys(agent_ids))
    pool = ThreadPoolExecutor(max_workers=parallelism, thread_name_prefix="keys")
    try:
        return dict(zip(wanted, pool.map(api.list_keys, wanted), strict=True))
    finally:
        pool.shutdown(cancel_futures=True)


def _walk(fetch_page: Callable[[int], Page]) -> _Read:
    agents: dict[AgentId, LiveAgent] = {}
    totals: set[int] = set()
    offset = 0
    page_before: tuple[LiveAgent, ...] = ()
    while True:
        page = fetch_page(offset)
        if page.has_more and (not page.agents or page.agents == page_before):
            raise errors.BadAnswer(
                "the list of agents promises more and does not go on",
                code="endless_list",
                hint="this server, or something before it, ignores the parameter offset",
            )
        known = len(agents)
        totals.add(page.total)
        for agent in page.agents:
            held = agents.get(agent.id)
            if held is None or held.version <= agent.version:
                agents[agent.id] = agent
        offset += len(page.agents)
        page_before = page.agents
        # A page without anything new means that the list moved under us: begin again rather than go on.
        if not page.has_more or len(agents) == known:
            return _Read(agents, frozenset(totals), has_more=page.has_more)
