"""What `doctor` found, as text and as a document: the exit code, the fixes, and that no key gets through."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from reconciler.errors import AuthError, ExitCode, UsageError
from reconciler.reports.doctor_report import (
    Check,
    Diagnosis,
    doctor_document,
    doctor_text,
    failed,
    failed_by,
    ok,
    skipped,
    warning,
)
from reconciler.reports.styles import Style

SCHEMA = json.loads((Path(__file__).parents[3] / "schemas/doctor.schema.json").read_text())
PLAIN = Style.plain()
KEY = "alter_rk_abcdefghijklmnopqrstuv_abcdef"
FINE = ok("configuration", "agents.yaml: 2 agents")


def broken(name: str, exit_code: ExitCode) -> Check:
    return failed(name, "it is broken", fix="mend it", exit_code=exit_code)


def test_a_diagnosis_reads_line_by_line() -> None:
    checks = (
        FINE,
        warning("address", "two addresses", fix="unset one", details=["one", "two"]),
        broken("api key", ExitCode.AUTH),
        skipped("api", "no key"),
        skipped("app", "no key"),
        skipped("sinks", "none is used"),
    )
    assert doctor_text(Diagnosis("alter-sync 1.2", checks), style=PLAIN) == "\n".join(
        (
            "alter-sync 1.2",
            "",
            "ok       configuration  agents.yaml: 2 agents",
            "warning  address        two addresses",
            "    one",
            "    two",
            "    fix: unset one",
            "failed   api key        it is broken",
            "    fix: mend it",
            "skipped  2 checks       no key: api, app",
            "skipped  sinks          none is used",
            "",
            "6 checks: 1 ok, 1 warning, 1 failed, 3 skipped",
        )
    )


def test_a_document_has_every_check_by_itself() -> None:
    document = doctor_document(Diagnosis("t", (FINE, skipped("api", "no key"), skipped("app", "no key"))))
    jsonschema.validate(document, SCHEMA)
    assert [check["name"] for check in document["checks"]] == ["configuration", "api", "app"]
    assert document["summary"] == {"ok": 1, "warning": 0, "failed": 0, "skipped": 2}


@pytest.mark.parametrize(
    ("codes", "exit_code"),
    [
        ([], ExitCode.OK),
        ([ExitCode.ERROR], ExitCode.ERROR),
        ([ExitCode.ERROR, ExitCode.AUTH], ExitCode.AUTH),
        ([ExitCode.AUTH, ExitCode.SINK], ExitCode.SINK),
        ([ExitCode.RATE_LIMIT, ExitCode.NOT_FOUND], ExitCode.RATE_LIMIT),
        ([ExitCode.SINK, ExitCode.USAGE], ExitCode.USAGE),
    ],
)
def test_the_gravest_failure_decides_and_what_was_given_wrongly_before_all(
    codes: list[ExitCode], exit_code: ExitCode
) -> None:
    checks = tuple(broken(f"check {code}", code) for code in codes)
    warned = warning("w", "odd", fix="look")
    assert Diagnosis("t", (FINE, warned, *checks)).exit_code() is exit_code


def test_a_failure_brings_its_own_fix_or_gets_one() -> None:
    assert failed_by("api", AuthError("no", hint="use another")).fix == "use another"
    assert failed_by("api", UsageError("no"), otherwise="check it").fix == "check it"
    assert failed_by("api", UsageError("no")).fix
    unneeded = failed_by("api", AuthError("no"), is_needed=False)
    assert (unneeded.status, unneeded.exit_code) == ("warning", ExitCode.OK)


def test_a_key_in_a_wrong_place_is_not_repeated_and_text_from_outside_is_inert() -> None:
    check = failed(
        f"sink {KEY}\x1b[2J",
        f"https://x/{KEY}",
        fix=f"use {KEY}",
        details=[f"in {KEY}"],
        exit_code=ExitCode.SINK,
    )
    diagnosis = Diagnosis("t", (check, skipped(KEY, KEY), skipped(KEY, KEY)))
    text, document = doctor_text(diagnosis, style=PLAIN), json.dumps(doctor_document(diagnosis))
    assert KEY not in text + document
    assert "(key)" in text
    assert "\x1b" not in text


def test_each_status_has_a_colour() -> None:
    checks = (FINE, warning("w", "odd", fix="look"), broken("f", ExitCode.ERROR), skipped("s", "why"))
    text = doctor_text(Diagnosis("t", checks), style=Style.ansi())
    for code in ("\x1b[32mok", "\x1b[33mwarning", "\x1b[31mfailed", "\x1b[2mskipped"):
        assert code in text
