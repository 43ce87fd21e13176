from __future__ import annotations

import threading
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler import errors
from reconciler.alter.snapshot import PAGE_SIZE, read_agents, read_keys
from reconciler.alter.wire import Page, read_agent, read_key
from reconciler.model.agent import AgentId, LiveAgent
from reconciler.model.key import AgentKey
from reconciler.ports import AgentApi
from tests.unit.alter.fakes import agent_json, key_json


def agent(number: int, **changes: Any) -> LiveAgent:
    return read_agent(agent_json(number, **changes), route="GET /x")


class Pages:
    """Answers from a list of pages, the last one again and again, and counts."""

    def __init__(self, *pages: Page) -> None:
        self.pages = list(pages)
        self.offsets: list[int] = []

    def __call__(self, offset: int) -> Page:
        self.offsets.append(offset)
        return self.pages.pop(0) if len(self.pages) > 1 else self.pages[0]


def page(*agents: LiveAgent, total: int, has_more: bool = False) -> Page:
    return Page(agents, total, has_more)


def test_a_fleet_that_fits_one_page_takes_exactly_one_request_and_comes_in_order_of_names() -> None:
    pages = Pages(page(agent(3), agent(1), agent(2), total=3))
    assert [found.name for found in read_agents(pages)] == ["agent-00001", "agent-00002", "agent-00003"]
    assert pages.offsets == [0]


def test_an_empty_fleet_is_empty() -> None:
    assert read_agents(Pages(page(total=0))) == ()


def test_pages_are_followed_by_has_more_from_where_the_last_one_ended() -> None:
    pages = Pages(
        page(agent(1), agent(2), total=5, has_more=True),
        page(agent(3), agent(4), total=5, has_more=True),
        page(agent(5), total=5),
    )
    assert len(read_agents(pages)) == 5
    assert pages.offsets == [0, 2, 4]


def test_the_pages_behind_a_full_one_are_fetched_side_by_side_each_once() -> None:
    fleet = [agent(number) for number in range(2 * PAGE_SIZE + 500)]
    both_are_under_way = threading.Barrier(2, timeout=10)
    offsets: list[int] = []

    def fetch(offset: int) -> Page:
        offsets.append(offset)
        if offset:
            both_are_under_way.wait()
        end = offset + PAGE_SIZE
        return page(*fleet[offset:end], total=len(fleet), has_more=end < len(fleet))

    assert read_agents(fetch) == tuple(fleet)
    assert sorted(offsets) == [0, PAGE_SIZE, 2 * PAGE_SIZE]


def test_a_page_that_is_shorter_than_expected_is_followed_from_its_end() -> None:
    fleet = [agent(number) for number in range(2 * PAGE_SIZE + 500)]

    def fetch(offset: int) -> Page:
        end = offset + (PAGE_SIZE // 2 if offset else PAGE_SIZE)
        return page(*fleet[offset:end], total=len(fleet), has_more=end < len(fleet))

    assert read_agents(fetch) == tuple(fleet)


def test_revoked_agents_are_dropped() -> None:
    assert [a.name for a in read_agents(Pages(page(agent(1, status="revoked"), agent(2), total=2)))] == [
        "agent-00002"
    ]


def test_an_agent_on_two_pages_counts_once_with_its_higher_version() -> None:
    pages = Pages(
        page(agent(1), agent(2, version=9), total=3, has_more=True),
        page(agent(2, version=4), agent(3), total=3),
    )
    found = read_agents(pages)
    assert [(a.name[-1], a.version) for a in found] == [("1", 1), ("2", 9), ("3", 1)]
    assert len(pages.offsets) == 2


def test_a_total_that_moved_between_pages_makes_it_read_again() -> None:
    pages = Pages(
        page(agent(1), agent(2), total=4, has_more=True),
        page(agent(4), total=3),
        page(agent(1), agent(2), total=3, has_more=True),
        page(agent(4), total=3),
    )
    assert len(read_agents(pages)) == 3
    assert pages.offsets == [0, 2, 0, 2]


def test_a_total_that_never_fits_is_overruled_by_two_reads_that_agree() -> None:
    pages = Pages(page(agent(1), agent(2), total=7))
    assert len(read_agents(pages)) == 2
    assert pages.offsets == [0, 0]


def test_a_list_that_keeps_changing_is_given_up_after_sixteen_reads_while_its_total_holds_still() -> None:
    pages = Pages(*[page(agent(1, version=v), total=2) for v in range(1, 30)])
    with pytest.raises(errors.Unreachable, match="keeps changing") as caught:
        read_agents(pages)
    assert caught.value.retryable
    assert (caught.value.code, caught.value.sent) == ("list_unstable", False)
    assert len(pages.offsets) == 16


def test_a_list_whose_total_moves_too_is_given_up_after_six_reads() -> None:
    pages = Pages(*[page(agent(1, version=v), total=v + 1) for v in range(1, 30)])
    with pytest.raises(errors.Unreachable):
        read_agents(pages)
    assert len(pages.offsets) == 6


def test_an_order_that_differs_on_every_call_is_put_together_from_several_walks() -> None:
    pages = Pages(
        page(agent(1), agent(2), total=3, has_more=True),
        page(agent(2), total=3),
        page(agent(2), agent(3), total=3, has_more=True),
        page(agent(3), total=3),
    )
    assert [found.name for found in read_agents(pages)] == ["agent-00001", "agent-00002", "agent-00003"]


def test_walks_of_lists_with_different_totals_are_not_put_together() -> None:
    pages = Pages(
        page(agent(1), agent(2), total=3, has_more=True),
        page(agent(2), total=3),
        page(agent(3), agent(4), total=2),
    )
    assert [found.name for found in read_agents(pages)] == ["agent-00003", "agent-00004"]


def test_more_that_never_comes_is_an_error() -> None:
    with pytest.raises(errors.BadAnswer, match="does not go on"):
        read_agents(Pages(page(total=5, has_more=True)))


def test_a_server_that_ignores_the_offset_does_not_hold_us_for_ever() -> None:
    pages = Pages(page(agent(1), agent(2), total=5, has_more=True))
    with pytest.raises(errors.BadAnswer, match="does not go on"):
        read_agents(pages)
    assert len(pages.offsets) == 2


def test_pages_that_only_repeat_known_agents_end_a_read() -> None:
    first, again = (
        page(agent(1), agent(2), total=9, has_more=True),
        page(agent(2), agent(1), total=9, has_more=True),
    )
    pages = Pages(first, again, first, again)
    assert len(read_agents(pages)) == 2
    assert pages.offsets == [0, 2, 0, 2]


@given(sizes=st.lists(st.integers(1, 4), min_size=1, max_size=6), revoked=st.sets(st.integers(1, 24)))
def test_every_live_agent_is_read_exactly_once(sizes: list[int], revoked: set[int]) -> None:
    total = sum(sizes)
    agents = [agent(n, status="revoked" if n in revoked else "active") for n in range(1, total + 1)]

    def fetch(offset: int) -> Page:
        size = sizes[offset % len(sizes)]
        return Page(tuple(agents[offset : offset + size]), total, offset + size < total)

    names = [found.name for found in read_agents(fetch)]
    assert names == [f"agent-{n:05d}" for n in range(1, total + 1) if n not in revoked]


class KeysOnly:
    """The one method of the port that ``read_keys`` needs."""

    def __init__(self, broken: str = "") -> None:
        self.broken = broken
        self.threads: set[str] = set()
        self.calls = 0

    def list_keys(self, agent_id: AgentId) -> tuple[AgentKey, ...]:
        self.calls += 1
        self.threads.add(threading.current_thread().name)
        if agent_id == self.broken:
            raise errors.NotFound("no such agent", status=404)
        return (read_key(key_json(1, name=agent_id), route="GET /x"),)


def test_the_keys_of_many_agents_are_read_side_by_side_each_once() -> None:
    api = KeysOnly()
    ids = [AgentId(f"a{n}") for n in range(50)]
    found = read_keys(cast(AgentApi, api), [*ids, ids[0]], parallelism=4)
    assert list(found) == ids
    assert all(keys[0].name == agent_id for agent_id, keys in found.items())
    assert api.calls == 50
    assert threading.current_thread().name not in api.threads


def test_the_first_failure_ends_the_reading_of_keys() -> None:
    api = KeysOnly(broken="a3")
    with pytest.raises(errors.NotFound):
        read_keys(cast(AgentApi, api), [AgentId(f"a{n}") for n in range(2000)], parallelism=2)
    assert api.calls < 2000


def test_no_agents_have_no_keys() -> None:
    assert read_keys(cast(AgentApi, KeysOnly()), [], parallelism=4) == {}
