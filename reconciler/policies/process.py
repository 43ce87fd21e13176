"""Runs the engine in a process of its own and takes what it does not answer as a refusal.

The process has no environment, so no credential, and limits on time and memory that it cannot lift: an
expression may come from a pull request of somebody whom nobody trusts yet.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from reconciler.errors import AlterSyncError, UsageError
from reconciler.model.policy import Judge, PolicyRule, Question, Verdict

# The engine ends by itself; this is for the case that the kernel does not hold its limits.
_WALL_SECONDS = 120.0
_PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from reconciler.policies.engine import main; main()"
)
_TOO_MUCH = "evaluating it took more than 1 s or 1 GiB"
_AFTER = "it was not evaluated, because another rule took more than 1 s or 1 GiB"


class PolicyEngineFailed(AlterSyncError):
    """The process that evaluates policies did not answer."""

    code = "policy_engine_failed"


def check_installed() -> None:
    """Refuses to go on without the library, before anything is done."""
    if find_spec("cel_expr_python") is None:
        raise UsageError(
            "--policy needs a package that is not installed: cel-expr-python",
            hint="pip install 'alter-sync[policy]'",
        )


@dataclass(frozen=True, slots=True)
class EngineProcess:
    """How the engine is started, and how long it is waited for."""

    program: str = _PROGRAM
    wall_seconds: float = _WALL_SECONDS

    def faults(self, expressions: Sequence[Mapping[str, Any]]) -> list[Any]:
        """For each expression ``[message, line, column]``, or ``None`` when it may be used."""
        found = list(self._run({"expressions": list(expressions)}))
        if len(found) < len(expressions):
            found += [[f"the engine ended while it compiled this: {_TOO_MUCH}", 0, 0]]
            found += [None] * (len(expressions) - len(found))
        return found

    def judge_of(self, rules: Sequence[PolicyRule]) -> Judge:
        """What evaluates these rules."""

        def judge(questions: Sequence[Question]) -> list[list[Verdict]]:
            request = {
                "rules": [_rule(rule) for rule in rules],
                "questions": [{"rules": one.rules, "variables": one.variables} for one in questions],
            }
            return list(_verdicts(questions, list(self._run(request))))

        return judge

    def _run(self, request: Mapping[str, Any]) -> Iterator[Any]:
        """The answers until the process ended."""
        command = [sys.executable, "-I", "-c", self.program, json.dumps(sys.path)]
        try:
            done = subprocess.run(  # noqa: S603 - our own program, and nothing of the user's is in the command
                command,
                input=json.dumps(request).encode(),
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={},
                timeout=self.wall_seconds,
                check=False,
            )
            written = done.stdout
            if done.returncode > 0:  # a defect; a limit ends it by a signal, which is a negative number
                raise PolicyEngineFailed(
                    f"the process that evaluates policies ended with {done.returncode}",
                    hint="is cel-expr-python installed as alter-sync[policy] wants it?",
                )
        except subprocess.TimeoutExpired as error:
            written = error.stdout or b""
        except OSError as error:
            raise PolicyEngineFailed(
                f"the process that evaluates policies cannot be started: {error.strerror}",
                hint="nothing was done; the same command may work when the machine has room again",
            ) from error
        # A line without its end was not written as a whole.
        for line in written.split(b"\n")[:-1]:
            yield json.loads(line)


def _rule(rule: PolicyRule) -> dict[str, Any]:
    return {
        "when": rule.when,
        "condition": rule.condition,
        # `require` is violated by false, `deny` by true.
        "violated_by": not rule.require,
        "message": rule.message,
    }


def _verdicts(questions: Sequence[Question], answers: Sequence[Any]) -> Iterator[list[Verdict]]:
    given = iter(answers)
    unanswered = _TOO_MUCH
    for question in questions:
        verdicts: list[Verdict] = []
        for index in question.rules:
            answer = next(given, None)
            if answer is None:
                verdicts.append(Verdict(index, unanswered, is_failure=True))
                unanswered = _AFTER
            elif answer[0] != "pass":
                verdicts.append(Verdict(index, answer[1], is_failure=answer[0] != "violated"))
        yield verdicts
