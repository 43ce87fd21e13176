"""The operations on an agent's keys: what a stage asks for, what a cut-off run left behind, the way back."""

from collections.abc import Iterable
from datetime import timedelta

import pytest

from reconciler.errors import Refused
from reconciler.model.desired import DesiredAgent, RotationPolicy
from reconciler.model.diagnostic import Position
from reconciler.model.key import AgentKey
from reconciler.model.mark import Claim, Delivered
from reconciler.model.plan import Change, Operation, Plan
from reconciler.planning.planner import needs_keys
from tests.support.builders import (
    NOW,
    aged_key,
    claim_of,
    configuration,
    declared,
    delivered_ago,
    delivery_of,
    ids,
    key,
    live,
    mark_of,
    planned,
    sink,
)

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
OLD = timedelta(minutes=15)
WHERE = Position("agents.yaml", 12, 5)
BY_AGE = RotationPolicy(max_age=30 * DAY)
WITH_SINK = declared(deliver_to=("vault",))
WITHOUT_SINK = declared()
ROTATING = declared(
    deliver_to=("vault",), rotation=BY_AGE, positions={"rotation": WHERE, "deliver_to": WHERE}
)


def plan_after(
    claim: Claim | None,
    *keys: AgentKey,
    agent: DesiredAgent = WITH_SINK,
    delivered: Delivered | None = None,
    retiring: Iterable[str] = (),
    dead_runs: tuple[str, ...] = (),
    rotate: Iterable[str] = (),
    is_rollback: bool = False,
) -> Plan:
    found = live(mark=mark_of(agent, claim=claim, delivered=delivered, retiring=retiring))
    return planned(
        configuration(agent, sinks=(sink(),)),
        found,
        keys={"alpha": keys},
        dead_runs=dead_runs,
        rotate=rotate,
        is_rollback=is_rollback,
    )


def inside(key_id: str, *, used: timedelta | None = None) -> AgentKey:
    """A key of the time of a claim that is ``OLD``."""
    return aged_key(key_id, made=OLD, used=used)


def only(plan: Plan) -> Operation:
    [operation] = plan.operations
    return operation


def test_keys_have_to_be_read_only_of_declared_agents_of_ours_with_something_due() -> None:
    names = ["claimed", "free", "undeclared", "foreign", "unowned", "retiring", "no-delivery", "delivered"]
    with_sink = [declared(name, deliver_to=("vault",)) for name in ("no-delivery", "delivered")]
    plain = [declared(name) for name in names[:6] if name != "undeclared"]
    claimed = mark_of(claim=claim_of())
    agents = [
        live("claimed", mark=claimed),
        live("free", mark=mark_of()),
        live("undeclared", mark=claimed),
        live("foreign", mark=mark_of(owner="others", claim=claim_of())),
        live("unowned"),
        live("retiring", mark=mark_of(retiring=["k-0"])),
        live("no-delivery", mark=mark_of()),
        live("delivered", mark=mark_of(delivered=delivery_of())),
    ]
    desired = configuration(*plain, *with_sink)
    assert needs_keys(desired, agents, now=NOW) == ("id-claimed", "id-retiring", "id-no-delivery")
    asked = [agent.name for agent in agents if agent.name in {"undeclared", "unowned", "delivered"}]
    assert needs_keys(desired, agents[5:], now=NOW, rotate=asked) == (
        "id-retiring",
        "id-no-delivery",
        "id-delivered",
    )


def test_keys_that_were_not_read_are_not_planned_for() -> None:
    found = live(mark=mark_of(WITH_SINK, claim=claim_of("run-7", age=OLD)))
    plan = planned(configuration(WITH_SINK), found)
    assert (plan.operations, plan.waiting, plan.in_sync) == ((), (), 1)
    assert not planned(configuration(WITH_SINK), found, rotate=["alpha"]).has_changes
    assert not planned(configuration(WITH_SINK), found, rotate=["alpha"], is_rollback=True).has_changes


def test_with_a_delivered_key_and_no_claim_there_is_nothing_to_do() -> None:
    plan = plan_after(None, key("k-1"), delivered=delivery_of("k-1"))
    assert (plan.operations, plan.waiting, plan.in_sync) == ((), (), 1)


def test_an_agent_that_a_run_is_working_on_is_left_to_it() -> None:
    claim = claim_of("run-7", age=timedelta(minutes=5))
    found = live(mark=mark_of(WITH_SINK, claim=claim), display_name="moved")
    agent = declared(deliver_to=("vault",), display_name="A")
    plan = planned(configuration(agent), found, keys={"alpha": []})
    assert not plan.operations
    [waiting] = plan.waiting
    assert (waiting.stage, waiting.until) == ("claimed", NOW + timedelta(minutes=10))
    assert waiting.reason == "run run-7 is working on this agent's keys"
    assert plan.in_sync == 0


def test_a_dead_run_is_taken_over_at_once() -> None:
    plan = plan_after(claim_of("run-7"), dead_runs=("run-7",))
    assert ids(plan) == ["mint_key:alpha"]
    assert only(plan).reason == "run run-7 was cut off before it recorded a delivered key"


def test_a_claim_given_back_is_taken_over_at_once() -> None:
    plan = plan_after(claim_of(""))
    assert ids(plan) == ["mint_key:alpha"]
    assert only(plan).reason == "run (given back) was cut off before it recorded a delivered key"


def test_a_lost_first_key_is_revoked_after_a_new_one_is_delivered() -> None:
    plan = plan_after(claim_of(age=OLD), inside("k-1"))
    assert ids(plan) == ["mint_key:alpha", "revoke_key:alpha:k-1"]
    mint, revoke = plan.operations
    assert mint.version == revoke.version == 3
    assert mint.changes[0].after == "mint and deliver to vault"
    assert (revoke.key_id, revoke.depends_on, revoke.risk) == ("k-1", (mint.id,), "destructive")
    assert revoke.changes == (Change("lost_key", "alter_ak_k-1… (k-1)", None),)
    assert revoke.reason == (
        "minted by a run that was cut off, and never used; kept if a sink turns out to hold it"
    )


@pytest.mark.parametrize(
    ("sinks", "operation"),
    [
        ((), "revoke_key:alpha:k-1"),
        (("vault",), "revoke_key:alpha:k-1"),
        (("vault", "left"), "deprecate_key:alpha:k-1"),
        (("left",), "deprecate_key:alpha:k-1"),
    ],
)
def test_a_key_that_a_sink_of_before_may_hold_is_only_deprecated(
    sinks: tuple[str, ...], operation: str
) -> None:
    plan = plan_after(claim_of(age=OLD, sinks=sinks), inside("k-1"))
    assert ids(plan) == ["mint_key:alpha", operation]


def test_what_a_run_made_that_gave_its_work_back_is_known_by_its_word_alone() -> None:
    claim = claim_of("", age=OLD, lost=["k-2"])
    plan = plan_after(claim, inside("k-1"), aged_key("k-2", made=DAY))
    assert ids(plan) == ["mint_key:alpha", "deprecate_key:alpha:k-1", "revoke_key:alpha:k-2"]


def test_a_key_made_long_after_the_claim_is_not_of_its_run_and_is_only_deprecated() -> None:
    plan = plan_after(claim_of(age=DAY), inside("k-1"))
    assert ids(plan) == ["mint_key:alpha", "deprecate_key:alpha:k-1"]


def test_keys_that_were_there_before_the_claim_are_deprecated_once_another_is_delivered() -> None:
    plan = plan_after(claim_of(age=OLD, keys=["k-0"]), inside("k-0"))
    mint, deprecate = plan.operations
    assert (mint.id, deprecate.id) == ("mint_key:alpha", "deprecate_key:alpha:k-0")
    assert deprecate.depends_on == (mint.id,)


def test_a_run_that_was_cut_off_beside_a_delivered_key_is_finished_with_a_new_one() -> None:
    claim = claim_of(age=OLD, keys=["k-1"])
    plan = plan_after(claim, key("k-1"), inside("k-2"), delivered=delivery_of("k-1"))
    assert ids(plan) == ["mint_key:alpha", "deprecate_key:alpha:k-1", "revoke_key:alpha:k-2"]


def test_a_key_lost_by_a_run_that_recorded_another_is_revoked() -> None:
    plan = plan_after(claim_of(age=OLD), inside("k-1"), inside("k-2"), delivered=delivery_of("k-1"))
    assert ids(plan) == ["revoke_key:alpha:k-2"]
    assert only(plan).depends_on == ()


def test_a_key_that_the_sinks_hold_is_kept_and_the_claim_dropped() -> None:
    plan = plan_after(claim_of(age=OLD), inside("k-1"), delivered=delivery_of("k-1"))
    assert ids(plan) == ["update_agent:alpha"]
    assert only(plan).changes == (Change("claim", "run-1", None),)
    assert only(plan).reason == "drops the claim of a run that was cut off; its keys are in order"


def test_a_used_key_that_no_sink_holds_is_retired_like_any_other() -> None:
    used = inside("k-2", used=timedelta(minutes=5))
    plan = plan_after(claim_of(age=OLD), inside("k-1"), used, delivered=delivery_of("k-1"))
    [deprecate] = plan.operations
    assert (deprecate.id, deprecate.reason) == (
        "deprecate_key:alpha:k-2",
        "is in no sink and not in the mark: minted outside, or lost",
    )
    assert not plan.waiting


def test_a_delivered_key_that_was_revoked_since_is_minted_anew() -> None:
    plan = plan_after(claim_of(age=OLD), key("k-1", revoked=True), delivered=delivery_of("k-1"))
    assert ids(plan) == ["mint_key:alpha"]
    without_claim = plan_after(None, key("k-1", revoked=True), delivered=delivery_of("k-1"))
    assert ids(without_claim) == ["mint_key:alpha"]


def test_a_used_key_that_was_never_recorded_is_not_revoked_when_a_new_one_is_delivered() -> None:
    plan = plan_after(claim_of(age=OLD), inside("k-1", used=timedelta(minutes=1)))
    assert ids(plan) == ["mint_key:alpha", "deprecate_key:alpha:k-1"]


def test_revoked_keys_need_no_revocation() -> None:
    plan = plan_after(
        claim_of(age=OLD), inside("k-1"), key("k-2", revoked=True), delivered=delivery_of("k-1")
    )
    assert ids(plan) == ["update_agent:alpha"]


def test_without_sinks_nothing_is_minted_nothing_revoked_and_the_claim_is_dropped() -> None:
    for found in (inside("k-1"), inside("k-1", used=timedelta(minutes=1))):
        plan = plan_after(claim_of(age=OLD), found, agent=WITHOUT_SINK)
        assert ids(plan) == ["update_agent:alpha"]
        assert not plan.waiting


def test_dropping_a_claim_and_other_changes_are_one_operation() -> None:
    agent = declared(display_name="A")
    found = live(mark=mark_of(agent, claim=claim_of(age=OLD)), display_name="B")
    plan = planned(configuration(agent), found, keys={"alpha": []})
    assert [change.path for change in only(plan).changes] == ["display_name", "claim"]
    assert only(plan).reason.startswith("changed outside; drops the claim")


def test_an_agent_without_a_delivered_key_gets_one_and_its_other_keys_retire() -> None:
    plan = plan_after(None, key("k-1"))
    assert ids(plan) == ["mint_key:alpha", "deprecate_key:alpha:k-1"]
    assert plan.operations[0].reason == "no key is delivered"
    assert not plan.waiting


def test_the_operations_of_a_rotation_name_their_keys_places_and_versions() -> None:
    plan = plan_after(None, aged_key("k-1", made=30 * DAY), agent=ROTATING, delivered=delivery_of("k-1"))
    assert not plan.waiting
    assert plan.operations == (
        Operation(
            id="mint_key:alpha",
            kind="mint_key",
            agent=ROTATING.name,
            reason=plan.operations[0].reason,
            agent_id=live().id,
            version=3,
            changes=(Change("key", None, "mint and deliver to vault"),),
            source=WHERE,
        ),
        Operation(
            id="deprecate_key:alpha:k-1",
            kind="deprecate_key",
            agent=ROTATING.name,
            reason="a newer key takes its place",
            agent_id=live().id,
            version=3,
            depends_on=("mint_key:alpha",),
            changes=(Change("key", "alter_ak_k-1… (k-1)", "deprecated"),),
            source=WHERE,
            key_id=key("k-1").key_id,
        ),
    )


def retired(*, used: timedelta | None, newer_used: timedelta | None = DAY / 2) -> tuple[AgentKey, AgentKey]:
    """A key that is deprecated for two days, and the one that was delivered instead a day ago."""
    old = aged_key("k-0", made=9 * DAY, deprecated=2 * DAY, used=used)
    return old, aged_key("k-1", made=DAY, used=newer_used)


def test_a_key_that_nothing_holds_is_revoked_and_nothing_is_waited_for() -> None:
    plan = plan_after(None, *retired(used=3 * DAY), delivered=delivery_of("k-1"), retiring=["k-0"])
    revoke = only(plan)
    assert (revoke.id, revoke.risk, revoke.depends_on) == ("revoke_key:alpha:k-0", "destructive", ())
    assert revoke.changes == (Change("key", "alter_ak_k-0… (k-0)", None),)
    assert revoke.reason == "is deprecated, quiet, and replaced by a key in use"
    assert plan.waiting == ()


def test_of_two_keys_that_may_go_one_goes_and_the_other_is_not_told_of_as_waiting() -> None:
    older = aged_key("k-x", made=19 * DAY, deprecated=12 * DAY, used=13 * DAY)
    plan = plan_after(None, older, *retired(used=3 * DAY), delivered=delivery_of("k-1"), retiring=["k-x"])
    assert ids(plan) == ["revoke_key:alpha:k-x"]
    assert plan.waiting == ()


def test_a_key_in_use_waits_with_its_reason_and_date() -> None:
    plan = plan_after(None, *retired(used=HOUR), delivered=delivery_of("k-1"), retiring=["k-0"])
    assert plan.operations == ()
    [waiting] = plan.waiting
    assert (waiting.agent, waiting.stage, waiting.until) == ("alpha", "observing", NOW + DAY)
    assert waiting.reason == (
        "key k-0 was used at 2026-11-24T11:00:00Z; "
        "quiet until 2026-11-25T12:00:00Z at the earliest (quiet_for)"
    )
    assert plan.in_sync == 0


def test_a_delivered_key_that_somebody_deprecated_is_taken_back() -> None:
    plan = plan_after(None, aged_key("k-1", deprecated=HOUR), delivered=delivery_of("k-1"))
    undo = only(plan)
    assert (undo.id, undo.risk) == ("undeprecate_key:alpha:k-1", "neutral")
    assert undo.changes == (Change("key", "alter_ak_k-1… (k-1)", "not deprecated"),)


def test_a_suspended_agent_waits_with_all_its_keys() -> None:
    agent = declared(deliver_to=("vault",), rotation=BY_AGE, status="inactive")
    for keys, stage in (
        ([aged_key("k-1", made=40 * DAY)], "due"),
        (retired(used=3 * DAY), "observing"),
        ([key("k-1")], "steady"),
    ):
        found = live(mark=mark_of(agent, delivered=delivery_of("k-1")), status="inactive")
        plan = planned(configuration(agent), found, keys={"alpha": keys})
        [waiting] = plan.waiting
        assert (plan.operations, waiting.stage) == ((), stage)
        assert waiting.reason == "the agent is suspended: its keys wait until it is active again"


def test_a_suspended_agent_without_any_key_is_due_and_waits() -> None:
    agent = declared(deliver_to=("vault",), status="inactive")
    found = live(mark=mark_of(agent), status="inactive")
    plan = planned(configuration(agent), found, keys={"alpha": []})
    assert [(waiting.stage, plan.operations) for waiting in plan.waiting] == [("due", ())]


def test_keys_that_are_gone_are_forgotten_in_the_mark() -> None:
    plan = plan_after(None, key("k-1"), delivered=delivery_of("k-1"), retiring=["k-0", "k-x"])
    update = only(plan)
    assert (update.id, update.reason) == (
        "update_agent:alpha",
        "forgets older keys that are revoked by now",
    )
    assert update.changes == (Change("retiring", ["k-0", "k-x"], None),)
    some_left = plan_after(None, *retired(used=HOUR), delivered=delivery_of("k-1"), retiring=["k-0", "k-x"])
    assert some_left.operations == ()


def test_a_rotation_by_name_is_about_the_keys_alone() -> None:
    agent = declared(deliver_to=("vault",), display_name="new")
    found = live(mark=mark_of(agent, delivered=delivery_of("k-1")), display_name="old")
    plan = planned(configuration(agent, declared("beta")), found, keys={"alpha": [key()]}, rotate=["alpha"])
    assert ids(plan) == ["mint_key:alpha", "deprecate_key:alpha:k-1"]
    assert plan.operations[0].reason == "asked for by name"


def test_a_requested_rotation_waits_for_the_one_before_unless_it_is_to_be_again() -> None:
    found = live(mark=mark_of(WITH_SINK, delivered=delivery_of("k-1"), retiring=["k-0"]))
    keys = {"alpha": retired(used=HOUR)}
    desired = configuration(WITH_SINK, sinks=(sink(),))
    waits = planned(desired, found, keys=keys, rotate=["alpha"])
    assert waits.operations == ()
    assert waits.waiting[0].reason.endswith(
        "; the rotation that was asked for waits for that (with --again it does not)"
    )
    again = planned(desired, found, keys=keys, rotate=["alpha"], again=True)
    assert ids(again) == ["mint_key:alpha", "deprecate_key:alpha:k-1"]


def back(*keys: AgentKey, agent: DesiredAgent = ROTATING, previous: str | None = "k-0") -> Plan:
    return plan_after(
        None,
        *keys,
        agent=agent,
        delivered=delivered_ago("k-1", previous=previous),
        retiring=["k-0", "k-2", "k-3"],
        rotate=["alpha"],
        is_rollback=True,
    )


def test_a_rollback_restores_the_key_before_and_deprecates_the_newer_one() -> None:
    plan = back(*retired(used=HOUR))
    assert [(op.id, op.reason, op.depends_on, op.source) for op in plan.operations] == [
        ("undeprecate_key:alpha:k-0", "rollback: the sinks get the previous key back", (), WHERE),
        (
            "deprecate_key:alpha:k-1",
            "rollback: the previous key takes its place",
            ("undeprecate_key:alpha:k-0",),
            WHERE,
        ),
    ]
    assert [op.changes[0].after for op in plan.operations] == ["back to vault", "deprecated"]
    assert not plan.waiting


def test_the_way_back_leads_to_the_key_that_was_delivered_before_and_to_no_other() -> None:
    keys = [
        aged_key("k-0", made=9 * DAY, deprecated=DAY),
        aged_key("k-2", made=5 * DAY, deprecated=DAY),
        aged_key("k-1", made=2 * DAY),
    ]
    assert ids(back(*keys, previous="k-2"))[0] == "undeprecate_key:alpha:k-2"
    assert ids(back(*keys))[0] == "undeprecate_key:alpha:k-0"
    # After a rollback the key before is the newer one.
    newer = [aged_key("k-0", made=DAY), aged_key("k-1", made=2 * DAY)]
    assert ids(back(*newer))[0] == "undeprecate_key:alpha:k-0"


@pytest.mark.parametrize(
    ("keys", "previous"),
    [
        ((aged_key("k-1"),), "k-0"),
        ((aged_key("k-1"),), "k-1"),
        ((aged_key("k-0", made=9 * DAY),), "k-0"),
        ((aged_key("k-0", made=9 * DAY, revoked=HOUR), aged_key("k-1")), "k-0"),
        ((aged_key("k-0", made=9 * DAY), aged_key("k-1")), None),
        ((aged_key("k-0", made=9 * DAY), aged_key("k-1")), "k-2"),
    ],
)
def test_without_an_earlier_key_there_is_no_way_back(
    keys: tuple[AgentKey, ...], previous: str | None
) -> None:
    with pytest.raises(Refused) as caught:
        back(*keys, previous=previous)
    assert caught.value.message == (
        "agent 'alpha' has no live key from before its delivered one to go back to"
    )
    assert "rotate --again" in caught.value.hint


@pytest.mark.parametrize(
    ("before", "refused"),
    [
        (NOW - 9 * DAY + timedelta(seconds=1), True),
        (NOW - 9 * DAY, False),
        (NOW, True),
        (NOW + timedelta(seconds=1), False),
    ],
)
def test_there_is_no_way_back_to_a_key_that_leaked(before: object, refused: bool) -> None:
    policy = RotationPolicy(rotate_keys_before=before)  # type: ignore[arg-type]
    agent = declared(deliver_to=("vault",), rotation=policy)
    if not refused:
        assert back(*retired(used=HOUR), agent=agent).has_changes
        return
    with pytest.raises(
        Refused, match=r"key k-0 of agent 'alpha' is from before .* \(rotate_keys_before\)"
    ) as e:
        back(*retired(used=HOUR), agent=agent)
    assert e.value.hint == "rotate forward instead, or take rotate_keys_before out first"


def test_a_rollback_waits_for_a_run_at_work() -> None:
    plan = plan_after(
        claim_of("run-7", age=timedelta(minutes=5)),
        *retired(used=HOUR),
        delivered=delivery_of("k-1"),
        retiring=["k-0"],
        rotate=["alpha"],
        is_rollback=True,
    )
    assert plan.operations == ()
    assert [(entry.stage, entry.until) for entry in plan.waiting] == [
        ("claimed", NOW + timedelta(minutes=10))
    ]


@pytest.mark.parametrize("is_rollback", [False, True])
def test_only_a_live_agent_of_ours_with_a_sink_can_be_rotated_by_name(is_rollback: bool) -> None:
    foreign = live(mark=mark_of(owner="others"))
    for agent, found, message, hint in (
        (WITH_SINK, [], "agent 'alpha' is not live: it has no key to rotate", "apply first"),
        (
            WITH_SINK,
            [foreign],
            "agent 'alpha' is not managed by this configuration yet: it has no key to rotate",
            "`alter-sync adopt alpha` first",
        ),
        (
            WITHOUT_SINK,
            [live(mark=mark_of())],
            "agent 'alpha' delivers to no sink, so a new key would be lost",
            "name a sink in its deliver_to",
        ),
    ):
        with pytest.raises(Refused) as caught:
            planned(configuration(agent), *found, rotate=["alpha"], is_rollback=is_rollback)
        assert (caught.value.message, caught.value.hint) == (message, hint)


def test_nothing_is_rotated_by_name_that_is_not_declared() -> None:
    found = live(mark=mark_of(delivered=delivery_of()))
    assert not planned(configuration(), found, rotate=["alpha"]).has_changes


def test_a_delivery_of_the_record_is_shown_by_its_age() -> None:
    """A rollback delivers a key older than its delivery: ``made_at`` is what its age goes by."""
    rolled_back = delivered_ago("k-1", age=DAY, made=30 * DAY)
    agents = [live(mark=mark_of(ROTATING, delivered=rolled_back))]
    assert needs_keys(configuration(ROTATING), agents, now=NOW) == ("id-alpha",)
    forwards = [live(mark=mark_of(ROTATING, delivered=delivered_ago("k-1", age=DAY)))]
    assert needs_keys(configuration(ROTATING), forwards, now=NOW) == ()
