"""Reads many things as one consistent picture: all agents in pages, and the keys of many agents."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from reconciler import errors
from reconciler.alter.wire import Page
from reconciler.model.activity import AuditEvent, RegistryEntry
from reconciler.model.agent import AgentId, LiveAgent
from reconciler.model.key import AgentKey
from reconciler.ports import AgentApi, AuditFeed

T = TypeVar("T")

PAGE_SIZE = 1000
PAGES_AHEAD = 4
MAX_READS = 6
# In random order each walk misses about a third of a large fleet: six of them find 2,500 agents one time in
# four, sixteen find 10,000 practically always. Only for walks that can be united, which is progress.
MAX_UNITED_READS = 16


@dataclass(frozen=True, slots=True)
class _Read:
    """One walk through the pages. ``total`` is ``None`` when the pages did not agree on it."""

    agents: dict[AgentId, LiveAgent]
    total: int | None
    pages: int
    reached_end: bool

    @property
    def is_whole(self) -> bool:
        """Nothing moved while we walked, as far as one can see."""
        return self.reached_end and self.total == len(self.agents)

    @property
    def content(self) -> tuple[tuple[AgentId, int], ...]:
        """What a second walk has to repeat; in another order its pages may have left out others."""
        seen = [(agent.id, agent.version) for agent in self.agents.values()]
        return tuple(seen if self.pages > 1 else sorted(seen))


@dataclass(slots=True)
class _Union:
    """The agents of successive walks that all saw the same ``total``."""

    agents: dict[AgentId, LiveAgent] = field(default_factory=dict)
    total: int | None = None

    def take_in(self, read: _Read) -> bool:
        """Adds a walk; ``False`` when it does not go with the ones before and starts over."""
        if read.total is not None and read.total == self.total:
            for agent in read.agents.values():
                _keep_newest(self.agents, agent)
            # More than there can be: one that we saw is gone, and another came in its place.
            if len(self.agents) <= self.total:
                return True
        self.agents, self.total = dict(read.agents), read.total
        return False

    @property
    def is_whole(self) -> bool:
        return len(self.agents) == self.total


def read_agents(fetch_page: Callable[[int], Page], *, with_revoked: bool = False) -> tuple[LiveAgent, ...]:
    """All agents in order of their names, the revoked ones only if asked for. ``fetch_page`` takes an offset.

    Pages shift while agents come and go, and some servers give them in no fixed order. So a walk that does
    not add up is repeated: until one does, or two in succession are the same, or all since the total last
    changed add up together. After six, sixteen when the total holds still, it is ``errors.Unreachable``.
    """
    before: _Read | None = None
    union = _Union()
    reads = 0
    is_united = True
    while reads < (MAX_UNITED_READS if is_united else MAX_READS):
        read = _walk(fetch_page)
        reads += 1
        is_united = union.take_in(read)
        if read.is_whole or (before is not None and before.content == read.content):
            return _sorted(read.agents, with_revoked=with_revoked)
        if is_united and union.is_whole:
            return _sorted(union.agents, with_revoked=with_revoked)
        before = read
    raise errors.Unreachable(
        f"the list of agents keeps changing, itself or its order: {reads} reads do not add up",
        code="list_unstable",
        hint="try again while nobody creates or revokes agents; if that does not help, this server gives"
        " its pages in another order each time, or a wrong total",
        sent=False,
    )


def read_keys(
    api: AgentApi, agent_ids: Iterable[AgentId], *, parallelism: int
) -> dict[AgentId, tuple[AgentKey, ...]]:
    """The keys of each agent. The first failure ends it all: half a picture is none."""
    return read_each(api.list_keys, agent_ids, parallelism=parallelism)


def read_events(
    feed: AuditFeed, agent_ids: Iterable[AgentId], *, parallelism: int
) -> dict[AgentId, tuple[AuditEvent, ...]]:
    """What was done to each agent lately, newest first."""
    return read_each(feed.audit_events, agent_ids, parallelism=parallelism)


def read_registry(feed: AuditFeed) -> tuple[RegistryEntry, ...]:
    """Every actor seen in audit data, each once, page by page."""
    found: dict[str, RegistryEntry] = {}
    offset = 0
    while page := feed.registry(limit=PAGE_SIZE, offset=offset):
        known = len(found)
        found |= {entry.actor_id: entry for entry in page}
        offset += len(page)
        # A page that is not full is the last one, and one without anything new would go on for ever.
        if len(page) < PAGE_SIZE or len(found) == known:
            break
    return tuple(found.values())


def read_each(
    read: Callable[[AgentId], T], agent_ids: Iterable[AgentId], *, parallelism: int
) -> dict[AgentId, T]:
    """What ``read`` gives for each id, side by side. The first failure ends it all."""
    wanted = tuple(dict.fromkeys(agent_ids))
    pool = ThreadPoolExecutor(max_workers=parallelism, thread_name_prefix="reads")
    try:
        return dict(zip(wanted, pool.map(read, wanted), strict=True))
    finally:
        pool.shutdown(cancel_futures=True)


def _sorted(agents: Mapping[AgentId, LiveAgent], *, with_revoked: bool) -> tuple[LiveAgent, ...]:
    wanted = (agent for agent in agents.values() if with_revoked or agent.status != "revoked")
    return tuple(sorted(wanted, key=lambda agent: (agent.name, agent.created_at)))


def _keep_newest(agents: dict[AgentId, LiveAgent], agent: LiveAgent) -> None:
    held = agents.get(agent.id)
    if held is None or held.version <= agent.version:
        agents[agent.id] = agent


class _Pages:
    """Pages by their offset. A full page says how many agents there are, and the next ones are fetched ahead.

    Not a request more is made for it, unless a later page turns out to be a short one.
    """

    def __init__(self, fetch_page: Callable[[int], Page], pool: ThreadPoolExecutor) -> None:
        self._fetch = fetch_page
        self._pool = pool
        self._coming: dict[int, Future[Page]] = {}

    def at(self, offset: int) -> Page:
        coming = self._coming.pop(offset, None)
        page = self._fetch(offset) if coming is None else coming.result()
        if page.has_more and len(page.agents) == PAGE_SIZE:
            first = offset + PAGE_SIZE
            for ahead in range(first, min(page.total, first + PAGES_AHEAD * PAGE_SIZE), PAGE_SIZE):
                if ahead not in self._coming:
                    self._coming[ahead] = self._pool.submit(self._fetch, ahead)
        return page


def _walk(fetch_page: Callable[[int], Page]) -> _Read:
    pool = ThreadPoolExecutor(max_workers=PAGES_AHEAD, thread_name_prefix="pages")
    try:
        return _read_on(_Pages(fetch_page, pool))
    finally:
        pool.shutdown(cancel_futures=True)


def _read_on(source: _Pages) -> _Read:
    """Page after page, up to the end of the list or to one that it does not go on from."""
    agents: dict[AgentId, LiveAgent] = {}
    totals: set[int] = set()
    offset = pages = 0
    page_before: tuple[LiveAgent, ...] = ()
    while True:
        page = source.at(offset)
        pages += 1
        if page.has_more and (not page.agents or page.agents == page_before):
            raise errors.BadAnswer(
                "the list of agents promises more and does not go on",
                code="endless_list",
                hint="this server, or something before it, ignores the parameter offset",
            )
        known = len(agents)
        totals.add(page.total)
        for agent in page.agents:
            _keep_newest(agents, agent)
        offset += len(page.agents)
        page_before = page.agents
        # A page without anything new means that the list moved under us: begin again rather than go on.
        if not page.has_more or len(agents) == known:
            total = totals.pop() if len(totals) == 1 else None
            return _Read(agents, total, pages=pages, reached_end=not page.has_more)
