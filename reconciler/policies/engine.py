"""Compiles and evaluates CEL, in a process of its own; the only module that knows the library.

The library bounds the depth and the iterations of an expression, but neither the size of the values that it
builds nor the time that it takes. So the process has limits that the kernel holds, whatever the library does:
``process.py`` starts it, asks on its stdin, and takes what is not answered as a refusal.
"""

from __future__ import annotations

import json
import re
import resource
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, TextIO

from cel_expr_python import cel
from cel_expr_python.ext import ext_strings

MAX_QUESTION_SECONDS = 1.0
MAX_RUN_SECONDS = 60
MAX_MEMORY_BYTES = 1024 * 1024 * 1024
_LONGEST_ANSWER = 1_000
_FAULT = re.compile(r"<input>:(-?\d+):(-?\d+): ([^\n]*)")
_PASSES = "pass"

Json = Any


class Engine:
    """One environment: the variables of an expression, and the standard and string functions of CEL."""

    @cached_property
    def _environment(self) -> Any:
        dynamic = cel.Type.DYN
        return cel.NewEnv(
            variables={"operation": dynamic, "agent": dynamic, "plan": dynamic, "now": cel.Type.TIMESTAMP},
            extensions=[ext_strings.ExtStrings()],
        )

    def compile(self, text: str) -> Any:
        """A compiled expression; ``RuntimeError`` when it is none."""
        return self._environment.compile(text)

    def activate(self, variables: Mapping[str, Json]) -> Any:
        """The variables of one question, converted once for all its rules."""
        now = datetime.fromisoformat(variables["now"])
        return self._environment.Activation({**variables, "now": now})

    def faults(self, expressions: Iterable[Mapping[str, Json]]) -> Iterator[Json]:
        """For each expression what is wrong with it: ``[message, line, column]``, or ``None``."""
        for expression in expressions:
            try:
                kind = self.compile(expression["text"]).return_type().name()
            except Exception as error:  # the library raises RuntimeError, and other things for odd texts
                yield _fault(str(error))
                continue
            is_wrong = expression["is_condition"] and kind not in ("BOOL", "DYN")
            yield [f"this is {_called(kind)}, and has to be true or false", 0, 0] if is_wrong else None


@dataclass(frozen=True, slots=True)
class _Rule:
    when: Any
    condition: Any
    # What the condition must not be.
    violated_by: bool
    message: tuple[Any, ...]

    @classmethod
    def of(cls, engine: Engine, rule: Mapping[str, Json]) -> _Rule:
        pieces = rule["message"]
        message = tuple(engine.compile(one) if index % 2 else one for index, one in enumerate(pieces))
        return cls(
            engine.compile(rule["when"]), engine.compile(rule["condition"]), rule["violated_by"], message
        )

    def verdict(self, activation: Any) -> tuple[str, str]:
        """``pass``, ``violated`` or ``failed``, and why."""
        try:
            if (
                not _truth(self.when, activation)
                or _truth(self.condition, activation) is not self.violated_by
            ):
                return _PASSES, ""
        except Exception as error:  # whatever it is, the rule has said nothing
            return "failed", _cleaned(str(error))
        return "violated", "".join(
            piece if isinstance(piece, str) else _shown(piece, activation) for piece in self.message
        )


def answers(
    engine: Engine, request: Mapping[str, Json], *, on_question: Callable[[], None] = lambda: None
) -> Iterator[Json]:
    """One answer for each rule of each question: ``[verdict, why]``, in their order."""
    rules = [_Rule.of(engine, rule) for rule in request["rules"]]
    for question in request["questions"]:
        on_question()
        activation = _activation(engine, question["variables"])
        for index in question["rules"]:
            if isinstance(activation, str):
                yield ["failed", activation]
            else:
                yield list(rules[index].verdict(activation))


def serve(source: TextIO, target: TextIO, *, on_question: Callable[[], None] = lambda: None) -> None:
    """Answers the one request on ``source``, one JSON line for each answer, each written at once."""
    request = json.load(source, parse_int=_number)
    engine = Engine()
    found: Iterable[Json] = (
        engine.faults(request["expressions"])
        if "expressions" in request
        else answers(engine, request, on_question=on_question)
    )
    for answer in found:
        target.write(json.dumps(answer) + "\n")
        target.flush()


def main() -> None:
    """What the process runs."""
    for limit, amount in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_CPU, MAX_RUN_SECONDS),
        (resource.RLIMIT_AS, MAX_MEMORY_BYTES),
    ):
        resource.setrlimit(limit, (amount, amount))
    with open(0, encoding="utf-8", closefd=False) as source, open(1, "w", closefd=False) as target:
        serve(source, target, on_question=_limit_time)


def _number(text: str) -> int | float:
    """CEL's whole numbers have 64 bits, JSON's have no end."""
    return int(text) if len(text) <= 20 and -(2**63) <= int(text) < 2**63 else float(text)


def _limit_time() -> None:
    # The kernel ends the process when this much of its own time went into one question.
    signal.setitimer(signal.ITIMER_PROF, MAX_QUESTION_SECONDS)


def _activation(engine: Engine, variables: Mapping[str, Json]) -> Any:
    try:
        return engine.activate(variables)
    except Exception as error:  # a value that CEL has no type for
        return _cleaned(str(error))


def _truth(expression: Any, activation: Any) -> bool:
    value = expression.eval(activation)
    kind = value.type().name()
    if kind == "ERROR":
        raise ValueError(str(value.value()))
    if kind != "BOOL":
        raise ValueError(f"the result is {_called(kind)}, not true or false")
    return bool(value.value())


def _shown(expression: Any, activation: Any) -> str:
    """The value inside a message. A message that fails does not change the verdict."""
    try:
        value = expression.eval(activation)
        if value.type().name() == "ERROR":
            return f"({_cleaned(str(value.value()))})"
        plain = value.plain_value()
    except Exception as error:
        return f"({_cleaned(str(error))})"
    if isinstance(plain, Sequence) and not isinstance(plain, str | bytes):
        return ", ".join(map(str, plain))[:_LONGEST_ANSWER]
    return (plain if isinstance(plain, str) else str(value))[:_LONGEST_ANSWER]


def _fault(text: str) -> Json:
    found = _FAULT.search(text)
    if found is None:
        return [_cleaned(text), 0, 0]
    message = re.sub(r" \(in container '[^']*'\)", "", found[3])
    # The list of everything that might have come instead helps nobody.
    message = message.partition(" expecting {")[0]
    return [message[:_LONGEST_ANSWER], max(int(found[1]), 0), max(int(found[2]), 0)]


def _cleaned(text: str) -> str:
    text = re.sub(r"^[A-Z_]+: ", "", text)
    return re.sub(r"\s*\[[A-Z_]+\]$", "", text)[:_LONGEST_ANSWER] or "it failed without a reason"


def _called(kind: str) -> str:
    names = {"NULL": "null", "INT": "a number", "UINT": "a number", "DOUBLE": "a number", "STRING": "text"}
    return names.get(kind, "a list" if kind.startswith("LIST") else f"of the type {kind.lower()}")
