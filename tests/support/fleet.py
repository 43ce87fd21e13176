"""A configuration, a sandbox and what lies between them, and a look at whether every promise was kept.

Everything is real but the waiting: YAML through the loader, signed HTTP to a sandbox, sinks on the disk.
"""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from reconciler.alter.sdk_plane import SdkPlane
from reconciler.alter.snapshot import read_keys
from reconciler.alter.transport import READ_SECONDS
from reconciler.applying.context import RunContext
from reconciler.applying.executor import execute
from reconciler.cli.run_identity import begin_run, dead_runs, end_run
from reconciler.config.loader import load
from reconciler.errors import ExitCode
from reconciler.model.agent import AgentId, LiveAgent
from reconciler.model.desired import Desired, DesiredAgent
from reconciler.model.key import AgentKey, KeyId
from reconciler.model.mark import MARK_KEY, RunId, format_time, parse_time
from reconciler.model.outcome import OperationOutcome, Outcome
from reconciler.model.plan import Plan
from reconciler.model.secret import Secret
from reconciler.planning.expiry import as_of
from reconciler.planning.plan_document import plan_document
from reconciler.planning.planner import LiveState, PlanOptions, make_plan, needs_keys
from reconciler.ports import AgentApi
from reconciler.reports.json_document import outcome_document
from reconciler.sandbox import SandboxServer, SandboxSettings
from reconciler.sandbox.answers import Refusal
from reconciler.sandbox.faults import FaultPlan
from reconciler.sandbox.keys import digest
from reconciler.sandbox.store import LoggedRequest
from reconciler.sinks.registry import open_sink
from tests.support.builders import allowing

Plane = TypeVar("Plane", bound=SdkPlane)

KEY = re.compile(r"alter_(?:ak|rk)_[a-z2-7]{22}_[a-z2-7]{6}")
HEAD = """\
version: 1
owner: team
app: {name: prod}
sinks:
  file: {type: file, path: "@FOLDER@/keys/{agent}.env", format: dotenv}
defaults: {deliver_to: file}
"""
"""The start of most configurations. `@FOLDER@` is the fleet's own; sinks keep what they hold in `keys`."""

# A client that has no patience: a request that the server delays is lost to it, and arrives all the same.
HASTY_READ_SECONDS = 0.1
LATE_SECONDS = 0.18
_HASTY_BUDGET_SECONDS = 0.15


class FastClock:
    """The real time, because signatures need it, and no waiting at all."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        """Does nothing."""


class Fleet:
    """One configuration on one sandbox. `apply_once` is a whole run of `alter-sync apply --yes`."""

    def __init__(self, server: SandboxServer, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self.config = folder / "agents.yaml"
        self.documents: list[str] = []
        self.api = self.connect(SdkPlane)
        self.hasty_api = self.connect(
            SdkPlane, read_seconds=HASTY_READ_SECONDS, budget_seconds=_HASTY_BUDGET_SECONDS
        )
        self.desired: Desired
        self.older: dict[str, set[KeyId]] = {}
        self.keys_may_come_late = False
        self._loaded: dict[str, Desired] = {}

    def connect(
        self,
        kind: type[Plane],
        *,
        api_key: str = "",
        budget_seconds: float = 1.0,
        read_seconds: float = READ_SECONDS,
    ) -> Plane:
        """Another connection to the sandbox, with the key that may do everything unless one is given."""
        return kind.connect(
            base_url=self.server.base_url,
            api_key=Secret(api_key or self.server.app_key()),
            owner="team",
            clock=FastClock(),
            budget_seconds=budget_seconds,
            read_seconds=read_seconds,
        )

    def close(self) -> None:
        self.api.close()
        self.hasty_api.close()

    def configure(self, text: str) -> None:
        """Writes and loads the configuration."""
        self.config.write_text(text.replace("@FOLDER@", str(self.folder)))
        if text not in self._loaded:
            loaded = load([self.config], now=datetime.now(UTC))
            assert loaded.desired is not None, loaded.diagnostics
            self._loaded[text] = loaded.desired
        self.desired = self._loaded[text]

    def order(self, *words: str) -> None:
        """Tells the store of `store.sh` how to behave, one word for each of its next calls."""
        Path(f"{self.keys}.orders").write_text("".join(f"{word}\n" for word in words))

    def start_over(self) -> None:
        """An empty sandbox and empty sinks, as if nothing had ever been applied."""
        self.server.faults.clear()
        self.server.store.reset()
        self.documents.clear()
        self.older.clear()
        self.keys_may_come_late = False
        for path in sorted(self.keys.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()

    def grow_older(self, **age: float) -> None:
        """As if all that is there had happened so much earlier: the stamps of keys and the times in marks."""
        delta = timedelta(**age)
        with self.server.store.transaction() as connection:
            for column in ("created_at", "deprecated_at", "revoked_at", "last_used_at", "unwritten_use_at"):
                connection.execute(f"UPDATE keys SET {column} = {column} - ?", (delta.total_seconds(),))
            for row in self.server.store.rows("SELECT id, metadata FROM agents"):
                metadata = json.loads(row["metadata"])
                for part in ("delivered", "claim"):
                    happened = metadata.get(MARK_KEY, {}).get(part) or {}
                    for when in happened.keys() & {"at", "made_at"}:
                        happened[when] = format_time(parse_time(happened[when]) - delta)
                connection.execute(
                    "UPDATE agents SET metadata = ? WHERE id = ?", (json.dumps(metadata), row["id"])
                )

    @property
    def keys(self) -> Path:
        """Where the sinks keep what they hold."""
        return self.folder / "keys"

    def plan(self, *, allow: Sequence[str] = (), api: AgentApi | None = None) -> Plan:
        """Reads the live state and plans, as the command line does."""
        reader = api or self.api
        agents = reader.list_agents()
        keys = read_keys(reader, needs_keys(self.desired, agents, now=datetime.now(UTC)), parallelism=1)
        options = PlanOptions("1.2.3", self.server.base_url, allow=allowing(*allow))
        state = LiveState(agents, keys, dead_runs(agents))
        plan = make_plan(self.desired, state, now=datetime.now(UTC), options=options)
        self._keep(plan_document(plan))
        return plan

    def carry_out(
        self,
        plan: Plan,
        *,
        allow: Sequence[str] = (),
        api: AgentApi | None = None,
        parallelism: int = 1,
        should_stop: Callable[[], ExitCode | None] = lambda: None,
        on_agent: Callable[[Sequence[OperationOutcome]], None] = lambda _outcomes: None,
    ) -> Outcome:
        """Carries a plan out, in a run of its own."""
        with self.run_context(allow=allow, api=api) as context:
            outcome = execute(
                context, plan, parallelism=parallelism, should_stop=should_stop, on_agent=on_agent
            )
        self._keep(outcome_document(outcome))
        defects = [one.id for one in outcome.operations if one.failure and one.failure.code == "internal"]
        assert not defects, f"internal error in {defects}"
        return outcome

    @contextmanager
    def run_context(self, *, allow: Sequence[str] = (), api: AgentApi | None = None) -> Iterator[RunContext]:
        """A run as the command line begins it; afterwards it is known to be over."""
        run = begin_run()
        try:
            yield RunContext(
                run=run,
                desired=as_of(self.desired, datetime.now(UTC)),
                api=api or self.api,
                sinks={name: open_sink(ref) for name, ref in self.desired.sinks.items()},
                clock=FastClock(),
                allow=allowing(*allow),
            )
        finally:
            end_run(RunId(run))

    def apply_once(
        self, *, allow: Sequence[str] = (), api: AgentApi | None = None, parallelism: int = 1
    ) -> tuple[Plan, Outcome]:
        """Plans and carries out. Raises what planning raises; what carrying out meets is in the outcome."""
        plan = self.plan(allow=allow, api=api)
        return plan, self.carry_out(plan, allow=allow, api=api, parallelism=parallelism)

    # What the live state looks like.

    def agent(self, name: str) -> LiveAgent:
        """The one live agent of that name."""
        [found] = [agent for agent in self.api.list_agents() if agent.name == name]
        return found

    def live_keys(self, agent_id: AgentId) -> list[AgentKey]:
        """Its keys that still authenticate."""
        return [key for key in self.api.list_keys(agent_id) if key.is_live]

    def held(self, name: str) -> list[str]:
        """Every plaintext that the sinks hold for an agent; the hidden files with replaced ones not."""
        files = sorted(path for path in self.keys.glob(f"{name}.*") if path.is_file())
        return [plaintext for path in files for plaintext in KEY.findall(path.read_text())]

    def key_id_of(self, plaintext: str) -> KeyId | None:
        """The live key that a plaintext belongs to, found without using it."""
        row = self.server.store.row(
            "SELECT id FROM keys WHERE digest = ? AND revoked_at IS NULL", digest(plaintext)
        )
        return KeyId(row["id"]) if row else None

    def mutations(self) -> list[LoggedRequest]:
        """The changing requests since the log was cleared."""
        return [request for request in self.server.store.request_log() if request.mutating]

    def settle(self) -> None:
        """Waits for requests that arrive late."""
        time.sleep(LATE_SECONDS + 0.03)

    # What must hold.

    def broken_promises(self) -> list[str]:
        """What must hold at every moment: every key that the sinks hold is live, and so are those in use.

        What a mark says was delivered is what they hold, unless a claim tells that a run is not through.
        """
        found = []
        for agent in self.api.list_agents():
            mark, declared = agent.mark, self.desired.agents.get(agent.name)
            if declared is None or mark is None or mark.delivered is None:
                continue
            alive = {key.key_id for key in self.live_keys(agent.id)}
            holds = {self.key_id_of(plaintext) for plaintext in self.held(agent.name)}
            if None in holds or (mark.claim is None and holds != {mark.delivered.key_id}):
                found.append(f"{agent.name}: recorded {mark.delivered.key_id}, but the sinks hold {holds}")
            if lost := self.older.get(agent.name, set()) - alive:
                found.append(f"{agent.name}: {lost} was in use, and is revoked")
        return found + self._forced() + self._leaks()

    def violations(self) -> list[str]:
        """What must hold once a run has reached its goal; empty when all is well. Uses no key."""
        agents = self.api.list_agents()
        counts = Counter(agent.name for agent in agents)
        found = [f"{name}: live {counts[name]} times" for name in self.desired.agents if counts[name] != 1]
        for agent in agents:
            declared = self.desired.agents.get(agent.name)
            if declared is not None:
                found += [f"{agent.name}: {fault}" for fault in self._faults_of(agent, declared)]
            elif agent.mark is not None and agent.mark.owner == self.desired.owner:
                found.append(f"{agent.name}: is owned, not declared, and live")
        return found + self._forced() + self._leaks()

    def _faults_of(self, agent: LiveAgent, declared: DesiredAgent) -> Iterator[str]:
        live, mark = self.live_keys(agent.id), agent.mark
        older = self.older.get(agent.name, set())
        if self.keys_may_come_late and mark is not None:
            # Nobody can tell such a key from one that a person made, so it goes like any older key: later.
            unused = {key.key_id for key in live if key.deprecated_at and key.is_unused}
            older = older | (unused & set(mark.retiring))
        if len(live) != 1 + len(older):
            yield f"{len(live)} live keys"
        if mark is None:
            yield "no mark"
            return
        if mark.claim is not None:
            yield f"a claim is left: {mark.claim}"
        if not declared.deliver_to:
            return
        held = self.held(agent.name)
        if mark.delivered is None or {key.key_id for key in live} != {mark.delivered.key_id, *older}:
            yield f"recorded {mark.delivered}, live {live}"
        elif set(mark.retiring) != older:
            yield f"older keys by the mark: {mark.retiring}"
        elif len(held) != len(declared.deliver_to) or len(set(held)) != 1:
            yield f"the sinks hold {len(held)} keys, {len(set(held))} different ones"
        elif self.key_id_of(held[0]) != mark.delivered.key_id:
            yield "the sinks hold another key than the recorded one"
        if {key.key_id for key in live if key.deprecated_at} != older:
            yield "its keys are deprecated or not, and should not be so"

    def unusable(self) -> list[str]:
        """The agents whose workloads cannot use what the sinks hold. Trying it counts as use."""
        names = [agent.name for agent in self.desired.agents.values() if agent.deliver_to]
        return [name for name in names if not all(self._works(key) for key in self.held(name))]

    def made_good(self, *, runs: int = 2, allow: Sequence[str] = ()) -> list[str]:
        """What is wrong after undisturbed runs, the last of which has to be one that changes nothing."""
        for _ in range(runs):
            self.apply_once(allow=allow)
        problems = self.violations() + self.unusable()
        before = len(self.mutations())
        self.apply_once(allow=allow)
        return problems + [f"still at it: {one.method} {one.path}" for one in self.mutations()[before:]]

    def _works(self, plaintext: str) -> bool:
        try:
            self.server.use_key(plaintext)
        except Refusal:
            return False
        return True

    def _forced(self) -> list[str]:
        log = self.server.store.request_log()
        return [f"forced: {one.method} {one.path}?{one.query}" for one in log if "force" in one.query]

    def _leaks(self) -> list[str]:
        database = self.server.database.name
        files = [path for path in sorted(self.folder.rglob("*")) if path.is_file()]
        outside = [
            path
            for path in files
            if not path.is_relative_to(self.keys) and not path.name.startswith(database)
        ]
        leaks = [f"a key in {path}" for path in outside if KEY.search(path.read_text(errors="replace"))]
        return leaks + ["a key in a plan or an outcome" for text in self.documents if KEY.search(text)]

    def _keep(self, document: Any) -> None:
        self.documents.append(json.dumps(document, default=str))


@contextmanager
def running_fleet(folder: Path, *, faults: FaultPlan | None = None, **settings: Any) -> Iterator[Fleet]:
    """A fleet on a sandbox of its own, both in this folder."""
    server = SandboxServer(folder / "sandbox.db", settings=SandboxSettings(**settings))
    server.faults = faults or server.faults
    with server:
        fleet = Fleet(server, folder)
        try:
            yield fleet
        finally:
            fleet.close()
