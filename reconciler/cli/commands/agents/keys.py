"""``alter-sync agents``: mints, deprecates and revokes one key by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from reconciler.cli import options as opt
from reconciler.cli.commands.agents.call import Agent, Call, Key, run_context, with_call
from reconciler.cli.commands.agents.handing import ShowKey, Sink, choose_recipient, show_result
from reconciler.cli.commands.agents.lookup import find_agent, find_key
from reconciler.cli.interrupts import StopRequest, stop_on_signals
from reconciler.errors import BadAnswer, ExitCode, LastActiveKey, Refused
from reconciler.model.key import KeyId

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.model.agent import LiveAgent
    from reconciler.model.key import AgentKey
    from reconciler.reports.agents_notices import ByHand

MINT_EPILOG = """\b
Examples:
  alter-sync agents mint-key --agent nightly-sync --sink vault     nobody sees the key
  alter-sync agents mint-key --agent nightly-sync --show-key       printed once

\b
Rotate an agent's key without downtime:
  alter-sync agents mint-key --agent ID --sink vault               1. a second key, deployed
  alter-sync agents list-keys --agent ID                           2. is it in use, and the old one not?
  alter-sync agents revoke-key --agent ID --key OLD-KEY-ID         3. the old one goes
"""
REVOKE_KEY_EPILOG = """\b
Examples:
  alter-sync agents revoke-key --agent nightly-sync --key KEY-ID
  alter-sync agents revoke-key --agent ID --key KEY-ID --force --yes   also the only one
"""
DEPRECATE_EPILOG = """\b
Example:
  alter-sync agents deprecate-key --agent nightly-sync --key KEY-ID    it works on; callers are told
"""
UNDEPRECATE_EPILOG = """\b
Example:
  alter-sync agents undeprecate-key --agent nightly-sync --key KEY-ID
"""

Force = Annotated[
    bool, typer.Option("--force", help="Revoke it also if it is the only one, and leave the agent without.")
]


@with_call
def mint_key(call: Call, *, agent: Agent, sink: Sink = None, show_key: ShowKey = False) -> ExitCode:
    """Mint one key more for an agent; the others work on.

    The key goes to a sink of the configuration, or is printed once. Needs agents:read and agents:write, or
    dashboard_agents:read and :write with a personal access token.
    """
    from reconciler.applying.hand_out import mint_by_hand
    from reconciler.reports.agents_documents import NO_AGENT, NO_NEW_KEY, minted_document
    from reconciler.reports.agents_notices import owned_notice
    from reconciler.reports.agents_table import minted_text

    call.check_fields(minted_document(NO_AGENT, NO_NEW_KEY, delivered_to=None))
    recipient = choose_recipient(call, sink=sink, show_key=show_key, verb="mint-key")
    stop = StopRequest()
    with call.session(recipient.desired, is_stopping=stop.is_asked) as session:
        live = find_agent(session, agent)
        if recipient.sink is not None and live.mark is not None:
            raise Refused(
                f"the sinks of agent {live.name} are alter-sync's own (owner {live.mark.owner})",
                hint=f"`alter-sync rotate {live.name}` mints a key and delivers it",
                code="owned",
            )
        context = run_context(session, recipient.desired)
        # From here on a key would be lost if this were cut off.
        with stop_on_signals(stop, call.console.alarm):
            minted = mint_by_hand(context, live, sink=recipient.sink)
            place = recipient.handed_over(live)
            text = minted_text(live, minted, delivered_to=place, style=call.console.style())
            document = minted_document(live, minted, delivered_to=place)
            show_result(call, context, recipient, made=(live, minted), text=text, document=document)
    call.notice(owned_notice(live, "mint-key"))
    return stop.verdict() or ExitCode.OK


@with_call
def revoke_key(call: Call, *, agent: Agent, key: Key, force: Force = False, yes: opt.Yes = False) -> ExitCode:
    """Revoke one key of an agent.

    Whoever uses it is locked out at once. Needs agents:read and agents:admin, or dashboard_agents:read
    and :admin with a personal access token.
    """
    from reconciler.reports.agents_documents import NO_AGENT, NO_KEY, key_document
    from reconciler.reports.agents_notices import owned_notice

    call.check_fields(key_document(NO_AGENT, NO_KEY))
    with call.session(call.configuration()) as session:
        live = find_agent(session, agent)
        keys = session.api.list_keys(live.id)
        found = find_key(keys, live, key)
        if not found.is_live:
            call.notice(f"key {found.key_id} was revoked already: nothing was changed")
            _show_key(call, live, found)
            return ExitCode.OK
        others = [one for one in keys if one.is_live and one.key_id != found.key_id]
        if not others and not force:
            raise _is_the_last(live, found.key_id)
        notice = owned_notice(live, "revoke-key", key_id=found.key_id)
        if not yes:
            call.notice(notice)
            call.confirm(_question(live, found, others), verb="revoke-key")
        send = session.api.revoke_last_key if force else session.api.revoke_key
        try:
            after = send(live.id, found.key_id)
        except LastActiveKey as error:  # somebody revoked the others meanwhile
            raise _is_the_last(live, found.key_id) from error
    if after.is_live:
        raise BadAnswer(f"key {found.key_id}: the server accepted the revocation but does not show it")
    _show_key(call, live, after)
    if yes:
        call.notice(notice)
    return ExitCode.OK


@with_call
def deprecate_key(call: Call, *, agent: Agent, key: Key) -> ExitCode:
    """Mark a key as to be retired. It works on, and callers are told; undeprecate-key takes it back.

    Needs agents:read and agents:write, or dashboard_agents:read and :write with a personal access token.
    """
    return _set_deprecated(call, agent, key, is_deprecated=True)


@with_call
def undeprecate_key(call: Call, *, agent: Agent, key: Key) -> ExitCode:
    """Take the mark of deprecate-key off again.

    Needs agents:read and agents:write, or dashboard_agents:read and :write with a personal access token.
    """
    return _set_deprecated(call, agent, key, is_deprecated=False)


def _set_deprecated(call: Call, agent: str, key: str, *, is_deprecated: bool) -> ExitCode:
    from reconciler.reports.agents_documents import NO_AGENT, NO_KEY, key_document
    from reconciler.reports.agents_notices import owned_notice

    call.check_fields(key_document(NO_AGENT, NO_KEY))
    with call.session(call.configuration()) as session:
        live = find_agent(session, agent)
        send = session.api.deprecate_key if is_deprecated else session.api.undeprecate_key
        after = send(live.id, KeyId(key))
    if (after.deprecated_at is not None) != is_deprecated:
        raise BadAnswer(f"key {after.key_id}: the server accepted the change but does not show it")
    _show_key(call, live, after)
    change: ByHand = "deprecate-key" if is_deprecated else "undeprecate-key"
    call.notice(owned_notice(live, change, key_id=after.key_id))
    return ExitCode.OK


def _is_the_last(live: LiveAgent, key_id: KeyId) -> LastActiveKey:
    if live.mark is None:
        way = (
            f"mint another with `alter-sync agents mint-key --agent {live.name} --sink NAME`, deploy it, "
            "then revoke this one"
        )
    else:
        way = f"`alter-sync rotate {live.name}` replaces it"
    return LastActiveKey(
        f"key {key_id} is the only live key of agent {live.name}",
        status=409,
        hint=f"{way}; with --force the agent is left without a key",
    )


def _question(live: LiveAgent, key: AgentKey, others: Sequence[AgentKey]) -> str:
    from reconciler.reports.escaping import MESSAGE_LIMIT, for_terminal
    from reconciler.reports.view import moment_text

    used = f"last used {moment_text(key.last_used_at)}" if key.last_used_at else "never used"
    left = f"{len(others)} other live key{'' if len(others) == 1 else 's'}" if others else "NO live key"
    text = (
        f"Revoke key {key.key_id} ({key.key_prefix}…, {used if key.tells_use else 'use not told'}) of agent "
        f"{live.name} ({live.id})? It is left with {left}."
    )
    return for_terminal(text, limit=MESSAGE_LIMIT)


def _show_key(call: Call, live: LiveAgent, key: AgentKey) -> None:
    from reconciler.reports.agents_documents import key_document
    from reconciler.reports.agents_table import key_text

    if call.console.is_table:
        call.console.text(key_text(live, key, style=call.console.style()))
    else:
        call.console.document(key_document(live, key))
