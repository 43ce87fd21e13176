"""What a rule is about, for readers who see nothing but its name."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.reports.problems import Kind, Problem

_GUARDS: Mapping[str, str] = {
    "wrong-app": "Live agents of this owner are marked for another app than the configuration is for.",
    "plane": "The dashboard plane cannot do this; a runtime key of the app can.",
    "foreign-owner": "The live agent belongs to another configuration.",
    "unowned": "A live agent of this name was made by hand; `alter-sync adopt` puts it under this owner.",
    "empty-config": "No agent is declared while live ones are owned.",
    "max-revocations": "More agents would be revoked at once than the configuration allows.",
    "max-changes": "More agents would be changed at once than the configuration allows.",
    "max-scope-removals": "More granted scopes would be removed at once than the configuration allows.",
    "protected": "The agent is protected by its block or by its mark; `protect: false` takes that away.",
    "revoke-in-use": "The agent was used a short time ago, so something may still depend on it.",
    "sensitive-scopes": "A scope that the configuration lists as sensitive would be granted.",
    "replace": "The type of an agent cannot be changed: it would be revoked and created again, with a gap.",
    "last-active-key": "The agent would be left without a key that works.",
    "key-in-use": "An older key is still in use, or nobody can tell that it is not.",
    "key-cap": "The agent holds as many keys as Alter allows.",
    "rotation-pace": "More keys would be rotated at once than the configuration allows.",
    "freeze": "The configuration freezes changes at this time.",
    "policy": "A rule of the folder that `--policy` names refuses this.",
}
_DRIFT: Mapping[str, str] = {
    "agent-revoked-outside": "A declared agent was revoked by somebody else; its workload has no key.",
    "changed-outside": "A field of an owned agent is not what was applied last.",
    "key-minted-outside": "A live key that no sink holds and the mark does not know: whose is it?",
    "key-revoked-outside": "A key that the mark knows as live is revoked or gone.",
    "key-deprecated-outside": "The delivered key was marked as to be retired by somebody else.",
    "orphaned-key": "A live key of a run that was cut off.",
    "unmarked-agent": "A declared agent is live, not as declared, and without the mark of this owner.",
    "shadow-agent": "Something is at work in this app that is neither declared nor known.",
}
_ABOUT: Mapping[Kind, str] = {
    "guard": "A guard refused an operation; the message names the flag that lets exactly this through.",
    "drift": "Somebody changed something outside of the configuration.",
    "finding": "Found in the configuration; `alter-sync schema agents` prints what may stand there.",
    "operation": "An operation of the plan failed.",
    "failure": "The run failed.",
}


def rule_id(problem: Problem) -> str:
    """The stable name. Kinds have names of their own, because a guard may be called what a finding is."""
    kind = "" if problem.kind == "finding" else f"{problem.kind}-"
    return f"alter-sync/{kind}{problem.rule}"


def rule_text(problem: Problem) -> str:
    """One sentence on the rule."""
    known = {"guard": _GUARDS, "drift": _DRIFT}.get(problem.kind, {})
    return known.get(problem.rule) or f"{problem.rule.replace('-', ' ').capitalize()}."


def rule_help(problem: Problem) -> str:
    """What there is to know of the rule, with the way to more."""
    return f"{rule_text(problem)} {_ABOUT[problem.kind]}"
