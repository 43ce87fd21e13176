"""``alter-sync agents``: creates, updates and revokes one agent by hand."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Annotated

import typer

from reconciler.cli import options as opt
from reconciler.cli.commands.agents.bodies import new_agent, own_metadata, read_input, read_object
from reconciler.cli.commands.agents.call import Agent, Call, run_context, with_call
from reconciler.cli.commands.agents.handing import Recipient, ShowKey, Sink, choose_recipient, show_result
from reconciler.cli.commands.agents.lookup import find_agent
from reconciler.cli.commands.agents.reading import AgentKind
from reconciler.cli.interrupts import StopRequest, stop_on_signals
from reconciler.errors import BadAnswer, ConcurrentUpdate, ExitCode, UsageError

if TYPE_CHECKING:
    from reconciler.cli.wiring import Session
    from reconciler.model.agent import LiveAgent, NewAgent

CREATE_EPILOG = """\b
Examples:
  alter-sync agents create --name nightly-sync --type service --sink vault
  alter-sync agents create --name nightly-sync --scopes '{"google": ["gmail.readonly"]}' --show-key
  alter-sync agents create --input @agent.json --sink vault     all of it from a file
"""
UPDATE_EPILOG = """\b
Examples:
  alter-sync agents update --agent nightly-sync --display-name "Nightly Sync (EU)"
  alter-sync agents update --agent ID --metadata '{"team": "payments"}'
"""
REVOKE_EPILOG = """\b
Examples:
  alter-sync agents revoke --agent nightly-sync          asks first
  alter-sync agents revoke --agent ID --yes
"""

Name = Annotated[str | None, typer.Option("--name", help="Its stable name, unique in the app.")]
NewDisplayName = Annotated[str | None, typer.Option("--display-name", help="What people read.")]
NewKind = Annotated[
    AgentKind | None, typer.Option("--type", help="What it is.  [default: agent]", show_default=False)
]
ScopesJson = Annotated[
    str | None,
    typer.Option("--scopes", help="What it may do: a JSON object of provider and scopes.", metavar="JSON"),
]
Input = Annotated[
    str | None,
    typer.Option(
        "--input", help="A JSON body from a file or standard input, instead of the flags.", metavar="@PATH|-"
    ),
]
Metadata = Annotated[
    str | None,
    typer.Option(
        "--metadata", help="A JSON object that replaces the metadata; the mark stays.", metavar="JSON"
    ),
]


@with_call
def create(
    call: Call,
    *,
    name: Name = None,
    display_name: NewDisplayName = None,
    kind: NewKind = None,
    scopes: ScopesJson = None,
    input_: Input = None,
    sink: Sink = None,
    show_key: ShowKey = False,
) -> ExitCode:
    """Create an agent with its first key. Without --scopes it may do nothing.

    Its key goes to a sink of the configuration, or is printed once. The agent is nobody's: apply leaves it
    alone until it is declared and adopted. Needs agents:write, or dashboard_agents:write with a personal
    access token.
    """
    from reconciler.reports.agents_documents import NO_AGENT, NO_NEW_KEY, created_document

    body = _body(
        {
            "--name": name,
            "--display-name": display_name,
            "--type": None if kind is None else kind.value,
            "--scopes": scopes,
        },
        input_,
    )
    call.check_fields(created_document(NO_AGENT, NO_NEW_KEY, delivered_to=None))
    recipient = choose_recipient(call, sink=sink, show_key=show_key, verb="create")
    code = _create(call, body, recipient)
    if recipient.desired and body.name in recipient.desired.agents:
        call.notice(
            f"{body.name} is declared, and not owned yet: apply refuses to change it before "
            f"`alter-sync adopt {body.name}`"
        )
    return code


@with_call
def update(
    call: Call, *, agent: Agent, display_name: NewDisplayName = None, metadata: Metadata = None
) -> ExitCode:
    """Change the display name or the metadata of an agent.

    Needs agents:read and agents:write, or dashboard_agents:read and :write with a personal access token.
    """
    from reconciler.applying.marking import send_patch
    from reconciler.model.agent import AgentPatch
    from reconciler.model.mark import MARK_KEY
    from reconciler.reports.agents_documents import NO_AGENT, agent_document
    from reconciler.reports.agents_notices import owned_notice

    if display_name is None and metadata is None:
        raise UsageError("update needs something to change", hint="give --display-name, --metadata, or both")
    given = None
    if metadata is not None:
        given = own_metadata(read_object(metadata, flag="--metadata"), flag="--metadata")
    call.check_fields(agent_document(NO_AGENT))
    with call.session(call.configuration()) as session:
        live = find_agent(session, agent)
        mark = {name: value for name, value in live.metadata.items() if name == MARK_KEY}
        patch = AgentPatch(display_name, metadata=None if given is None else {**given, **mark})
        try:
            after = send_patch(run_context(session), live, patch)
        except ConcurrentUpdate as error:
            hint = f"look at it with `{call.command('show', '--agent', live.name)}`, then try again"
            raise ConcurrentUpdate(error.message, status=error.status, hint=hint) from error
    _show_agent(call, after)
    call.notice(owned_notice(live, "update"))
    return ExitCode.OK


@with_call
def revoke(call: Call, *, agent: Agent, yes: opt.Yes = False) -> ExitCode:
    """Revoke an agent and all of its keys.

    Whoever uses one of them is locked out at once. Needs agents:read and agents:admin, or
    dashboard_agents:read and :admin with a personal access token.
    """
    from reconciler.reports.agents_documents import NO_AGENT, agent_document
    from reconciler.reports.agents_notices import owned_notice

    call.check_fields(agent_document(NO_AGENT))
    with call.session(call.configuration()) as session:
        live = find_agent(session, agent)
        if live.status == "revoked":
            call.notice(f"agent {live.id} was revoked already: nothing was changed")
            _show_agent(call, live)
            return ExitCode.OK
        notice = owned_notice(live, "revoke")
        if not yes:
            call.notice(notice)
            call.confirm(_question(session, live), verb="revoke")
        after = session.api.revoke_agent(live.id)
    if after.status != "revoked":
        raise BadAnswer(f"agent {live.name}: the server accepted the revocation but does not show it")
    _show_agent(call, after)
    if yes:
        call.notice(notice)
    return ExitCode.OK


def _body(flags: dict[str, str | None], source: str | None) -> NewAgent:
    """The body of a create from its flags, or from what replaces them."""
    given = {flag: value for flag, value in flags.items() if value is not None}
    if source is not None:
        if given:
            raise UsageError(
                f"--input replaces {', '.join(given)}",
                hint="leave the flags out, or put all of it into flags",
            )
        return read_input(source)
    if "--name" not in given:
        raise UsageError("create needs --name", hint="or the whole body with --input @PATH")
    scopes = read_object(given.pop("--scopes"), flag="--scopes") if "--scopes" in given else {}
    fields = {flag.removeprefix("--").replace("-", "_"): value for flag, value in given.items()}
    return new_agent({**fields, "scopes": scopes}, flag="--scopes")


def _create(call: Call, body: NewAgent, recipient: Recipient) -> ExitCode:
    """What is begun is finished also when somebody asks to stop: the key would be lost."""
    from reconciler.applying.hand_out import create_with_key
    from reconciler.reports.agents_documents import created_document
    from reconciler.reports.agents_table import created_text

    stop = StopRequest()
    with call.session(recipient.desired, is_stopping=stop.is_asked) as session:
        _check_plane(session, body)
        context = run_context(session, recipient.desired)
        with stop_on_signals(stop, call.console.alarm):
            made = create_with_key(context, body, idempotency_key=secrets.token_hex(16), sink=recipient.sink)
            place = recipient.handed_over(made[0])
            text = created_text(*made, delivered_to=place, style=call.console.style())
            document = created_document(*made, delivered_to=place)
            show_result(call, context, recipient, made=made, text=text, document=document)
    return stop.verdict() or ExitCode.OK


def _check_plane(session: Session, body: NewAgent) -> None:
    if session.plane == "dashboard" and (body.metadata or body.policy):
        raise UsageError(
            "--input: the dashboard plane sets neither metadata nor policy of a new agent",
            hint="set metadata afterwards with update --metadata, or use a runtime key (ALTER_API_KEY)",
        )


def _question(session: Session, live: LiveAgent) -> str:
    from reconciler.reports.escaping import MESSAGE_LIMIT, for_terminal

    count = sum(key.is_live for key in session.api.list_keys(live.id))
    keys = f"its {count} live key{'' if count == 1 else 's'}"
    return for_terminal(f"Revoke agent {live.name} ({live.id}) and {keys}?", limit=MESSAGE_LIMIT)


def _show_agent(call: Call, agent: LiveAgent) -> None:
    from reconciler.reports.agents_documents import agent_document
    from reconciler.reports.agents_table import agent_text

    if call.console.is_table:
        call.console.text(agent_text(agent, style=call.console.style()))
    else:
        call.console.document(agent_document(agent))
