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
MAX_READS = 4


@dataclass(frozen=True, slots=True)
class _Read:
    """One walk through the pages. ``is_whole``: nothing moved while we walked, as far as one can see."""

    agents: dict[AgentId, LiveAgent]
    is_whole: bool

    @property
    def content(self) -> frozenset[tuple[AgentId, int]]:
        return frozenset((agent.id, agent.version) for agent in self.agents.values())


def read_agents(fetch_page: Callable[[int], Page]) -> tuple[LiveAgent, ...]:
    """All non-revoked agents in order of their names. ``fetch_page`` takes an offset.

    Pages shift while agents come and go, so a walk that does not add up is repeated, until one does or two
    in succession agree; after four ``errors.Unreachable`` says that the list keeps changing.
    """
    before: _Read | None = None
    for _ in range(MAX_READS):
        read = _walk(fetch_page)
        if read.is_whole or (before is not None and before.content == read.content):
            live = (agent for agent in read.agents.values() if agent.status != "revoked")
            return tuple(sorted(live, key=lambda agent: agent.name))
        before = read
    raise errors.Unreachable(
        f"the list of agents keeps changing: {MAX_READS} reads, and no two agree",
        code="list_unstable",
        hint="wait until nobody creates or revokes agents, and try again",
        sent=False,
    )


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
            return _Read(agents, is_whole=not page.has_more and totals == {len(agents)})
