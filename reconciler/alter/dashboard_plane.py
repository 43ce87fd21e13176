"""The dashboard plane's agents: the ``alter`` executable behind the port ``AgentApi``.

It knows no versions to expect, no scopes, status or policy of a live agent to set, and no metadata of a new
one. So every change is made right after a look at the agent's version, and a new agent gets its mark by a
second command; what it cannot do at all is refused when the plan is made.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from reconciler import errors
from reconciler.alter import dashboard_wire as read
from reconciler.alter import snapshot
from reconciler.alter.commands import PROCESSES_AT_ONCE, Commands
from reconciler.alter.program import as_argument
from reconciler.alter.stats import ApiStats
from reconciler.alter.update import Update
from reconciler.alter.wire import Page, encode, new_agent_body
from reconciler.model.agent import AgentId, AgentName, AgentPatch, LiveAgent, NewAgent
from reconciler.model.key import AgentKey, KeyId, MintedKey
from reconciler.model.values import Json, without_nulls
from reconciler.planning.fingerprint import same

_LIVE = "active,inactive"


class DashboardPlane:
    """``AgentApi`` over processes. Safe to use from many threads."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    def stats(self) -> ApiStats:
        """What the conversation cost so far; a request is a process."""
        return self._commands.stats()

    # Agents.

    def list_agents(self, *, with_revoked: bool = False) -> tuple[LiveAgent, ...]:
        """All agents; one process for each thousand, and one for each that a list shows only in part."""
        status = f"{_LIVE},revoked" if with_revoked else _LIVE
        return self._walk(("--status", status), with_revoked=with_revoked)

    def get_agent(self, agent_id: AgentId) -> LiveAgent:
        """One agent by id, also a revoked one."""
        return self._commands.repeat("show", "--agent", agent_id, parse=self._agent)

    def find_agent(self, name: AgentName) -> LiveAgent | None:
        """The non-revoked agent of exactly that name."""
        found = self._walk(("--status", _LIVE, "--search", name))
        return next((agent for agent in found if agent.name == name), None)

    def create_agent(self, body: NewAgent, *, idempotency_key: str) -> tuple[LiveAgent, MintedKey]:  # noqa: ARG002
        """Creates, in one attempt, and then writes the metadata: this plane cannot do both at once."""
        if body.policy:
            raise _cannot("set the policy of an agent")
        document = {name: value for name, value in new_agent_body(body).items() if name != "metadata"}
        route = "alter agents create"
        try:
            answer = self._commands.run("create", "--input", "-", body=encode(document))
            agent, minted = self._agent(answer, route=route), read.read_minted(answer, route=route)
        except errors.BadAnswer as exc:
            # It ended well, so there is an agent, which nobody can tell from one that somebody else made.
            raise errors.Unreachable(exc.message, code=exc.code) from exc
        if not body.metadata:
            return agent, minted
        try:
            patch = AgentPatch(metadata={**agent.metadata, **body.metadata})
            return self.update_agent(agent.id, patch, expected_version=agent.version), minted
        except errors.ApiError as exc:
            raise errors.CreatedUnmarked(
                f"agent {agent.name!r} was created as {agent.id}, but not marked as ours: {exc.message}",
                hint=f"`alter-sync adopt {agent.name}` takes it over; the next apply replaces its lost key",
            ) from exc

    def update_agent(
        self,
        agent_id: AgentId,
        patch: AgentPatch,
        *,
        expected_version: int,
        grace_seconds: int | None = None,  # noqa: ARG002
    ) -> LiveAgent:
        """Display name and metadata. A field that is as the patch wants it may stand in it all the same."""

        def send() -> LiveAgent:
            before = self._show(agent_id)
            if before.version != expected_version:
                raise _moved(before, expected_version)
            words = _words_of(patch, before)
            if not words:
                return before
            self._commands.run("update", "--agent", agent_id, *words)
            after = self._show(agent_id)
            if after.version > expected_version + 1:  # somebody wrote between our look and our change
                raise _moved(after, expected_version)
            return after

        update = Update(
            send_patch=send,
            read_back=lambda: self._show(agent_id),
            patch=patch,
            expected_version=expected_version,
        )
        return self._commands.persist(update.attempt, route="alter agents update")

    def revoke_agent(self, agent_id: AgentId) -> LiveAgent:
        """Revokes the agent and all its keys."""
        self._commands.repeat("revoke", "--agent", agent_id, "--yes", parse=_as_given)
        return self.get_agent(agent_id)

    # Keys.

    def list_keys(self, agent_id: AgentId) -> tuple[AgentKey, ...]:
        """Every key, revoked ones too, oldest first."""
        return self._commands.repeat("list-keys", "--agent", agent_id, parse=read.read_keys)

    def mint_key(self, agent_id: AgentId) -> MintedKey:
        """One attempt. Whatever leaves the outcome open is ``errors.Unreachable``."""
        answer = self._commands.run("mint-key", "--agent", agent_id)
        try:
            return read.read_minted(answer, route="alter agents mint-key")
        except errors.BadAnswer as exc:
            raise errors.Unreachable(
                f"{exc.message}; a key may have been minted all the same", code=exc.code, hint=exc.hint
            ) from exc

    def deprecate_key(self, agent_id: AgentId, key_id: KeyId) -> AgentKey:
        """Marks a key as to be retired."""
        return self._change_key("deprecate-key", agent_id, key_id)

    def undeprecate_key(self, agent_id: AgentId, key_id: KeyId) -> AgentKey:
        """Takes the mark off again."""
        return self._change_key("undeprecate-key", agent_id, key_id)

    def revoke_key(self, agent_id: AgentId, key_id: KeyId) -> AgentKey:
        """Revokes a key, never with force."""
        return self._change_key("revoke-key", agent_id, key_id, "--yes")

    def revoke_last_key(self, agent_id: AgentId, key_id: KeyId) -> AgentKey:
        """Revokes a key with force, even the only one."""
        return self._change_key("revoke-key", agent_id, key_id, "--yes", "--force")

    def provider_scopes(self) -> Mapping[str, frozenset[str]]:
        """This plane has no catalogue."""
        raise _cannot("read the catalogue of providers")

    # How it is said.

    def _walk(self, words: Sequence[str], *, with_revoked: bool = False) -> tuple[LiveAgent, ...]:
        limit = snapshot.PAGE_SIZE
        shown: dict[AgentId, LiveAgent] = {}

        def fetch_page(offset: int) -> Page:
            def parse(document: Json, *, route: str) -> Page:
                rows = read.rows_of(document, what="agent", route=route)
                shown.update(self._shown(rows, known=shown))
                agents = [
                    shown.get(AgentId(read.agent_id_of(row))) or read.read_agent(row, route=route)
                    for row in rows
                ]
                return read.page_of(document, agents, offset=offset, limit=limit)

            page = ("--limit", str(limit), "--offset", str(offset))
            return self._commands.repeat("list", *words, *page, parse=parse)

        return snapshot.read_agents(fetch_page, with_revoked=with_revoked)

    def _shown(
        self, rows: Iterable[read.Document], *, known: Collection[AgentId]
    ) -> Mapping[AgentId, LiveAgent]:
        """The agents of which a list leaves something out, each shown once: a process for each."""
        ids = (AgentId(read.agent_id_of(row)) for row in rows if not read.is_whole_agent(row))
        wanted = [agent_id for agent_id in ids if agent_id and agent_id not in known]
        return snapshot.read_each(self._show, wanted, parallelism=PROCESSES_AT_ONCE)

    def _whole(self, row: read.Document, *, route: str) -> LiveAgent:
        """The agent of a row; what a list leaves out, ``show`` has to tell."""
        agent_id = read.agent_id_of(row)
        if agent_id and not read.is_whole_agent(row):
            return self._show(AgentId(agent_id))
        return read.read_agent(row, route=route)

    def _agent(self, document: Json, *, route: str) -> LiveAgent:
        return self._whole(read.object_of(document, what="agent", route=route), route=route)

    def _show(self, agent_id: AgentId) -> LiveAgent:
        route = "alter agents show"
        row = read.object_of(self._commands.run("show", "--agent", agent_id), what="agent", route=route)
        return read.read_agent(row, route=route)

    def _change_key(self, command: str, agent_id: AgentId, key_id: KeyId, *words: str) -> AgentKey:
        """The key afterwards, as the list of keys shows it: the answer may be no more than a yes."""
        self._commands.repeat(command, "--agent", agent_id, "--key", key_id, *words, parse=_as_given)
        found = next((key for key in self.list_keys(agent_id) if key.key_id == key_id), None)
        if found is None:
            raise errors.BadAnswer(f"alter agents {command}: key {key_id} is not listed afterwards")
        return found


def _words_of(patch: AgentPatch, live: LiveAgent) -> list[str]:
    """The options of ``update`` that bring the agent to the patch."""
    if patch.scopes is not None and patch.scopes != live.target_scopes:
        raise _cannot("change the scopes of an agent")
    if patch.status not in (None, live.status):
        raise _cannot("suspend or resume an agent")
    if patch.policy is not None and not same(patch.policy, live.policy):
        raise _cannot("change the policy of an agent")
    words: list[str] = []
    if patch.display_name not in (None, live.display_name):
        # In one word: a name may begin with a hyphen.
        words += [f"--display-name={patch.display_name}"]
    if patch.metadata is not None and not same(without_nulls(patch.metadata), without_nulls(live.metadata)):
        words += ["--metadata", as_argument(patch.metadata)]
    return words


def _moved(agent: LiveAgent, expected_version: int) -> errors.ConcurrentUpdate:
    return errors.ConcurrentUpdate(
        f"agent {agent.name}: changed by somebody else"
        f" (version {agent.version}, expected {expected_version})",
        status=409,
        hint="plan again and look at what changed",
    )


def _cannot(what: str) -> errors.ApiError:
    return errors.ApiError(
        f"the dashboard plane cannot {what}",
        code="not_on_this_plane",
        hint="set ALTER_API_KEY to the app's runtime key, so that the SDK plane is used",
    )


def _as_given(document: Json, *, route: str) -> Json:  # noqa: ARG001 - what a parser takes
    """An answer of which only counts that there was one."""
    return document
