"""A server, two sinks and consumers, as small as can be: through all crashes no key is lost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from reconciler.model.agent import AgentId, AgentName
from reconciler.model.desired import Desired, RotationPolicy
from reconciler.model.key import AgentKey, KeyId
from reconciler.model.mark import Claim, Delivered, Mark, RunId
from reconciler.model.plan import Operation, Plan
from reconciler.planning.facts import Facts
from reconciler.planning.key_plan import LOST_KEY
from reconciler.planning.planner import LiveState, PlanOptions, make_plan, needs_keys
from reconciler.planning.rotation import rotation_of
from tests.support.builders import NOW, configuration, declared, live, mark_of, sink

ALPHA, ID = AgentName("alpha"), AgentId("id-alpha")
SINKS = ("vault", "files")
CAP = 5
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@dataclass
class World:
    """What a server, the sinks and the consumers would show.

    Times of use are told late by ``lag``; or at once, but then none again for so long (``is_rare``).
    """

    desired: Desired
    lag: timedelta
    is_rare: bool
    now: datetime = NOW
    version: int = 1
    keys: dict[KeyId, AgentKey] = field(default_factory=dict)
    uses: dict[KeyId, list[datetime]] = field(default_factory=dict)
    mark: Mark = field(default_factory=mark_of)
    sinks: dict[str, KeyId] = field(default_factory=dict)
    # What the consumer loaded last from its sink.
    loaded: KeyId | None = None
    runs: int = 0
    dead: set[RunId] = field(default_factory=set)
    minted_outside: set[KeyId] = field(default_factory=set)
    deprecated_outside: set[KeyId] = field(default_factory=set)

    @property
    def policy(self) -> RotationPolicy:
        return self.desired.agents[ALPHA].rotation or RotationPolicy()

    @property
    def readable(self) -> bool:
        return all(ref.is_readable for ref in self.desired.sinks.values())

    def listed(self) -> tuple[AgentKey, ...]:
        """The keys as the server tells them."""
        return tuple(replace(key, last_used_at=self.told_use(key.key_id)) for key in self.keys.values())

    def told_use(self, key_id: KeyId) -> datetime | None:
        told: datetime | None = None
        for use in self.uses.get(key_id, ()):
            is_told = told is None or use - told >= self.lag if self.is_rare else self.now - use >= self.lag
            told = use if is_told else told
        return told

    def alive(self) -> list[KeyId]:
        return [key.key_id for key in self.keys.values() if key.is_live]

    def plan(self, *, rotate: bool = False, again: bool = False, reads_all: bool = False) -> Plan:
        desired, shown = self.desired, live(ALPHA, mark=self.mark, version=self.version)
        asked = frozenset([ALPHA] if rotate else [])
        wanted = needs_keys(desired, [shown], now=self.now, rotate=asked)
        keys = {ID: self.listed()} if wanted or reads_all else {}
        options = PlanOptions("1.2.3", rotate=asked, again=again)
        state = LiveState([shown], keys, frozenset(self.dead))
        return make_plan(desired, state, now=self.now, options=options)

    def write(self, **changes: object) -> None:
        self.mark = replace(self.mark, **changes)  # type: ignore[arg-type]
        self.version += 1

    def mint(self) -> KeyId:
        assert len(self.alive()) < CAP, "there is no room for the key that is minted"
        key_id = KeyId(f"k-{len(self.keys) + 1}")
        self.keys[key_id] = AgentKey(key_id, f"alter_ak_{key_id}", "", self.now)
        return key_id

    def revoke(self, key_id: KeyId) -> None:
        """S1, asked at the moment of every revocation."""
        assert len(self.alive()) > 1, "the last key is revoked"
        assert key_id not in self.sinks.values(), "a key that a sink holds is revoked"
        self.keys[key_id] = replace(self.keys[key_id], revoked_at=self.now)

    def check_guards(self, key_id: KeyId) -> None:
        """S2: 3.4 of the design, told anew, for a key that is not lost."""
        key, policy, delivered = self.keys[key_id], self.policy, self.mark.delivered
        assert delivered is not None
        assert delivered.key_id in self.alive(), "nothing that is delivered replaces the key"
        assert key.deprecated_at is not None, "a key is revoked that was not deprecated"
        age = self.now - key.deprecated_at
        assert age >= policy.min_overlap, "an overlap is cut short"
        used = self.uses.get(key_id, []) if self.is_rare else [*filter(None, [self.told_use(key_id)])]
        assert not used or self.now - max(used) >= policy.quiet_for, "a key is revoked that is in use"
        proof = self.told_use(delivered.key_id)
        is_spared = policy.on_overdue == "revoke" and age > policy.max_overlap
        is_proven = proof is not None and proof > delivered.at
        assert is_proven or is_spared or not policy.require_use, "the newer key is not in use yet"

    def deprecate(self, key_id: KeyId) -> None:
        key = self.keys[key_id]
        assert key_id != self.recorded(), "the delivered key is deprecated"
        assert key.deprecated_at is None, "a key is deprecated twice"
        self.keys[key_id] = replace(key, deprecated_at=self.now)

    def recorded(self) -> KeyId | None:
        return self.mark.delivered.key_id if self.mark.delivered else None

    # One run, as 3.3 of the design has it. It stops after any step when its caller stops asking for more.

    def carry_out(self, plan: Plan) -> Iterator[str]:
        by_kind = {
            kind: [operation for operation in plan.operations if operation.kind == kind]
            for kind in ("update_agent", "mint_key", "undeprecate_key", "deprecate_key", "revoke_key")
        }
        tidying = by_kind.pop("update_agent")
        assert len(plan.operations) == len(tidying) + sum(map(len, by_kind.values()))
        for operation in tidying:
            for change in operation.changes:
                self.write(**{change.path: None if change.path == "claim" else ()})
            yield "tidied"
        if any(by_kind.values()):
            yield from self._claim(mints=bool(by_kind["mint_key"]))
            yield from self._rotate(by_kind) if by_kind["mint_key"] else self._retire(by_kind)

    def _claim(self, *, mints: bool) -> Iterator[str]:
        self.runs += 1
        old, run = self.mark.claim, RunId(f"run-{self.runs}")
        if old is None:
            self.write(claim=Claim(run, self.now, tuple(self.alive()), SINKS))
        else:
            is_over = not old.run or old.run in self.dead or self.now - old.at >= 15 * MINUTE
            assert is_over, "a run that may be at work is disturbed"
            # What the run before recorded was there before the key that this one mints.
            recorded = {self.recorded()} & {*self.alive()} if mints else set()
            known = tuple(sorted({*old.keys, *filter(None, recorded)}))
            self.write(claim=replace(old, run=run, at=self.now, keys=known))
        yield "claimed"

    def give_back(self) -> None:
        """What a run leaves that fails and is not killed: its claim, and which keys it knows to have made."""
        claim = self.mark.claim
        if claim is not None and claim.run == f"run-{self.runs}":
            self.write(claim=replace(claim, run=RunId(""), lost=tuple(self.lost())))

    def lost(self) -> list[KeyId]:
        """Keys of which a claim tells that its run made them, and that no sink holds."""
        claim = self.mark.claim
        if claim is None or not self.readable:
            return []
        new = (key for key in self.alive() if key not in claim.keys and key not in self.sinks.values())
        fresh = [key for key in new if abs(self.keys[key].created_at - claim.at) <= 15 * MINUTE]
        return [*claim.lost, *(key for key in fresh if claim.run and key not in claim.lost)]

    def _rotate(self, by_kind: dict[str, list[Operation]]) -> Iterator[str]:
        going = [operation.named_key() for operation in by_kind["revoke_key"]]
        key_id = self._found_in_a_sink()
        if key_id is None and self.recorded() in self.alive():
            yield from self._revoke_lost(going)
            going = []
        if key_id is None:
            if len(self.alive()) >= CAP and self.recorded() not in self.alive():
                return  # lost keys hold the room, and go only once another key is delivered
            key_id = self.mint()
            yield "minted"
        for name in SINKS:
            self.sinks[name] = key_id
            yield f"delivered to {name}"
        older = tuple(other for other in self.alive() if other not in {key_id, *going})
        made_at = self.keys[key_id].created_at
        claim = self.mark.claim if going else None
        self.write(delivered=Delivered(key_id, self.now, SINKS, made_at), retiring=older, claim=claim)
        yield "recorded"
        yield from self._revoke_lost(going)
        for operation in by_kind["deprecate_key"]:
            if operation.named_key() != key_id:
                self.deprecate(operation.named_key())
                yield "deprecated"
        self.write(claim=None)
        yield "done"

    def _found_in_a_sink(self) -> KeyId | None:
        """With the key that a run before delivered to one sink, the delivery is finished."""
        known = self.mark.claim.keys if self.mark.claim else ()
        held = [self.sinks.get(sink) for sink in SINKS] if self.readable else []
        return next((key for key in held if key in self.alive() and key not in known), None)

    def _revoke_lost(self, going: Sequence[KeyId]) -> Iterator[str]:
        for key_id in going:
            if not self.readable or key_id not in self.sinks.values():
                assert not self.uses.get(key_id), "a key that somebody uses is revoked as lost"
                self.revoke(key_id)
                yield "revoked a lost key"

    def _retire(self, by_kind: dict[str, list[Operation]]) -> Iterator[str]:
        for operation in by_kind["undeprecate_key"]:
            key = self.keys[operation.named_key()]
            self.keys[key.key_id] = replace(key, deprecated_at=None)
            yield "undeprecated"
        for operation in by_kind["deprecate_key"]:
            self.deprecate(operation.named_key())
            yield "deprecated"
        lost = [op for op in by_kind["revoke_key"] if any(change.path == LOST_KEY for change in op.changes)]
        yield from self._revoke_lost([operation.named_key() for operation in lost])
        retired = [operation for operation in by_kind["revoke_key"] if operation not in lost]
        assert len(retired) <= 1, "two keys are retired in one run"
        for operation in retired:
            self.check_guards(operation.named_key())
            self.revoke(operation.named_key())
            yield "revoked"
        self.write(claim=None, retiring=tuple(key for key in self.alive() if key != self.recorded()))
        yield "done"


@settings(
    max_examples=300,
    stateful_step_count=30,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
class RotationMachine(RuleBasedStateMachine):
    """Time, use, runs and accidents in any order; afterwards all faults stop and everything comes to rest."""

    world: World

    @initialize(
        max_age=st.sampled_from([None, 30 * DAY]),
        require_use=st.sampled_from([True, True, False]),
        on_overdue=st.sampled_from(["warn", "block", "revoke"]),
        readable=st.sampled_from([True, True, False]),
        lag=st.sampled_from([timedelta(), 59 * MINUTE]),
        is_rare=st.booleans(),
        quiet_for=st.sampled_from([HOUR, DAY]),
        min_overlap=st.sampled_from([HOUR, DAY]),
    )
    def an_agent_is_created(
        self,
        *,
        max_age: timedelta | None,
        require_use: bool,
        on_overdue: str,
        readable: bool,
        lag: timedelta,
        is_rare: bool,
        quiet_for: timedelta,
        min_overlap: timedelta,
    ) -> None:
        policy = RotationPolicy(
            max_age=max_age,
            min_overlap=min_overlap,
            quiet_for=quiet_for,
            require_use=require_use,
            on_overdue=on_overdue,
        )
        agent = declared(ALPHA, deliver_to=SINKS, rotation=policy)
        refs = [sink(name, "file" if readable else "github_actions") for name in SINKS]
        self.world = world = World(configuration(agent, sinks=refs), lag, is_rare, mark=mark_of(agent))
        # Created by a run that was cut off: its first key is lost, and its claim is still there.
        world.mint()
        world.runs = 1
        world.write(claim=Claim(RunId("run-1"), world.now, sinks=SINKS))

    @rule(hours=st.sampled_from([0, 0.5, 1, 5, 24, 25, 72, 24 * 15, 24 * 31, 24 * 70]))
    def time_goes_on(self, hours: float) -> None:
        self.world.now += hours * HOUR + 7 * MINUTE

    @rule()
    def the_consumer_loads_the_key_of_its_sink(self) -> None:
        self.world.loaded = self.world.sinks.get("vault")

    @rule()
    def the_consumer_calls(self) -> None:
        world = self.world
        if world.loaded and world.keys[world.loaded].is_live:
            world.uses.setdefault(world.loaded, []).append(world.now)

    @rule(place=st.integers(0, CAP))
    def somebody_calls_with_an_older_key(self, place: int) -> None:
        """With one that was delivered or minted outside at some time: nobody has the lost ones."""
        world = self.world
        had = {use for use in world.uses if world.keys[use].is_live} | world.minted_outside
        usable = sorted(key for key in had if world.keys[key].is_live)
        if usable:
            world.uses.setdefault(usable[place % len(usable)], []).append(world.now)

    @rule()
    def somebody_mints_outside(self) -> None:
        """Not while a claim stands: a new key would be taken for one that the run behind it has lost."""
        if len(self.world.alive()) < CAP and not self.world.mark.claim:
            self.world.minted_outside.add(self.world.mint())

    @rule(place=st.integers(0, CAP))
    def somebody_deprecates_a_key(self, place: int) -> None:
        world = self.world
        key = world.keys[world.alive()[place % len(world.alive())]]
        world.keys[key.key_id] = replace(key, deprecated_at=key.deprecated_at or world.now)
        world.deprecated_outside.add(key.key_id)

    @rule()
    def the_cron_runs(self) -> None:
        self._run(self.world.plan())

    @rule(again=st.booleans())
    def somebody_asks_for_a_rotation(self, again: bool) -> None:
        self._run(self.world.plan(rotate=True, again=again))

    @rule(
        steps=st.integers(1, 6),
        asked=st.booleans(),
        again=st.booleans(),
        ends=st.sampled_from(["killed", "killed and known", "given back"]),
    )
    def a_run_is_cut_off(self, steps: int, asked: bool, again: bool, ends: str) -> None:
        world = self.world
        before = world.runs
        self._run(world.plan(rotate=asked, again=asked and again), steps=steps)
        if world.runs > before and ends == "killed and known":
            world.dead.add(RunId(f"run-{world.runs}"))
        if world.runs > before and ends == "given back":
            world.give_back()

    def _run(self, plan: Plan, *, steps: int = 1000) -> None:
        before = len(self.world.alive())
        done = self.world.carry_out(plan)
        for _, _step in zip(range(steps), done, strict=False):
            assert len(self.world.alive()) <= before + 1
        done.close()  # type: ignore[attr-defined]

    @invariant()
    @precondition(lambda self: hasattr(self, "world"))
    def a_usable_key_is_alive(self) -> None:
        """S1: what the sinks hold, always; what the consumer loaded, unless the policy gives it up."""
        world = self.world
        assert world.alive()
        assert all(key in world.alive() for key in world.sinks.values())
        if world.policy.require_use and world.policy.on_overdue != "revoke" and world.loaded:
            used = world.uses.get(world.loaded)
            assert world.loaded in world.alive() or used is None or world.now - max(used) >= HOUR

    @invariant()
    @precondition(lambda self: hasattr(self, "world"))
    def every_live_key_is_explained(self) -> None:
        """S5."""
        world = self.world
        shown = live(ALPHA, mark=world.mark)
        facts = Facts(world.desired, {ALPHA: shown}, world.now, keys={ID: world.listed()}).key_facts(ALPHA)
        assert facts is not None
        explained = {step.key.key_id: step.reason for step in rotation_of(facts).steps}
        assert sorted(explained) == sorted(world.alive())
        assert all(explained.values())

    def teardown(self) -> None:
        """L1 and L2: with time, use and runs that are not cut off it comes to rest with one live key."""
        if not hasattr(self, "world"):
            return
        world = self.world
        world.now += HOUR  # whatever run was at work is over
        lost = [key for key in world.lost() if key in world.alive()]
        is_full = len(world.alive()) == CAP
        self._run(world.plan())
        second = world.plan()
        self._run(second)
        if not is_full and not second.blocked:  # nobody has to decide anything
            assert world.mark.claim is None, "two runs do not finish what was begun"
            assert not {*lost} & {*world.alive()}, "two runs leave a lost key alive"
        self._rest(reads_all=False)
        # What was done outside since the last look at the keys is seen at the next one.
        unseen = {*world.alive()} - {world.recorded()}
        assert unseen <= world.minted_outside | world.deprecated_outside
        self._rest(reads_all=True)
        assert world.alive() == [world.recorded()] == [*set(world.sinks.values())]
        plan = world.plan(reads_all=True)
        assert (plan.operations, plan.waiting, plan.blocked) == ((), (), ())
        assert world.mark.claim is None
        assert world.mark.retiring == ()
        assert world.keys[world.alive()[0]].deprecated_at is None

    def _rest(self, *, reads_all: bool) -> None:
        world, was_cut_off = self.world, False
        for _ in range(60):
            world.now += 13 * HOUR
            world.loaded = world.sinks.get("vault")
            self.the_consumer_calls()
            plan = world.plan(reads_all=reads_all)
            if not plan.operations and not plan.waiting and not plan.blocked:
                return
            kinds = {operation.kind for operation in plan.operations}
            # One accident more: the first revocation is carried out, and nobody hears of it.
            is_accident = kinds == {"revoke_key"} and not was_cut_off
            was_cut_off |= is_accident
            self._run(plan, steps=2 if is_accident else 1000)
            if {entry.guard for entry in plan.blocked} == {"key-cap"}:
                # The decision that is needed: somebody revokes a key that holds the room.
                spare = next(key for key in world.alive() if key not in world.sinks.values())
                world.keys[spare] = replace(world.keys[spare], revoked_at=world.now)
        raise AssertionError("it does not come to rest")


TestRotation = RotationMachine.TestCase
