"""What is being done while things go wrong: where each story starts, and which run is disturbed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from reconciler.model.agent import AgentName, NewAgent
from reconciler.model.key import KeyId
from reconciler.model.mark import RunId
from reconciler.model.scopes import Scopes
from reconciler.planning.request import mark_patch
from tests.support.fleet import HEAD, Fleet


def agents(**blocks: str) -> str:
    """A configuration of agents, each given as a block of flow YAML."""
    return HEAD + "agents:\n" + "".join(f"  {name}: {block}\n" for name, block in blocks.items())


STORE = Path(__file__).with_name("store.sh")


def with_store(*deliver_to: str, read: str = "keys", rotation: str = "{}") -> str:
    """One agent that delivers to the store of `store.sh`, called `store`, or to `file`, or to both.

    Asked what it holds, the store tells its `keys`, or their `ids`, or is not asked (`nothing`).
    """
    argv = f'sh, "{STORE}", "@FOLDER@/keys"'
    asking = "" if read == "nothing" else f"read: [{argv}, {read}], "
    store = f"{{type: command, write: [{argv}], {asking}timeout: 1s}}"
    head = HEAD.replace("sinks:\n", f"sinks:\n  store: {store}\n")
    places = ", ".join(deliver_to)
    return head + f"agents:\n  a: {{scopes: {{}}, deliver_to: [{places}], rotation: {rotation}}}\n"


OBEDIENT_STORE = with_store("store")
PLAIN = agents(a="{scopes: {google: [gmail.readonly]}}")
# Above the largest process id of Linux.
_NO_PROCESS = 2**22 + 1


@dataclass(frozen=True, slots=True)
class Scenario:
    """One run to be disturbed. Undisturbed, it makes `calls` requests, `reads` of them GETs."""

    name: str
    configuration: str
    calls: int
    reads: int
    arrange: Callable[[Fleet], None] = lambda _fleet: None
    allow: tuple[str, ...] = ()

    def begin(self, fleet: Fleet) -> None:
        """Brings a fresh fleet to the point where the run is due."""
        self.arrange(fleet)
        fleet.configure(self.configuration)
        fleet.server.faults.clear()
        fleet.server.store.clear_request_log()


def _applied(configuration: str) -> Callable[[Fleet], None]:
    def arrange(fleet: Fleet) -> None:
        fleet.configure(configuration)
        fleet.apply_once()

    return arrange


def _made_by_hand(fleet: Fleet) -> None:
    body = NewAgent(AgentName("a"), "agent", Scopes.of({"slack": ["chat:write"]}), {"by": "hand"})
    fleet.api.create_agent(body, idempotency_key="by-hand")


def _key_delivered_but_not_recorded(fleet: Fleet) -> None:
    fleet.configure(PLAIN)
    fleet.server.faults.add("drop_before", method="PATCH", times=None)
    fleet.apply_once()
    fleet.server.faults.clear()
    _rewrite_claim(fleet, run_of_dead_process)


def _key_lost(fleet: Fleet) -> None:
    fleet.configure(PLAIN)
    fleet.server.faults.add("drop_after", method="POST", times=None)
    fleet.server.faults.add("drop_before", method="GET", nth=2, times=None)
    fleet.apply_once()
    fleet.server.faults.clear()
    _rewrite_claim(fleet, run_of_dead_process)


def _given_back(fleet: Fleet) -> None:
    """As after a sink that failed: the only key is deprecated, and the claim is nobody's."""
    _key_lost(fleet)
    live = fleet.agent("a")
    [key] = fleet.live_keys(live.id)
    fleet.api.deprecate_key(live.id, key.key_id)
    _rewrite_claim(fleet, lambda _run: RunId(""), lost=(key.key_id,))


ROTATING = (
    HEAD.replace("deliver_to: file", "deliver_to: file, rotation: {max_age: 30d}")
    + "agents:\n  a: {scopes: {google: [gmail.readonly]}}\n"
)
# The rotation of an agent without scopes, into two files.
_TWO_FILES = ROTATING.replace("sinks:\n", 'sinks:\n  raw: {type: file, path: "@FOLDER@/keys/{agent}.txt"}\n')


def _in_use(fleet: Fleet) -> None:
    """Workloads use what the sinks hold, and what they hold may not be revoked."""
    assert fleet.unusable() == []
    fleet.older["a"] = {key.key_id for key in fleet.live_keys(fleet.agent("a").id)}


def make_due(fleet: Fleet, configuration: str) -> None:
    """An agent whose key is in use and a day too old."""
    fleet.configure(configuration)
    fleet.apply_once()
    fleet.grow_older(days=31)
    _in_use(fleet)


def _due(fleet: Fleet) -> None:
    make_due(fleet, ROTATING)


def _rotation_recorded_only(fleet: Fleet) -> None:
    _due(fleet)
    fleet.server.faults.add("drop_before", method="PATCH", path="deprecate$", times=None)
    fleet.apply_once()
    fleet.server.faults.clear()
    _rewrite_claim(fleet, lambda _run: RunId(""))


def _rotation_delivered_only(fleet: Fleet) -> None:
    """The new key is in the sink, and the mark does not know it."""
    _due(fleet)
    fleet.server.faults.add("drop_before", method="PATCH", nth=2, times=None)
    fleet.apply_once()
    fleet.server.faults.clear()
    _rewrite_claim(fleet, run_of_dead_process)


def _rotation_lost(fleet: Fleet) -> None:
    """The new key is live, and nobody holds it."""
    _due(fleet)
    fleet.server.faults.add("drop_after", method="POST", times=None)
    fleet.server.faults.add("drop_before", method="GET", nth=5, times=None)
    fleet.apply_once()
    fleet.server.faults.clear()
    _rewrite_claim(fleet, run_of_dead_process)


def _quiet(fleet: Fleet) -> None:
    """The rotation is over: the new key is in use, the old one is not."""
    _due(fleet)
    fleet.apply_once()
    fleet.grow_older(days=3)
    assert fleet.unusable() == []
    fleet.older.clear()


def _sink_added(fleet: Fleet) -> None:
    fleet.configure(_TWO_FILES)
    fleet.apply_once()
    _in_use(fleet)


def run_of_dead_process(run: RunId) -> RunId:
    """The run as if its process were gone: for other processes, the runs of this one are still at work."""
    machine, _, started, tail = run.split("-")
    return RunId(f"{machine}-{_NO_PROCESS}-{started}-{tail}")


def _rewrite_claim(fleet: Fleet, change: Callable[[RunId], RunId], *, lost: tuple[KeyId, ...] = ()) -> None:
    live = fleet.agent("a")
    assert live.mark is not None
    if live.mark.claim is None:
        return
    claim = replace(live.mark.claim, run=change(live.mark.claim.run), lost=lost)
    patch = mark_patch(live, replace(live.mark, claim=claim))
    fleet.api.update_agent(live.id, patch, expected_version=live.version)


_BEFORE_UPDATE = agents(
    a="{display_name: One, metadata: {team: x, old: y}, scopes: {google: [gmail.readonly], slack: [chat]}}"
)
_AFTER_UPDATE = agents(a="{display_name: Two, metadata: {team: z}, scopes: {google: [gmail.send]}}")

_SCENARIOS = (
    Scenario("create", PLAIN, calls=3, reads=1),
    Scenario("create-undelivered", agents(a="{scopes: {}, deliver_to: []}"), calls=2, reads=1),
    Scenario("create-inactive", agents(a="{scopes: {}, status: inactive}"), calls=4, reads=1),
    Scenario("update", _AFTER_UPDATE, calls=3, reads=2, arrange=_applied(_BEFORE_UPDATE)),
    Scenario("revoke", PLAIN, calls=3, reads=2, arrange=_applied(PLAIN + "  b: {scopes: {}}\n")),
    Scenario(
        "replace",
        agents(a="{type: service, scopes: {}}"),
        calls=5,
        reads=2,
        arrange=_applied(agents(a="{type: agent, scopes: {}}")),
        allow=("replace=a",),
    ),
    Scenario(
        "adopt",
        agents(a="{scopes: {google: [gmail.readonly]}, metadata: {team: x}, deliver_to: []}"),
        calls=3,
        reads=2,
        arrange=_made_by_hand,
        allow=("unowned=a",),
    ),
    Scenario("record-delivered", PLAIN, calls=8, reads=5, arrange=_key_delivered_but_not_recorded),
    Scenario("mint-again", PLAIN, calls=10, reads=5, arrange=_key_lost),
    Scenario("mint-after-give-back", PLAIN, calls=10, reads=5, arrange=_given_back),
    Scenario("rotate", ROTATING, calls=8, reads=4, arrange=_due),
    Scenario("rotate-deprecate", ROTATING, calls=7, reads=4, arrange=_rotation_recorded_only),
    Scenario("rotate-record", ROTATING, calls=9, reads=5, arrange=_rotation_delivered_only),
    Scenario("rotate-mint-again", ROTATING, calls=10, reads=5, arrange=_rotation_lost),
    Scenario(
        "rotate-into-a-new-sink",
        _TWO_FILES.replace("deliver_to: file", "deliver_to: [file, raw]"),
        calls=8,
        reads=4,
        arrange=_sink_added,
    ),
    Scenario("retire", ROTATING, calls=8, reads=5, arrange=_quiet),
)
SCENARIOS: Mapping[str, Scenario] = {scenario.name: scenario for scenario in _SCENARIOS}
